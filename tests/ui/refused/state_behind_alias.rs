// What cannot be stored cannot be stored under another name, in a list, or as a type parameter.
use std::collections::{HashMap, HashSet};

use durable::DurableState;

type Counts = HashMap<String, u64>;
type Seen = HashSet<String>;
type Length = usize;

#[derive(DurableState)]
pub struct Cart {
    counts: Counts,
    seen: Vec<Option<Seen>>,
    length: Length,
    wrapped: Wrapped<Counts>,
}

#[derive(DurableState)]
pub struct Wrapped<T> {
    value: T,
}

#[derive(DurableState)]
pub enum Kind {
    Counted { counts: Counts },
    Tuple(std::collections::BTreeMap<u8, Counts>),
}

fn main() {}
