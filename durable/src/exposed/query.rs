//! Arguments in the query of a path: texts as they are, everything else as in JSON.

use std::borrow::Cow;
use std::vec::IntoIter;

use serde::de::value::{Error, MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};

/// The deserializer of a query without its `?`. A part without `=` has an empty value; `+` is a space.
///
/// # Errors
/// What is wrong with its escapes.
pub(crate) fn query(text: &str) -> Result<MapAccessDeserializer<Query>, String> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    let pairs = parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let plain = |text: &str| unescape(&text.replace('+', " ")).map(Cow::into_owned);
        Ok((plain(name)?, plain(value)?))
    });
    let pairs: Vec<_> = pairs.collect::<Result<_, String>>()?;
    Ok(MapAccessDeserializer::new(Query { pairs: pairs.into_iter(), value: None }))
}

/// A text without percent escapes.
///
/// # Errors
/// An escape that is none, or bytes that are no UTF-8.
pub(crate) fn unescape(text: &str) -> Result<Cow<'_, str>, String> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |place: usize| after.get(place).and_then(|byte| char::from(*byte).to_digit(16));
        (bytes, rest) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
                (bytes, &after[2..])
            }
            (b'%', ..) => return Err("a `%` is not followed by two hex digits".to_owned()),
            (byte, ..) => {
                bytes.push(*byte);
                (bytes, after)
            }
        };
    }
    let text = String::from_utf8(bytes).map_err(|_| "percent escapes give no UTF-8".to_owned())?;
    Ok(Cow::Owned(text))
}

/// Names and values.
pub(crate) struct Query {
    pairs: IntoIter<(String, String)>,
    /// `None`: a name is to come.
    value: Option<String>,
}

impl<'de> MapAccess<'de> for Query {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some(value);
        let name: StringDeserializer<Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().expect("a value comes after its name");
        seed.deserialize(Value(value))
    }
}

/// The value of one argument.
struct Value(String);

/// Reads the value as JSON.
macro_rules! as_json {
    ($($function:ident($($name:ident: $ty:ty),*))+) => {
        $(fn $function<V: Visitor<'de>>(self, $($name: $ty,)* visitor: V) -> Result<V::Value, Error> {
            let mut json = serde_json::Deserializer::from_reader(self.0.as_bytes());
            let value = json.$function($($name,)* visitor);
            value.and_then(|value| json.end().map(|()| value)).map_err(Error::custom)
        })+
    };
}

/// Reads the value as a text.
macro_rules! as_text {
    ($($function:ident)+) => {
        $(fn $function<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_string(self.0)
        })+
    };
}

impl<'de> Deserializer<'de> for Value {
    type Error = Error;

    as_text! { deserialize_any deserialize_char deserialize_str deserialize_string deserialize_identifier }

    as_json! {
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64()
        deserialize_u128() deserialize_f32() deserialize_f64() deserialize_bytes()
        deserialize_byte_buf() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_unit_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
    }

    /// One that is there is not nothing; nothing is left out.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A variant without fields is its name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if !self.0.starts_with('{') {
            let variant: StringDeserializer<Error> = self.0.into_deserializer();
            return visitor.visit_enum(variant);
        }
        let mut json = serde_json::Deserializer::from_reader(self.0.as_bytes());
        let value = json.deserialize_enum(name, variants, visitor);
        value.and_then(|value| json.end().map(|()| value)).map_err(Error::custom)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposed::decode_arguments;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    enum Shape {
        Round,
        Square { side: u8 },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Cents(u64);

    type All = (String, (i64, (Option<bool>, (Shape, (Vec<u8>, (Cents, ()))))));

    fn read(text: &str) -> Result<All, String> {
        let names = &["text", "number", "flag", "shape", "list", "cents"];
        decode_arguments(names, query(text)?).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_are_as_they_are_and_the_rest_is_json() {
        let all =
            read("text=5+%C3%A4%26&number=-9223372036854775808&shape=Round&list=[1,2]&cents=7");
        let expected = (vec![1, 2], (Cents(7), ()));
        let expected = (i64::MIN, (None, (Shape::Round, expected)));
        assert_eq!(all, Ok(("5 ä&".to_owned(), expected)));
        let all = read(
            "cents=1&list=%5B%5D&shape=%7B%22Square%22:%7B%22side%22:3%7D%7D&flag=true&number=0&text",
        );
        let expected = (Shape::Square { side: 3 }, (Vec::new(), (Cents(1), ())));
        assert_eq!(all, Ok((String::new(), (0, (Some(true), expected)))));
    }

    #[test]
    fn whatever_is_wrong_names_the_argument() {
        for (text, expected) in [
            ("", "argument `text` is missing"),
            ("a=1", "there is no argument `a`"),
            ("text=a&text=b", "argument `text` is given twice"),
            ("number=one", "argument `number`: expected value"),
            ("number=1x", "argument `number`: trailing characters"),
            ("number=9223372036854775808", "argument `number`: invalid value"),
            ("flag=", "argument `flag`: EOF"),
            ("shape=Flat", "argument `shape`: unknown variant `Flat`"),
            ("list=1", "argument `list`: invalid type"),
            ("text=%", "a `%` is not followed by two hex digits"),
            ("text=%4", "a `%` is not followed by two hex digits"),
            ("text=%zz", "a `%` is not followed by two hex digits"),
            ("text=%ff", "percent escapes give no UTF-8"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
