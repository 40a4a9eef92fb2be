//! A trait object cannot be decoded on the other side: the error is one, and says what to write.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: u64,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn add(&mut self, items: u64) -> Result<u64, Box<dyn std::error::Error>> {
        self.items += items;
        Ok(self.items)
    }
}

fn main() {}
