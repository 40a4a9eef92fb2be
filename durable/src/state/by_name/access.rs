//! The parts of structs, tuples, sequences, maps and variants, as serde asks for them.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{ByName, Unread, skip};
use crate::state::shape::{Named, Shape};

/// The fields of a struct, as a map.
pub(super) struct Fields<'a, 'b, 'de> {
    pub(super) of: ByName<'b, 'de>,
    pub(super) left: std::slice::Iter<'a, Named>,
    /// The field whose name has been read and whose value has not.
    pub(super) value: Option<&'a Named>,
}

impl<'de> MapAccess<'de> for &mut Fields<'_, '_, 'de> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unread> {
        if let Some(unread) = self.value.take() {
            skip(&unread.shape, self.of.bytes)?;
        }
        let Some(field) = self.left.next() else { return Ok(None) };
        self.value = Some(field);
        seed.deserialize(StrDeserializer::new(&field.name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unread> {
        let field = self.value.take().expect("serde reads a key before its value");
        let part = self.of.part(&field.shape)?;
        seed.deserialize(part).map_err(|error| error.inside(&field.name))
    }
}

/// The members of a tuple or the elements of a sequence.
pub(super) struct Members<'a, 'b, 'de> {
    pub(super) of: ByName<'b, 'de>,
    pub(super) members: Element<'a>,
    pub(super) index: usize,
}

/// What is still to come of a sequence.
pub(super) enum Element<'a> {
    Each(std::slice::Iter<'a, Shape>),
    Same(&'a Shape, usize),
}

impl Members<'_, '_, '_> {
    fn left(&self) -> usize {
        match &self.members {
            Element::Each(members) => members.len(),
            Element::Same(_, left) => *left,
        }
    }

    pub(super) fn end(&self) -> Result<(), Unread> {
        match self.left() {
            0 => Ok(()),
            left => Err(Unread::custom(format!("{left} of its elements are too many"))),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Members<'_, '_, 'de> {
    type Error = Unread;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unread> {
        let next = match &mut self.members {
            Element::Each(members) => members.next(),
            Element::Same(_, 0) => None,
            Element::Same(element, left) => {
                *left -= 1;
                Some(*element)
            }
        };
        let Some(shape) = next else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let part = ByName { shape, bytes: self.of.bytes, depth: self.of.depth };
        seed.deserialize(part).map(Some).map_err(|error| error.inside(format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left())
    }
}

/// The entries of a map.
pub(super) struct Entries<'a, 'b, 'de> {
    pub(super) of: ByName<'b, 'de>,
    pub(super) key: &'a Shape,
    pub(super) value: &'a Shape,
    pub(super) left: usize,
    pub(super) index: usize,
}

impl<'de> MapAccess<'de> for &mut Entries<'_, '_, 'de> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unread> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.index += 1;
        let part = ByName { shape: self.key, bytes: self.of.bytes, depth: self.of.depth };
        let entry = self.index - 1;
        seed.deserialize(part).map(Some).map_err(|error| error.inside(format!("[key {entry}]")))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unread> {
        let part = ByName { shape: self.value, bytes: self.of.bytes, depth: self.of.depth };
        let entry = self.index - 1;
        seed.deserialize(part).map_err(|error| error.inside(format!("[{entry}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant by its name.
pub(super) struct Chosen<'a, 'b, 'de> {
    pub(super) variant: &'a Named,
    pub(super) of: ByName<'b, 'de>,
}

impl<'a, 'b, 'de> EnumAccess<'de> for Chosen<'a, 'b, 'de> {
    type Error = Unread;
    type Variant = ByName<'b, 'de>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, ByName<'b, 'de>), Unread> {
        let name = StrDeserializer::new(&self.variant.name);
        seed.deserialize(name).map(|variant| (variant, self.of))
    }
}

impl<'de> VariantAccess<'de> for ByName<'_, 'de> {
    type Error = Unread;

    fn unit_variant(self) -> Result<(), Unread> {
        match self.shape {
            Shape::Tuple(members) if !members.is_empty() => {
                Err(Unread::custom(format!("it was stored with {} values", members.len())))
            }
            // Fields that were removed.
            shape => skip(shape, self.bytes),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, Unread> {
        let shape = self.shape;
        match shape {
            Shape::Tuple(members) => match &members[..] {
                [only] => seed.deserialize(self.part(only)?),
                _ => seed.deserialize(self),
            },
            _ => seed.deserialize(self),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unread> {
        match self.shape {
            Shape::Tuple(members) => self.members(members, visitor),
            _ => Err(Unread::custom("it was stored with named fields, or with none")),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let shape = self.shape;
        match shape {
            Shape::Struct(fields) => self.fields(fields, visitor),
            Shape::Unit => self.fields(&[], visitor),
            Shape::Tuple(members) => match &members[..] {
                [Shape::Struct(fields)] => self.fields(fields, visitor),
                _ => Err(Unread::custom("it was stored without names of its fields")),
            },
            _ => unreachable!("a variant has no other shape"),
        }
    }
}
