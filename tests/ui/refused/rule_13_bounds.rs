//! Rule 13: bounds of calls that cannot be.

use durable::prelude::*;

#[derive(Default, DurableState)]
struct Door {
    knocks: u64,
}

#[durable_object(name = "ui.Door", rate = "often", in_flight = 0)]
impl Door {
    pub fn knocks(&self) -> u64 {
        self.knocks
    }
}

#[derive(Default, DurableState)]
struct Gate {
    knocks: u64,
}

#[durable_object(name = "ui.Gate", rate = "0/s", burst = 0, in_flight = 65_537)]
impl Gate {
    pub fn knocks(&self) -> u64 {
        self.knocks
    }
}

#[derive(Default, DurableState)]
struct Wall {
    knocks: u64,
}

#[durable_object(name = "ui.Wall", rate = "5/2h", burst = "many")]
impl Wall {
    pub fn knocks(&self) -> u64 {
        self.knocks
    }
}

#[derive(Default, DurableState)]
struct Hatch {
    knocks: u64,
}

#[durable_object(name = "ui.Hatch", burst = 20)]
impl Hatch {
    pub fn knocks(&self) -> u64 {
        self.knocks
    }
}

fn main() {}
