// A hook stands once, has no caller, and returns what the runtime understands.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    #[on_activate]
    fn wake(&mut self) {}

    #[on_activate]
    pub fn wake_again(&mut self) {}

    #[on_activate]
    fn wake_with(&mut self, item: String) {
        let _ = item;
    }

    #[on_activate]
    fn wake_nobody() {}

    #[init]
    fn first(&self) -> Self {
        Cart { items: Vec::new() }
    }

    #[init]
    async fn second(item: String) -> Self {
        Cart { items: vec![item] }
    }

    #[init]
    #[on_activate]
    fn third() {}
}

fn main() {}
