// A message has one layout, so a method that is called by message has no parameters.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn add<T: ToString>(&mut self, item: T) {
        self.items.push(item.to_string());
    }

    pub fn resize<const N: usize>(&mut self) {
        self.items.truncate(N);
    }

    pub fn add_any(&mut self, item: impl ToString) {
        self.items.push(item.to_string());
    }

    pub fn clear(&mut self)
    where
        Self: Sized,
    {
        self.items.clear();
    }
}

fn main() {}
