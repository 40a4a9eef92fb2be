// What crosses a call can be encoded, and moved to another thread.
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<String>,
}

use std::rc::Rc;
use std::time::Instant;

pub struct Token;

pub enum Refused {
    Empty,
}

type Outcome<T> = Result<T, Refused>;

#[durable_object(name = "shop.Cart")]
impl Cart {
    pub fn pay(&mut self, token: Token) {
        let _ = token;
    }

    pub fn wait_until(&mut self, at: Vec<Instant>) {
        let _ = at;
    }

    pub fn share(&mut self, item: Rc<String>) {
        let _ = item;
    }

    pub fn token(&self) -> Token {
        Token
    }

    pub fn check_out(&mut self) -> Result<u64, Refused> {
        Err(Refused::Empty)
    }

    pub fn check_in(&mut self) -> Outcome<u64> {
        Err(Refused::Empty)
    }
}

fn main() {}
