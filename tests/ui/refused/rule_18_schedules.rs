// A schedule calls a method of its own object, which can be called.
use durable::prelude::*;
use durable::WallMs;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn later(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("other").once(WallMs(1)).call(cx.get::<Stock>("pens").count());
    }

    pub fn hidden(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("private").once(WallMs(1)).call(cx.me().put_back());
    }

    fn put_back(&mut self) {
        self.items.clear();
    }
}

#[derive(Default, DurableState)]
pub struct Stock {
    left: u32,
}

#[durable_object(name = "shop.Stock")]
impl Stock {
    pub fn count(&self) -> u32 {
        self.left
    }
}

fn main() {}
