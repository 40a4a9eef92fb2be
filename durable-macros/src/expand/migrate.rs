//! From older versions of the state to the class.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;

use super::{at, place};
use crate::model::{Class, Migration};
use crate::names;

/// `Object::migrate`; nothing for a class without migrations.
pub(super) fn migrate(class: &Class) -> Option<TokenStream> {
    let Class { private, migrations, .. } = class;
    migrations.first()?;
    let old = names::local("old");
    let arms = (0..migrations.len()).map(|first| {
        let (version, taken) = (migrations[first].from, &migrations[first].taken);
        let read = quote_spanned!(place(taken)=> #old.read::<#taken>());
        let route = route(&migrations[first..]);
        let steps = route.iter().enumerate().map(|(place, step)| {
            let wanted = route.get(place + 1).map_or(&class.ty, |next| &next.taken);
            step_of(class, step, wanted)
        });
        quote!(#version => #read #(#steps)*,)
    });
    Some(quote! {
        fn migrate(
            #old: &#private::OldState<'_>,
        ) -> ::core::option::Option<::core::result::Result<Self, #private::Error>> {
            #[allow(unused_imports)]
            use #private::Plain as _;
            ::core::option::Option::Some(match #old.version() {
                #(#arms)*
                _ => return ::core::option::Option::None,
            })
        }
    })
}

/// The steps up to the first that gives the class.
fn route(steps: &[Migration]) -> &[Migration] {
    let last = steps.iter().position(|step| step.leads_to_class).unwrap_or(steps.len() - 1);
    &steps[..=last]
}

/// One step. All of it stands at what the step returns: if that is not what is wanted next, rustc
/// says so there.
fn step_of(class: &Class, step: &Migration, wanted: &Type) -> TokenStream {
    let Migration { ident, from, output, .. } = step;
    let span = place(output);
    let (private, wanted) = (at(&class.private, span), at(&wanted.to_token_stream(), span));
    let local = |name| Ident::new(name, Span::mixed_site().located_at(span));
    let (old, state, next) = (local("old"), local("state"), local("next"));
    quote_spanned! {span=>
        .and_then(|#state| {
            let #next: ::core::result::Result<#wanted, #private::Error> = #old
                .migrated::<{ #private::Probe::<#output>::FALLIBLE }, _>(#from, Self::#ident(#state));
            #next
        })
    }
}
