//! Every form of a method and of a hook, in a crate that allows no warning and no undocumented
//! item.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![deny(rust_2018_idioms, unused_qualifications)]
#![forbid(unsafe_code)]

use std::fmt;

use durable::prelude::*;
use durable::{Access, Call, Object};
use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Refused>;
type Never = Result<(), Refused>;
type Count = u64;

/// Why a desk refuses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// How much was there.
    pub had: u64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "had {}", self.had)
    }
}

/// A class with every form of a method.
#[derive(Debug, DurableState)]
pub struct Desk {
    total: u64,
}

/// A method's documentation may link to [`Self::add`] and [`Desk::private`].
#[durable_object(name = "pass.Desk", version = 3, idle = "500ms", durability = "synced")]
#[allow(clippy::missing_const_for_fn)]
impl Desk {
    /// Constants stay where they are.
    pub const LARGEST: u64 = 1_000;

    const fn cap(amount: u64) -> u64 {
        if amount > Self::LARGEST { Self::LARGEST } else { amount }
    }

    /// Without a receiver nothing can be called from outside.
    pub fn cap_of(amount: u64) -> u64 {
        Self::cap(amount)
    }

    #[init]
    fn first(_cx: &Context<'_, Self>) -> Self {
        Desk { total: 1 }
    }

    #[on_activate]
    async fn wake(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Refused> {
        let _ = cx;
        self.private();
        Ok(())
    }

    /// Adds, see [`Self::private`] and [`Desk`].
    pub fn add(&mut self, amount: u64) -> u64 {
        self.total += amount;
        self.total
    }

    #[allow(missing_docs)]
    pub fn undocumented(&mut self) {}

    /// The context by `&`, an argument that is called like it elsewhere.
    pub fn shared(
        &mut self,
        context: &Context<'_, Self>,
        mut cx: u64,
        call: u64,
        other: u64,
    ) -> u64 {
        let _ = context;
        cx += 1;
        cx + call + other
    }

    /// The context by `&mut`, under its full name.
    pub fn exclusive(&mut self, cx: &mut ::durable::Context<'_, Desk>) -> Option<Vec<u8>> {
        let _ = cx;
        None
    }

    /// Waits, and may refuse.
    pub async fn wait(
        &mut self,
        cx: &mut Context<'_, Self>,
        to: String,
        amount: u64,
    ) -> Result<u64, Refused> {
        let _ = (cx, to, amount);
        std::future::ready(()).await;
        Err(Refused { had: self.total })
    }

    /// Waits without a context.
    pub async fn wait_alone(&mut self) {}

    /// Reads.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Reads with a context.
    pub fn read(&self, _cx: &Context<'_, Self>) -> (u64, bool) {
        (self.total, true)
    }

    /// Reads and waits.
    pub async fn read_wait(&self, cx: &Context<'_, Self>, amount: u64) -> [u64; 2] {
        let _ = cx;
        [self.total, amount]
    }

    /// An alias of `Result` with one parameter.
    pub fn alias(&mut self) -> Outcome<u64> {
        Err(Refused { had: 0 })
    }

    /// An alias of `Result` without parameters.
    pub async fn hidden_alias(&self) -> Never {
        Ok(())
    }

    /// An alias of something else.
    pub fn count(&self) -> Count {
        7
    }

    /// Raw identifiers.
    pub fn r#match(&self, r#type: String) -> String {
        r#type
    }

    /// Called otherwise on wires.
    #[rpc(name = "old_name")]
    pub fn new_name(&self) {}

    /// Public, and not callable from outside, so it may take what it likes.
    #[rpc(skip)]
    pub fn skipped<'a, T: Clone>(&self, value: &'a T, _: &str) -> &'a T {
        value
    }

    pub(crate) fn of_the_crate(&self, text: &str) -> usize {
        text.len()
    }

    /// Old.
    #[deprecated(note = "call `total`")]
    pub fn old(&self) -> u64 {
        self.total
    }

    /// Not on this target.
    #[cfg(any())]
    pub fn elsewhere(&self, missing: Missing) -> Missing {
        missing
    }

    /// On every target.
    #[cfg(not(any()))]
    #[cfg_attr(not(any()), doc = "Documented by condition.")]
    pub fn here(&self) -> u8 {
        1
    }

    /// On every target but this one.
    #[cfg(any())]
    pub fn here(&self, missing: Missing) -> u8 {
        2
    }

    /// Many arguments.
    #[allow(clippy::too_many_arguments)]
    pub fn many(&mut self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
        a + b + c + d + e + f + g + h
    }

    fn private(&self) {
        let _ = self.of_the_crate("text");
    }
}

/// The types that calls give are those that a person would write.
#[allow(deprecated)]
pub fn outcomes(stub: &DeskStub) -> impl Sized {
    let plain: Call<Desk, Result<u64, Error>> = stub.add(1);
    let nothing: Call<Desk, Result<(), Error>> = stub.undocumented();
    let fallible: Call<Desk, Result<u64, CallError<Refused>>> = stub.wait(String::new(), 1);
    let alias: Call<Desk, Result<u64, CallError<Refused>>> = stub.alias();
    let hidden: Call<Desk, Result<(), CallError<Refused>>> = stub.hidden_alias();
    let count: Call<Desk, Result<u64, Error>> = stub.count();
    let array: Call<Desk, Result<[u64; 2], Error>> = stub.read_wait(2);
    let renamed: Call<Desk, Result<(), Error>> = stub.new_name();
    let context: Call<Desk, Result<u64, Error>> = stub.shared(1, 2, 3);
    let raw: Call<Desk, Result<String, Error>> = stub.r#match(String::new());
    (
        plain,
        nothing,
        fallible,
        alias,
        hidden,
        count,
        array,
        renamed,
        context,
        raw,
        stub.old(),
        stub.here(),
    )
}

/// What the macros have made of it.
pub(crate) fn check() {
    let class = Desk::CLASS;
    assert_eq!((class.name, class.version), ("pass.Desk", 3));
    assert_eq!(class.idle.map(|idle| idle.as_millis()), Some(500));
    let names: Vec<_> = class.methods.iter().map(|method| method.name).collect();
    assert_eq!(
        names.join(" "),
        "add undocumented shared exclusive wait wait_alone total read \
        read_wait alias \
        hidden_alias count match old_name old here many"
    );

    let spec = Desk::method(&DeskCall::NewName {});
    assert_eq!((spec.name, spec.access, spec.is_async), ("old_name", Access::Read, false));
    let spec = Desk::method(&DeskCall::Wait { to: String::new(), amount: 1 });
    assert_eq!((spec.name, spec.access, spec.is_async), ("wait", Access::Write, true));
    assert_eq!(format!("{:?}", DeskCall::Match { r#type: "secret".to_owned() }), "match");
    assert_eq!(Desk::cap_of(5_000), 1_000);
}
