//! Calls and replies as bytes, found by the name of their method.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![deny(rust_2018_idioms, unused_qualifications)]
#![forbid(unsafe_code)]

use std::borrow::Cow;

use durable::prelude::*;
use durable::{Object, Wire};

/// Why a desk refuses.
#[derive(Debug, PartialEq, DurableState)]
pub struct Refused {
    /// How much was there.
    pub had: u64,
}

type Outcome<T> = Result<T, Refused>;

/// Types of the user's that are called like words of the generated code.
pub mod own {
    use super::DurableState;

    /// An argument.
    #[derive(Debug, PartialEq, DurableState)]
    pub struct Codec(pub u8);

    /// A result.
    #[derive(Debug, PartialEq, DurableState)]
    pub enum Reported {
        /// One.
        T(u8),
    }
}

use own::{Codec, Reported};

/// A class whose methods take every number of arguments that matters.
#[derive(Debug, Default, DurableState)]
pub struct Desk {
    total: u64,
}

#[durable_object(name = "pass.Desk")]
impl Desk {
    /// One argument.
    pub fn add(&mut self, amount: u64) -> u64 {
        self.total += amount;
        self.total
    }

    /// None.
    pub fn clear(&mut self) {}

    /// Two, and a refusal.
    pub async fn wait(&mut self, to: String, amount: u64) -> Outcome<u64> {
        let _ = (to, amount);
        Err(Refused { had: self.total })
    }

    /// Words of the generated code.
    pub fn words(
        &self,
        call: u8,
        method: String,
        bytes: Vec<u8>,
        reply: Codec,
        r#type: Option<u8>,
    ) -> Reported {
        let _ = (call, method, bytes, r#type);
        Reported::T(reply.0)
    }

    /// A borrow of what lives as long as the program.
    pub fn cow(&self, text: Cow<'static, str>) -> Cow<'static, str> {
        text
    }

    /// Called otherwise on wires.
    #[rpc(name = "old_name")]
    pub fn new_name(&self, one: (u8,)) -> (u8,) {
        one
    }

    /// Not on this target.
    #[cfg(any())]
    pub fn elsewhere(&self, missing: Missing) -> Missing {
        missing
    }

    /// Two of the same name, one of them here.
    #[cfg(any())]
    pub fn here(&self, missing: Missing) -> Missing {
        missing
    }

    /// Two of the same name, one of them here.
    #[cfg(not(any()))]
    pub fn here(&self) -> u8 {
        1
    }

    /// Old.
    #[deprecated(note = "call `add`")]
    pub fn old(&self, amount: u64) -> u64 {
        amount
    }

    /// More arguments than serde's tuples have members.
    #[allow(clippy::too_many_arguments, clippy::many_single_char_names)]
    pub fn many(
        &self,
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
        m: u8,
        n: u8,
        o: u8,
        p: u8,
        q: u8,
        r: String,
    ) -> String {
        let _ = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q];
        r
    }
}

/// A class without methods.
#[derive(Debug, Default, DurableState)]
pub struct Silent;

#[durable_object(name = "pass.Silent")]
impl Silent {}

/// A class without methods on this target.
#[derive(Debug, Default, DurableState)]
pub struct Elsewhere;

#[durable_object(name = "pass.Elsewhere")]
impl Elsewhere {
    /// Not on this target.
    #[cfg(any())]
    pub fn missing(&self, missing: Missing) -> Missing {
        missing
    }
}

fn call<C: Object>(method: &str, call: &C::Call, bytes: &[u8]) -> C::Call {
    assert_eq!(C::method(call).name, method);
    assert_eq!(C::encode_call(call).expect("a call"), bytes, "{method}");
    let decoded = C::decode_call(method, bytes).expect("the same call");
    assert_eq!(C::encode_call(&decoded).expect("a call"), bytes, "{method}");
    for cut in 0..bytes.len() {
        assert!(C::decode_call(method, &bytes[..cut]).is_err(), "{method}: {cut} bytes");
    }
    assert!(C::decode_call(method, &[bytes, &[0]].concat()).is_err(), "{method}: one byte more");
    decoded
}

fn reply<C: Object>(method: &str, reply: &C::Reply, bytes: &[u8]) -> C::Reply {
    assert_eq!(C::encode_reply(reply).expect("a reply"), bytes, "{method}");
    C::decode_reply(method, bytes).expect("the same reply")
}

fn calls() {
    assert!(matches!(
        call::<Desk>("add", &DeskCall::Add { amount: 5 }, &[5]),
        DeskCall::Add { amount: 5 }
    ));
    assert!(matches!(call::<Desk>("clear", &DeskCall::Clear {}, &[]), DeskCall::Clear {}));
    call::<Desk>("here", &DeskCall::Here {}, &[]);
    call::<Desk>("old", &DeskCall::Old { amount: 1 }, &[1]);
    call::<Desk>("old_name", &DeskCall::NewName { one: (9,) }, &[9]);
    call::<Desk>("cow", &DeskCall::Cow { text: Cow::Borrowed("a") }, b"\x01a");
    let sent = DeskCall::Wait { to: "ada".to_owned(), amount: 300 };
    let DeskCall::Wait { to, amount } = call::<Desk>("wait", &sent, b"\x03ada\xac\x02") else {
        panic!("another method")
    };
    assert_eq!((to.as_str(), amount), ("ada", 300));
    let sent = DeskCall::Words {
        call: 1,
        method: "m".to_owned(),
        bytes: vec![7, 8],
        reply: Codec(2),
        r#type: Some(3),
    };
    call::<Desk>("words", &sent, &[1, 1, b'm', 2, 7, 8, 2, 1, 3]);
}

fn many() {
    let [a, b, c, d, e, f, g, h] = [1, 2, 3, 4, 5, 6, 7, 8];
    let [i, j, k, l, m, n, o, p] = [9, 10, 11, 12, 13, 14, 15, 16];
    let (q, r) = (17, "r".to_owned());
    let sent = DeskCall::Many { a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r };
    // As flat as if serde had tuples of any length.
    let mut bytes: Vec<u8> = (1..=17).collect();
    bytes.extend([1, b'r']);
    let DeskCall::Many { a, p, q, r, .. } = call::<Desk>("many", &sent, &bytes) else {
        panic!("another method")
    };
    assert_eq!((a, p, q, r.as_str()), (1, 16, 17, "r"));
}

fn replies() {
    assert!(matches!(reply::<Desk>("add", &DeskReply::Add(300), b"\xac\x02"), DeskReply::Add(300)));
    assert!(matches!(reply::<Desk>("clear", &DeskReply::Clear(()), &[]), DeskReply::Clear(())));
    assert!(matches!(
        reply::<Desk>("wait", &DeskReply::Wait(Err(Refused { had: 4 })), &[1, 4]),
        DeskReply::Wait(Err(Refused { had: 4 }))
    ));
    assert!(matches!(
        reply::<Desk>("wait", &DeskReply::Wait(Ok(4)), &[0, 4]),
        DeskReply::Wait(Ok(4))
    ));
    reply::<Desk>("words", &DeskReply::Words(Reported::T(1)), &[0, 1]);
    reply::<Desk>("old_name", &DeskReply::NewName((1,)), &[1]);
    assert!(Desk::decode_reply("add", &[]).is_err());
    assert!(Desk::decode_reply("add", &[1, 1]).is_err());
}

fn unknown() {
    for method in ["", "Add", "new_name", "elsewhere", "missing", "gone"] {
        assert!(Desk::decode_call(method, &[]).is_err(), "{method}");
        assert!(Desk::decode_reply(method, &[]).is_err(), "{method}");
        assert!(Silent::decode_call(method, &[]).is_err(), "{method}");
        assert!(Silent::decode_reply(method, &[]).is_err(), "{method}");
        assert!(Elsewhere::decode_call(method, &[]).is_err(), "{method}");
        assert!(Elsewhere::decode_reply(method, &[]).is_err(), "{method}");
    }
}

/// What is stored may cross too.
pub fn crosses<T: Wire>() {}

/// What the macros have made of it.
pub(crate) fn check() {
    crosses::<Codec>();
    calls();
    many();
    replies();
    unknown();
}
