//! Lists: a page of what is stored with the changes that are not stored yet laid over it, and a
//! turn's own changes beside that.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::range::Order;

/// The beginning of a range, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<T> {
    pub(crate) rows: Vec<T>,
    /// Whether nothing of the range comes after these.
    pub(crate) is_last: bool,
}

/// Rows of a list, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged<K, V> {
    pub(crate) rows: VecDeque<(K, V)>,
    /// The next rows come past this key. `None`: there are none.
    pub(crate) resume: Option<K>,
}

/// Lays changes over what is stored: a changed key has the change's value, or none.
///
/// Where one of the two parts is not its range's last, nothing is known beyond its end, so the
/// result goes no further; what the other part has there is read again.
pub(crate) fn lay_over<K: Ord + Clone, V>(
    stored: Part<(K, V)>,
    changes: Part<(K, Option<V>)>,
    order: Order,
) -> Merged<K, V> {
    let end_of_stored = (!stored.is_last).then(|| stored.rows.last().map(|(key, _)| key.clone()));
    let end_of_changes =
        (!changes.is_last).then(|| changes.rows.last().map(|(key, _)| key.clone()));
    let end = |part: Option<Option<K>>| part.map(|end| end.expect("a part that goes on has rows"));
    let resume = match (end(end_of_stored), end(end_of_changes)) {
        (Some(one), Some(other)) => Some(earlier(one, other, order)),
        (one, other) => one.or(other),
    };
    let is_known =
        |key: &K| resume.as_ref().is_none_or(|end| compare(key, end, order) != Ordering::Greater);
    let mut rows = VecDeque::with_capacity(stored.rows.len());
    let mut stored = stored.rows.into_iter().filter(|(key, _)| is_known(key)).peekable();
    let mut changes = changes.rows.into_iter().filter(|(key, _)| is_known(key)).peekable();
    loop {
        match pick(stored.peek().map(|(key, _)| key), changes.peek().map(|(key, _)| key), order) {
            Pick::Stored => rows.extend(stored.next()),
            Pick::Changed => rows.extend(changed(changes.next())),
            Pick::Both => {
                stored.next();
                rows.extend(changed(changes.next()));
            }
            Pick::Neither => break,
        }
    }
    Merged { rows, resume }
}

fn changed<K, V>(change: Option<(K, Option<V>)>) -> Option<(K, V)> {
    change.and_then(|(key, value)| value.map(|value| (key, value)))
}

/// Which of two rows comes next in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    Stored,
    Changed,
    /// They have one key: the stored row counts no more.
    Both,
    Neither,
}

/// Decides between the next stored row and the next change.
pub(crate) fn pick<K: Ord>(stored: Option<&K>, changed: Option<&K>, order: Order) -> Pick {
    match (stored, changed) {
        (None, None) => Pick::Neither,
        (Some(_), None) => Pick::Stored,
        (None, Some(_)) => Pick::Changed,
        (Some(stored), Some(changed)) => match compare(stored, changed, order) {
            Ordering::Less => Pick::Stored,
            Ordering::Equal => Pick::Both,
            Ordering::Greater => Pick::Changed,
        },
    }
}

fn compare<K: Ord>(one: &K, other: &K, order: Order) -> Ordering {
    match order {
        Order::Rising => one.cmp(other),
        Order::Falling => other.cmp(one),
    }
}

fn earlier<K: Ord>(one: K, other: K, order: Order) -> K {
    if compare(&one, &other, order) == Ordering::Greater { other } else { one }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The first `max` rows past `after`, in `order`.
    fn part<V: Clone>(
        map: &BTreeMap<u8, V>,
        after: Option<u8>,
        order: Order,
        max: usize,
    ) -> Part<(u8, V)> {
        let is_past =
            |key: &u8| after.is_none_or(|after| compare(key, &after, order) == Ordering::Greater);
        let rows = map.iter().filter(|(key, _)| is_past(key));
        let mut rows: Vec<_> = rows.map(|(key, value)| (*key, value.clone())).collect();
        if order == Order::Falling {
            rows.reverse();
        }
        let is_last = rows.len() <= max;
        rows.truncate(max);
        Part { rows, is_last }
    }

    proptest! {
        #[test]
        fn pages_put_together_are_the_changed_whole(
            stored in proptest::collection::btree_map(0_u8..20, 0_u8..100, 0..20),
            changes in proptest::collection::btree_map(
                0_u8..20, proptest::option::of(100_u8..), 0..20,
            ),
            is_falling: bool, stored_max in 1_usize..6, changes_max in 1_usize..6,
        ) {
            let order = if is_falling { Order::Falling } else { Order::Rising };
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let merged = lay_over(
                    part(&stored, after, order, stored_max),
                    part(&changes, after, order, changes_max),
                    order,
                );
                found.extend(merged.rows);
                prop_assert!(merged.resume.is_none() || merged.resume != after, "it goes on");
                after = merged.resume;
                if after.is_none() {
                    break;
                }
            }
            let mut whole = stored;
            for (key, change) in changes {
                match change {
                    Some(value) => whole.insert(key, value),
                    None => whole.remove(&key),
                };
            }
            let mut wanted: Vec<_> = whole.into_iter().collect();
            if is_falling {
                wanted.reverse();
            }
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn the_earlier_of_two_rows_comes_next_and_a_change_stands_for_its_key() {
        let table = [
            (None, None, Pick::Neither, Pick::Neither),
            (Some(1), None, Pick::Stored, Pick::Stored),
            (None, Some(1), Pick::Changed, Pick::Changed),
            (Some(1), Some(2), Pick::Stored, Pick::Changed),
            (Some(2), Some(2), Pick::Both, Pick::Both),
        ];
        for (stored, changed, rising, falling) in table {
            assert_eq!(pick(stored.as_ref(), changed.as_ref(), Order::Rising), rising);
            assert_eq!(pick(stored.as_ref(), changed.as_ref(), Order::Falling), falling);
        }
    }
}
