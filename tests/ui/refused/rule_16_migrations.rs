// Migrations take an old state each, and lead to the class without a gap.
#![allow(unused_variables)]
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

#[derive(DurableState)]
pub struct CartV1 {
    item: String,
}

#[durable_object(name = "shop.Cart", version = 6)]
impl Cart {
    #[migrate(from = 1)]
    fn first(old: CartV1) -> Self {
        Cart { items: vec![old.item] }
    }

    #[migrate(from = 1)]
    fn again(old: CartV1) -> Self {
        Cart { items: vec![old.item] }
    }

    #[migrate(from = 3)]
    fn behind_a_gap(old: CartV1) -> Self {
        Cart { items: vec![old.item] }
    }
}

#[derive(Default, DurableState)]
pub struct Wrong;

#[durable_object(name = "shop.Wrong", version = 2)]
impl Wrong {
    #[migrate]
    fn without_a_version(old: CartV1) -> Self {
        Wrong
    }

    #[migrate(from = 2)]
    fn from_the_present(old: CartV1) -> Self {
        Wrong
    }

    #[migrate(from = 1, to = 2)]
    fn to(old: CartV1) -> Self {
        Wrong
    }

    #[migrate(from = 1)]
    fn of_an_object(&self, old: CartV1) -> Self {
        Wrong
    }

    #[migrate(from = 1)]
    async fn that_waits(cx: &Context<'_, Self>) -> Self {
        Wrong
    }

    #[migrate(from = 1)]
    fn of_many<T>(old: T, more: u64) -> Self {
        Wrong
    }

    #[migrate(from = 1)]
    #[cfg(unix)]
    fn of_nothing() {}

    #[migrate(from = 1)]
    #[init]
    fn both(old: CartV1) -> Self {
        Wrong
    }

    #[migrate(from = 1)]
    #[rpc(skip)]
    fn called(old: CartV1) -> Self {
        Wrong
    }
}

fn main() {}
