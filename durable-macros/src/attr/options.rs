//! Lists of `key` and `key = value`.

use std::fmt::Display;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{LitStr, Token};

use crate::errors::Errors;

/// Walks through `key`, `key = value` lists. `read` answers `false` for a key that it does not
/// know; `options` then tells the user those that there are. A mistake in one option does not hide
/// the next one.
pub(crate) fn each_option(
    tokens: TokenStream,
    options: &str,
    errors: &mut Errors,
    mut read: impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> bool,
) {
    let parts = Punctuated::<Part, Token![,]>::parse_terminated.parse2(tokens);
    for Part { key, value } in errors.take(parts).into_iter().flatten() {
        let reader = |input: ParseStream<'_>| {
            let before = errors.count();
            if !read(&key, input, errors) {
                errors.at(&key, format!("unknown option `{key}`; the options are {options}"));
            }
            let rest: TokenStream = input.parse()?;
            // What is left of a value that was wrong would only be reported again.
            if !rest.is_empty() && errors.count() == before {
                errors.at(rest, format!("this is not part of `{key}`; remove it"));
            }
            Ok(())
        };
        let result = reader.parse2(value);
        errors.take(result);
    }
}

/// One element of an option list, its value still unread.
struct Part {
    key: Ident,
    value: TokenStream,
}

impl Parse for Part {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let example = "an option begins with its name, as in `name = \"…\"`";
        let key = input.call(Ident::parse_any).map_err(|_| input.error(example))?;
        let mut value = TokenStream::new();
        if input.parse::<Option<Token![=]>>()?.is_some() {
            let mut depth = 0_i32;
            while !input.is_empty() && (depth > 0 || !input.peek(Token![,])) {
                depth += i32::from(input.peek(Token![<])) - i32::from(input.peek(Token![>]));
                value.extend([input.parse::<TokenTree>()?]);
            }
        }
        Ok(Part { key, value })
    }
}

/// Stores a value, or reports why there is none. The key was known in either case.
pub(crate) fn set<T>(slot: &mut Option<T>, value: syn::Result<T>, errors: &mut Errors) -> bool {
    *slot = errors.take(value);
    true
}

/// Reports an option that was given before. `seen`: those given so far.
pub(crate) fn once(seen: &mut Vec<Ident>, key: &Ident, errors: &mut Errors) {
    if seen.contains(key) {
        errors.at(key, format!("`{key}` is given twice; keep one of them"));
    }
    seen.push(key.clone());
}

/// What is reported for a value of another kind. `expected`: the right one, and an example.
pub(crate) fn wrong(key: &Ident, input: ParseStream<'_>, expected: impl Display) -> syn::Error {
    let span = if input.is_empty() { key.span() } else { input.span() };
    syn::Error::new(span, format!("`{key}` takes {expected}"))
}

pub(super) fn literal(key: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<LitStr> {
    input.parse().map_err(|_| wrong(key, input, format!("a string; write `{key} = \"{example}\"`")))
}
