// A result has a name, and outlives the turn.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn items(&self) -> impl Iterator<Item = String> {
        self.items.clone().into_iter()
    }

    pub fn first(&self) -> Option<&String> {
        self.items.first()
    }

    pub fn shop(&self) -> &'static str {
        "shop"
    }

    pub fn stream(&self) -> impl futures_util::Stream<Item = u64> {
        futures_util::stream::empty()
    }

    pub fn borrowed(&self) -> impl futures_util::Stream<Item = &String> + use<> {
        futures_util::stream::empty()
    }

    pub fn copy(&self) -> Option<Self> {
        None
    }
}

fn main() {}
