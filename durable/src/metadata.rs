//! What travels with calls: entries that a caller has set and that everybody below can read. Plain data.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Code, Error};
use crate::limits::{METADATA_BYTES_MAX, METADATA_ENTRIES_MAX, METADATA_KEY_BYTES_MAX};
use crate::trace::{TRACEPARENT, TRACESTATE};

/// Entries that travel with a call, such as a tenant, a principal or the id of a request.
///
/// They are set by [`Call::metadata`](crate::Call::metadata) or by an [`Interceptor`](crate::Interceptor), and read by
/// [`Context::metadata`](crate::Context::metadata). A key is 1 to 64 of `a` to `z`, digits, `.`, `_` and `-`; a value is a text
/// without control characters. A call has [`METADATA_ENTRIES_MAX`](crate::limits::METADATA_ENTRIES_MAX) entries at most, with
/// [`METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX) bytes of keys and values altogether. Cheap to clone.
///
/// ```
/// use durable::Metadata;
///
/// # fn main() -> Result<(), durable::Error> {
/// let mut metadata = Metadata::new();
/// metadata.set("tenant", "acme")?;
/// assert_eq!(metadata.get("tenant"), Some("acme"));
/// assert_eq!(metadata.set("Tenant", "acme").unwrap_err().code(), "call.metadata_invalid");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata(
    /// In the order of keys, each of which stands once. `None`: there is none.
    Option<Arc<Entries>>,
);

/// Keys and values.
type Entries = Vec<(Box<str>, Box<str>)>;

impl Metadata {
    /// None.
    pub const fn new() -> Self {
        Metadata(None)
    }

    /// The value of a key. `None`: there is no such entry.
    pub fn get(&self, key: &str) -> Option<&str> {
        let entries = self.entries();
        let found = entries.binary_search_by(|(own, _)| (**own).cmp(key));
        found.ok().map(|index| &*entries[index].1)
    }

    /// Keys and values, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Sets an entry, in the place of one with the same key.
    ///
    /// # Errors
    /// `call.metadata_invalid` if the key or the value may not be one, or there would be more than may travel; then it is as it
    /// was.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        check_key(key)?;
        check_value(key, value)?;
        let found = self.entries().binary_search_by(|(own, _)| (**own).cmp(key));
        let replaced = found.ok().map_or(0, |index| key.len() + self.entries()[index].1.len());
        let (entries, bytes) = (self.len() + 1, self.bytes() - replaced + key.len() + value.len());
        if found.is_err() && entries > METADATA_ENTRIES_MAX {
            return Err(Code::CallMetadataInvalid.error(format!(
                "metadata `{key}` would be entry {entries} of the call, the limit is {METADATA_ENTRIES_MAX}; \
                 pass what only one method needs as an argument"
            )));
        }
        if bytes > METADATA_BYTES_MAX {
            return Err(Code::CallMetadataInvalid.error(format!(
                "with `{key}` the call's metadata has {bytes} bytes, the limit is {METADATA_BYTES_MAX}; \
                 keep what it tells in an object, and say where"
            )));
        }
        let all = Arc::make_mut(self.0.get_or_insert_default());
        match found {
            Ok(index) => all[index].1 = value.into(),
            Err(index) => all.insert(index, (key.into(), value.into())),
        }
        Ok(())
    }

    /// Takes an entry away. Whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let found = self.entries().binary_search_by(|(own, _)| (**own).cmp(key));
        let (Ok(index), Some(entries)) = (found, &mut self.0) else { return false };
        let all = Arc::make_mut(entries);
        all.remove(index);
        if all.is_empty() {
            self.0 = None;
        }
        true
    }

    /// All of this, and what `below` has beside it.
    ///
    /// # Errors
    /// `call.metadata_invalid` if that is more than may travel.
    pub(crate) fn over(self, below: &Metadata) -> Result<Self, Error> {
        if self.is_empty() {
            return Ok(below.clone());
        }
        let mut all = below.clone();
        if self.get(TRACEPARENT).is_some() {
            // What was said of another trace is not said of this one.
            all.remove(TRACESTATE);
        }
        self.iter().try_for_each(|(key, value)| all.set(key, value))?;
        Ok(all)
    }

    fn entries(&self) -> &[(Box<str>, Box<str>)] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    fn bytes(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<(String, String)>::deserialize(deserializer)?;
        if !entries.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(D::Error::custom("the keys of its metadata are not in order"));
        }
        let mut all = Metadata::new();
        for (key, value) in entries {
            all.set(&key, &value).map_err(|error| D::Error::custom(error.message()))?;
        }
        Ok(all)
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let text = match key.len() {
        0 => "a key of metadata is empty; name what the value is, such as `tenant`".to_owned(),
        bytes if bytes > METADATA_KEY_BYTES_MAX => format!(
            "a key of metadata has {bytes} bytes, the limit is {METADATA_KEY_BYTES_MAX}; take a shorter one"
        ),
        _ if key.bytes().all(is_allowed) => return Ok(()),
        _ => format!(
            "`{}` cannot be a key of metadata, which has `a` to `z`, digits, `.`, `_` and `-`; write it with those",
            key.escape_debug()
        ),
    };
    Err(Code::CallMetadataInvalid.error(text))
}

fn check_value(key: &str, value: &str) -> Result<(), Error> {
    match value.chars().position(char::is_control) {
        None => Ok(()),
        Some(place) => Err(Code::CallMetadataInvalid.error(format!(
            "character {place} of the metadata `{key}` is a control character, which none may have; \
             encode what is not text"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn message(set: Result<(), Error>) -> String {
        let error = set.expect_err("it is refused");
        assert_eq!(error.code(), "call.metadata_invalid");
        error.message().to_owned()
    }

    #[test]
    fn what_is_not_there_costs_one_pointer() {
        assert_eq!(size_of::<Metadata>(), size_of::<usize>());
        let mut metadata = Metadata::new();
        metadata.set("a", "b").expect("it may");
        assert!(metadata.remove("a") && !metadata.remove("a"));
        assert!(metadata.is_empty() && metadata == Metadata::default());
    }

    #[test]
    fn bounds_are_told_with_both_numbers() {
        let mut metadata = Metadata::new();
        for index in 0..METADATA_ENTRIES_MAX {
            metadata.set(&format!("k{index:02}"), "").expect("there is room");
        }
        let text = message(metadata.set("one.more", ""));
        assert!(text.contains("entry 17") && text.contains("limit is 16"), "{text}");
        metadata.set("k03", "a new value").expect("it takes the place of one");
        let room = METADATA_BYTES_MAX - 3 * METADATA_ENTRIES_MAX;
        metadata.set("k03", &"x".repeat(room)).expect("so much may be");
        let text = message(metadata.set("k03", &"x".repeat(room + 1)));
        assert!(text.contains("4097 bytes") && text.contains("limit is 4096"), "{text}");
        assert_eq!(metadata.get("k03").map(str::len), Some(room), "it is as it was");
        let text = message(metadata.set(&"k".repeat(65), ""));
        assert!(text.contains("65 bytes") && text.contains("limit is 64"), "{text}");
    }

    #[test]
    fn only_short_tokens_are_keys_and_only_text_is_a_value() {
        let mut metadata = Metadata::new();
        for key in ["", "Tenant", "a b", "a:b", "ä", "a\n"] {
            assert!(metadata.set(key, "x").is_err(), "{key:?}");
        }
        for value in ["a\nb", "\0", "\u{7f}", "\u{85}"] {
            assert!(metadata.set("a", value).is_err(), "{value:?}");
        }
        assert!(metadata.is_empty());
        metadata.set("0.a-b_c", "Zoë & co").expect("it may");
        let damaged = postcard::to_stdvec(&[("b", "1"), ("a", "2")]).expect("it encodes");
        assert!(postcard::from_bytes::<Metadata>(&damaged).is_err(), "out of order");
        let damaged = postcard::to_stdvec(&[("B", "1")]).expect("it encodes");
        assert!(postcard::from_bytes::<Metadata>(&damaged).is_err(), "no key");
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_travels(
            own in proptest::collection::btree_map("[a-d]", "[a-z]{0,3}", 0..4),
            below in proptest::collection::btree_map("[a-d]", "[a-z]{0,3}", 0..4),
        ) {
            let of = |map: &BTreeMap<String, String>| {
                let mut metadata = Metadata::new();
                map.iter().for_each(|(key, value)| metadata.set(key, value).expect("it may"));
                metadata
            };
            let both = of(&own).over(&of(&below)).expect("there is room");
            let expected: BTreeMap<_, _> = below.into_iter().chain(own).collect();
            prop_assert_eq!(&both, &of(&expected));
            prop_assert!(both.iter().eq(expected.iter().map(|(k, v)| (&k[..], &v[..]))));
            let bytes = postcard::to_stdvec(&both).expect("it encodes");
            prop_assert_eq!(postcard::from_bytes::<Metadata>(&bytes).expect("it decodes"), both);
        }
    }
}
