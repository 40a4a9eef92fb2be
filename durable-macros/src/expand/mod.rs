//! Prints checked models as code.

mod alarm;
mod codec;
mod dispatch;
mod fallback;
mod hook;
mod kin;
mod message;
mod migrate;
mod named;
mod object;
mod sockets;
mod state;
mod stub;
mod supervisor;

use crate::attr::ClassOptions;
use crate::check;
use crate::errors::Errors;
use crate::parse::ImplBlock;
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::spanned::Spanned;

/// `#[durable_object(args)] item`.
pub(crate) fn durable_object(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = ClassOptions::read(args, &mut errors);
    let block = match check::input(item).and_then(|()| syn::parse2::<ImplBlock>(item.clone())) {
        Ok(block) => block,
        Err(error) => {
            errors.push(error);
            return fallback::as_written(item, errors);
        }
    };
    let Some(class) = check::class(&block, options, &mut errors) else {
        return fallback::as_written(&block, errors);
    };
    let errors = errors.into_tokens();
    let stub = stub::stub(&class);
    let messages = message::messages(&class);
    let object = object::object(&class);
    // Methods must be `pub` to be callable, also where the type is private; the lint would advise
    // against that.
    quote!(#errors #[allow(unreachable_pub)] #block #stub #messages #object)
}

/// The place of a user's token, for generated tokens: rustc reports there what is wrong with them,
/// and its lints still know that no person wrote them.
fn place(tokens: &impl Spanned) -> Span {
    Span::call_site().located_at(tokens.span())
}

/// The tokens as if they stood at `span`.
fn at(tokens: &TokenStream, span: Span) -> TokenStream {
    let moved = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    tokens.clone().into_iter().map(moved).collect()
}

/// `#[derive(DurableState)] item`.
pub(crate) fn durable_state(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(state) = check::state(item, &mut errors) else {
        return errors.into_tokens();
    };
    let errors = errors.into_tokens();
    let state = state::state(&state);
    quote!(#errors #state)
}

/// `#[derive(Supervisor)] item`.
pub(crate) fn derive_supervisor(item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(tree) = check::supervisor(item, &mut errors) else {
        return errors.into_tokens();
    };
    let errors = errors.into_tokens();
    let tree = supervisor::supervisor(&tree);
    quote!(#errors #tree)
}
