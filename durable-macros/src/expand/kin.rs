//! What a class says of its objects' crashes and of their children, and the hooks that hear of the end of others.

use proc_macro2::TokenStream;
use quote::quote;

use super::hook;
use crate::model::{ChildrenOptions, Class, Hook};
use crate::names;

/// The part of the class's description.
pub(super) fn spec(class: &Class) -> TokenStream {
    let private = &class.private;
    let ChildrenOptions { strategy, intensity, period_ms } = &class.children;
    let strategy =
        strategy.as_ref().map(|variant| quote!(.strategy(#private::ChildStrategy::#variant)));
    let intensity = intensity.map(|intensity| quote!(.intensity(#intensity)));
    let period = period_ms.map(|period_ms| quote!(.period_ms(#period_ms)));
    let said = [&strategy, &intensity, &period];
    let children = said
        .iter()
        .any(|part| part.is_some())
        .then(|| quote!(.children(#private::ChildrenSpec::new() #strategy #intensity #period)));
    let crashes = class.crashes.map(|crashes| quote!(.crashes(#crashes)));
    let crash_period = class.crash_period_ms.map(|ms| quote!(.crash_period_ms(#ms)));
    let exits = (!class.child_exits.is_empty()).then(|| quote!(.hears_child_exits()));
    let downs = (!class.downs.is_empty()).then(|| quote!(.hears_downs()));
    quote!(#children #crashes #crash_period #exits #downs)
}

/// Runs the hooks. `None`: the class has none.
pub(super) fn hear(class: &Class) -> Option<TokenStream> {
    let private = &class.private;
    if class.child_exits.is_empty() && class.downs.is_empty() {
        return None;
    }
    let exits = class.child_exits.iter().map(|hook| arm(class, hook, quote!(ChildExit)));
    let downs = class.downs.iter().map(|hook| arm(class, hook, quote!(Down)));
    let (cx, notice) = (names::local("cx"), names::local("notice"));
    Some(quote! {
        fn hear<'t>(
            &'t mut self,
            #cx: &'t mut #private::Context<'_, Self>,
            #notice: #private::Notice,
        ) -> ::core::option::Option<
            #private::BoxFuture<'t, ::core::result::Result<(), ::std::string::String>>,
        > {
            let _ = &#cx;
            match #notice {
                #(#exits)*
                #(#downs)*
                _ => ::core::option::Option::None,
            }
        }
    })
}

fn arm(class: &Class, hook: &Hook, variant: TokenStream) -> TokenStream {
    let private = &class.private;
    let cfgs = &hook.cfgs;
    let (cx, told) = (names::local("cx"), names::local("told"));
    let run = hook::run(class, hook, "Heard", &cx, &told);
    quote! {
        #(#cfgs)*
        #private::Notice::#variant(#told) => {
            let _ = &#told;
            ::core::option::Option::Some(#run)
        }
    }
}
