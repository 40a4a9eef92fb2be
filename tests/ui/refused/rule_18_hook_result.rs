//! Rule 18: a hook that hears of others returns nothing, or a result.

use durable::prelude::*;
use durable::Down;

#[derive(Default, DurableState)]
struct Hall {
    falls: u64,
}

#[durable_object(name = "ui.Hall")]
impl Hall {
    #[on_down]
    fn saw(&mut self, down: Down) -> u64 {
        let _ = down;
        self.falls
    }
}

fn main() {}
