//! What takes whole requests.

use durable::http::{Request, Response};
use durable::prelude::*;

#[derive(Default, DurableState)]
struct Closed {}

/// Nothing is served.
#[durable_object(name = "ui.Closed")]
impl Closed {
    #[fetch]
    pub fn fetch(&self, request: Request) -> Response {
        Response::new(request.uri().to_string())
    }
}

#[derive(Default, DurableState)]
struct Odd {}

#[durable_object(name = "ui.Odd", http)]
impl Odd {
    #[fetch]
    #[rpc(http = "GET")]
    pub fn verb(&self, request: Request) -> Response {
        Response::new(request.uri().to_string())
    }

    #[fetch]
    pub fn nothing(&self) -> Response {
        Response::default()
    }

    #[fetch]
    pub fn silent(&self, _request: Request) {}

    #[fetch]
    fn private(&self, _request: Request) -> Response {
        Response::default()
    }

    #[fetch]
    #[rpc(skip)]
    pub fn skipped(&self, _request: Request) -> Response {
        Response::default()
    }

    #[fetch(all)]
    pub fn first(&self, _request: Request) -> Response {
        Response::default()
    }

    #[fetch]
    #[alarm]
    fn ring(&mut self) {}
}

#[derive(Default, DurableState)]
struct Types {}

/// The types are rustc's to tell.
#[durable_object(name = "ui.Types", http)]
impl Types {
    #[fetch]
    pub fn fetch(&self, _request: String) -> u64 {
        0
    }
}

fn main() {}
