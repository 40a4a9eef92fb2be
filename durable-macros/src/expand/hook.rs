//! The run of a hook, whatever it takes and gives.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use super::{at, place};
use crate::model::{Class, Hook};

/// The future of a hook of `self`, which is handed `cx` and `info` if it takes them. What it gives becomes a `Result` by
/// the trait `output` of the library, whose refusals are read where the user wrote the hook.
pub(super) fn run(
    class: &Class,
    hook: &Hook,
    output: &str,
    cx: &Ident,
    info: &Ident,
) -> TokenStream {
    let Hook { ident, .. } = hook;
    let context = hook.has_context.then(|| quote!(#cx,));
    let info = hook.has_info.then_some(info);
    let wait = hook.is_async.then(|| quote!(.await));
    let span = place(ident);
    let private = at(&class.private, span);
    let gives = Ident::new(output, Span::call_site());
    let output = hook.output.as_ref().map_or_else(|| quote!(()), |ty| quote!(#ty));
    quote_spanned! {span=>
        ::std::boxed::Box::pin(async move {
            <#output as #private::#gives>::into_result(Self::#ident(self, #context #info)#wait)
        })
    }
}
