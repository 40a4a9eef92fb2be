//! What may be state, and what may cross a call: the traits that the macros check types against.

pub(crate) mod by_name;
mod bytes;
mod foreign;
pub(crate) mod sample;
mod schemas;
pub(crate) mod shape;
pub(crate) mod shown;

use postcard_schema::Schema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use schemas::{SchemaFault, Schemas, check_schema};
use shape::Shape;

/// A type that can be an object's state, or a part of one. Derive it; it brings serde and the schema along.
///
/// ```
/// use durable::DurableState;
///
/// #[derive(Default, DurableState)]
/// struct Cart { items: Vec<Item>, paid: bool }
///
/// #[derive(DurableState)]
/// struct Item { sku: String, count: u32 }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be durable state",
    label = "this type is not durable state",
    note = "put `#[derive(DurableState)]` on `{Self}`"
)]
pub trait DurableState: Serialize + DeserializeOwned + Schema {}

/// Identity of a state type's layout: names and shapes of its fields and variants, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of `T`, whatever the class is called whose state it is.
    pub fn of<T: Schema + ?Sized>() -> Self {
        Fingerprint::of_schema(&schema_of::<T>())
    }

    /// The fingerprint of a stored schema: FNV-1a of its bytes. A schema is stored once for each class and fingerprint,
    /// and looked at only if it has it.
    pub(crate) fn of_schema(schema: &[u8]) -> Self {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Fingerprint(schema.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }
}

/// A type that may be an argument, a result or an error of a method: it can be encoded, and moved to another thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross a durable call",
    label = "not an argument or result of a method",
    note = "arguments, results and errors need serde's `Serialize` and `Deserialize`, and `Send + 'static`"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// What a field of a state must be, as the derive asks rustc.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in durable state",
    label = "this field cannot be stored",
    note = "put `#[derive(DurableState)]` on the type, store another type, or leave the field out with `#[serde(skip)]`",
    note = "a `HashMap` or `HashSet`, whatever it is called, has another order in each run: store a `BTreeMap` or `BTreeSet`",
    note = "a type of another crate is stored with `#[durable(schema = Type)]`, which says what its `Serialize` writes"
)]
pub trait Stored: DurableState {}

#[diagnostic::do_not_recommend]
impl<T: DurableState> Stored for T {}

/// What a field that is left out of a state must be, as the derive asks rustc.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be left out of durable state",
    label = "this field has no value to begin with",
    note = "implement `Default` for the type, or say `#[serde(skip, default = \"function\")]`"
)]
pub trait Transient: Default {}

#[diagnostic::do_not_recommend]
impl<T: Default> Transient for T {}

#[doc(hidden)]
pub const fn stored<T: Stored>() {}

#[doc(hidden)]
pub const fn transient<T: Transient>() {}

/// The schema of `T` as bytes, to be stored beside the states that it describes.
pub(crate) fn schema_of<T: Schema + ?Sized>() -> Vec<u8> {
    Shape::of(T::SCHEMA).encode()
}
