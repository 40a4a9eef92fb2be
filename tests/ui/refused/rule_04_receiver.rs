// A turn borrows its object; it cannot take it.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn by_value(self) -> u64 {
        self.items.len() as u64
    }

    pub fn by_mut_value(mut self) {
        self.items.clear();
    }

    pub fn boxed(self: Box<Self>) {}

    pub fn pinned(self: std::pin::Pin<&mut Self>) {}

    pub fn typed(self: &mut Self) {}
}

fn main() {}
