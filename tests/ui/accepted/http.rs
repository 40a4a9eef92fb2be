//! Methods that can be called over HTTP.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::too_many_arguments,
    clippy::non_minimal_cfg
)]

use std::collections::BTreeMap;

use durable::http::{Request, Response};
use durable::prelude::*;
use durable::socket::{Close, Closed, Message, Socket, SocketError};
use futures_util::Stream;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub enum Refused {
    Empty,
}

#[derive(Default, DurableState)]
pub struct Shelf {
    books: BTreeMap<String, u64>,
}

type Outcome<T> = Result<T, Refused>;

#[durable_object(name = "ui.Shelf", http)]
impl Shelf {
    pub fn put(&mut self, title: String, count: u64, r#type: Option<String>) -> u64 {
        let _ = r#type;
        *self.books.entry(title).and_modify(|there| *there += count).or_insert(count)
    }

    #[rpc(http = "GET")]
    pub fn count(&self, title: String) -> Outcome<u64> {
        self.books.get(&title).copied().ok_or(Refused::Empty)
    }

    #[rpc(http = "POST", name = "everything")]
    pub async fn all(&self, cx: &Context<'_, Self>) -> BTreeMap<String, u64> {
        let _ = cx;
        self.books.clone()
    }

    #[rpc(http = "off")]
    pub fn burn(&mut self) {
        self.books.clear();
    }

    pub fn titles(&self) -> impl Stream<Item = String> + use<> {
        futures_util::stream::iter(self.books.keys().cloned().collect::<Vec<_>>())
    }

    #[cfg(any())]
    pub fn never(&self, nothing: Missing) {}

    pub fn many(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8) -> u8 {
        a + b + c + d + e + f + g + h + i + j
    }
}

#[derive(Default, DurableState)]
pub struct Nothing {}

/// It can be called over HTTP, and has nothing to call.
#[durable_object(name = "ui.Nothing", http)]
impl Nothing {}

/// Takes whole requests, beside its other methods.
#[derive(Default, DurableState)]
pub struct Gallery {
    pages: u64,
}

#[durable_object(name = "ui.Gallery", http)]
impl Gallery {
    #[fetch]
    #[rpc(name = "page", timeout = "5s")]
    pub async fn fetch(
        &mut self,
        cx: &mut Context<'_, Self>,
        request: durable::http::Request,
    ) -> Result<Response, Response> {
        self.pages += 1;
        match cx.name() {
            Some(name) if request.uri().path() == "/" => Ok(Response::new(name.to_owned())),
            _ => Err(Response::status_only(404)),
        }
    }

    pub fn pages(&self) -> u64 {
        self.pages
    }
}

/// Reads them, at once.
#[derive(Default, DurableState)]
pub struct Frame;

#[durable_object(name = "ui.Frame", http)]
impl Frame {
    #[cfg(any())]
    #[fetch]
    pub fn never(&self, request: Request) -> Response {
        Response::default()
    }

    #[cfg(all())]
    #[fetch]
    pub fn show(&self, r#type: Request) -> Response {
        Response::new(r#type.uri().to_string())
    }
}

/// Hears of sockets, in whatever way.
#[derive(Default, DurableState)]
pub struct Line {}

#[durable_object(name = "ui.Line", http, on_crash = "keep_sockets")]
impl Line {
    #[on_connect]
    async fn come(&self, r#type: Socket, request: Request) -> Result<(), Response> {
        let _ = (r#type, request);
        Ok(())
    }

    #[on_message]
    #[rpc(timeout = "5s")]
    pub async fn hear(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: Socket,
        message: Message,
    ) -> Result<(), Close> {
        let sent = cx.sockets().send(from, message);
        sent.map_err(|error| Close::new(4_000, error.code()))
    }

    #[cfg(any())]
    #[on_close]
    fn never(&mut self, from: Socket, closed: Missing) {}

    #[cfg(all())]
    #[on_close]
    fn leave(&self, _: &Context<'_, Self>, socket: Socket, closed: Closed) {
        let _ = (socket, closed);
    }

    #[on_error]
    fn fail(&mut self, socket: Socket, error: SocketError) {
        let _ = (socket, error);
    }
}
