//! The rules, one function for each. What passes becomes a model; what does not is reported, never
//! both.

mod class;
mod method;
mod state;

pub(crate) use class::{class, input};
pub(crate) use state::state;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

/// The first token that borrows something, or names a type which only exists inside the impl.
pub(super) enum Tied {
    /// `&`.
    Reference,
    /// A lifetime other than `'static`.
    Lifetime(Span),
    /// `impl Trait`.
    ImplTrait,
    /// `Self`.
    SelfType(Span),
}

/// Looks for what ties a type to the place where it is written.
pub(super) fn tied(tokens: TokenStream) -> Option<Tied> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match &token {
            TokenTree::Punct(punct) if punct.as_char() == '&' => Some(Tied::Reference),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => match tokens.next() {
                Some(TokenTree::Ident(name)) if name == "static" => None,
                _ => Some(Tied::Lifetime(punct.span())),
            },
            TokenTree::Ident(ident) if ident == "impl" => Some(Tied::ImplTrait),
            TokenTree::Ident(ident) if ident == "Self" => Some(Tied::SelfType(ident.span())),
            TokenTree::Group(group) => tied(group.stream()),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Every identifier among the tokens that `is_hit` accepts.
pub(super) fn idents(tokens: TokenStream, is_hit: &impl Fn(&Ident) -> bool) -> Vec<Ident> {
    let mut hits = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if is_hit(&ident) => hits.push(ident),
            TokenTree::Group(group) => hits.extend(idents(group.stream(), is_hit)),
            _ => {}
        }
    }
    hits
}
