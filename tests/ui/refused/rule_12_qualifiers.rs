// The runtime calls safe Rust functions.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub unsafe fn risky(&mut self) {}

    pub extern "C" fn foreign(&mut self) {}

    pub const fn constant(&self) -> u64 {
        1
    }
}

fn main() {}
