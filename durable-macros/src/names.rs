//! Every name that the macros read or write, so that each stands in one place.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;

/// Attributes inside the impl block that belong to `#[durable_object]`.
pub(crate) const RPC: &str = "rpc";
pub(crate) const FETCH: &str = "fetch";
pub(crate) const ON_CONNECT: &str = "on_connect";
pub(crate) const ON_MESSAGE: &str = "on_message";
pub(crate) const ON_CLOSE: &str = "on_close";
pub(crate) const ON_ERROR: &str = "on_error";
pub(crate) const ON_ACTIVATE: &str = "on_activate";
pub(crate) const ALARM: &str = "alarm";
pub(crate) const ON_CHILD_EXIT: &str = "on_child_exit";
pub(crate) const ON_DOWN: &str = "on_down";
pub(crate) const INIT: &str = "init";
pub(crate) const MIGRATE: &str = "migrate";

/// The type of the argument that tells a handler of its alarm.
pub(crate) const ALARM_INFO: &str = "AlarmInfo";

/// The types of the arguments that tell hooks of other objects.
pub(crate) const CHILD_EXIT: &str = "ChildExit";
pub(crate) const DOWN: &str = "Down";

/// The type of the argument that gives a method its surroundings.
pub(crate) const CONTEXT: &str = "Context";

/// Methods that every stub has; a class cannot have one of the same name.
pub(crate) const RESERVED: [&str; 10] =
    ["id", "name", "key", "address", "from_address", "to_ref", "clone", "fmt", "into", "try_into"];

/// A local variable of generated code. No name in the user's code can meet it.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The identifier as text, without `r#`.
pub(crate) fn text(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// `Account` and `Stub` give `AccountStub`, which points at the user's `Account`.
pub(crate) fn derived(class: &Ident, suffix: &str) -> Ident {
    Ident::new(&format!("{}{suffix}", text(class)), class.span())
}

/// The enum variant of a method: `close_month` gives `CloseMonth`.
pub(crate) fn variant(method: &Ident) -> Ident {
    let mut camel = String::new();
    for word in text(method).split('_').filter(|word| !word.is_empty()) {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
    }
    if camel == "Self" {
        camel.push('_');
    }
    if !camel.starts_with(|first: char| first.is_alphabetic()) {
        camel.insert(0, '_');
    }
    if camel == "_" {
        camel.push('_');
    }
    Ident::new(&camel, method.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_gives_a_variant_that_is_always_an_identifier() {
        for (method, expected) in [
            ("deposit", "Deposit"),
            ("close_month", "CloseMonth"),
            ("r#type", "Type"),
            ("self_", "Self_"),
            ("_1", "_1"),
            ("__", "__"),
            ("größe", "Größe"),
        ] {
            let method: Ident = syn::parse_str(method).expect("an identifier");
            assert_eq!(variant(&method).to_string(), expected);
        }
    }
}
