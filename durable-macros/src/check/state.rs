//! Rules of durable state: its bytes mean one thing, and the same value has the same bytes in every
//! run.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Attribute, Fields, GenericParam, Generics, Item, Type};

use super::{Tied, idents, tied};
use crate::attr::{Place, SerdeAttrs, StateOptions};
use crate::errors::Errors;
use crate::model::{Codec, State, StateBody, StateField, StateFields, StateVariant};
use crate::names;

/// The state that `item` describes; `None` if it is wrong.
pub(crate) fn state(item: TokenStream, errors: &mut Errors) -> Option<State> {
    let before = errors.count();
    let (attrs, ident, generics, body) = match errors.take(syn::parse2(item))? {
        Item::Struct(item) => {
            let fields = fields(item.fields, &item.ident, errors);
            (item.attrs, item.ident, item.generics, StateBody::Struct(fields))
        }
        Item::Enum(item) => {
            let ident = &item.ident;
            let variants = item.variants.into_iter().map(|it| variant(it, ident, errors)).collect();
            (item.attrs, item.ident, item.generics, StateBody::Enum(variants))
        }
        other => {
            let text = "durable state is a struct or an enum; use an enum, which knows what it \
                holds";
            errors.at(other, text);
            return None;
        }
    };
    no_lifetimes(&generics, errors);
    let options = StateOptions::read(&attrs, errors);
    let serde = SerdeAttrs::read(&attrs, Place::Type, errors);
    let state = State {
        private: options.private(),
        has_default: serde.has_own_default,
        has_own_serde: options.has_own_serde,
        name: serde.name.unwrap_or_else(|| names::text(&ident)),
        serde: serde_attrs(attrs),
        ident,
        generics,
        body,
    };
    (errors.count() == before).then_some(state)
}

fn serde_attrs(attrs: Vec<Attribute>) -> Vec<Attribute> {
    attrs.into_iter().filter(|attr| attr.path().is_ident("serde")).collect()
}

/// Stored values borrow nothing.
fn no_lifetimes(generics: &Generics, errors: &mut Errors) {
    for param in &generics.params {
        if matches!(param, GenericParam::Lifetime(_)) {
            errors.at(
                param,
                "durable state owns what it holds; remove the lifetime, and use \
                `String`, `Vec` or `Box`",
            );
        }
    }
}

fn variant(variant: syn::Variant, class: &Ident, errors: &mut Errors) -> StateVariant {
    let serde = SerdeAttrs::read(&variant.attrs, Place::Variant, errors);
    StateVariant {
        name: serde.name.unwrap_or_else(|| names::text(&variant.ident)),
        serde: serde_attrs(variant.attrs),
        fields: fields(variant.fields, class, errors),
        ident: variant.ident,
    }
}

fn fields(fields: Fields, class: &Ident, errors: &mut Errors) -> StateFields {
    match fields {
        Fields::Unit => StateFields::Unit,
        Fields::Named(named) => {
            StateFields::Named(named.named.into_iter().map(|it| field(it, class, errors)).collect())
        }
        Fields::Unnamed(unnamed) => {
            let all: Vec<_> =
                unnamed.unnamed.into_iter().map(|it| field(it, class, errors)).collect();
            if let [StateField { schema: None, ty, .. }] = &all[..] {
                errors.at(
                    ty,
                    "the only field of a tuple cannot be skipped; remove it, or give it \
                    a name",
                );
            }
            StateFields::Unnamed(all)
        }
    }
}

fn field(field: syn::Field, class: &Ident, errors: &mut Errors) -> StateField {
    let serde = SerdeAttrs::read(&field.attrs, Place::Field, errors);
    let schema = StateOptions::read_schema(&field.attrs, errors);
    if let (Some(with), None) = (&serde.with, &schema) {
        errors.at(
            with,
            format!(
                "the schema cannot see what `{with}` writes; add `#[durable(schema = Type)]` \
                with the type \
             whose bytes it writes, or store a type of your own"
            ),
        );
    }
    if !serde.is_skipped {
        stored_type(schema.as_ref().unwrap_or(&field.ty), class, errors);
    }
    StateField {
        name: serde.name.or_else(|| field.ident.as_ref().map(names::text)).unwrap_or_default(),
        serde: serde_attrs(field.attrs),
        codec: match (&serde.with, &schema) {
            (Some(_), _) => Codec::Functions,
            (None, Some(_)) => Codec::Declared,
            (None, None) => Codec::Own,
        },
        needs_default: serde.is_skipped && !serde.has_own_default,
        schema: (!serde.is_skipped).then(|| schema.unwrap_or_else(|| field.ty.clone())),
        ident: field.ident,
        ty: field.ty,
    }
}

/// A stored field's type has the same bytes in every run, on every machine.
fn stored_type(ty: &Type, class: &Ident, errors: &mut Errors) {
    if let Some(Tied::Reference | Tied::Lifetime(_)) = tied(ty.to_token_stream()) {
        errors.at(
            ty,
            "durable state owns what it holds; use `String`, `Vec` or `Box` in place of \
            the reference",
        );
        return;
    }
    let refuse = |ident: &Ident| refusal(ident, class);
    for ident in idents(ty.to_token_stream(), &|ident| refuse(ident).is_some()) {
        let message = refuse(&ident).expect("only refused names are listed");
        errors.at(ident, message);
    }
}

fn refusal(ident: &Ident, class: &Ident) -> Option<String> {
    Some(match names::text(ident).as_str() {
        "usize" => "`usize` has another range on other machines; use `u64` or `u32`".to_owned(),
        "isize" => "`isize` has another range on other machines; use `i64` or `i32`".to_owned(),
        "HashMap" => "a `HashMap` has another order in each run; use `BTreeMap`: its bytes do not \
            depend on a random seed"
            .to_owned(),
        "HashSet" => "a `HashSet` has another order in each run; use `BTreeSet`: its bytes do not \
            depend on a random seed"
            .to_owned(),
        "Self" => recursive(class),
        _ if ident == class => recursive(class),
        _ => return None,
    })
}

fn recursive(class: &Ident) -> String {
    format!(
        "`{class}` contains itself, so it has no finite schema; keep the parts in a `Vec`, \
        and refer to them by index"
    )
}
