//! What a method says of its calls, and a class of its turns.

use durable::prelude::*;

#[derive(Default, DurableState)]
struct Mirror {
    looks: u64,
}

#[durable_object(name = "ui.Mirror", turn_limit = "0s")]
impl Mirror {
    /// It changes the object in the middle of a turn that has it.
    #[rpc(reentrant)]
    pub fn look(&mut self) -> u64 {
        self.looks += 1;
        self.looks
    }

    #[rpc(timeout = "soon")]
    pub fn looks(&self) -> u64 {
        self.looks
    }

    #[rpc(timeout = "0s")]
    pub fn glances(&self) -> u64 {
        self.looks
    }

    #[rpc(skip, reentrant)]
    pub fn nobody(&self) -> u64 {
        self.looks
    }
}

fn main() {}
