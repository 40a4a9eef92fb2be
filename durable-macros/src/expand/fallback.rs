//! What is emitted for an input that no class can be made of.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::errors::Errors;

/// The user's code beside the errors: without it every use of its methods would be an error too,
/// and an editor would stop completing them.
pub(super) fn as_written(item: &impl ToTokens, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    quote!(#errors #item)
}
