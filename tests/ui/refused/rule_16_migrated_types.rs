// A migration gives what the next one takes, or the class; its error can be shown.
#![allow(unused_variables)]
use durable::prelude::*;

#[derive(DurableState)]
pub struct CartV1 {
    item: String,
}

#[derive(DurableState)]
pub struct CartV2 {
    items: Vec<String>,
}

pub struct NotStored;

pub struct Silent;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[durable_object(name = "shop.Cart", version = 3)]
impl Cart {
    #[migrate(from = 1)]
    fn first(old: CartV1) -> CartV1 {
        old
    }

    #[migrate(from = 2)]
    fn second(old: CartV2) -> Self {
        Cart { items: old.items }
    }
}

#[derive(Default, DurableState)]
pub struct Basket;

#[durable_object(name = "shop.Basket", version = 2)]
impl Basket {
    #[migrate(from = 1)]
    fn last(old: CartV1) -> CartV2 {
        CartV2 { items: vec![old.item] }
    }
}

#[derive(Default, DurableState)]
pub struct Box;

#[durable_object(name = "shop.Box", version = 3)]
impl Box {
    #[migrate(from = 1)]
    fn first(old: NotStored) -> Self {
        Box
    }

    #[migrate(from = 2)]
    fn second(old: CartV2) -> Result<Self, Silent> {
        Err(Silent)
    }
}

fn main() {}
