//! The options of `#[durable(…)]` on stored types, and what is understood of serde's attributes
//! there.

use proc_macro2::{Ident, TokenStream};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Path, Token, Type};

use super::options::{each_option, literal, set};
use super::private;
use crate::errors::Errors;
use crate::names;

const TYPE_OPTIONS: &str = "`serde = \"own\"`, `crate = path`";
const FIELD_OPTIONS: &str = "`schema = Type`";

/// What stands in `#[durable(…)]` on a stored type.
#[derive(Default)]
pub(crate) struct StateOptions {
    /// `None`: `::durable`.
    krate: Option<Path>,
    /// Whether the user derives serde's traits himself.
    pub(crate) has_own_serde: bool,
}

impl StateOptions {
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut options = StateOptions::default();
        for tokens in lists(attrs, "durable", TYPE_OPTIONS, errors) {
            each_option(tokens, TYPE_OPTIONS, errors, |key, value, errors| {
                match names::text(key).as_str() {
                    "crate" => set(&mut options.krate, value.call(Path::parse_mod_style), errors),
                    "serde" => {
                        let mut mode = None;
                        set(&mut mode, literal(key, value, "own"), errors);
                        if mode.as_ref().is_some_and(|mode| mode.value() != "own") {
                            errors.at(&mode, "`serde` takes \"own\", or is left out");
                        }
                        options.has_own_serde = true;
                        true
                    }
                    _ => false,
                }
            });
        }
        options
    }

    /// `#[durable(schema = Type)]` on a field.
    pub(crate) fn read_schema(attrs: &[Attribute], errors: &mut Errors) -> Option<Type> {
        let mut schema = None;
        for tokens in lists(attrs, "durable", FIELD_OPTIONS, errors) {
            each_option(tokens, FIELD_OPTIONS, errors, |key, value, errors| {
                key == "schema" && set(&mut schema, value.parse(), errors)
            });
        }
        schema
    }

    /// The module that generated code takes everything from.
    pub(crate) fn private(&self) -> TokenStream {
        private(self.krate.as_ref())
    }
}

/// The insides of all `#[name(…)]`.
pub(super) fn lists(
    attrs: &[Attribute],
    name: &str,
    options: &str,
    errors: &mut Errors,
) -> Vec<TokenStream> {
    let mut lists = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(name)) {
        match &attr.meta {
            Meta::List(list) => lists.push(list.tokens.clone()),
            other => errors.at(
                other,
                format!(
                    "`#[{name}]` needs an option; the options are \
                {options}"
                ),
            ),
        }
    }
    lists
}

/// Where an attribute of serde's stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Type,
    Field,
    Variant,
}

/// What the schema must know of serde's attributes.
#[derive(Default)]
pub(crate) struct SerdeAttrs {
    /// `None`: the Rust name.
    pub(crate) name: Option<String>,
    pub(crate) is_skipped: bool,
    /// Whether a missing field comes from somewhere else than its type's `Default`.
    pub(crate) has_own_default: bool,
    /// The `with` among them; `None`: the type's own codec.
    pub(crate) with: Option<Ident>,
}

impl SerdeAttrs {
    pub(crate) fn read(attrs: &[Attribute], place: Place, errors: &mut Errors) -> Self {
        let mut read = SerdeAttrs::default();
        for tokens in lists(attrs, "serde", "in serde's own documentation", errors) {
            let metas = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens);
            for meta in errors.take(metas).into_iter().flatten() {
                read.add(&meta, place, errors);
            }
        }
        read
    }

    fn add(&mut self, meta: &Meta, place: Place, errors: &mut Errors) {
        let Some(key) = meta.path().get_ident() else {
            return errors.at(meta, "this is not an attribute of serde's");
        };
        match (names::text(key).as_str(), place) {
            ("rename", _) => match text_of(meta) {
                Some(name) => self.name = Some(name),
                None => errors.at(meta, "one name is stored and read; write `rename = \"…\"`"),
            },
            ("skip", Place::Field) => self.is_skipped = true,
            ("with" | "serialize_with" | "deserialize_with", Place::Field) => {
                self.with = Some(key.clone());
            }
            ("default", Place::Field) => self.has_own_default |= text_of(meta).is_some(),
            ("default", Place::Type) => self.has_own_default = true,
            ("alias", Place::Field | Place::Variant)
            | ("deny_unknown_fields" | "expecting", Place::Type) => {}
            (other, _) => errors.at(meta, refusal(other, place)),
        }
    }
}

/// The text of `key = "text"`.
fn text_of(meta: &Meta) -> Option<String> {
    let Meta::NameValue(pair) = meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
    Some(text.value())
}

/// Why an attribute of serde's cannot stand on durable state, and what to write instead.
fn refusal(key: &str, place: Place) -> String {
    let (why, fix) = match (key, place) {
        ("flatten", _) => (
            "stored fields have fixed places",
            "remove it, the inner struct is \
            stored as one field",
        ),
        ("untagged" | "tag" | "content", _) => (
            "a stored enum says which variant it is in one way only",
            "remove it; where JSON needs it, convert into a type for JSON",
        ),
        ("skip_serializing_if", _) => (
            "a field that is sometimes left out would shift what is stored behind it",
            "remove it, an `Option` that is `None` takes one byte",
        ),
        ("skip_serializing" | "skip_deserializing", Place::Field) => {
            ("a field is stored and read, or neither", "write `skip`")
        }
        ("skip" | "skip_serializing" | "skip_deserializing", _) => {
            ("the variants behind it would be read as others", "remove it, or remove the variant")
        }
        ("rename_all" | "rename_all_fields", _) => (
            "the schema keeps names as they are written",
            "write `rename = \"…\"` where a name \
                differs",
        ),
        ("transparent", _) => (
            "a tuple struct of one field is stored like the field \
            already",
            "remove it",
        ),
        ("from" | "try_from" | "into", _) => (
            "the schema would not be that of the stored bytes",
            "derive `DurableState` for the \
                other type, and store that",
        ),
        ("other", _) => ("an unknown variant has no place in stored bytes", "remove it"),
        ("with" | "serialize_with" | "deserialize_with", _) => (
            "the schema cannot see what it writes",
            "put it on the field, with `#[durable(schema \
                = Type)]`",
        ),
        ("borrow", _) => ("durable state owns what it holds", "remove it"),
        ("bound" | "crate" | "remote" | "getter", _) => (
            "`DurableState` sets it",
            "remove it, or derive serde yourself and add \
                `#[durable(serde = \"own\")]`",
        ),
        _ => {
            let known = match place {
                Place::Type => "`rename`, `default` and `deny_unknown_fields`",
                Place::Field => "`rename`, `alias`, `default`, `skip` and `with`",
                Place::Variant => "`rename` and `alias`",
            };
            return format!("durable state has no `#[serde({key})]` here; there are {known}");
        }
    };
    format!("durable state has no `#[serde({key})]`: {why}; {fix}")
}
