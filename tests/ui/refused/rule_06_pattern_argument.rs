// An argument has a name, which becomes a field of the message.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn pair(&mut self, (item, count): (String, u64)) {
        let _ = (item, count);
    }

    pub fn nameless(&mut self, _: String) {}

    pub fn by_ref(&mut self, ref item: String) {
        let _ = item;
    }

    pub fn sometimes(&mut self, #[cfg(unix)] item: String) {
        let _ = item;
    }
}

fn main() {}
