//! Every kind of class: private, module-private, keyed, restricted, empty, an enum, behind another
//! crate name.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![deny(rust_2018_idioms, unused_qualifications)]
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use durable::prelude::*;
use durable::{Name, Object};

/// The key of [`Cart`].
#[derive(Clone, Debug, PartialEq)]
pub struct CartId(u64);

impl fmt::Display for CartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl FromStr for CartId {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(CartId(text.len() as u64))
    }
}

/// A public class with a typed key.
#[derive(Debug, Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "pass.Cart", key = CartId)]
impl Cart {
    /// Puts an item in.
    pub fn add(&mut self, item: String) {
        self.items.push(item);
    }
}

#[derive(Default, DurableState)]
struct Private {
    count: u64,
}

#[durable_object(name = "pass.Private")]
impl Private {
    pub fn swap(&mut self, with: PrivateArgument) -> PrivateArgument {
        PrivateArgument { count: std::mem::replace(&mut self.count, with.count) }
    }

    #[on_activate]
    fn wake(&mut self) {}
}

#[derive(DurableState)]
struct PrivateArgument {
    count: u64,
}

mod inside {
    use durable::DurableState;

    #[derive(Default, DurableState)]
    pub(super) struct Module {
        count: u64,
    }

    #[durable::durable_object(name = "pass.Module", visibility = "pub(super)")]
    impl Module {
        pub fn count(&self) -> u64 {
            self.count
        }
    }

    #[derive(Default, DurableState)]
    pub(crate) struct Elsewhere {
        pub(crate) count: u64,
    }
}

/// The impl may stand in another module than its type.
#[durable_object(name = "pass.Elsewhere", visibility = "pub(crate)")]
impl inside::Elsewhere {
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// An enum without methods, which begins by `#[init]`.
#[derive(Debug, DurableState)]
pub enum Light {
    /// Stop.
    Red,
    /// Go.
    Green,
}

#[durable_object(name = "pass.Light")]
impl Light {
    #[init]
    fn new() -> Self {
        Light::Red
    }

    #[on_activate]
    fn wake(&mut self, cx: &Context<'_, Self>) {
        let _ = cx;
        *self = Light::Green;
    }
}

/// A generic type becomes a class by an alias.
#[derive(Debug, Default, DurableState)]
pub struct Shelf<T> {
    things: Vec<T>,
}

/// The class.
pub type Books = Shelf<String>;

#[durable_object(name = "pass.Books")]
impl Books {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.things.len() as u64
    }
}

/// What a crate that wraps this one would offer.
pub mod wrapper {
    pub use durable::*;
}

/// A class that finds the crate elsewhere.
#[derive(Debug, Default, DurableState)]
#[durable(crate = crate::classes::wrapper)]
pub struct Wrapped(u64);

#[durable_object(name = "pass.Wrapped", crate = crate::classes::wrapper)]
impl Wrapped {
    /// Nothing that generated code names can be taken from it.
    pub async fn get(&self) -> Result<u64, String> {
        Ok(self.0)
    }
}

/// A module that shadows every name of the standard prelude that generated code might lean on.
pub mod shadows {
    #![allow(dead_code, non_camel_case_types)]
    struct Result;
    struct Option;
    struct Box;
    struct String;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct Clone;
    struct Default;
    struct Send;

    /// A class among them.
    #[derive(Debug, ::core::default::Default, durable::DurableState)]
    pub struct Shadowed {
        count: ::core::primitive::u64,
    }

    #[durable::durable_object(name = "pass.Shadowed")]
    impl Shadowed {
        /// Adds.
        pub async fn add(&mut self, n: ::core::primitive::u64) -> ::core::primitive::u64 {
            self.count += n;
            self.count
        }

        #[on_activate]
        fn wake(&mut self) {}
    }
}

fn key_is<C: Object<Key = K>, K>() -> &'static str {
    C::CLASS.name
}

/// What every stub can do.
pub fn every_stub<C: Object>(stub: &C::Stub) -> Option<String> {
    let _ = format!("{:?}", stub.clone());
    stub.name().map(str::to_owned)
}

/// What the macros have made of it.
pub(crate) fn check() {
    assert_eq!(key_is::<Cart, CartId>(), "pass.Cart");
    assert_eq!(key_is::<Private, Name>(), "pass.Private");
    assert_eq!(key_is::<inside::Module, Name>(), "pass.Module");
    assert_eq!(key_is::<inside::Elsewhere, Name>(), "pass.Elsewhere");
    assert_eq!(key_is::<Light, Name>(), "pass.Light");
    assert_eq!(key_is::<Books, Name>(), "pass.Books");
    assert_eq!(key_is::<Wrapped, Name>(), "pass.Wrapped");
    assert_eq!(key_is::<shadows::Shadowed, Name>(), "pass.Shadowed");
    let _ = (every_stub::<Private>, every_stub::<inside::Module>, every_stub::<Cart>);
    let _ = |stub: &PrivateStub| stub.swap(PrivateArgument { count: 1 });
}
