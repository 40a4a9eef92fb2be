//! Rule 13: a crash budget that cannot be.

use durable::prelude::*;

#[derive(Default, DurableState)]
struct Room {
    falls: u64,
}

#[durable_object(name = "ui.Room", crashes = 1_001, crash_period = "0s")]
impl Room {
    pub fn falls(&self) -> u64 {
        self.falls
    }
}

#[derive(Default, DurableState)]
struct Hall {
    falls: u64,
}

#[durable_object(name = "ui.Hall", crashes = 0, crash_period = 60)]
impl Hall {
    pub fn falls(&self) -> u64 {
        self.falls
    }
}

fn main() {}
