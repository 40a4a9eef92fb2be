// What `#[on_activate]` returns is nothing, or a result whose error can be shown.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

pub struct Silent;

#[durable_object(name = "shop.Cart")]
impl Cart {
    #[on_activate]
    async fn wake(&mut self) -> Result<(), Silent> {
        Err(Silent)
    }
}

#[derive(Default, DurableState)]
pub struct Basket;

#[durable_object(name = "shop.Basket")]
impl Basket {
    #[on_activate]
    fn wake(&mut self) -> u64 {
        1
    }
}

fn main() {}
