// Methods are async as they are.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
#[async_trait::async_trait]
impl Cart {
    pub async fn count(&self) -> u64 {
        self.items.len() as u64
    }
}

fn main() {}
