//! What callers outside of Rust reach: arguments by the names of the parameters, results as values of any format.
//!
//! Only for classes that opt in. As with the codec, a type without serde's traits is reported by the probes, and not here.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Meta;
use syn::spanned::Spanned;

use super::stub::{fallible, output};
use super::{at, place, sockets};
use crate::attr::Http;
use crate::model::{Class, Method};
use crate::names;

/// The function of `impl Object` that leads to the rest. `None`: the class has not opted in.
pub(super) fn expose(class: &Class) -> Option<TokenStream> {
    let private = &class.private;
    let visitor = names::local("visitor");
    class.is_http.then(|| {
        quote! {
            fn expose<V: #private::Exposure<Self>>(
                #visitor: V,
            ) -> ::core::option::Option<V::Out> {
                ::core::option::Option::Some(#private::Exposure::visit(#visitor))
            }
        }
    })
}

/// `impl Exposed`, and what it goes through. `None`: the class has not opted in.
pub(super) fn exposed(class: &Class) -> Option<TokenStream> {
    if !class.is_http {
        return None;
    }
    let Class { private, ty, .. } = class;
    let [method, args, reply, serializer] =
        ["method", "args", "reply", "serializer"].map(names::local);
    let is_named =
        |method: &&Method| !matches!(method.http, Http::Off | Http::Fetch | Http::Socket(_));
    let methods = || class.methods.iter().filter(is_named);
    let fetches = class.methods.iter().filter(|method| method.http == Http::Fetch);
    let fetches = fetches.map(|method| fetch(class, method));
    let sockets = class.methods.iter().filter_map(|method| sockets::hears(class, method));
    let specs = methods().map(|method| spec(class, method));
    let shapes = methods().map(|method| shape(class, method));
    let decode = methods().map(|method| decode(class, method));
    let values = methods().filter(|method| method.item.is_none());
    let encode = values.map(|method| encode(class, method));
    let feed = methods().filter(|method| method.item.is_some()).map(|method| feed(class, method));
    let given = names::local("feed");
    let unserved = "the method cannot be called from outside";
    let codec = codec(class);
    Some(quote! {
        impl #private::Exposed for #ty {
            const METHODS: &'static [#private::ExposedMethod] = &[#(#specs),*];
            const SHAPES: &'static [#private::MethodShape] = {
                #[allow(unused_imports)]
                use #private::Unshaped as _;
                &[#(#shapes),*]
            };
            #(#fetches)*
            #(#sockets)*

            fn decode_named<'de, D: #private::serde::Deserializer<'de>>(
                #method: &str,
                #args: D,
            ) -> ::core::result::Result<Self::Call, D::Error> {
                let _ = &#args;
                match #method {
                    #(#decode)*
                    _ => ::core::result::Result::Err(<D::Error as #private::serde::de::Error>::custom(#unserved)),
                }
            }

            fn encode_named<S: #private::serde::Serializer>(
                #reply: &Self::Reply,
                #serializer: S,
            ) -> ::core::result::Result<#private::Answered<S::Ok>, S::Error> {
                let _ = &#serializer;
                match *#reply {
                    #(#encode)*
                    _ => ::core::result::Result::Err(<S::Error as #private::serde::ser::Error>::custom(#unserved)),
                }
            }

            fn feed_named<F: #private::Feed>(
                #reply: Self::Reply,
                #given: F,
            ) -> ::core::result::Result<F::Out, Self::Reply> {
                let _ = &#given;
                match #reply {
                    #(#feed)*
                    #reply => ::core::result::Result::Err(#reply),
                }
            }
        }

        #codec
    })
}

/// `__Named`, which both functions go through, and `__Unnamed`, which is taken where serde's traits are missing.
fn codec(class: &Class) -> TokenStream {
    let private = &class.private;
    let [value, names, from, to, index] =
        ["value", "names", "from", "to", "index"].map(names::local);
    let decoded = quote!(::core::result::Result<T, D::Error>);
    let encoded = quote!(::core::result::Result<#private::Answered<S::Ok>, S::Error>);
    let items = quote!(#private::ItemStream<T>);
    quote! {
        #[allow(dead_code)]
        struct __Named<T, const FALLIBLE: bool>(::core::marker::PhantomData<T>);

        #[allow(dead_code)]
        impl<T: #private::Arguments> __Named<T, false> {
            fn decode<'de, D: #private::serde::Deserializer<'de>>(
                #names: &'static [&'static str],
                #from: D,
            ) -> #decoded {
                #private::decode_arguments(#names, #from)
            }

            fn may_lack(#index: usize) -> bool {
                <T as #private::Arguments>::may_lack(#index)
            }
        }

        #[allow(dead_code)]
        impl<T: #private::NamedReply<FALLIBLE>, const FALLIBLE: bool> __Named<T, FALLIBLE> {
            fn encode<S: #private::serde::Serializer>(#value: &T, #to: S) -> #encoded {
                #private::NamedReply::<FALLIBLE>::encode(#value, #to)
            }
        }

        #[allow(dead_code)]
        impl<T: #private::serde::Serialize + ::core::marker::Send + 'static> __Named<T, true> {
            fn feed<F: #private::Feed>(#value: #items, #to: F) -> F::Out {
                #private::Feed::feed(#to, #value)
            }
        }

        #[allow(dead_code)]
        trait __Unnamed<T> {
            fn decode<'de, D: #private::serde::Deserializer<'de>>(
                _: &'static [&'static str],
                _: D,
            ) -> #decoded {
                ::core::unreachable!()
            }

            fn may_lack(_: usize) -> bool {
                ::core::unreachable!()
            }

            fn encode<S: #private::serde::Serializer>(_: &T, _: S) -> #encoded {
                ::core::unreachable!()
            }

            fn feed<F: #private::Feed>(_: #items, _: F) -> F::Out {
                ::core::unreachable!()
            }
        }

        impl<T, const FALLIBLE: bool> __Unnamed<T> for __Named<T, FALLIBLE> {}
    }
}

fn spec(class: &Class, method: &Method) -> TokenStream {
    let private = &class.private;
    let Method { cfgs, wire_name, http, .. } = method;
    let verb = if *http == Http::Get { quote!(Get) } else { quote!(Post) };
    let names = arg_names(method);
    quote! {
        #(#cfgs)*
        #private::ExposedMethod::new(#wire_name, #private::Verb::#verb, #names)
    }
}

/// The method that takes whole requests.
fn fetch(class: &Class, method: &Method) -> TokenStream {
    let Class { private, call, reply, .. } = class;
    let Method { cfgs, variant, wire_name, .. } = method;
    let [returned, other] = ["returned", "other"].map(names::local);
    let arg = method.args.first().expect("it takes a request");
    let (name, ty, output) = (&arg.ident, &arg.ty, output(method));
    let output = at(&output, place(&output));
    // Errors about the types stand where the user wrote them.
    let request = Ident::new("request", Span::mixed_site().located_at(ty.span()));
    let takes = quote!(#call::#variant { #name: #request });
    quote! {
        #(#cfgs)*
        const FETCH: ::core::option::Option<#private::Fetch<Self>> =
            ::core::option::Option::Some(#private::Fetch::new(
                #wire_name,
                |#request| #takes,
                |#returned| match #returned {
                    #reply::#variant(#returned) => ::core::result::Result::Ok(
                        <#output as #private::Fetched>::into_response(#returned)
                    ),
                    #[allow(unreachable_patterns)]
                    #other => ::core::result::Result::Err(#other),
                },
            ));
    }
}

/// What the method takes and gives.
fn shape(class: &Class, method: &Method) -> TokenStream {
    let private = &class.private;
    let Method { cfgs, deprecated, item, .. } = method;
    let docs = method.docs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(doc) => Some(&doc.value),
        _ => None,
    });
    let of = |ty: TokenStream| quote!(#private::ShapeOf::<#ty>::SHAPE);
    let args = method.args.iter().map(|arg| of(arg.ty.to_token_stream()));
    let (types, output, fallible) = (arg_types(method), output(method), fallible(class, method));
    let part =
        |name: TokenStream| of(quote!(<#output as #private::ReplyParts<{ #fallible }>>::#name));
    let value = match item {
        Some(item) => of(item.to_token_stream()),
        None => part(quote!(Value)),
    };
    let rejects = item.is_none().then(|| {
        let rejection = part(quote!(Rejection));
        quote!(.rejects({ #fallible }, #rejection))
    });
    let deprecated = (!deprecated.is_empty()).then(|| quote!(.deprecated()));
    quote! {
        #(#cfgs)*
        #private::MethodShape::new(
            &[#(#docs),*],
            &[#(#args),*],
            __Named::<#types, false>::may_lack,
            #value,
        ) #rejects #deprecated
    }
}

/// The types of the arguments, in pairs, so that there may be as many as a method has.
fn arg_types(method: &Method) -> TokenStream {
    method.args.iter().rev().fold(quote!(()), |rest, arg| {
        let ty = &arg.ty;
        quote!((#ty, #rest))
    })
}

fn arg_names(method: &Method) -> TokenStream {
    let names = method.args.iter().map(|arg| names::text(&arg.ident));
    quote!(&[#(#names),*])
}

fn decode(class: &Class, method: &Method) -> TokenStream {
    let call = &class.call;
    let Method { cfgs, variant, wire_name, .. } = method;
    let args = names::local("args");
    let names = arg_names(method);
    let idents = method.args.iter().map(|arg| &arg.ident).collect::<Vec<_>>();
    let types = arg_types(method);
    let values = idents.iter().rev().fold(quote!(()), |rest, ident| quote!((#ident, #rest)));
    quote! {
        #(#cfgs)*
        #wire_name => __Named::<#types, false>::decode(#names, #args)
            .map(|#values| #call::#variant { #(#idents),* }),
    }
}

fn encode(class: &Class, method: &Method) -> TokenStream {
    let reply = &class.reply;
    let Method { cfgs, variant, .. } = method;
    let [returned, serializer] = ["returned", "serializer"].map(names::local);
    let (output, fallible) = (output(method), fallible(class, method));
    quote! {
        #(#cfgs)*
        #reply::#variant(ref #returned) => {
            __Named::<#output, { #fallible }>::encode(#returned, #serializer)
        }
    }
}

fn feed(class: &Class, method: &Method) -> TokenStream {
    let reply = &class.reply;
    let Method { cfgs, variant, item, .. } = method;
    let [returned, to] = ["returned", "feed"].map(names::local);
    quote! {
        #(#cfgs)*
        #reply::#variant(#returned) => {
            ::core::result::Result::Ok(__Named::<#item, true>::feed(#returned, #to))
        }
    }
}
