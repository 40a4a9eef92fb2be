// A stub's method has a name of its own, in Rust, on wires and in the message enum.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn name(&self) -> String {
        String::new()
    }

    pub fn id(&self) -> u64 {
        0
    }

    pub fn clone(&self) -> u64 {
        0
    }

    pub fn r#match(&self) {}

    #[rpc(name = "match")]
    pub fn find(&self) {}

    #[rpc(name = "other")]
    pub fn total(&self) {}

    pub fn other(&self) {}

    pub fn add_item(&mut self) {}

    pub fn add__item(&mut self) {}
}

fn main() {}
