//! Rows and values as types.

use std::fmt;

use serde::de::value::{SeqDeserializer, StringDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::sql::SqlValue;

/// Why a row is not what was asked for.
#[derive(Debug)]
pub(super) struct Why(pub(super) String);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Why {}

impl de::Error for Why {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Why(text.to_string())
    }
}

/// A row: by names for a struct or a map, by places for a tuple or a list, else the one value that it has.
pub(super) struct RowDecoder<'r> {
    columns: &'r [String],
    values: Vec<SqlValue>,
}

impl<'r> RowDecoder<'r> {
    pub(super) fn new(columns: &'r [String], values: Vec<SqlValue>) -> Self {
        RowDecoder { columns, values }
    }

    fn only(mut self) -> Result<ValueDecoder, Why> {
        match self.values.len() {
            1 => Ok(ValueDecoder(self.values.swap_remove(0))),
            columns => Err(Why(format!("it has {columns} columns where one value is wanted"))),
        }
    }

    fn by_place<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        let mut values = SeqDeserializer::<_, Why>::new(self.values.into_iter());
        let decoded = visitor.visit_seq(&mut values)?;
        values.end()?;
        Ok(decoded)
    }
}

macro_rules! only {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
            self.only()?.$method(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for RowDecoder<'_> {
    type Error = Why;

    only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_option deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        if self.values.len() == 1 {
            self.only()?.deserialize_any(visitor)
        } else {
            self.by_place(visitor)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        self.only()?.deserialize_unit(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Why> {
        self.only()?.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Why> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        match &self.values[..] {
            // Bytes, where a list of them is wanted.
            [SqlValue::Blob(_)] => self.only()?.deserialize_seq(visitor),
            _ => self.by_place(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Why> {
        self.by_place(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Why> {
        self.by_place(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        let last = |(index, name): (usize, &String)| {
            let is_last = self.columns.iter().rposition(|other| other == name) == Some(index);
            is_last.then(|| (index, name.clone()))
        };
        let names: Vec<_> = self.columns.iter().enumerate().filter_map(last).collect();
        visitor.visit_map(Named { names: names.into_iter(), values: self.values, next: 0 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Why> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Why> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        visitor.visit_unit()
    }
}

/// The values of a row, by their columns' names.
struct Named {
    names: std::vec::IntoIter<(usize, String)>,
    values: Vec<SqlValue>,
    /// The value that belongs to the name given last.
    next: usize,
}

impl<'de> MapAccess<'de> for Named {
    type Error = Why;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Why> {
        let Some((index, name)) = self.names.next() else { return Ok(None) };
        self.next = index;
        seed.deserialize(StringDeserializer::<Why>::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Why> {
        seed.deserialize(ValueDecoder(std::mem::take(&mut self.values[self.next])))
    }
}

/// One value.
pub(super) struct ValueDecoder(SqlValue);

impl IntoDeserializer<'_, Why> for SqlValue {
    type Deserializer = ValueDecoder;

    fn into_deserializer(self) -> ValueDecoder {
        ValueDecoder(self)
    }
}

impl<'de> Deserializer<'de> for ValueDecoder {
    type Error = Why;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        match self.0 {
            SqlValue::Null => visitor.visit_unit(),
            SqlValue::Integer(whole) => visitor.visit_i64(whole),
            SqlValue::Real(real) => visitor.visit_f64(real),
            SqlValue::Text(text) => visitor.visit_string(text),
            SqlValue::Blob(bytes) => visitor.visit_byte_buf(bytes),
        }
    }

    /// SQLite has no truth values; it takes 0 and 1 for them.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        match self.0 {
            SqlValue::Integer(number @ (0 | 1)) => visitor.visit_bool(number == 1),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        match self.0 {
            SqlValue::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Why> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Why> {
        match self.0 {
            SqlValue::Blob(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Why> {
        self.deserialize_seq(visitor)
    }

    /// A variant without fields, by its name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Why> {
        match self.0 {
            SqlValue::Text(text) => visitor.visit_enum(StringDeserializer::<Why>::new(text)),
            other => Err(Why(format!("{} is no name of a variant", other.kind()))),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple_struct map struct identifier ignored_any
    }
}
