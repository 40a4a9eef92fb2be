//! What JSON of the types of arguments and results looks like, as far as their types say it: those with `schemars::JsonSchema` do,
//! with the feature `openapi`.

#[cfg(feature = "openapi")]
use std::borrow::Cow;
use std::marker::PhantomData;

#[cfg(feature = "openapi")]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

#[cfg(feature = "openapi")]
use crate::id::ObjectId;
#[cfg(feature = "openapi")]
use crate::time::WallMs;

/// What describes a type to a generator of schemas.
#[cfg(feature = "openapi")]
type Draw = fn(&mut SchemaGenerator) -> Schema;
/// Nothing does.
#[cfg(not(feature = "openapi"))]
type Draw = std::convert::Infallible;

/// What is known of a type. `None`: nothing.
pub type Shape = Option<Draw>;

/// Tells a type whose shape is known from every other: the inherent constant is found first, and exists only for these.
#[derive(Debug)]
pub struct ShapeOf<T>(PhantomData<T>);

#[cfg(feature = "openapi")]
impl<T: JsonSchema> ShapeOf<T> {
    /// As the type says.
    pub const SHAPE: Shape = Some(|generator| generator.subschema_for::<T>());
}

/// What [`ShapeOf`] falls back to.
pub trait Unshaped {
    /// Nothing is known.
    const SHAPE: Shape = None;
}

impl<T> Unshaped for ShapeOf<T> {}

/// What a method takes and gives, for those who do not read Rust.
#[derive(Clone, Copy, Debug)]
pub struct MethodShape {
    /// Its documentation, by lines. Empty: it has none.
    pub docs: &'static [&'static str],
    /// Of its parameters, in order.
    pub args: &'static [Shape],
    /// Whether the argument at an index may be left out.
    pub may_lack: fn(usize) -> bool,
    /// Of what it returns, or of the items of the stream that it returns.
    pub value: Shape,
    /// Of its own error. The outer `None`: it has none.
    pub rejection: Option<Shape>,
    /// Its callers should turn to another.
    pub is_deprecated: bool,
}

impl MethodShape {
    /// A method with this documentation, these parameters, and this result, or this item of the stream that it returns. `may_lack`:
    /// whether the argument at an index may be left out.
    pub const fn new(
        docs: &'static [&'static str],
        args: &'static [Shape],
        may_lack: fn(usize) -> bool,
        value: Shape,
    ) -> Self {
        MethodShape { docs, args, may_lack, value, rejection: None, is_deprecated: false }
    }

    /// It has an error of its own, if it is `fallible`.
    pub const fn rejects(mut self, fallible: bool, rejection: Shape) -> Self {
        self.rejection = if fallible { Some(rejection) } else { None };
        self
    }

    /// Its callers should turn to another.
    pub const fn deprecated(mut self) -> Self {
        self.is_deprecated = true;
        self
    }
}

#[cfg(feature = "openapi")]
impl JsonSchema for ObjectId {
    fn schema_name() -> Cow<'static, str> {
        "ObjectId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

#[cfg(feature = "openapi")]
impl JsonSchema for WallMs {
    fn schema_name() -> Cow<'static, str> {
        "WallMs".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = u64::json_schema(generator);
        schema.insert("description".to_owned(), "Milliseconds since the Unix epoch.".into());
        schema
    }
}
