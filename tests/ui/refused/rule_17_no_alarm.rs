// Who sets an alarm has a handler for it.
use durable::prelude::*;
use std::time::Duration;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn add(&mut self, cx: &mut Context<'_, Self>, item: String) {
        self.items.push(item);
        cx.alarm().set_after(Duration::from_secs(60));
    }
}

fn main() {}
