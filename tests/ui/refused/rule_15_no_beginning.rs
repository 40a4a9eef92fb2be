// Objects begin as `Default`, or by `#[init]`.
use durable::prelude::*;

#[derive(DurableState)]
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
