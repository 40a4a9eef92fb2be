//! Rule 14: functions that the runtime calls by itself.

use syn::{FnArg, ReceiverKind, Visibility};

use super::method::{context, qualifiers};
use crate::errors::Errors;
use crate::model::{Class, context_of, output};
use crate::parse::Function;

/// What `#[on_activate]` may look like.
pub(super) fn on_activate(function: &Function, class: &Class, errors: &mut Errors) {
    let by_itself = "it runs by itself when an object comes into memory";
    hook(function, errors, "on_activate");
    match function.sig.receiver() {
        Some(receiver) => {
            if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
                errors.at(receiver, "`#[on_activate]` borrows the object; take `&mut self`");
            }
        }
        None => errors.at(
            &function.sig.ident,
            "`#[on_activate]` borrows the object; take `&mut \
            self`",
        ),
    }
    if let Visibility::Public(vis) = &function.vis {
        errors.at(
            vis,
            format!(
                "`#[on_activate]` cannot be called from outside, {by_itself}; \
            remove `pub`"
            ),
        );
    }
    context(function, class, errors);
}

/// What `#[init]` may look like.
pub(super) fn init(function: &Function, class: &Class, errors: &mut Errors) {
    hook(function, errors, "init");
    if let Some(receiver) = function.sig.receiver() {
        errors.at(
            receiver,
            "`#[init]` makes the object, so it has none to borrow; remove the \
            receiver",
        );
    }
    if let Some(asyncness) = &function.sig.asyncness {
        errors.at(asyncness, "`#[init]` cannot wait; remove `async`, and wait in `#[on_activate]`");
    }
    if output(function).is_none() {
        errors.at(&function.sig.ident, "`#[init]` makes the object; let it return `Self`");
    }
    context(function, class, errors);
}

/// Rules 2, 12 and 14: a hook takes the context or nothing.
fn hook(function: &Function, errors: &mut Errors, attribute: &str) {
    qualifiers(function, &format!("or remove `#[{attribute}]`"), errors);
    if !function.sig.generics.params.is_empty() {
        errors.at(
            &function.sig.generics,
            format!("`#[{attribute}]` cannot be generic; remove the parameters"),
        );
    }
    for arg in &function.sig.inputs {
        if matches!(arg, FnArg::Typed(_)) && context_of(arg).is_none() {
            errors.at(
                arg,
                format!(
                    "`#[{attribute}]` has no caller that could pass this; take \
                `cx: &Context<'_, Self>` or nothing"
                ),
            );
        }
    }
}
