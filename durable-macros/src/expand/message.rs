//! The two enums of a class: calls and replies, one variant for each method.

use proc_macro2::TokenStream;
use quote::quote;

use super::stub::output;
use crate::model::{Class, Method};
use crate::names;

pub(super) fn messages(class: &Class) -> TokenStream {
    let Class { visibility, call, reply, .. } = class;
    let call_doc = format!(
        "The messages of the class [`{}`], stored as `{}`: one for each method that can be called.",
        class.ident, class.name
    );
    let reply_doc = format!("What the methods of the class `{}` return.", class.name);
    let calls = class.methods.iter().map(call_variant);
    let replies = class.methods.iter().map(|method| {
        let Method { cfgs, variant, .. } = method;
        let output = output(method);
        quote!(#(#cfgs)* #variant(#output))
    });
    let names = class.methods.iter().map(|method| {
        let Method { cfgs, variant, wire_name, .. } = method;
        quote!(#(#cfgs)* #call::#variant { .. } => #wire_name,)
    });
    let f = names::local("f");
    quote! {
        #[doc = #call_doc]
        #[allow(private_interfaces, dead_code, unreachable_pub, non_camel_case_types, deprecated)]
        #[allow(rustdoc::private_intra_doc_links, rustdoc::broken_intra_doc_links)]
        #[allow(clippy::all, clippy::pedantic)]
        #visibility enum #call {
            #(#calls,)*
        }

        /// Shows the method's name and none of the arguments, which may be secret or large.
        #[allow(unreachable_code)]
        impl ::core::fmt::Debug for #call {
            fn fmt(&self, #f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #f.write_str(match *self { #(#names)* })
            }
        }

        #[doc(hidden)]
        #[doc = #reply_doc]
        #[allow(private_interfaces, dead_code, unreachable_pub, non_camel_case_types, deprecated)]
        #[allow(missing_docs, missing_debug_implementations)]
        #[allow(clippy::all, clippy::pedantic)]
        #visibility enum #reply {
            #(#replies,)*
        }
    }
}

fn call_variant(method: &Method) -> TokenStream {
    let Method { ident, variant, docs, cfgs, .. } = method;
    let names = method.args.iter().map(|arg| &arg.ident);
    let types = method.args.iter().map(|arg| &arg.ty);
    let arg_docs = method.args.iter().map(|arg| format!("Argument `{}`.", names::text(&arg.ident)));
    let default_doc = docs.is_empty().then(|| {
        let doc = format!("Calls `{}`.", names::text(ident));
        quote!(#[doc = #doc])
    });
    quote! {
        #(#cfgs)*
        #(#docs)*
        #default_doc
        #variant { #(#[doc = #arg_docs] #names: #types),* }
    }
}
