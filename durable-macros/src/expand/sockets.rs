//! The methods that hear of sockets, as the class's opening to callers outside of Rust names them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::stub::output;
use super::{at, place};
use crate::attr::{Http, SocketEvent};
use crate::model::{Class, Method};
use crate::names;

/// What the class says of a method. `None`: it hears of no sockets.
pub(super) fn hears(class: &Class, method: &Method) -> Option<TokenStream> {
    let Http::Socket(event) = method.http else { return None };
    let Class { private, call, .. } = class;
    let Method { cfgs, variant, wire_name, .. } = method;
    let [first, second] = &method.args[..] else { unreachable!("it takes two arguments") };
    // Errors about the types stand where the user wrote them.
    let local = |name: &str, span: Span| Ident::new(name, Span::mixed_site().located_at(span));
    let (socket, heard) = (local("socket", first.ty.span()), local("heard", second.ty.span()));
    let (first, second) = (&first.ident, &second.ident);
    let takes = quote!(|#socket, #heard| #call::#variant { #first: #socket, #second: #heard });
    let (name, ty, given) = match event {
        SocketEvent::Connect => {
            let answer = answer(class, method, "Connected", "into_result");
            ("ON_CONNECT", "OnConnect", quote!(#wire_name, #takes, #answer))
        }
        SocketEvent::Message => {
            let answer = answer(class, method, "Handled", "into_close");
            ("ON_MESSAGE", "OnMessage", quote!(#wire_name, #takes, #answer))
        }
        SocketEvent::Close => ("ON_CLOSE", "OnClose", takes),
        SocketEvent::Error => ("ON_ERROR", "OnError", takes),
    };
    let [name, ty] = [name, ty].map(|word| Ident::new(word, Span::call_site()));
    Some(quote! {
        #(#cfgs)*
        const #name: ::core::option::Option<#private::#ty<Self>> =
            ::core::option::Option::Some(#private::#ty::new(#given));
    })
}

/// What the method's reply says, by a trait of the library.
fn answer(class: &Class, method: &Method, by: &str, says: &str) -> TokenStream {
    let Class { private, reply, .. } = class;
    let variant = &method.variant;
    let [returned, other] = ["returned", "other"].map(names::local);
    let output = output(method);
    let span = place(&output);
    let [by, says] = [by, says].map(|word| Ident::new(word, span));
    let (output, private) = (at(&output, span), at(private, span));
    let said = quote_spanned!(span=> <#output as #private::#by>::#says(#returned));
    quote! {
        |#returned| match #returned {
            #reply::#variant(#returned) => ::core::result::Result::Ok(#said),
            #[allow(unreachable_patterns)]
            #other => ::core::result::Result::Err(#other),
        }
    }
}
