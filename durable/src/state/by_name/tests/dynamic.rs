//! A value of any shape.

use proptest::prelude::*;
use serde::de::{EnumAccess, MapAccess, SeqAccess, VariantAccess};
use serde::{Deserialize, Deserializer};

use crate::state::bytes::write_varint;
use crate::state::shape::{Named, Shape};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Unsigned(u128),
    Signed(i128),
    Float(u64),
    Char(char),
    Text(String),
    Unit,
    Option(Option<Box<Value>>),
    Seq(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Variant(String, Box<Value>),
}

impl Value {
    pub(super) fn parts(&self) -> usize {
        1 + match self {
            Value::Option(inner) => inner.as_ref().map_or(0, |inner| inner.parts()),
            Value::Seq(all) => all.iter().map(Value::parts).sum(),
            Value::Map(all) => all.iter().map(|(key, value)| key.parts() + value.parts()).sum(),
            Value::Variant(_, inner) => inner.parts(),
            _ => 0,
        }
    }

    /// As postcard would.
    pub(super) fn write(&self, shape: &Shape, to: &mut Vec<u8>) {
        let mut push = |bytes: postcard::Result<Vec<u8>>| to.extend(bytes.expect("it encodes"));
        match (self, shape) {
            (Value::Bool(flag), _) => push(postcard::to_stdvec(flag)),
            (Value::Unsigned(number), Shape::U8) => push(postcard::to_stdvec(&(*number as u8))),
            (Value::Unsigned(number), _) => push(postcard::to_stdvec(number)),
            (Value::Signed(number), Shape::I8) => push(postcard::to_stdvec(&(*number as i8))),
            (Value::Signed(number), _) => push(postcard::to_stdvec(number)),
            (Value::Float(bits), Shape::F32) => {
                push(postcard::to_stdvec(&(f64::from_bits(*bits) as f32)));
            }
            (Value::Float(bits), _) => push(postcard::to_stdvec(&f64::from_bits(*bits))),
            (Value::Char(letter), _) => push(postcard::to_stdvec(letter)),
            (Value::Text(text), _) => push(postcard::to_stdvec(text)),
            (Value::Unit, _) => {}
            (Value::Option(None), _) => to.push(0),
            (Value::Option(Some(inner)), Shape::Option(shape)) => {
                to.push(1);
                inner.write(shape, to);
            }
            (Value::Seq(all), Shape::Seq(shape)) => {
                write_varint(all.len(), to);
                all.iter().for_each(|value| value.write(shape, to));
            }
            (Value::Seq(all), Shape::Tuple(shapes)) => {
                all.iter().zip(shapes).for_each(|(value, shape)| value.write(shape, to));
            }
            (Value::Map(all), Shape::Map(key, value)) => {
                write_varint(all.len(), to);
                for (one, other) in all {
                    one.write(key, to);
                    other.write(value, to);
                }
            }
            (Value::Map(all), Shape::Struct(fields)) => {
                let fields = all.iter().zip(fields);
                fields.for_each(|((_, value), field)| value.write(&field.shape, to));
            }
            (Value::Variant(name, inner), Shape::Enum(variants)) => {
                let place = variants.iter().position(|variant| variant.name == *name);
                let place = place.expect("a variant of the shape");
                write_varint(place, to);
                match &variants[place].shape {
                    Shape::Tuple(members) if members.len() == 1 => inner.write(&members[0], to),
                    shape => inner.write(shape, to),
                }
            }
            (value, shape) => panic!("{value:?} is no {shape:?}"),
        }
    }
}

/// A shape whose variants have names of their own, and a value of it.
pub(super) fn shape_and_value() -> impl Strategy<Value = (Shape, Value)> {
    crate::state::shape::tests::any().prop_map(distinct).prop_flat_map(|shape| {
        let value = value(&shape);
        (Just(shape), value)
    })
}

/// Two variants of one name could not be told apart.
fn distinct(shape: Shape) -> Shape {
    let boxed = |shape: Box<Shape>| Box::new(distinct(*shape));
    let named = |all: Vec<Named>| {
        let one = |(place, Named { name, shape }): (usize, Named)| Named {
            name: format!("{name}{place}"),
            shape: distinct(shape),
        };
        all.into_iter().enumerate().map(one).collect()
    };
    match shape {
        Shape::Option(inner) => Shape::Option(boxed(inner)),
        Shape::Seq(inner) => Shape::Seq(boxed(inner)),
        Shape::Map(key, value) => Shape::Map(boxed(key), boxed(value)),
        Shape::Tuple(members) => Shape::Tuple(members.into_iter().map(distinct).collect()),
        Shape::Struct(fields) => Shape::Struct(named(fields)),
        Shape::Enum(variants) => Shape::Enum(named(variants)),
        plain => plain,
    }
}

fn unsigned(bits: u32) -> BoxedStrategy<Value> {
    any::<u128>().prop_map(move |number| Value::Unsigned(number >> (128 - bits))).boxed()
}

fn signed(bits: u32) -> BoxedStrategy<Value> {
    any::<i128>().prop_map(move |number| Value::Signed(number >> (128 - bits))).boxed()
}

fn value(shape: &Shape) -> BoxedStrategy<Value> {
    match shape {
        Shape::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Shape::U8 => unsigned(8),
        Shape::U16 => unsigned(16),
        Shape::U32 => unsigned(32),
        Shape::U64 => unsigned(64),
        Shape::U128 => unsigned(128),
        Shape::I8 => signed(8),
        Shape::I16 => signed(16),
        Shape::I32 => signed(32),
        Shape::I64 => signed(64),
        Shape::I128 => signed(128),
        Shape::F32 => any::<f32>().prop_map(|it| Value::Float(f64::from(it).to_bits())).boxed(),
        Shape::F64 => any::<f64>().prop_map(|it| Value::Float(it.to_bits())).boxed(),
        Shape::Char => any::<char>().prop_map(Value::Char).boxed(),
        Shape::String => any::<String>().prop_map(Value::Text).boxed(),
        Shape::Unit => Just(Value::Unit).boxed(),
        Shape::Option(inner) => prop::option::of(value(inner))
            .prop_map(|inner| Value::Option(inner.map(Box::new)))
            .boxed(),
        Shape::Seq(inner) => prop::collection::vec(value(inner), 0..4).prop_map(Value::Seq).boxed(),
        Shape::Map(key, of) => {
            prop::collection::vec((value(key), value(of)), 0..4).prop_map(Value::Map).boxed()
        }
        Shape::Tuple(members) => {
            members.iter().map(value).collect::<Vec<_>>().prop_map(Value::Seq).boxed()
        }
        Shape::Struct(fields) => {
            let field =
                |field: &Named| (Just(Value::Text(field.name.clone())), value(&field.shape));
            fields.iter().map(field).collect::<Vec<_>>().prop_map(Value::Map).boxed()
        }
        Shape::Enum(variants) => prop::strategy::Union::new(variants.iter().map(variant)).boxed(),
        Shape::Schema => unreachable!("no shape of a test has one"),
    }
}

fn variant(variant: &Named) -> BoxedStrategy<Value> {
    let name = variant.name.clone();
    let inner = match &variant.shape {
        Shape::Tuple(members) if members.len() == 1 => value(&members[0]),
        shape => value(shape),
    };
    inner.prop_map(move |inner| Value::Variant(name.clone(), Box::new(inner))).boxed()
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(number.into()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(Value::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Signed(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Signed(number))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(Value::Float(float.to_bits()))
    }

    fn visit_char<E>(self, letter: char) -> Result<Value, E> {
        Ok(Value::Char(letter))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Unit)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Option(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner).map(|inner| Value::Option(Some(Box::new(inner))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = seq.next_element()? {
            all.push(value);
        }
        Ok(Value::Seq(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(Value::Map(all))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (name, variant) = access.variant::<String>()?;
        Ok(Value::Variant(name, variant.newtype_variant()?))
    }
}
