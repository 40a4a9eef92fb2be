//! The four dispatchers: from a message to the user's method, and from what it returned to a reply.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::place;
use super::stub::fallible;
use crate::attr::{Http, SocketEvent};
use crate::model::{Access, Class, Method};
use crate::names;

/// The dispatchers that have a method; the trait answers for the others.
pub(super) fn dispatchers(class: &Class) -> TokenStream {
    let kinds = [
        (Access::Read, false),
        (Access::Read, true),
        (Access::Write, false),
        (Access::Write, true),
    ];
    kinds.into_iter().filter_map(|(access, is_async)| dispatcher(class, access, is_async)).collect()
}

fn dispatcher(class: &Class, access: Access, is_async: bool) -> Option<TokenStream> {
    let mut methods = class
        .methods
        .iter()
        .filter(|method| method.access == access && method.is_async == is_async)
        .peekable();
    methods.peek()?;
    let private = &class.private;
    let (cx, call, other) = (names::local("cx"), names::local("call"), names::local("other"));
    let arms = methods.map(|method| arm(class, method));
    let body = quote! {
        let _ = &#cx;
        match #call {
            #(#arms)*
            #other => #private::misdirected(method_of(&#other)),
        }
    };
    let lifetime = is_async.then(|| quote!('t));
    let exclusive = (access == Access::Write).then(|| quote!(mut));
    let name = match (access, is_async) {
        (Access::Read, false) => quote!(read),
        (Access::Read, true) => quote!(read_async),
        (Access::Write, false) => quote!(write),
        (Access::Write, true) => quote!(write_async),
    };
    let ran = quote!(#private::Ran<Self::Reply>);
    let ran = if is_async { quote!(#private::BoxFuture<'t, #ran>) } else { ran };
    let generics = lifetime.as_ref().map(|lifetime| quote!(<#lifetime>));
    Some(quote! {
        fn #name #generics(
            & #lifetime #exclusive self,
            #cx: & #lifetime #exclusive #private::Context<'_, Self>,
            #call: Self::Call,
        ) -> #ran {
            #body
        }
    })
}

/// One method's arm. Each async arm is boxed by itself, so that a turn's box has the size of its
/// own method.
fn arm(class: &Class, method: &Method) -> TokenStream {
    let Class { private, call, reply, .. } = class;
    let Method { ident, variant, cfgs, .. } = method;
    let args = method.args.iter().map(|arg| &arg.ident).collect::<Vec<_>>();
    let cx = method.has_context.then(|| {
        let cx = names::local("cx");
        quote!(#cx,)
    });
    let wait = method.is_async.then(|| quote!(.await));
    let fallible = fallible(class, method);
    let run = quote_spanned!(place(ident)=> Self::#ident(self, #cx #(#args),*));
    let returned = match &method.item {
        None => quote!(#run #wait),
        Some(_) => {
            let (cx, stream) = (names::local("cx"), names::local("stream"));
            quote! {{
                let #stream = #run #wait;
                #private::Context::pour(#cx, #stream)
            }}
        }
    };
    let returned = match method.http {
        Http::Socket(SocketEvent::Connect) => {
            let cx = names::local("cx");
            let socket = args.first().expect("it takes a socket");
            quote! {{
                #private::Context::let_in(&*#cx, #socket);
                #returned
            }}
        }
        _ => returned,
    };
    let ran = quote! {
        #private::Ran::new::<{ #fallible }, _>(#returned, #reply::#variant)
    };
    let ran = if method.is_async {
        // The span puts rustc's "future is not `Send`" on the user's method.
        quote_spanned!(place(ident)=> ::std::boxed::Box::pin(async move { #ran }))
    } else {
        ran
    };
    quote!(#(#cfgs)* #call::#variant { #(#args),* } => #ran,)
}
