//! Durable state: serde's traits by a mirror of the type, the schema, and the mark that both are
//! there.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{GenericParam, Generics, LitStr, TypeParam};

use crate::model::{Codec, State, StateBody, StateField, StateFields, StateVariant, compact};
use crate::names;

pub(super) fn state(state: &State) -> TokenStream {
    let serde = (!state.has_own_serde).then(|| serde(state));
    let schema = schema(state);
    let State { private, ident, generics, .. } = state;
    let (params, args, clause) = generics.split_for_impl();
    let clause = with_bounds(state, clause);
    let probes = probes(state);
    quote! {
        #[allow(deprecated)]
        #[allow(clippy::all, clippy::pedantic)]
        const _: () = {
            #serde
            #schema
            #probes

            #[automatically_derived]
            impl #params #private::DurableState for #ident #args #clause {}
        };
    }
}

/// The user's `where` clause, and that every parameter can be stored.
fn with_bounds(state: &State, clause: Option<&syn::WhereClause>) -> TokenStream {
    let own = clause.map(|clause| &clause.predicates).into_iter().flatten();
    let params = param_bounds(state);
    let fields = field_bounds(state);
    quote!(where #(#own,)* #params #fields)
}

fn param_bounds(state: &State) -> TokenStream {
    let private = &state.private;
    let params = state.generics.type_params().map(|TypeParam { ident, .. }| ident);
    quote!(#(#params: #private::DurableState,)*)
}

/// That the fields can be stored, as an assumption: a field that cannot is reported once, by its
/// probe, and not by every line of serde's code. The lifetime, which nothing uses, keeps rustc from
/// checking the assumption at once.
fn field_bounds(state: &State) -> TokenStream {
    let private = &state.private;
    let serde = quote!(#private::serde::Serialize + #private::serde::de::DeserializeOwned);
    let schema = quote!(#private::postcard_schema::Schema);
    let bounds = state.fields().into_iter().filter_map(|field| {
        let StateField { ty, schema: stored, codec, .. } = field;
        match stored {
            None => (field.needs_default && !state.has_default)
                .then(|| quote!(for<'__any> #ty: ::core::default::Default,)),
            Some(stored) => Some(match codec {
                Codec::Own => quote!(for<'__any> #ty: #serde + #schema,),
                Codec::Declared => {
                    quote!(for<'__any> #ty: #serde, for<'__any> #stored: #schema,)
                }
                Codec::Functions => quote!(for<'__any> #stored: #schema,),
            }),
        }
    });
    bounds.collect()
}

/// Asks rustc about the type of every field, at the place where the user wrote it.
fn probes(state: &State) -> TokenStream {
    let private = &state.private;
    let (params, _, clause) = state.generics.split_for_impl();
    let own = clause.map(|clause| &clause.predicates).into_iter().flatten();
    let bounds = param_bounds(state);
    let probes = state.fields().into_iter().map(|field| {
        let StateField { ty, schema, codec, .. } = field;
        match schema {
            None if field.needs_default && !state.has_default => {
                quote!(#private::transient::<#ty>();)
            }
            Some(_) if *codec == Codec::Own => quote!(#private::stored::<#ty>();),
            _ => TokenStream::new(),
        }
    });
    quote! {
        #[allow(dead_code)]
        fn probes #params() where #(#own,)* #bounds {
            #(#probes)*
        }
    }
}

/// serde's traits. The derive writes them for a mirror of the type, because a derive cannot add
/// another derive.
fn serde(state: &State) -> TokenStream {
    let State { private, ident, generics, .. } = state;
    let mirror = mirror(state);
    let (_, args, clause) = generics.split_for_impl();
    let clause = with_bounds(state, clause);
    let params = params(generics);
    let value = names::local("value");
    quote! {
        #mirror

        #[automatically_derived]
        impl<#(#params),*> #private::serde::Serialize for #ident #args #clause {
            fn serialize<__S: #private::serde::Serializer>(
                &self,
                #value: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                <__Mirror #args>::serialize(self, #value)
            }
        }

        #[automatically_derived]
        impl<'de, #(#params),*> #private::serde::Deserialize<'de> for #ident #args #clause {
            fn deserialize<__D: #private::serde::Deserializer<'de>>(
                #value: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                <__Mirror #args>::deserialize(#value)
            }
        }
    }
}

/// The parameters without their defaults, which only a type's own declaration may have.
fn params(generics: &Generics) -> Vec<GenericParam> {
    let without_default = |mut param: GenericParam| {
        match &mut param {
            GenericParam::Type(param) => param.default = None,
            GenericParam::Const(param) => param.default = None,
            GenericParam::Lifetime(_) => {}
        }
        param
    };
    generics.params.iter().cloned().map(without_default).collect()
}

fn mirror(state: &State) -> TokenStream {
    let State { private, ident, generics, serde, body, .. } = state;
    let (params, _, clause) = generics.split_for_impl();
    let remote = text(ident);
    let krate = text(quote!(#private::serde));
    let rename = text(ident);
    let has_name = serde.iter().any(|attr| attr.to_token_stream().to_string().contains("rename"));
    let rename = (!has_name).then(|| quote!(#[serde(rename = #rename)]));
    let (bounds, fields) = (param_bounds(state), field_bounds(state));
    let bounds = quote!(#bounds #fields).to_string();
    let clause = clause.map(ToTokens::to_token_stream);
    let head = quote! {
        #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
        #[serde(remote = #remote, crate = #krate, bound = #bounds)]
        #rename
        #(#serde)*
        #[allow(dead_code, non_camel_case_types)]
    };
    match body {
        StateBody::Struct(fields) => match fields {
            StateFields::Named(_) => {
                let fields = mirror_fields(fields);
                quote!(#head struct __Mirror #params #clause #fields)
            }
            _ => {
                let fields = mirror_fields(fields);
                quote!(#head struct __Mirror #params #fields #clause;)
            }
        },
        StateBody::Enum(variants) => {
            let variants = variants.iter().map(|StateVariant { ident, serde, fields, .. }| {
                let fields = mirror_fields(fields);
                quote!(#(#serde)* #ident #fields)
            });
            quote!(#head enum __Mirror #params #clause { #(#variants,)* })
        }
    }
}

fn mirror_fields(fields: &StateFields) -> TokenStream {
    let printed = fields.all().iter().map(|StateField { ident, ty, serde, .. }| {
        let colon = ident.is_some().then(|| quote!(:));
        quote!(#(#serde)* #ident #colon #ty)
    });
    match fields {
        StateFields::Named(_) => quote!({ #(#printed,)* }),
        StateFields::Unnamed(_) => quote!((#(#printed,)*)),
        StateFields::Unit => TokenStream::new(),
    }
}

/// Tokens as the text that serde's attributes take.
fn text(tokens: impl ToTokens) -> LitStr {
    LitStr::new(&compact(tokens), proc_macro2::Span::call_site())
}

/// The schema says names and shapes in the order of the stored bytes.
fn schema(state: &State) -> TokenStream {
    let State { private, ident, generics, name, body, .. } = state;
    let (params, args, clause) = generics.split_for_impl();
    let clause = with_bounds(state, clause);
    let model = quote!(#private::postcard_schema::schema);
    let ty = match body {
        StateBody::Struct(fields) => shape(state, fields, &quote!(#model::DataModelType), "Struct"),
        StateBody::Enum(variants) => {
            let variants = variants.iter().map(|StateVariant { name, fields, .. }| {
                let ty = shape(state, fields, &quote!(#model::DataModelVariant), "Variant");
                quote!(&#model::NamedVariant { name: #name, ty: &#ty })
            });
            quote!(#model::DataModelType::Enum(&[#(#variants),*]))
        }
    };
    quote! {
        #[automatically_derived]
        impl #params #private::postcard_schema::Schema for #ident #args #clause {
            const SCHEMA: &'static #model::NamedType = &#model::NamedType { name: #name, ty: &#ty };
        }
    }
}

/// The shape of some fields. `kind`: what the schema calls the thing that has them.
fn shape(state: &State, fields: &StateFields, path: &TokenStream, kind: &str) -> TokenStream {
    let private = &state.private;
    let is_struct = kind == "Struct";
    let stored =
        || fields.all().iter().filter_map(|field| field.schema.as_ref().map(|ty| (field, ty)));
    let types = stored().map(|(_, ty)| quote!(<#ty as #private::postcard_schema::Schema>::SCHEMA));
    let word = |of_struct: &str, of_variant: &str| {
        syn::Ident::new(
            if is_struct { of_struct } else { of_variant },
            proc_macro2::Span::call_site(),
        )
    };
    match fields {
        StateFields::Unit => {
            let word = word("UnitStruct", "UnitVariant");
            quote!(#path::#word)
        }
        StateFields::Unnamed(all) if all.len() == 1 => {
            let word = word("NewtypeStruct", "NewtypeVariant");
            quote!(#path::#word(#(#types)*))
        }
        StateFields::Unnamed(_) => {
            let word = word("TupleStruct", "TupleVariant");
            quote!(#path::#word(&[#(#types),*]))
        }
        StateFields::Named(_) => {
            let word = word("Struct", "StructVariant");
            let names = stored().map(|(field, _)| &field.name);
            quote!(#path::#word(&[
                #(&#private::postcard_schema::schema::NamedValue { name: #names, ty: #types }),*
            ]))
        }
    }
}
