//! Reads stored bytes as a type that has changed since: the writer's shape says what the bytes are, and names say what
//! goes where.
//!
//! Structs are shown to serde as maps and variants by their names, so its `default`, `alias` and unknown fields work at
//! every depth. Memory and depth are bounded by the bytes and the shape, whatever they are.

mod access;
mod unread;

use serde::Deserializer;
use serde::de::{DeserializeOwned, Error as _, Visitor};

use access::{Chosen, Element, Entries, Fields, Members};
pub(crate) use unread::{Unread, Why};

use super::bytes::{Bytes, Damage};
use super::shape::{Named, Shape};
use crate::limits::SCHEMA_DEPTH_MAX;

/// Reads a whole value.
///
/// `shape`: of the type that wrote `bytes`. A field or variant goes where its name, or an alias of it, stands in `T`.
///
/// # Errors
/// Where the two do not fit each other, or the bytes not the shape.
pub(crate) fn read<T: DeserializeOwned>(shape: &Shape, bytes: &[u8]) -> Result<T, Unread> {
    let mut bytes = Bytes::new(bytes);
    let value = T::deserialize(ByName { shape, bytes: &mut bytes, depth: 0 })?;
    bytes.end()?;
    Ok(value)
}

/// One value in the bytes.
struct ByName<'a, 'de> {
    shape: &'a Shape,
    bytes: &'a mut Bytes<'de>,
    depth: usize,
}

impl<'a, 'de> ByName<'a, 'de> {
    /// A value inside of this one. The types decide how often that happens, and a type may be made to contain itself.
    fn part<'b>(&'b mut self, shape: &'b Shape) -> Result<ByName<'b, 'de>, Unread> {
        if self.depth > 2 * SCHEMA_DEPTH_MAX {
            return Err(Unread::new(Why::Unfit, "the type is nested too deep to be read by name"));
        }
        Ok(ByName { shape, bytes: self.bytes, depth: self.depth + 1 })
    }

    fn fields<V: Visitor<'de>>(
        mut self,
        fields: &'a [Named],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let mut access = Fields { of: self.part(self.shape)?, left: fields.iter(), value: None };
        let value = visitor.visit_map(&mut access)?;
        let Fields { of, left, value: unread } = access;
        unread.into_iter().chain(left).try_for_each(|field| skip(&field.shape, of.bytes))?;
        Ok(value)
    }

    fn members<V: Visitor<'de>>(
        mut self,
        members: &'a [Shape],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let of = self.part(self.shape)?;
        let mut access = Members { of, members: Element::Each(members.iter()), index: 0 };
        let value = visitor.visit_seq(&mut access)?;
        access.end()?;
        Ok(value)
    }

    fn elements<V: Visitor<'de>>(
        mut self,
        element: &'a Shape,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let left = count(element.is_empty(), self.bytes)?;
        let of = self.part(self.shape)?;
        let mut access = Members { of, members: Element::Same(element, left), index: 0 };
        let value = visitor.visit_seq(&mut access)?;
        access.end()?;
        Ok(value)
    }

    fn entries<V: Visitor<'de>>(
        mut self,
        (key, value): (&'a Shape, &'a Shape),
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let left = count(key.is_empty() && value.is_empty(), self.bytes)?;
        let mut access = Entries { of: self.part(self.shape)?, key, value, left, index: 0 };
        let read = visitor.visit_map(&mut access)?;
        match access.left {
            0 => Ok(read),
            left => Err(Unread::custom(format!("{left} entries are too many"))),
        }
    }

    /// Two types wide apart: what was stored, for the visitor to refuse.
    fn float(self) -> Result<f64, Unread> {
        let float = match self.shape {
            Shape::F32 => return Ok(f32::from_le_bytes(self.bytes.array()?).into()),
            Shape::F64 => return Ok(f64::from_le_bytes(self.bytes.array()?)),
            shape => match integer(shape, self.bytes)? {
                Integer::Signed(number) => Some(number as f64).filter(|it| *it as i128 == number),
                Integer::Unsigned(number) => Some(number as f64).filter(|it| *it as u128 == number),
            },
        };
        float.ok_or_else(|| Unread::custom("the number is not one that a float can be"))
    }
}

pub(super) fn count(is_empty: bool, bytes: &mut Bytes<'_>) -> Result<usize, Damage> {
    if is_empty { bytes.empty_count() } else { bytes.count() }
}

pub(super) enum Integer {
    Signed(i128),
    Unsigned(u128),
}

pub(super) fn integer(shape: &Shape, bytes: &mut Bytes<'_>) -> Result<Integer, Damage> {
    Ok(match shape {
        Shape::U8 => Integer::Unsigned(bytes.byte()?.into()),
        Shape::U16 => Integer::Unsigned(bytes.varint(16)?),
        Shape::U32 => Integer::Unsigned(bytes.varint(32)?),
        Shape::U64 => Integer::Unsigned(bytes.varint(64)?),
        Shape::U128 => Integer::Unsigned(bytes.varint(128)?),
        Shape::I8 => Integer::Signed(bytes.byte()?.cast_signed().into()),
        Shape::I16 => Integer::Signed(bytes.zigzag(16)?),
        Shape::I32 => Integer::Signed(bytes.zigzag(32)?),
        Shape::I64 => Integer::Signed(bytes.zigzag(64)?),
        Shape::I128 => Integer::Signed(bytes.zigzag(128)?),
        _ => unreachable!("every other shape was looked at before"),
    })
}

/// Passes over one value.
fn skip(shape: &Shape, bytes: &mut Bytes<'_>) -> Result<(), Unread> {
    match shape {
        Shape::Unit => Ok(()),
        Shape::Bool => bytes.flag().map(drop).map_err(Unread::from),
        Shape::F32 => bytes.take(4).map(drop).map_err(Unread::from),
        Shape::F64 => bytes.take(8).map(drop).map_err(Unread::from),
        Shape::Char => bytes.letter().map(drop).map_err(Unread::from),
        Shape::String => bytes.text().map(drop).map_err(Unread::from),
        Shape::Option(inner) => {
            if bytes.flag()? {
                skip(inner, bytes)
            } else {
                Ok(())
            }
        }
        Shape::Seq(element) => {
            let left = count(element.is_empty(), bytes)?;
            (0..left).try_for_each(|_| skip(element, bytes))
        }
        Shape::Map(key, value) => {
            let left = count(key.is_empty() && value.is_empty(), bytes)?;
            (0..left).try_for_each(|_| skip(key, bytes).and_then(|()| skip(value, bytes)))
        }
        Shape::Tuple(members) => members.iter().try_for_each(|member| skip(member, bytes)),
        Shape::Struct(fields) => fields.iter().try_for_each(|field| skip(&field.shape, bytes)),
        Shape::Enum(variants) => skip(&chosen(variants, bytes)?.shape, bytes),
        Shape::Schema => Err(Unread::custom("a schema cannot be read by name")),
        number => integer(number, bytes).map(drop).map_err(Unread::from),
    }
}

/// The variant that stands in the bytes.
pub(super) fn chosen<'a>(
    variants: &'a [Named],
    bytes: &mut Bytes<'_>,
) -> Result<&'a Named, Damage> {
    let place = bytes.varint(32)?;
    usize::try_from(place).ok().and_then(|place| variants.get(place)).ok_or_else(|| {
        Damage::new(format!("variant {place} is stored, the writer knew {}", variants.len()))
    })
}

impl<'de> Deserializer<'de> for ByName<'_, 'de> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unread> {
        match self.shape {
            Shape::Bool => visitor.visit_bool(self.bytes.flag()?),
            Shape::F32 => visitor.visit_f32(f32::from_le_bytes(self.bytes.array()?)),
            Shape::F64 => visitor.visit_f64(f64::from_le_bytes(self.bytes.array()?)),
            Shape::Char => visitor.visit_char(self.bytes.letter()?),
            Shape::String => visitor.visit_borrowed_str(self.bytes.text()?),
            Shape::Unit => visitor.visit_unit(),
            Shape::Option(inner) => match self.bytes.flag()? {
                true => visitor.visit_some(self.part(inner)?),
                false => visitor.visit_none(),
            },
            Shape::Seq(element) => self.elements(element, visitor),
            Shape::Map(key, value) => self.entries((key, value), visitor),
            Shape::Tuple(members) => self.members(members, visitor),
            Shape::Struct(fields) => self.fields(fields, visitor),
            Shape::Enum(variants) => {
                let variant = chosen(variants, self.bytes)?;
                let part = self.part(&variant.shape)?;
                let read = visitor.visit_enum(Chosen { variant, of: part });
                read.map_err(|error| error.inside(format!("::{}", variant.name)))
            }
            Shape::Schema => Err(Unread::custom("a schema cannot be read by name")),
            shape => match integer(shape, self.bytes)? {
                // Narrow numbers are understood by more visitors than wide ones; each checks its range.
                Integer::Unsigned(number) => match u64::try_from(number) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => visitor.visit_u128(number),
                },
                Integer::Signed(number) => match i64::try_from(number) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => visitor.visit_i128(number),
                },
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unread> {
        match self.shape {
            Shape::Option(_) => self.deserialize_any(visitor),
            // A value that may be missing from now on.
            present => visitor.visit_some(self.part(present)?),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self.part(self.shape)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        match self.shape {
            // A struct that had no fields yet.
            Shape::Unit => self.fields(&[], visitor),
            // Read by place, the values would land in whatever fields stand there.
            Shape::Tuple(_) | Shape::Seq(_) => {
                Err(Unread::custom("it was stored without names of its fields"))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        if let Shape::Struct(_) = self.shape {
            skip(self.shape, self.bytes)?;
            return visitor.visit_unit();
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        if matches!(self.shape, Shape::Seq(element) if **element == Shape::U8) {
            let count = self.bytes.count()?;
            return visitor.visit_borrowed_bytes(self.bytes.take(count)?);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        if self.shape == &Shape::F32 || !is_number(self.shape) {
            return self.deserialize_any(visitor);
        }
        let wide = self.float()?;
        let narrow = wide as f32;
        if f64::from(narrow) == wide || wide.is_nan() {
            return visitor.visit_f32(narrow);
        }
        Err(Unread::custom(format!("{wide} is not one of the numbers that an `f32` can be")))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        if self.shape == &Shape::F64 || !is_number(self.shape) {
            return self.deserialize_any(visitor);
        }
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        skip(self.shape, self.bytes)?;
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.deserialize_any(visitor)
    }

    /// Types that write themselves in another way for people must read what they wrote for postcard.
    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char str string unit seq tuple
        tuple_struct map identifier
    }
}

fn is_number(shape: &Shape) -> bool {
    use Shape::{F32, F64, I8, I16, I32, I64, I128, U8, U16, U32, U64, U128};
    matches!(shape, F32 | F64 | I8 | I16 | I32 | I64 | I128 | U8 | U16 | U32 | U64 | U128)
}

#[cfg(test)]
mod tests;
