//! What hears of sockets.

use durable::http::{Request, Response};
use durable::prelude::*;
use durable::socket::{Close, Closed, Message, Socket};

#[derive(Default, DurableState)]
struct Shut {}

/// Nothing is served.
#[durable_object(name = "ui.Shut")]
impl Shut {
    #[on_message]
    fn hear(&mut self, _from: Socket, _message: Message) {}
}

#[derive(Default, DurableState)]
struct Wrong {}

#[durable_object(name = "ui.Wrong", http, on_crash = "cry")]
impl Wrong {
    /// It does not say who it is.
    #[on_connect]
    fn come(&mut self, _request: Request) {}

    /// It is two things.
    #[on_message]
    #[alarm]
    fn hear(&mut self, _from: Socket, _message: Message) {}

    /// It is called by nobody else.
    #[on_close]
    #[rpc(http = "off")]
    fn leave(&mut self, _from: Socket, _closed: Closed) {}

    /// There is one already.
    #[on_close]
    fn leave_again(&mut self, _from: Socket, _closed: Closed) {}
}

#[derive(Default, DurableState)]
struct Returning {}

#[durable_object(name = "ui.Returning", http)]
impl Returning {
    #[on_connect]
    fn come(&mut self, _from: Socket, _request: Request) -> Result<(), Close> {
        Ok(())
    }

    #[on_message]
    fn hear(&mut self, _from: Socket, _message: Message) -> Response {
        Response::new("")
    }
}

#[derive(Default, DurableState)]
struct Taking {}

#[durable_object(name = "ui.Taking", http)]
impl Taking {
    #[on_message]
    fn hear(&mut self, _from: Socket, _message: String) {}
}

fn main() {
    let call = |stub: &ReturningStub| stub.hear();
    let _ = call;
}
