// The attribute stands on the impl of a type, not on the type, a module, a function, a trait or its impl.
use durable::prelude::*;

#[durable_object(name = "shop.Cart")]
#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Light")]
pub enum Light {
    Red,
}

#[durable_object(name = "shop.Clone")]
impl Clone for Cart {
    fn clone(&self) -> Self {
        Cart { items: self.items.clone() }
    }
}

#[durable_object(name = "shop.Total")]
pub trait Total {
    fn total(&self) -> u64;
}

#[durable_object(name = "shop.Inside")]
mod inside {}

#[durable_object(name = "shop.Free")]
fn free() {}

#[durable_object(name = "shop.Tuple")]
impl (u8, u8) {}

// What the attribute was put on is still there, so nothing else is wrong.
fn main() {
    let cart = Cart { items: Vec::new() };
    let _ = (cart.clone(), Light::Red, free());
}
