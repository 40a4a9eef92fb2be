// What the handler of an alarm returns is nothing, or a failure that can be told.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    #[alarm]
    async fn ring(&mut self) -> usize {
        self.items.len()
    }
}

fn main() {}
