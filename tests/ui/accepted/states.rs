//! Every form of durable state.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![deny(rust_2018_idioms, unused_qualifications)]
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use durable::{DurableState, Fingerprint};

/// Named fields, with everything of serde's that is understood.
#[derive(Debug, Default, DurableState)]
#[serde(deny_unknown_fields, rename = "cart", default)]
pub struct Cart {
    /// Renamed, and known by an older name.
    #[serde(rename = "items", alias = "things")]
    pub lines: Vec<Line>,
    #[serde(default)]
    paid: bool,
    index: BTreeMap<String, (u64, Option<Kind>)>,
    tags: BTreeSet<String>,
    fixed: [u8; 4],
    r#type: Kind,
    /// Transient, so it may be anything that has a default.
    #[serde(skip)]
    cache: HashMap<String, usize>,
    #[serde(skip)]
    opened: Option<Instant>,
}

/// Unnamed fields.
#[derive(Clone, Debug, PartialEq, DurableState)]
pub struct Line(pub String, u32);

/// One unnamed field.
#[derive(Debug, DurableState)]
pub struct Cents(pub u64);

/// No field.
#[derive(Debug, DurableState)]
pub struct Marker;

/// Every shape of a variant.
#[derive(Debug, Default, DurableState)]
pub enum Kind {
    /// Unit.
    #[default]
    Plain,
    /// Newtype.
    #[serde(rename = "number")]
    Number(i64),
    /// Tuple.
    Pair(String, Cents),
    /// Struct.
    Named {
        /// A field.
        #[serde(alias = "b")]
        a: u8,
        /// A transient field.
        #[serde(skip)]
        scratch: usize,
    },
}

/// Generic, with a bound and a constant.
#[derive(Debug, DurableState)]
pub struct Pair<T, U = u64>
where
    T: Clone,
{
    left: T,
    right: Vec<U>,
}

/// A generic enum.
#[derive(Debug, DurableState)]
pub enum Either<A, B: Ord> {
    /// The one.
    Left(A),
    /// The other.
    Right {
        /// Value.
        value: BTreeSet<B>,
    },
}

/// The user's own serde.
#[derive(Debug, serde::Serialize, serde::Deserialize, DurableState)]
#[durable(serde = "own")]
pub struct Own {
    /// Renamed.
    #[serde(rename = "other")]
    pub value: u64,
}

/// A type that is stored as another.
#[derive(Debug, DurableState)]
pub struct Converted {
    #[serde(with = "millis")]
    #[durable(schema = u64)]
    elapsed: std::time::Duration,
}

/// As a type of another crate is: nothing is known of it but serde's traits.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Foreign(u64);

/// Keeps one.
#[derive(Debug, DurableState)]
pub struct Keeper {
    #[durable(schema = u64)]
    foreign: Foreign,
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        (value.as_millis() as u64).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

mod renamed {
    #[derive(durable::DurableState)]
    pub(crate) struct Own {
        pub(crate) other: u64,
    }

    #[derive(durable::DurableState)]
    pub(crate) struct Keeper {
        pub(crate) foreign: u64,
    }

    #[derive(durable::DurableState)]
    pub(crate) struct Converted {
        pub(crate) elapsed: u64,
    }
}

fn fingerprint<T: DurableState>() -> Fingerprint {
    Fingerprint::of::<T>()
}

/// What the macros have made of it.
pub(crate) fn check() {
    assert_eq!(fingerprint::<Own>(), fingerprint::<renamed::Own>());
    assert_eq!(fingerprint::<Converted>(), fingerprint::<renamed::Converted>());
    assert_ne!(fingerprint::<Cart>(), fingerprint::<Kind>());
    assert_ne!(fingerprint::<Pair<u8>>(), fingerprint::<Pair<u8, u8>>());
    assert_eq!(fingerprint::<Pair<u8>>(), fingerprint::<Pair<u8, u64>>());
    let _ = (fingerprint::<Line>(), fingerprint::<Cents>(), fingerprint::<Marker>());
    assert_eq!(fingerprint::<Keeper>(), fingerprint::<renamed::Keeper>());
    let _ = renamed::Keeper { foreign: 1 }.foreign;
    let _ = fingerprint::<Either<Cart, String>>();
    let _ = (renamed::Own { other: 1 }.other, renamed::Converted { elapsed: 1 }.elapsed);
}
