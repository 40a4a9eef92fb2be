//! Rule 13: results of calls with idempotency keys that are kept for no time, or for too long.

use durable::prelude::*;

#[derive(Default, DurableState)]
struct Till {
    cents: u64,
}

#[durable_object(name = "ui.Till", keep_results = "0s")]
impl Till {
    pub fn cents(&self) -> u64 {
        self.cents
    }
}

#[derive(Default, DurableState)]
struct Purse {
    cents: u64,
}

#[durable_object(name = "ui.Purse", keep_results = "721h")]
impl Purse {
    pub fn cents(&self) -> u64 {
        self.cents
    }
}

#[derive(Default, DurableState)]
struct Sock {
    cents: u64,
}

#[durable_object(name = "ui.Sock", keep_results = "for ever")]
impl Sock {
    pub fn cents(&self) -> u64 {
        self.cents
    }
}

fn main() {}
