// After a mistake the impl is still there, and so is the stub with the methods that are sound: only the mistake is reported.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn add(&mut self, item: &str) -> u64 {
        self.items.push(item.to_owned());
        self.count()
    }

    pub fn count(&self) -> u64 {
        self.items.len() as u64
    }

    #[rpc(skip)]
    pub fn skipped(&self) {}
}

#[derive(Default, DurableState)]
pub struct Nameless;

#[durable_object]
impl Nameless {
    pub fn touch(&self) {}
}

fn uses(cart: &CartStub, nameless: &NamelessStub) {
    let _ = (cart.count(), nameless.touch());
}

fn main() {
    let mut cart = Cart::default();
    cart.add("pen");
    cart.skipped();
    Nameless.touch();
    let _ = uses;
}
