//! Rule 18: what a class says of children, and the hooks that hear of the end of others.

use durable::prelude::*;
use durable::{ChildExit, Down};

#[derive(Default, DurableState)]
struct Room {
    falls: u64,
}

#[durable_object(name = "ui.Room", children = "one_for_none", intensity = 10_001, period = "0s")]
impl Room {
    #[on_child_exit]
    pub fn saw(&mut self, exit: ChildExit) {}

    #[on_child_exit]
    fn saw_too(self, exit: ChildExit) {}

    #[on_down]
    fn down(&mut self, cx: &mut Context<'_, Self>, exit: ChildExit) {}

    #[on_down]
    #[alarm]
    async fn both(&mut self) {}
}

#[derive(Default, DurableState)]
struct Hall {
    falls: u64,
}

#[durable_object(name = "ui.Hall", children = one_for_one, intensity = "3")]
impl Hall {
    pub fn falls(&self) -> u64 {
        self.falls
    }
}

fn main() {}
