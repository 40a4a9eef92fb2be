// The context comes first, once, by reference, shared in a method that reads, and is the class's own.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[derive(Default, DurableState)]
pub struct Other;

#[durable_object(name = "shop.Other")]
impl Other {}

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn not_first(&mut self, item: String, cx: &mut Context<'_, Self>) {
        let _ = (item, cx);
    }

    pub fn by_value(&mut self, cx: Context<'_, Self>) {
        let _ = cx;
    }

    pub fn reads(&self, cx: &mut Context<'_, Self>) {
        let _ = cx;
    }

    pub fn twice(&mut self, cx: &Context<'_, Self>, again: &Context<'_, Self>) {
        let _ = (cx, again);
    }

    pub fn of_another(&mut self, cx: &mut Context<'_, Other>) {
        let _ = cx;
    }
}

fn main() {}
