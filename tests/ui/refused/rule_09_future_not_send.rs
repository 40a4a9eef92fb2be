// A turn may move between threads while it waits.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

use std::rc::Rc;

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub async fn count(&mut self, by: u64) -> u64 {
        let shared = Rc::new(by);
        std::future::ready(()).await;
        *shared
    }
}

fn main() {}
