// A stored field has the same bytes in every run and on every machine, and a finite layout.
use std::collections::{HashMap, HashSet};

use durable::DurableState;

#[derive(DurableState)]
pub struct Cart {
    counts: HashMap<String, u64>,
    seen: Option<HashSet<String>>,
    len: usize,
    delta: Vec<isize>,
    shop: &'static str,
    parent: Option<Box<Cart>>,
}

#[derive(DurableState)]
pub struct View<'a> {
    text: &'a str,
}

#[derive(DurableState)]
pub union Bits {
    number: u32,
    float: f32,
}

#[derive(DurableState)]
pub struct Skipped(#[serde(skip)] u64);

fn main() {}
