//! What fuzzed bytes are read as: a state with something of everything, and a value of any shape.

use std::collections::BTreeMap;
use std::fmt;

use postcard_schema::Schema;
use serde::de::{EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A state of every kind of field.
#[derive(Debug, Serialize, Deserialize, Schema)]
pub(super) struct State {
    #[serde(default)]
    pub(super) count: u64,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    #[serde(default)]
    pub(super) by_name: BTreeMap<String, Kind>,
    #[serde(default)]
    pub(super) note: Option<Option<String>>,
    #[serde(default)]
    pub(super) pair: (i128, char, [u8; 2]),
    #[serde(default)]
    pub(super) float: f64,
}

#[derive(Debug, Serialize, Deserialize, Schema)]
pub(super) struct Line {
    #[serde(alias = "article")]
    pub(super) sku: String,
    pub(super) pieces: i16,
}

#[derive(Debug, Serialize, Deserialize, Schema)]
pub(super) enum Kind {
    Plain,
    Number(u32),
    Pair(bool, i8),
    Named { at: i64, within: Vec<Kind2> },
}

/// Without fields, so that a list of it has no bytes but its length and its variants.
#[derive(Debug, Serialize, Deserialize, Schema)]
pub(super) enum Kind2 {
    One,
    Two(()),
}

/// Whatever the bytes are, only counted.
#[derive(Debug)]
pub(super) struct Any {
    pub(super) parts: usize,
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter)
    }
}

struct Counter;

const ONE: Any = Any { parts: 1 };

macro_rules! plain {
    ($($visit:ident: $type:ty),+) => {
        $(fn $visit<E>(self, _: $type) -> Result<Any, E> {
            Ok(ONE)
        })+
    };
}

impl<'de> Visitor<'de> for Counter {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    plain!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    plain!(visit_i128: i128, visit_u128: u128, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(ONE)
    }

    fn visit_none<E>(self) -> Result<Any, E> {
        Ok(ONE)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Any, D::Error> {
        Any::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut all = ONE;
        while let Some(one) = access.next_element::<Any>()? {
            all.parts += one.parts;
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut all = ONE;
        while let Some((key, value)) = access.next_entry::<Any, Any>()? {
            all.parts += key.parts + value.parts;
        }
        Ok(all)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Any, A::Error> {
        let (name, inside) = access.variant::<Any>()?;
        Ok(Any { parts: name.parts + inside.newtype_variant::<Any>()?.parts })
    }
}
