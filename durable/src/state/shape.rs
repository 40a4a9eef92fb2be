//! What stored bytes mean: names and shapes of fields and variants, in the order of the bytes.
//!
//! It is what the schemas table keeps. Types that postcard writes alike have one shape: a struct of one unnamed field is
//! its field, bytes are a sequence of `u8`, a unit struct is `()`. Names of types are left out, so that renaming a type
//! changes nothing.

mod text;

use postcard_schema::schema::{
    DataModelType, DataModelVariant, NamedType, NamedValue, NamedVariant,
};

use super::bytes::{Bytes, Damage, write_varint};
use crate::limits::SCHEMA_DEPTH_MAX;

/// A shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    String,
    Unit,
    Option(Box<Shape>),
    Seq(Box<Shape>),
    Map(Box<Shape>, Box<Shape>),
    /// Also an array.
    Tuple(Vec<Shape>),
    Struct(Vec<Named>),
    /// The shape of a variant is that of its fields: `Unit`, `Tuple` (of one member, too) or `Struct`.
    Enum(Vec<Named>),
    /// A schema, which no state has; it cannot be read by name.
    Schema,
}

/// A field, or a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

/// The shapes without parts, in the order of their stored numbers, from 1. A number keeps its meaning for ever.
const PLAIN: [Shape; 16] = [
    Shape::Bool,
    Shape::I8,
    Shape::I16,
    Shape::I32,
    Shape::I64,
    Shape::I128,
    Shape::U8,
    Shape::U16,
    Shape::U32,
    Shape::U64,
    Shape::U128,
    Shape::F32,
    Shape::F64,
    Shape::Char,
    Shape::String,
    Shape::Unit,
];

const OPTION: u8 = 17;
const SEQ: u8 = 18;
const MAP: u8 = 19;
const TUPLE: u8 = 20;
const STRUCT: u8 = 21;
const ENUM: u8 = 22;
const SCHEMA: u8 = 23;

impl Shape {
    /// The shape of a type that says its schema.
    pub(crate) fn of(schema: &NamedType) -> Self {
        let boxed = |inner: &NamedType| Box::new(Shape::of(inner));
        match schema.ty {
            DataModelType::Bool => Shape::Bool,
            DataModelType::I8 => Shape::I8,
            DataModelType::I16 => Shape::I16,
            DataModelType::I32 => Shape::I32,
            DataModelType::I64 | DataModelType::Isize => Shape::I64,
            DataModelType::I128 => Shape::I128,
            DataModelType::U8 => Shape::U8,
            DataModelType::U16 => Shape::U16,
            DataModelType::U32 => Shape::U32,
            DataModelType::U64 | DataModelType::Usize => Shape::U64,
            DataModelType::U128 => Shape::U128,
            DataModelType::F32 => Shape::F32,
            DataModelType::F64 => Shape::F64,
            DataModelType::Char => Shape::Char,
            DataModelType::String => Shape::String,
            DataModelType::ByteArray => Shape::Seq(Box::new(Shape::U8)),
            DataModelType::Unit | DataModelType::UnitStruct => Shape::Unit,
            DataModelType::Option(inner) => Shape::Option(boxed(inner)),
            DataModelType::NewtypeStruct(inner) => Shape::of(inner),
            DataModelType::Seq(inner) => Shape::Seq(boxed(inner)),
            DataModelType::Map { key, val } => Shape::Map(boxed(key), boxed(val)),
            DataModelType::Tuple(members) | DataModelType::TupleStruct(members) => tuple(members),
            DataModelType::Struct(fields) => fields_of(fields),
            DataModelType::Enum(variants) => {
                Shape::Enum(variants.iter().map(|variant| variant_of(variant)).collect())
            }
            DataModelType::Schema => Shape::Schema,
        }
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, to: &mut Vec<u8>) {
        let named = |number: u8, all: &[Named], to: &mut Vec<u8>| {
            to.push(number);
            write_varint(all.len(), to);
            for Named { name, shape } in all {
                write_varint(name.len(), to);
                to.extend_from_slice(name.as_bytes());
                shape.write(to);
            }
        };
        match self {
            Shape::Option(inner) => {
                to.push(OPTION);
                inner.write(to);
            }
            Shape::Seq(inner) => {
                to.push(SEQ);
                inner.write(to);
            }
            Shape::Map(key, value) => {
                to.push(MAP);
                key.write(to);
                value.write(to);
            }
            Shape::Tuple(members) => {
                to.push(TUPLE);
                write_varint(members.len(), to);
                members.iter().for_each(|member| member.write(to));
            }
            Shape::Struct(fields) => named(STRUCT, fields, to),
            Shape::Enum(variants) => named(ENUM, variants, to),
            Shape::Schema => to.push(SCHEMA),
            plain => {
                let place = PLAIN.iter().position(|known| known == plain);
                to.push(place.expect("every other shape has parts") as u8 + 1);
            }
        }
    }

    /// The shape that [`encode`](Self::encode) wrote. Takes memory in proportion to the bytes, whatever they are.
    ///
    /// # Errors
    /// The bytes are no schema, or one that is nested too deep.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let mut bytes = Bytes::new(bytes);
        let shape = Shape::read(&mut bytes, 0)?;
        bytes.end().map(|()| shape)
    }

    fn read(from: &mut Bytes<'_>, depth: usize) -> Result<Self, Damage> {
        if depth > SCHEMA_DEPTH_MAX {
            return Err(Damage::new(format!("it is nested deeper than {SCHEMA_DEPTH_MAX} levels")));
        }
        let inner = |from: &mut Bytes<'_>| Shape::read(from, depth + 1).map(Box::new);
        let number = from.byte()?;
        Ok(match number {
            OPTION => Shape::Option(inner(from)?),
            SEQ => Shape::Seq(inner(from)?),
            MAP => Shape::Map(inner(from)?, inner(from)?),
            TUPLE => {
                let count = from.count()?;
                let members = (0..count).map(|_| Shape::read(from, depth + 1));
                Shape::Tuple(members.collect::<Result<_, _>>()?)
            }
            STRUCT => Shape::Struct(Named::read_all(from, depth)?),
            ENUM => {
                let variants = Named::read_all(from, depth)?;
                let is_variant = |variant: &&Named| {
                    matches!(variant.shape, Shape::Unit | Shape::Tuple(_) | Shape::Struct(_))
                };
                // Whoever reads by this schema relies on it.
                if let Some(other) = variants.iter().find(|variant| !is_variant(variant)) {
                    let text =
                        format!("the variant `{}` has a shape that no variant has", other.name);
                    return Err(Damage::new(text));
                }
                Shape::Enum(variants)
            }
            SCHEMA => Shape::Schema,
            plain => {
                let place = usize::from(plain).checked_sub(1);
                let shape = place.and_then(|place| PLAIN.get(place)).cloned();
                shape.ok_or_else(|| Damage::new(format!("{plain} is no shape")))?
            }
        })
    }

    /// Whether its values have no bytes.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Shape::Unit => true,
            Shape::Tuple(members) => members.iter().all(Shape::is_empty),
            Shape::Struct(fields) => fields.iter().all(|field| field.shape.is_empty()),
            _ => false,
        }
    }
}

impl Named {
    fn read_all(from: &mut Bytes<'_>, depth: usize) -> Result<Vec<Self>, Damage> {
        let count = from.count()?;
        let one = |_| {
            let name = from.text()?.to_owned();
            Ok(Named { name, shape: Shape::read(from, depth + 1)? })
        };
        (0..count).map(one).collect()
    }
}

fn tuple(members: &[&NamedType]) -> Shape {
    Shape::Tuple(members.iter().map(|member| Shape::of(member)).collect())
}

fn fields_of(fields: &[&NamedValue]) -> Shape {
    let field =
        |field: &&NamedValue| Named { name: field.name.to_owned(), shape: Shape::of(field.ty) };
    Shape::Struct(fields.iter().map(field).collect())
}

fn variant_of(variant: &NamedVariant) -> Named {
    let shape = match variant.ty {
        DataModelVariant::UnitVariant => Shape::Unit,
        DataModelVariant::NewtypeVariant(inner) => Shape::Tuple(vec![Shape::of(inner)]),
        DataModelVariant::TupleVariant(members) => tuple(members),
        DataModelVariant::StructVariant(fields) => fields_of(fields),
    };
    Named { name: variant.name.to_owned(), shape }
}

#[cfg(test)]
pub(crate) mod tests;
