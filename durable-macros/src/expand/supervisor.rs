//! Prints a struct's tree as the calls that a person would have written.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use super::place;
use crate::attr::{ChildOptions, Stop};
use crate::model::{SupervisorChild, SupervisorTree};
use crate::names;

/// `From<Struct> for Supervisor`, and `ChildField`, so that it may be a field of another one.
pub(super) fn supervisor(tree: &SupervisorTree) -> TokenStream {
    let SupervisorTree { private, ident, generics, name, options, children } = tree;
    let (impls, types, wheres) = generics.split_for_impl();
    let value = names::local("value");
    let strategy =
        options.strategy.as_ref().map_or("one_for_one".into(), |strategy| strategy.value());
    let strategy = Ident::new(&strategy, ident.span());
    let intensity = match &options.intensity {
        Some(intensity) => quote!(#intensity),
        None => quote!(1),
    };
    let period_ms = options.period_ms.unwrap_or(5_000);
    let auto = options.auto_shutdown.as_ref().map(|variant| {
        let variant = Ident::new(&variant.to_string(), ident.span());
        quote!(.auto_shutdown(#private::AutoShutdown::#variant))
    });
    let children = children.iter().map(|child| one(child, private, &value));
    quote! {
        impl #impls ::core::convert::From<#ident #types> for #private::Supervisor #wheres {
            fn from(#value: #ident #types) -> Self {
                #private::Supervisor::#strategy(#name)
                    .intensity(#intensity, ::core::time::Duration::from_millis(#period_ms))
                    #auto
                    #(.child(#children))*
            }
        }

        impl #impls #private::ChildField for #ident #types #wheres {
            fn into_child(self, _: &str) -> #private::Child {
                ::core::convert::From::from(<#private::Supervisor as ::core::convert::From<Self>>::from(self))
            }
        }
    }
}

/// One child. It stands at its field's type: if that is no child, rustc says so there.
fn one(child: &SupervisorChild, private: &TokenStream, value: &Ident) -> TokenStream {
    let SupervisorChild { name, ident, ty, options } = child;
    let private = super::at(private, place(ty));
    let made =
        quote_spanned!(place(ty)=> <#ty as #private::ChildField>::into_child(#value.#ident, #name));
    let ChildOptions { restart, shutdown, significant, backoff_ms } = options;
    let plain = |variant: &Ident| Ident::new(&variant.to_string(), ident.span());
    let restart = restart.as_ref().map(|variant| {
        let variant = plain(variant);
        quote!(.restart(#private::Restart::#variant))
    });
    let shutdown = shutdown.as_ref().map(|stop| match stop {
        Stop::Always(variant) => {
            let variant = plain(variant);
            quote!(.shutdown(#private::Shutdown::#variant))
        }
        Stop::Time(ms) => quote!(.shutdown(::core::time::Duration::from_millis(#ms))),
    });
    let significant = significant.as_ref().map(|_| quote!(.significant()));
    let backoff = backoff_ms.map(|(first, longest)| {
        quote!(.backoff(#private::Backoff::new(
            ::core::time::Duration::from_millis(#first),
            ::core::time::Duration::from_millis(#longest),
        )))
    });
    quote!(#made #restart #shutdown #significant #backoff)
}
