// An argument owns what it brings, because its caller may be gone.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

use std::borrow::Cow;
use std::path::Path;

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn add(&mut self, item: &str) {
        self.items.push(item.to_owned());
    }

    pub fn add_all(&mut self, items: &[String]) {
        self.items.extend_from_slice(items);
    }

    pub fn load(&mut self, path: &Path) {
        let _ = path;
    }

    pub fn merge(&mut self, other: &Cart) {
        self.items.extend_from_slice(&other.items);
    }

    pub fn maybe(&mut self, item: Option<&'static str>) {
        let _ = item;
    }

    pub fn cow(&mut self, item: Cow<'_, str>) {
        let _ = item;
    }

    pub fn itself(&mut self, other: Self) {
        self.items = other.items;
    }
}

fn main() {}
