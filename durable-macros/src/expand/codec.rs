//! What of a class leaves the process: calls by the name of their method, replies, both as bytes.
//!
//! Arguments are encoded as one tuple, in order. A type that cannot be encoded is reported by the
//! probes, at the place where the user wrote it; nothing here may report it again.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::stub::output;
use crate::model::{Class, Method};
use crate::names;

/// Serde knows tuples of at most so many members.
const TUPLE_MEMBERS_MAX: usize = 16;

/// The four functions of `impl Object`.
pub(super) fn functions(class: &Class) -> TokenStream {
    let private = &class.private;
    let [call, reply, method, bytes] = ["call", "reply", "method", "bytes"].map(names::local);
    let encode_calls = class.methods.iter().map(|method| encode_call(class, method));
    let decode_calls = class.methods.iter().map(|method| decode_call(class, method));
    let encode_replies = class.methods.iter().map(|method| encode_reply(class, method));
    let decode_replies = class.methods.iter().map(|method| decode_reply(class, method));
    let encoded = quote!(::core::result::Result<::std::vec::Vec<u8>, #private::EncodeError>);
    let decoded = |ty: TokenStream| quote!(::core::result::Result<#ty, #private::DecodeError>);
    let (decoded_call, decoded_reply) = (decoded(quote!(Self::Call)), decoded(quote!(Self::Reply)));
    let unknown = quote! {
        _ => ::core::result::Result::Err(#private::DecodeError::unknown_method(#method)),
    };
    // Matched by place, so that the enum of a class without methods needs no arm.
    quote! {
        fn encode_call(#call: &Self::Call) -> #encoded {
            match *#call { #(#encode_calls)* }
        }

        fn decode_call(#method: &str, #bytes: &[u8]) -> #decoded_call {
            let _ = #bytes;
            match #method { #(#decode_calls)* #unknown }
        }

        fn encode_reply(#reply: &Self::Reply) -> #encoded {
            match *#reply { #(#encode_replies)* }
        }

        fn decode_reply(#method: &str, #bytes: &[u8]) -> #decoded_reply {
            let _ = #bytes;
            match #method { #(#decode_replies)* #unknown }
        }
    }
}

/// `__Codec`, which the four functions go through: where serde's traits are there, rustc takes its
/// own functions; where they are missing, those of `__Reported`, which ask for nothing. The user's
/// types are looked up beside both, so both have names that no one gives to a type.
pub(super) fn codec(class: &Class) -> TokenStream {
    let private = &class.private;
    let [value, bytes] = ["value", "bytes"].map(names::local);
    let encoded = quote!(::core::result::Result<::std::vec::Vec<u8>, #private::EncodeError>);
    let decoded = quote!(::core::result::Result<T, #private::DecodeError>);
    quote! {
        #[allow(dead_code)]
        struct __Codec<T>(::core::marker::PhantomData<T>);

        #[allow(dead_code)]
        impl<T: #private::serde::Serialize> __Codec<T> {
            fn encode(#value: &T) -> #encoded {
                #private::encode_wire(#value)
            }
        }

        #[allow(dead_code)]
        impl<T: #private::serde::de::DeserializeOwned> __Codec<T> {
            fn decode(#bytes: &[u8]) -> #decoded {
                #private::decode_wire(#bytes)
            }
        }

        #[allow(dead_code)]
        trait __Reported<T> {
            fn encode(_: &T) -> #encoded {
                ::core::unreachable!()
            }

            fn decode(_: &[u8]) -> #decoded {
                ::core::unreachable!()
            }
        }

        impl<T> __Reported<T> for __Codec<T> {}
    }
}

fn encode_call(class: &Class, method: &Method) -> TokenStream {
    let call = &class.call;
    let Method { cfgs, variant, .. } = method;
    let names = method.args.iter().map(|arg| &arg.ident).collect::<Vec<_>>();
    let types = tuple(method.args.iter().map(|arg| {
        let ty = &arg.ty;
        quote!(&#ty)
    }));
    let values = tuple(&names);
    quote! {
        #(#cfgs)*
        #call::#variant { #(ref #names),* } => __Codec::<#types>::encode(&#values),
    }
}

fn decode_call(class: &Class, method: &Method) -> TokenStream {
    let call = &class.call;
    let Method { cfgs, variant, wire_name, .. } = method;
    let bytes = names::local("bytes");
    let names = method.args.iter().map(|arg| &arg.ident).collect::<Vec<_>>();
    let types = tuple(method.args.iter().map(|arg| &arg.ty));
    let values = tuple(&names);
    quote! {
        #(#cfgs)*
        #wire_name => __Codec::<#types>::decode(#bytes)
            .map(|#values| #call::#variant { #(#names),* }),
    }
}

fn encode_reply(class: &Class, method: &Method) -> TokenStream {
    let reply = &class.reply;
    let Method { cfgs, variant, .. } = method;
    let returned = names::local("returned");
    let output = output(method);
    quote! {
        #(#cfgs)*
        #reply::#variant(ref #returned) => __Codec::<#output>::encode(#returned),
    }
}

fn decode_reply(class: &Class, method: &Method) -> TokenStream {
    let reply = &class.reply;
    let Method { cfgs, variant, wire_name, .. } = method;
    let bytes = names::local("bytes");
    let output = output(method);
    quote! {
        #(#cfgs)*
        #wire_name => __Codec::<#output>::decode(#bytes).map(#reply::#variant),
    }
}

/// A tuple of any length. The members of inner tuples are encoded like those of the outer one, one
/// after the other, so nesting changes no bytes.
fn tuple<T: ToTokens>(members: impl IntoIterator<Item = T>) -> TokenStream {
    let closed = |members: &[TokenStream]| quote!((#(#members,)*));
    let mut members = members.into_iter().map(T::into_token_stream).collect::<Vec<_>>();
    while members.len() > TUPLE_MEMBERS_MAX {
        members = members.chunks(TUPLE_MEMBERS_MAX).map(closed).collect();
    }
    closed(&members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuple_has_at_most_sixteen_members_on_each_floor() {
        let of = |count: u32| tuple((0..count).map(|member| quote!(#member))).to_string();
        assert_eq!(of(0), "()");
        assert_eq!(of(1), quote!((0u32,)).to_string());
        let full = quote!((
            0u32, 1u32, 2u32, 3u32, 4u32, 5u32, 6u32, 7u32, 8u32, 9u32, 10u32, 11u32, 12u32, 13u32,
            14u32, 15u32,
        ));
        assert_eq!(of(16), full.to_string());
        assert_eq!(of(17), quote!((#full, (16u32,),)).to_string());
        assert!(of(256).starts_with("((0u32"));
        assert!(of(257).starts_with("(((0u32"));
    }
}
