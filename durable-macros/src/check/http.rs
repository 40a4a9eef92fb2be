//! Rules of what can be called over HTTP.

use syn::FnArg;

use super::method::may_change;
use crate::attr::{Http, Marks, SocketEvent};
use crate::errors::Errors;
use crate::model::{Class, context_of, output};
use crate::parse::Function;

/// Rule 20: whole requests are taken by one public method of a class that is served, which gives a response.
pub(super) fn fetch(function: &Function, marks: &Marks, class: &Class, errors: &mut Errors) {
    let (Some(mark), name) = (&marks.fetch, &function.sig.ident) else { return };
    let mut inputs = function.sig.inputs.iter();
    let args = inputs.by_ref().filter(|arg| matches!(arg, FnArg::Typed(_)));
    let args = args.filter(|arg| context_of(arg).is_none()).count();
    if !class.is_http {
        errors.at(
            mark,
            format!(
                "no request reaches the class; write `#[durable_object(http)]`, or remove `#[fetch]` from `{name}`"
            ),
        );
    } else if let Some((http, _)) = &marks.http {
        errors
            .at(http, format!("`{name}` takes whole requests, whatever their verb; remove `http`"));
    } else if args != 1 || output(function).is_none() {
        errors.at(
            &function.sig.ident,
            format!(
                "`#[fetch]` takes a request and gives a response; write `{name}(&mut self, request: Request) -> Response`, \
                 with the types of `durable::http`"
            ),
        );
    }
}

/// Rule 19: a method says how it is called over HTTP only where it is, and reads if it is asked by GET.
pub(super) fn method(function: &Function, marks: &Marks, class: &Class, errors: &mut Errors) {
    let (Some((mark, http)), name) = (&marks.http, &function.sig.ident) else { return };
    if !class.is_http {
        errors.at(
            mark,
            format!(
                "no method of the class can be called over HTTP; write `#[durable_object(http)]`, or \
                 remove `http` from `{name}`"
            ),
        );
    } else if may_change(function) && *http == Http::Get {
        errors.at(
            mark,
            format!(
                "a GET may be repeated by whatever is on its way, so it only reads; take `&self` in \
                 `{name}`, or remove `http`"
            ),
        );
    }
}

/// Rule 21: a method that hears of sockets does nothing else, is of a class that is served, and takes the socket and what it hears.
pub(super) fn socket(function: &Function, marks: &Marks, class: &Class, errors: &mut Errors) {
    let (Some((mark, event)), name) = (&marks.socket, &function.sig.ident) else { return };
    let args = function.sig.inputs.iter().filter(|arg| matches!(arg, FnArg::Typed(_)));
    let args = args.filter(|arg| context_of(arg).is_none()).count();
    let is_other = marks.is_hook() || marks.migrate.is_some() || marks.fetch.is_some();
    let is_rpc =
        marks.skip || marks.name.is_some() || marks.reentrant.is_some() || marks.http.is_some();
    let (heard, returns) = match event {
        SocketEvent::Connect => ("request: Request", " or a `Result<(), Response>`"),
        SocketEvent::Message => ("message: Message", " or a `Result<(), Close>`"),
        SocketEvent::Close => ("closed: Closed", ""),
        SocketEvent::Error => ("error: SocketError", ""),
    };
    if marks.hears_twice || is_other {
        errors.at(mark, format!("`#[{mark}]` stands alone on a method; write two functions"));
    } else if is_rpc {
        errors.at(
            mark,
            format!(
                "sockets call `{name}`, no caller can; leave of `#[rpc(…)]` at most a `timeout`"
            ),
        );
    } else if !class.is_http {
        errors.at(
            mark,
            format!(
                "no socket reaches the class; write `#[durable_object(http)]`, or remove `#[{mark}]` from `{name}`"
            ),
        );
    } else if function.sig.receiver().is_none() || args != 2 {
        errors.at(
            name,
            format!(
                "`#[{mark}]` takes a socket and what it hears, and returns nothing{returns}; \
                 write `{name}(&mut self, socket: Socket, {heard})`, with the types of `durable::socket`"
            ),
        );
    }
}
