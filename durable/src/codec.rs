//! How values become bytes: postcard, with a writer that notices whether anything changed.

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::WIRE_BYTES_MAX;

/// Why a value could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It has more bytes than the limit; how many.
    TooLarge(usize),
    /// Its `Serialize` refused, or asks for what postcard cannot do.
    Refused(String),
}

/// Why bytes are not a call or a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The class has no such method.
    UnknownMethod(String),
    /// The bytes do not decode as the method's types.
    Malformed(String),
}

impl DecodeError {
    /// There is no method of that name.
    pub fn unknown_method(method: &str) -> Self {
        DecodeError::UnknownMethod(method.to_owned())
    }
}

/// Encodes arguments or a reply, for a path that leaves the process.
pub fn encode_wire<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    encode(value, 0, WIRE_BYTES_MAX)
}

/// Decodes what [`encode_wire`] made.
pub fn decode_wire<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode(bytes).map_err(DecodeError::Malformed)
}

/// Encodes `value` behind `prefix` zero bytes, unless its bytes are exactly `last`: then `None`, and nothing was
/// allocated. Most turns that change nothing end here, so the comparison is made while encoding.
pub(crate) fn encode_if_changed<T: Serialize + ?Sized>(
    value: &T,
    last: &[u8],
    prefix: usize,
    bytes_max: usize,
) -> Result<Option<Vec<u8>>, EncodeError> {
    let flavor = Comparing { last, prefix, bytes_max, size: 0, changed: None };
    match postcard::serialize_with_flavor(value, flavor) {
        Ok(Written { size, .. }) if size > bytes_max => Err(EncodeError::TooLarge(size)),
        Ok(Written { changed, .. }) => Ok(changed),
        Err(error) => Err(EncodeError::Refused(error.to_string())),
    }
}

/// Encodes `value` behind `prefix` zero bytes.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    prefix: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, EncodeError> {
    let bytes = encode_if_changed(value, &[], prefix, bytes_max)?;
    Ok(bytes.unwrap_or_else(|| vec![0; prefix]))
}

/// Decodes a whole value. Bytes that are left over are an error: they mean that the value was written by other code.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} of {} bytes are left over", rest.len(), bytes.len())),
        Err(error) => Err(error.to_string()),
    }
}

/// Decodes a value at the front, and gives what is behind it.
pub(crate) fn decode_first<'b, T: Deserialize<'b>>(
    bytes: &'b [u8],
) -> Result<(T, &'b [u8]), String> {
    postcard::take_from_bytes(bytes).map_err(|error| error.to_string())
}

/// Compares what is written with `last`, and starts to keep it at the first difference.
struct Comparing<'a> {
    last: &'a [u8],
    prefix: usize,
    bytes_max: usize,
    /// Bytes written so far. Counted on past `bytes_max`, so that the error can say how many there were.
    size: usize,
    /// `None`: all bytes so far are those of `last`.
    changed: Option<Vec<u8>>,
}

struct Written {
    size: usize,
    changed: Option<Vec<u8>>,
}

impl Comparing<'_> {
    /// Starts to keep what is written, with the bytes that were equal so far.
    fn diverge(&mut self) -> &mut Vec<u8> {
        let (prefix, same) = (self.prefix, &self.last[..self.size.min(self.last.len())]);
        self.changed.get_or_insert_with(|| {
            let mut bytes = Vec::with_capacity(prefix + same.len().max(self.last.len()) + 16);
            bytes.resize(prefix, 0);
            bytes.extend_from_slice(same);
            bytes
        })
    }
}

impl Flavor for Comparing<'_> {
    type Output = Written;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let end = self.size + bytes.len();
        let is_same = self.changed.is_none() && self.last.get(self.size..end) == Some(bytes);
        if !is_same && end <= self.bytes_max {
            self.diverge().extend_from_slice(bytes);
        }
        self.size = end;
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<Written> {
        if self.size < self.last.len() {
            self.diverge();
        }
        Ok(Written { size: self.size, changed: self.changed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    #[test]
    fn equal_bytes_are_noticed_and_any_other_bytes_are_kept_whole() {
        let last = encode(&"hello", 0, MAX).expect("text encodes");
        assert_eq!(encode_if_changed("hello", &last, 4, MAX), Ok(None));
        for other in ["hellO", "Hello", "hell", "hello!", "", "a much longer text than before"] {
            let changed = encode_if_changed(other, &last, 4, MAX).expect("text encodes");
            let bytes = changed.expect("another text has other bytes");
            assert_eq!(bytes[..4], [0; 4]);
            assert_eq!(decode::<String>(&bytes[4..]).as_deref(), Ok(other));
        }
    }

    #[test]
    fn a_shorter_value_that_begins_alike_is_a_change() {
        let long = encode(&(1u8, 2u8, 3u8), 0, MAX).expect("numbers encode");
        let short = encode_if_changed(&(1u8, 2u8), &long, 0, MAX).expect("numbers encode");
        assert_eq!(short, Some(vec![1, 2]));
    }

    #[test]
    fn a_value_over_the_limit_says_how_large_it_is() {
        let error = encode(&vec![7u8; 100], 0, 50).expect_err("too large");
        assert_eq!(error, EncodeError::TooLarge(101));
    }

    #[test]
    fn left_over_bytes_do_not_decode() {
        assert!(decode::<u8>(&[1, 2]).is_err());
        assert!(decode::<u32>(&[]).is_err());
        assert_eq!(encode(&(), 3, MAX), Ok(vec![0, 0, 0]));
    }
}
