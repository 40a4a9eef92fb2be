//! A stored state as a value that needs no type: for people who look at it, and for programs that do not have the class.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::by_name::{Integer, chosen, count, integer};
use super::bytes::{Bytes, Damage};
use super::shape::{Named, Shape};

/// A value of a stored state, read by the schema of its writer.
///
/// Serialized it is what people expect to read: structs and maps are maps, bytes are text of hex digits, a variant without
/// fields is its name, and one with fields a map of one entry. Numbers that JSON's readers would round, floats that are no
/// numbers and keys that are no text are text, too.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StateValue {
    /// `()`, a struct without fields, and `None`.
    Nothing,
    /// A `bool`.
    Bool(bool),
    /// An integer that had a sign.
    Signed(i128),
    /// An integer that had none.
    Unsigned(u128),
    /// An `f32` or `f64`.
    Float(f64),
    /// A `String` or `char`.
    Text(String),
    /// A sequence or set of `u8`.
    Bytes(Vec<u8>),
    /// A sequence, a set, a tuple or an array.
    List(Vec<StateValue>),
    /// A map, in the order in which it was stored.
    Map(Vec<(StateValue, StateValue)>),
    /// A struct: its fields, in the order of the writer's type.
    Struct(Vec<(String, StateValue)>),
    /// A variant of an enum: its name, and its fields; [`Nothing`](Self::Nothing) if it has none.
    Variant(String, Box<StateValue>),
}

impl StateValue {
    /// Reads a whole value. Takes memory in proportion to the bytes, whatever they are.
    ///
    /// # Errors
    /// The bytes are none of the shape.
    pub(crate) fn read(shape: &Shape, bytes: &[u8]) -> Result<Self, Damage> {
        let mut bytes = Bytes::new(bytes);
        let value = one(shape, &mut bytes)?;
        bytes.end().map(|()| value)
    }

    /// The values that hold no others, each with its place, in their order: `lines[3].count` and `2`. Texts are quoted,
    /// bytes in hex; what is empty shows as `[]` or `{}`, nothing as `none`. A variant is part of the place of what it holds.
    pub(crate) fn leaves(&self) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        self.leaves_at(String::new(), &mut leaves);
        leaves
    }

    /// Schemas are nested only so deep, so this recurses only so deep.
    fn leaves_at(&self, path: String, to: &mut Vec<(String, String)>) {
        let leaf = match self {
            StateValue::Nothing => "none".to_owned(),
            StateValue::Bool(flag) => flag.to_string(),
            StateValue::Signed(number) => number.to_string(),
            StateValue::Unsigned(number) => number.to_string(),
            StateValue::Float(number) => format!("{number:?}"),
            StateValue::Text(text) => format!("{text:?}"),
            StateValue::Bytes(bytes) => format!("0x{}", hex(bytes)),
            StateValue::Variant(name, fields) => match **fields {
                StateValue::Nothing => name.clone(),
                ref fields => return fields.leaves_at(format!("{path}({name})"), to),
            },
            StateValue::List(members) if members.is_empty() => "[]".to_owned(),
            StateValue::List(members) => {
                let members = members.iter().enumerate();
                return members.for_each(|(nth, one)| one.leaves_at(format!("{path}[{nth}]"), to));
            }
            StateValue::Map(entries) if entries.is_empty() => "{}".to_owned(),
            StateValue::Map(entries) => {
                return entries.iter().for_each(|(key, value)| {
                    value.leaves_at(format!("{path}[{}]", key.in_one_piece()), to);
                });
            }
            StateValue::Struct(fields) if fields.is_empty() => "{}".to_owned(),
            StateValue::Struct(fields) => {
                let dot = if path.is_empty() { "" } else { "." };
                return fields.iter().for_each(|(name, value)| {
                    value.leaves_at(format!("{path}{dot}{name}"), to);
                });
            }
        };
        to.push((path, leaf));
    }

    /// The key of a map.
    fn in_one_piece(&self) -> String {
        let part = |(path, value): (String, String)| match path.is_empty() {
            true => value,
            false => format!("{path}: {value}"),
        };
        self.leaves().into_iter().map(part).collect::<Vec<_>>().join(", ")
    }

    /// What a map's key is in a format whose keys are text. `None`: a text cannot say it.
    fn key(&self) -> Option<String> {
        Some(match self {
            StateValue::Bool(flag) => flag.to_string(),
            StateValue::Signed(number) => number.to_string(),
            StateValue::Unsigned(number) => number.to_string(),
            StateValue::Text(text) => text.clone(),
            StateValue::Bytes(bytes) => hex(bytes),
            StateValue::Variant(name, fields) if **fields == StateValue::Nothing => name.clone(),
            _ => return None,
        })
    }
}

fn one(shape: &Shape, bytes: &mut Bytes<'_>) -> Result<StateValue, Damage> {
    Ok(match shape {
        Shape::Unit => StateValue::Nothing,
        Shape::Bool => StateValue::Bool(bytes.flag()?),
        Shape::F32 => StateValue::Float(widened(f32::from_le_bytes(bytes.array()?))),
        Shape::F64 => StateValue::Float(f64::from_le_bytes(bytes.array()?)),
        Shape::Char => StateValue::Text(bytes.letter()?.into()),
        Shape::String => StateValue::Text(bytes.text()?.to_owned()),
        Shape::Option(inner) => match bytes.flag()? {
            true => one(inner, bytes)?,
            false => StateValue::Nothing,
        },
        Shape::Seq(element) if **element == Shape::U8 => {
            let count = bytes.count()?;
            StateValue::Bytes(bytes.take(count)?.to_vec())
        }
        Shape::Seq(element) => {
            let left = count(element.is_empty(), bytes)?;
            StateValue::List(all(left, || several(element, bytes))?)
        }
        Shape::Map(key, value) => {
            let left = count(key.is_empty() && value.is_empty(), bytes)?;
            StateValue::Map(all(left, || Ok((several(key, bytes)?, several(value, bytes)?)))?)
        }
        Shape::Tuple(members) => {
            let members = members.iter().map(|member| one(member, bytes));
            StateValue::List(members.collect::<Result<_, _>>()?)
        }
        Shape::Struct(fields) => {
            let field = |field: &Named| Ok((field.name.clone(), one(&field.shape, bytes)?));
            StateValue::Struct(fields.iter().map(field).collect::<Result<_, Damage>>()?)
        }
        Shape::Enum(variants) => {
            let variant = chosen(variants, bytes)?;
            let fields = match &variant.shape {
                // One unnamed field is read as what it is.
                Shape::Tuple(members) if members.len() == 1 => &members[0],
                fields => fields,
            };
            StateValue::Variant(variant.name.clone(), Box::new(one(fields, bytes)?))
        }
        Shape::Schema => return Err(Damage::new("a schema is no state")),
        number => match integer(number, bytes)? {
            Integer::Signed(number) => StateValue::Signed(number),
            Integer::Unsigned(number) => StateValue::Unsigned(number),
        },
    })
}

/// One of several values. What has no bytes has no parts either, or a few bytes could ask for as many as they say.
fn several(shape: &Shape, bytes: &mut Bytes<'_>) -> Result<StateValue, Damage> {
    if shape.is_empty() { Ok(StateValue::Nothing) } else { one(shape, bytes) }
}

/// The number that is written with the same digits.
fn widened(narrow: f32) -> f64 {
    narrow.to_string().parse().unwrap_or_else(|_| narrow.into())
}

/// So many values. The bytes have been asked whether they can be so many.
fn all<T>(left: usize, mut one: impl FnMut() -> Result<T, Damage>) -> Result<Vec<T>, Damage> {
    let mut values = Vec::with_capacity(left);
    for _ in 0..left {
        values.push(one()?);
    }
    Ok(values)
}

impl Serialize for StateValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            StateValue::Nothing => to.serialize_none(),
            StateValue::Bool(flag) => to.serialize_bool(*flag),
            StateValue::Signed(number) => match i64::try_from(*number) {
                Ok(number) => to.serialize_i64(number),
                Err(_) => to.collect_str(number),
            },
            StateValue::Unsigned(number) => match u64::try_from(*number) {
                Ok(number) => to.serialize_u64(number),
                Err(_) => to.collect_str(number),
            },
            StateValue::Float(number) if number.is_finite() => to.serialize_f64(*number),
            StateValue::Float(number) => to.collect_str(number),
            StateValue::Text(text) => to.serialize_str(text),
            StateValue::Bytes(bytes) => to.serialize_str(&hex(bytes)),
            StateValue::List(members) => to.collect_seq(members),
            StateValue::Struct(fields) => {
                to.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
            StateValue::Map(entries) => serialize_entries(entries, to),
            StateValue::Variant(name, fields) if **fields == StateValue::Nothing => {
                to.serialize_str(name)
            }
            StateValue::Variant(name, fields) => to.collect_map([(name, fields)]),
        }
    }
}

/// As a map if every key can be text, else as a list of pairs.
fn serialize_entries<S: Serializer>(
    entries: &[(StateValue, StateValue)],
    to: S,
) -> Result<S::Ok, S::Error> {
    let keys: Option<Vec<String>> = entries.iter().map(|(key, _)| key.key()).collect();
    let Some(keys) = keys else {
        let mut pairs = to.serialize_seq(Some(entries.len()))?;
        entries.iter().try_for_each(|pair| pairs.serialize_element(pair))?;
        return pairs.end();
    };
    let mut map = to.serialize_map(Some(entries.len()))?;
    for (key, (_, value)) in keys.iter().zip(entries) {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use postcard_schema::Schema;
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::IgnoredAny;

    use super::*;
    use crate::state::by_name;
    use crate::state::shape::tests::any as any_shape;

    #[derive(Serialize, Schema)]
    struct Ship {
        name: String,
        crew: BTreeMap<u8, Sailor>,
        cargo: Vec<(char, Option<u64>)>,
        seen: BTreeMap<(i8, i8), bool>,
        mark: Vec<u8>,
        ports: BTreeSet<i16>,
        weight: f64,
        fathoms: f32,
        far: i128,
        great: u128,
        nothing: (),
    }

    #[derive(Serialize, Schema)]
    enum Sailor {
        Cook,
        Mate(u32),
        Pair(bool, String),
        Captain { since: i64 },
    }

    fn ship() -> Ship {
        let crew = [
            Sailor::Cook,
            Sailor::Mate(7),
            Sailor::Pair(true, "x".to_owned()),
            Sailor::Captain { since: -3 },
        ];
        Ship {
            name: "Beagle".to_owned(),
            crew: (1..).zip(crew).collect(),
            cargo: vec![('t', Some(u64::MAX)), ('u', None)],
            seen: [((1, -1), true)].into(),
            mark: vec![0, 255],
            ports: [-5, 5].into(),
            weight: f64::NAN,
            fathoms: 0.1,
            far: i128::MIN,
            great: u128::MAX,
            nothing: (),
        }
    }

    #[test]
    fn every_value_has_its_place() {
        let bytes = postcard::to_stdvec(&ship()).expect("it encodes");
        let value = StateValue::read(&Shape::of(Ship::SCHEMA), &bytes).expect("they fit");
        let leaves = value.leaves();
        let leaves: Vec<_> = leaves.iter().map(|(path, value)| (&**path, &**value)).collect();
        assert_eq!(
            leaves,
            [
                ("name", "\"Beagle\""),
                ("crew[1]", "Cook"),
                ("crew[2](Mate)", "7"),
                ("crew[3](Pair)[0]", "true"),
                ("crew[3](Pair)[1]", "\"x\""),
                ("crew[4](Captain).since", "-3"),
                ("cargo[0][0]", "\"t\""),
                ("cargo[0][1]", "18446744073709551615"),
                ("cargo[1][0]", "\"u\""),
                ("cargo[1][1]", "none"),
                ("seen[[0]: 1, [1]: -1]", "true"),
                ("mark", "0x00ff"),
                ("ports[0]", "-5"),
                ("ports[1]", "5"),
                ("weight", "NaN"),
                ("fathoms", "0.1"),
                ("far", "-170141183460469231731687303715884105728"),
                ("great", "340282366920938463463374607431768211455"),
                ("nothing", "none"),
            ]
        );
    }

    #[test]
    fn a_state_is_shown_as_people_read_it() {
        let bytes = postcard::to_stdvec(&ship()).expect("it encodes");
        let value = StateValue::read(&Shape::of(Ship::SCHEMA), &bytes).expect("they fit");
        let shown = serde_json::to_string(&value).expect("it is plain");
        assert_eq!(
            shown,
            r#"{"name":"Beagle","#.to_owned()
                + r#""crew":{"1":"Cook","2":{"Mate":7},"3":{"Pair":[true,"x"]},"4":{"Captain":{"since":-3}}},"#
                + r#""cargo":[["t",18446744073709551615],["u",null]],"seen":[[[1,-1],true]],"#
                + r#""mark":"00ff","ports":[-5,5],"weight":"NaN","fathoms":0.1,"#
                + r#""far":"-170141183460469231731687303715884105728","#
                + r#""great":"340282366920938463463374607431768211455","nothing":null}"#
        );
        let less = StateValue::read(&Shape::of(Ship::SCHEMA), &bytes[..bytes.len() - 1]);
        assert!(less.is_err(), "a byte is missing");
    }

    proptest! {
        #[test]
        fn what_can_be_read_by_name_can_be_shown(shape in any_shape(), bytes: Vec<u8>) {
            let by_name = by_name::read::<IgnoredAny>(&shape, &bytes);
            let value = StateValue::read(&shape, &bytes);
            prop_assert_eq!(value.is_ok(), by_name.is_ok(), "{:?} {:?}", value, by_name.err());
            if let Ok(value) = value {
                prop_assert!(serde_json::to_string(&value).is_ok());
            }
        }
    }
}
