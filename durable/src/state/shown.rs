//! States for people: the values of an encoded state by their places, as the schema says that it was written with.

use super::bytes::{Bytes, Damage};
use super::shape::{Named, Shape};

/// The values of a state, each with its place, in the order of the state: `lines[3].count` and `2`. Texts and characters
/// are quoted; bytes are shown in hex; what is empty shows as `[]`, `{}` or `()`, and an option that is none as `none`. A
/// variant is part of the place of what is in it.
pub(crate) fn values(shape: &Shape, payload: &[u8]) -> Result<Vec<(String, String)>, Damage> {
    let mut shown = Shown { bytes: Bytes::new(payload), values: Vec::new() };
    shown.walk(shape, String::new())?;
    shown.bytes.end()?;
    Ok(shown.values)
}

struct Shown<'de> {
    bytes: Bytes<'de>,
    values: Vec<(String, String)>,
}

impl Shown<'_> {
    /// Schemas are nested only so deep, so this recurses only so deep.
    fn walk(&mut self, shape: &Shape, path: String) -> Result<(), Damage> {
        match shape {
            Shape::Option(inner) => match self.bytes.flag()? {
                true => self.walk(inner, path),
                false => self.leaf(path, "none".to_owned()),
            },
            Shape::Seq(inner) if **inner == Shape::U8 => {
                let count = self.bytes.count()?;
                let bytes = self.bytes.take(count)?;
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                self.leaf(path, format!("0x{hex}"))
            }
            Shape::Seq(inner) => {
                let count = self.count(inner.is_empty())?;
                if count == 0 {
                    return self.leaf(path, "[]".to_owned());
                }
                (0..count).try_for_each(|place| self.walk(inner, format!("{path}[{place}]")))
            }
            Shape::Map(keys, values) => {
                let count = self.count(keys.is_empty() && values.is_empty())?;
                if count == 0 {
                    return self.leaf(path, "{}".to_owned());
                }
                (0..count).try_for_each(|_| {
                    let key = self.key(keys)?;
                    self.walk(values, format!("{path}[{key}]"))
                })
            }
            Shape::Tuple(members) => {
                if members.is_empty() {
                    return self.leaf(path, "()".to_owned());
                }
                let mut members = members.iter().enumerate();
                members.try_for_each(|(place, member)| self.walk(member, format!("{path}.{place}")))
            }
            Shape::Struct(fields) => {
                if fields.is_empty() {
                    return self.leaf(path, "{}".to_owned());
                }
                let dot = if path.is_empty() { "" } else { "." };
                fields.iter().try_for_each(|Named { name, shape }| {
                    self.walk(shape, format!("{path}{dot}{name}"))
                })
            }
            Shape::Enum(variants) => {
                let place = self.bytes.varint(32)?;
                let variant = usize::try_from(place).ok().and_then(|place| variants.get(place));
                let Some(Named { name, shape }) = variant else {
                    return Err(Damage::new(format!("there is no variant {place}")));
                };
                match shape {
                    Shape::Unit => self.leaf(path, name.clone()),
                    shape => self.walk(shape, format!("{path}({name})")),
                }
            }
            plain => {
                let value = self.plain(plain)?;
                self.leaf(path, value)
            }
        }
    }

    fn leaf(&mut self, path: String, value: String) -> Result<(), Damage> {
        self.values.push((path, value));
        Ok(())
    }

    fn count(&mut self, is_empty: bool) -> Result<usize, Damage> {
        if is_empty { self.bytes.empty_count() } else { self.bytes.count() }
    }

    /// The key of a map, in one piece.
    fn key(&mut self, shape: &Shape) -> Result<String, Damage> {
        let before = self.values.len();
        self.walk(shape, String::new())?;
        let parts = self.values.split_off(before);
        let part = |(path, value): (String, String)| match path.is_empty() {
            true => value,
            false => format!("{path}: {value}"),
        };
        Ok(parts.into_iter().map(part).collect::<Vec<_>>().join(", "))
    }

    fn plain(&mut self, shape: &Shape) -> Result<String, Damage> {
        let bytes = &mut self.bytes;
        Ok(match shape {
            Shape::Bool => bytes.flag()?.to_string(),
            Shape::I8 => bytes.byte()?.cast_signed().to_string(),
            Shape::I16 => bytes.zigzag(16)?.to_string(),
            Shape::I32 => bytes.zigzag(32)?.to_string(),
            Shape::I64 => bytes.zigzag(64)?.to_string(),
            Shape::I128 => bytes.zigzag(128)?.to_string(),
            Shape::U8 => bytes.byte()?.to_string(),
            Shape::U16 => bytes.varint(16)?.to_string(),
            Shape::U32 => bytes.varint(32)?.to_string(),
            Shape::U64 => bytes.varint(64)?.to_string(),
            Shape::U128 => bytes.varint(128)?.to_string(),
            Shape::F32 => format!("{:?}", f32::from_le_bytes(bytes.array()?)),
            Shape::F64 => format!("{:?}", f64::from_le_bytes(bytes.array()?)),
            Shape::Char => format!("{:?}", bytes.letter()?),
            Shape::String => format!("{:?}", bytes.text()?),
            Shape::Unit => "()".to_owned(),
            _ => return Err(Damage::new("no state holds a schema")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use postcard_schema::Schema;
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;
    use crate::codec;

    #[derive(Serialize, Schema)]
    struct Order {
        lines: Vec<Line>,
        paid: Option<i32>,
        notes: BTreeMap<String, f64>,
        raw: Vec<u8>,
        pair: (u8, char),
        nothing: (),
    }

    #[derive(Serialize, Schema)]
    enum Line {
        Empty,
        Goods { name: String, count: u64 },
        Voucher(i64, bool),
    }

    #[test]
    fn every_value_has_its_place() {
        let order = Order {
            lines: vec![
                Line::Goods { name: "tea \"green\"".to_owned(), count: 300 },
                Line::Empty,
                Line::Voucher(-5, true),
            ],
            paid: None,
            notes: BTreeMap::from([("a".to_owned(), 0.5)]),
            raw: vec![0, 255],
            pair: (7, 'é'),
            nothing: (),
        };
        let payload = codec::encode(&order, 0, usize::MAX).expect("it encodes");
        let shown = values(&Shape::of(Order::SCHEMA), &payload).expect("its own bytes");
        let shown: Vec<_> = shown.iter().map(|(path, value)| (&**path, &**value)).collect();
        assert_eq!(
            shown,
            [
                ("lines[0](Goods).name", r#""tea \"green\"""#),
                ("lines[0](Goods).count", "300"),
                ("lines[1]", "Empty"),
                ("lines[2](Voucher).0", "-5"),
                ("lines[2](Voucher).1", "true"),
                ("paid", "none"),
                ("notes[\"a\"]", "0.5"),
                ("raw", "0x00ff"),
                ("pair.0", "7"),
                ("pair.1", "'é'"),
                ("nothing", "()"),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(payload: Vec<u8>) {
            drop(values(&Shape::of(Order::SCHEMA), &payload));
        }
    }
}
