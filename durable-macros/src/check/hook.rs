//! Rule 14: functions that the runtime calls by itself.

use syn::{FnArg, ReceiverKind, Visibility};

use super::method::{context, qualifiers};
use crate::errors::Errors;
use crate::model::{Class, context_of, is_info, output};
use crate::names;
use crate::parse::Function;

/// What `#[on_activate]` may look like.
pub(super) fn on_activate(function: &Function, class: &Class, errors: &mut Errors) {
    hook(function, errors, names::ON_ACTIVATE);
    borrows(function, names::ON_ACTIVATE, errors);
    private(function, names::ON_ACTIVATE, "when an object comes into memory", errors);
    context(function, class, errors);
}

/// What `#[alarm]` may look like.
pub(super) fn alarm(function: &Function, class: &Class, errors: &mut Errors) {
    hook(function, errors, names::ALARM);
    borrows(function, names::ALARM, errors);
    private(function, names::ALARM, "when the object's alarm is due", errors);
    context(function, class, errors);
}

/// What `#[on_child_exit]` may look like.
pub(super) fn on_child_exit(function: &Function, class: &Class, errors: &mut Errors) {
    hears(function, class, names::ON_CHILD_EXIT, "when a child of the object has crashed", errors);
}

/// What `#[on_down]` may look like.
pub(super) fn on_down(function: &Function, class: &Class, errors: &mut Errors) {
    hears(function, class, names::ON_DOWN, "when an object that is watched has ended", errors);
}

fn hears(function: &Function, class: &Class, attribute: &str, when: &str, errors: &mut Errors) {
    hook(function, errors, attribute);
    borrows(function, attribute, errors);
    private(function, attribute, when, errors);
    context(function, class, errors);
}

/// Rule 14: a hook that works on the object borrows it.
fn borrows(function: &Function, attribute: &str, errors: &mut Errors) {
    let text = format!("`#[{attribute}]` borrows the object; take `&mut self`");
    match function.sig.receiver() {
        Some(receiver) => {
            if !matches!(receiver.kind, ReceiverKind::Reference(..)) {
                errors.at(receiver, text);
            }
        }
        None => errors.at(&function.sig.ident, text),
    }
}

/// Rule 14: nobody calls a hook. `when`: the runtime does.
fn private(function: &Function, attribute: &str, when: &str, errors: &mut Errors) {
    if let Visibility::Public(vis) = &function.vis {
        errors.at(
            vis,
            format!(
                "`#[{attribute}]` cannot be called from outside, it runs by itself {when}; \
            remove `pub`"
            ),
        );
    }
}

/// What `#[init]` may look like.
pub(super) fn init(function: &Function, class: &Class, errors: &mut Errors) {
    hook(function, errors, names::INIT);
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

/// Rules 2, 12 and 14: a hook takes the context or nothing, and some what they are told.
fn hook(function: &Function, errors: &mut Errors, attribute: &str) {
    qualifiers(function, &format!("or remove `#[{attribute}]`"), errors);
    if !function.sig.generics.params.is_empty() {
        errors.at(
            &function.sig.generics,
            format!("`#[{attribute}]` cannot be generic; remove the parameters"),
        );
    }
    let wanted = match attribute {
        names::ALARM => "`cx: &mut Context<'_, Self>`, `info: AlarmInfo` after it, or nothing",
        names::ON_CHILD_EXIT => {
            "`cx: &mut Context<'_, Self>`, `exit: ChildExit` after it, or nothing"
        }
        names::ON_DOWN => "`cx: &mut Context<'_, Self>`, `down: Down` after it, or nothing",
        _ => "`cx: &Context<'_, Self>` or nothing",
    };
    let info = match attribute {
        names::ALARM => Some(names::ALARM_INFO),
        names::ON_CHILD_EXIT => Some(names::CHILD_EXIT),
        names::ON_DOWN => Some(names::DOWN),
        _ => None,
    };
    let mut infos = 0;
    for arg in &function.sig.inputs {
        if info.is_some_and(|info| is_info(arg, info)) {
            infos += 1;
            if infos == 1 {
                continue;
            }
        }
        if matches!(arg, FnArg::Typed(_)) && context_of(arg).is_none() {
            errors.at(
                arg,
                format!("`#[{attribute}]` has no caller that could pass this; take {wanted}"),
            );
        }
    }
}
