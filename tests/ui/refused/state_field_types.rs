// A field whose type is not durable is reported at the field.
use std::time::Instant;

use durable::DurableState;

#[derive(DurableState)]
pub struct Cart {
    opened: Instant,
    items: Vec<Item>,
    #[serde(skip)]
    scratch: NoDefault,
}

pub struct Item;

pub struct NoDefault;

fn main() {}
