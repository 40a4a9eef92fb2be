// One name in storage stands for one type, so neither the impl nor the type has parameters.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Shelf<T> {
    things: Vec<T>,
}

#[durable_object(name = "shop.Shelf")]
impl<T: Clone> Shelf<T> {
    pub fn count(&self) -> u64 {
        self.things.len() as u64
    }
}

#[durable_object(name = "shop.Books")]
impl Shelf<String> {
    pub fn books(&self) -> u64 {
        self.things.len() as u64
    }
}

#[derive(Default)]
pub struct Grid<const N: usize>;

#[durable_object(name = "shop.Grid")]
impl<const N: usize> Grid<N> {
    pub fn size(&self) -> u64 {
        N as u64
    }
}

fn main() {
    let shelf = Shelf::<String> { things: Vec::new() };
    let _ = shelf.count() + shelf.books();
}
