//! Rules of what can be called over HTTP.

use super::method::may_change;
use crate::attr::{Http, Marks};
use crate::errors::Errors;
use crate::model::Class;
use crate::parse::Function;

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
