//! The stub: one method for each method of the class, which gives a call to await.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{GenericArgument, PathArguments, Type};

use crate::attr::Http;
use crate::model::{Class, Method};
use crate::names;

/// The stub type, its methods, and what makes it a stub.
pub(super) fn stub(class: &Class) -> TokenStream {
    let Class { ty, visibility, private, stub, .. } = class;
    let doc = format!(
        "Sends calls to one object of the class [`{}`], stored as `{}`. Making one touches \
            nothing.",
        class.ident, class.name
    );
    let called = class.methods.iter().filter(|method| !matches!(method.http, Http::Socket(_)));
    let methods = called.map(|method| stub_method(class, method));
    let (address, f) = (names::local("address"), names::local("f"));
    quote! {
        #[doc = #doc]
        #[allow(private_interfaces, dead_code, unreachable_pub)]
        #[allow(rustdoc::private_intra_doc_links)]
        #visibility struct #stub {
            address: #private::Address<#ty>,
        }

        #[allow(private_interfaces, dead_code, unreachable_pub, deprecated)]
        #[allow(rustdoc::private_intra_doc_links, rustdoc::broken_intra_doc_links)]
        #[allow(clippy::all, clippy::pedantic)]
        impl #stub {
            #(#methods)*
        }

        impl #private::Stub<#ty> for #stub {
            fn from_address(#address: #private::Address<#ty>) -> Self {
                #stub { address: #address }
            }

            fn address(&self) -> &#private::Address<#ty> {
                &self.address
            }
        }

        impl ::core::clone::Clone for #stub {
            fn clone(&self) -> Self {
                #stub { address: ::core::clone::Clone::clone(&self.address) }
            }
        }

        impl ::core::fmt::Debug for #stub {
            fn fmt(&self, #f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.address, #f)
            }
        }
    }
}

fn stub_method(class: &Class, method: &Method) -> TokenStream {
    let Class { ty, visibility, private, call, reply, .. } = class;
    let Method { ident, variant, docs, cfgs, deprecated, .. } = method;
    let names = method.args.iter().map(|arg| &arg.ident).collect::<Vec<_>>();
    let types = method.args.iter().map(|arg| &arg.ty);
    let default_doc = docs.is_empty().then(|| {
        let doc = format!("Calls [`{}::{}`].", class.ident, names::text(ident));
        quote!(#[doc = #doc])
    });
    let outcome = outcome(class, method);
    let fallible = fallible(class, method);
    let (message, given) = (names::local("call"), names::local("reply"));
    let returned = names::local("returned");
    quote! {
        #(#cfgs)*
        #(#docs)*
        #default_doc
        #(#deprecated)*
        #visibility fn #ident(&self, #(#names: #types),*) -> #private::Call<#ty, #outcome> {
            let #message = #call::#variant { #(#names),* };
            #private::Address::call(&self.address, #message, |#given| match #given {
                #reply::#variant(#returned) => ::core::option::Option::Some(
                    #private::Returned::<{ #fallible }>::into_outcome(#returned),
                ),
                #[allow(unreachable_patterns)]
                _ => ::core::option::Option::None,
            })
        }
    }
}

/// A constant that says whether the method's return type is a `Result`. A trait decides, so any
/// alias is recognised.
pub(super) fn fallible(class: &Class, method: &Method) -> TokenStream {
    let private = &class.private;
    let output = output(method);
    quote! {
        #[allow(unused_imports)]
        use #private::Plain as _;
        #private::Probe::<#output>::FALLIBLE
    }
}

/// What the method returns, written out.
pub(super) fn output(method: &Method) -> TokenStream {
    method.output.as_ref().map_or_else(|| quote!(()), |ty| quote!(#ty))
}

/// What awaiting the call gives. Types that cannot be aliases are written as a person would,
/// because users read this in the stub's documentation; all others are left to the trait.
fn outcome(class: &Class, method: &Method) -> TokenStream {
    let private = &class.private;
    let output = output(method);
    match method.output.as_ref().map(shape) {
        Some(Shape::Result(ok, error)) => {
            quote!(::core::result::Result<#ok, #private::CallError<#error>>)
        }
        None | Some(Shape::Plain) => quote!(::core::result::Result<#output, #private::Error>),
        Some(Shape::Unknown) => {
            let fallible = fallible(class, method);
            quote!(<#output as #private::Returned<{ #fallible }>>::Outcome)
        }
    }
}

/// What a return type is, as far as it can be told without knowing the names in scope.
pub(super) enum Shape<'a> {
    /// `Result` with both its types.
    Result(&'a Type, &'a Type),
    /// Certainly no result.
    Plain,
    /// It may be an alias.
    Unknown,
}

const PLAIN: [&str; 25] = [
    "bool",
    "char",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "f32",
    "f64",
    "String",
    "Vec",
    "Option",
    "Box",
    "BTreeMap",
    "BTreeSet",
    "VecDeque",
    "Duration",
    "ItemStream",
];

pub(super) fn shape(ty: &Type) -> Shape<'_> {
    let path = match ty {
        Type::Tuple(_) | Type::Array(_) => return Shape::Plain,
        Type::Path(path) if path.qself.is_none() => &path.path,
        _ => return Shape::Unknown,
    };
    let Some(last) = path.segments.last() else { return Shape::Unknown };
    if PLAIN.iter().any(|plain| last.ident == plain) {
        return Shape::Plain;
    }
    let first = &path.segments[0].ident;
    let is_std = path.segments.len() == 1 || first == "std" || first == "core";
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Shape::Unknown };
    let mut types = arguments.args.iter();
    match (types.next(), types.next(), types.next()) {
        (Some(GenericArgument::Type(ok)), Some(GenericArgument::Type(error)), None)
            if last.ident == "Result" && is_std =>
        {
            Shape::Result(ok, error)
        }
        _ => Shape::Unknown,
    }
}
