// The type of a class is durable state.
use durable::prelude::*;

#[derive(Default)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn count(&self) -> u64 {
        self.items.len() as u64
    }
}

fn main() {}
