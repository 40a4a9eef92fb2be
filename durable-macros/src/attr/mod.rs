//! The grammar of attributes: options of the class, marks on functions, serde's attributes on
//! stored types. Every wrong option is reported. The options of tests stand beside their rules.

mod class;
mod options;
mod state;
mod supervisor;

pub(crate) use class::{ClassOptions, Http, Marks, SocketEvent};
pub(crate) use options::{each_option, once, set, wrong};
pub(crate) use state::{Place, SerdeAttrs, StateOptions};
pub(crate) use supervisor::{ChildOptions, Stop, SupervisorOptions};

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Path;

/// `::durable::__private`, or that of the crate that `crate = …` names.
fn private(krate: Option<&Path>) -> TokenStream {
    match krate {
        Some(krate) => quote!(#krate::__private),
        None => quote!(::durable::__private),
    }
}

/// The place of a mistake that has no token of its own: the whole attribute.
pub(crate) fn whole_attribute() -> Span {
    Span::call_site()
}
