//! Which keys a list asks for, as one half-open range.

/// In which order keys come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Rising,
    Falling,
}

/// Keys from `start`, which belongs to it, up to `end`, which does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRange {
    /// Empty: from the first key on.
    pub(crate) start: Vec<u8>,
    /// `None`: up to the last key.
    pub(crate) end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Leaves only keys that begin with `prefix`.
    pub(crate) fn within_prefix(&mut self, prefix: &[u8]) {
        self.from(prefix);
        // The first key after all of these: the prefix with its last byte that can be raised raised.
        let mut end = prefix.to_vec();
        while end.pop_if(|byte| *byte == u8::MAX).is_some() {}
        if let Some(last) = end.last_mut() {
            *last += 1;
            self.until(&end);
        }
    }

    /// Leaves only `start` and what comes after it.
    pub(crate) fn from(&mut self, start: &[u8]) {
        if *start > *self.start {
            self.start = start.to_vec();
        }
    }

    /// Leaves only what comes after `key`.
    pub(crate) fn after(&mut self, key: &[u8]) {
        let mut next = Vec::with_capacity(key.len() + 1);
        next.extend_from_slice(key);
        next.push(0);
        self.from(&next);
    }

    /// Leaves only what comes before `end`.
    pub(crate) fn until(&mut self, end: &[u8]) {
        if self.end.as_deref().is_none_or(|old| *end < *old) {
            self.end = Some(end.to_vec());
        }
    }

    /// Leaves only what comes later than `key` in `order`.
    pub(crate) fn past(&mut self, key: &[u8], order: Order) {
        match order {
            Order::Rising => self.after(key),
            Order::Falling => self.until(key),
        }
    }

    /// Whether no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.end.as_deref().is_some_and(|end| *end <= *self.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl KeyRange {
        fn has(&self, key: &[u8]) -> bool {
            *key >= *self.start && self.end.as_deref().is_none_or(|end| *key < *end)
        }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff)], 0..4)
    }

    proptest! {
        #[test]
        fn a_range_has_the_keys_that_it_was_asked_for(
            prefix in proptest::option::of(key()), start in proptest::option::of(key()),
            after in proptest::option::of(key()), end in proptest::option::of(key()), key in key(),
        ) {
            let mut range = KeyRange::default();
            let mut wanted = true;
            if let Some(prefix) = &prefix {
                range.within_prefix(prefix);
                wanted &= key.starts_with(prefix);
            }
            if let Some(start) = &start {
                range.from(start);
                wanted &= key >= *start;
            }
            if let Some(after) = &after {
                range.after(after);
                wanted &= key > *after;
            }
            if let Some(end) = &end {
                range.until(end);
                wanted &= key < *end;
            }
            prop_assert_eq!(range.has(&key), wanted);
            prop_assert!(!(wanted && range.is_empty()));
        }

        #[test]
        fn what_is_past_a_key_comes_later(one in key(), other in key()) {
            let past = |order| {
                let mut range = KeyRange::default();
                range.past(&one, order);
                range.has(&other)
            };
            prop_assert_eq!(past(Order::Rising), other > one);
            prop_assert_eq!(past(Order::Falling), other < one);
        }
    }

    #[test]
    fn a_range_that_ends_where_it_begins_is_empty() {
        let mut range = KeyRange::default();
        assert!(!range.is_empty());
        range.from(b"b");
        range.until(b"b");
        assert!(range.is_empty());
    }
}
