//! What an object keeps under keys: the keys, and how a turn changes them.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::limits::KV_KEY_BYTES_MAX;

/// A key of an object's KV: 1 to 2,048 bytes, often text. Keys are ordered byte by byte.
///
/// It is compared with text and bytes as it is: `key == "line/1"`, `&key[..5] == b"line/"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KvKey(Arc<[u8]>);

impl KvKey {
    /// # Errors
    /// `kv.key_empty`, `kv.key_too_long`.
    pub(crate) fn new(key: &[u8]) -> Result<Self, Error> {
        if key.is_empty() {
            return Err(Code::KvKeyEmpty
                .error("a key has 0 bytes, it needs at least 1; give every value a key"));
        }
        if key.len() > KV_KEY_BYTES_MAX {
            return Err(Code::KvKeyTooLong.error(format!(
                "a key has {} bytes, the limit is {KV_KEY_BYTES_MAX}; shorten it",
                key.len()
            )));
        }
        Ok(KvKey(key.into()))
    }

    /// A key that was stored.
    pub(crate) fn stored(key: &[u8]) -> Self {
        KvKey(key.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text. `None`: it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl Deref for KvKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for KvKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for KvKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq<str> for KvKey {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for KvKey {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<[u8]> for KvKey {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}

impl fmt::Display for KvKey {
    /// As text, with what is not printable escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => text.escape_debug().fmt(f),
            None => self.0.escape_ascii().fmt(f),
        }
    }
}

impl fmt::Debug for KvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A value as it is stored, its header included.
pub(crate) type Framed = Arc<[u8]>;

/// What a turn did to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvChange {
    /// Which key.
    pub key: KvKey,
    /// The value as it is stored, its header included. `None`: the key is taken away.
    pub value: Option<Arc<[u8]>>,
}

impl KvChange {
    /// How much it adds to what waits for the disk.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_at_least_one_byte_and_at_most_the_limit() {
        for (length, code) in [(0, "kv.key_empty"), (KV_KEY_BYTES_MAX + 1, "kv.key_too_long")] {
            assert_eq!(KvKey::new(&vec![b'k'; length]).expect_err("refused").code(), code);
        }
        for length in [1, KV_KEY_BYTES_MAX] {
            assert_eq!(KvKey::new(&vec![b'k'; length]).expect("a key").len(), length);
        }
    }

    #[test]
    fn a_key_shows_as_text_where_it_is_text() {
        assert_eq!(format!("{:?}", KvKey::stored("zoë\n".as_bytes())), r#""zoë\n""#);
        assert_eq!(KvKey::stored(b"\xff1").to_string(), r"\xff1");
        assert!(KvKey::stored(b"a") == "a" && *KvKey::stored(b"a") == *b"a");
    }
}
