// One compile reports every mistake of an impl.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(version = "two", colour = "red")]
impl Cart {
    pub fn add(&mut self, item: &str) {
        self.items.push(item.to_owned());
    }

    pub fn id(&self, (a, b): (u8, u8)) -> &str {
        let _ = (a, b);
        "id"
    }

    pub fn take(self) {}

    pub fn sound(&self) -> u64 {
        1
    }

    #[rpc(skip = 1, colour)]
    #[init]
    fn wake(&self) {}
}

fn main() {}
