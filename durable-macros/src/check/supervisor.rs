//! What a struct must be to be a supervisor.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Fields, Item, ItemStruct};

use crate::attr::{ChildOptions, SupervisorOptions};
use crate::errors::Errors;
use crate::model::{SupervisorChild, SupervisorTree};
use crate::names;

/// The tree of a struct, or `None` if it is none.
pub(crate) fn supervisor(item: TokenStream, errors: &mut Errors) -> Option<SupervisorTree> {
    let (input, fields) = match errors.take(syn::parse2(item))? {
        Item::Struct(ItemStruct {
            fields: Fields::Named(fields), attrs, ident, generics, ..
        }) => ((attrs, ident, generics), fields),
        Item::Struct(ItemStruct { ident, .. }) => return no_tree(&ident, errors),
        Item::Enum(item) => return no_tree(&item.ident, errors),
        Item::Union(item) => return no_tree(&item.ident, errors),
        other => return no_tree(&other, errors),
    };
    let (attrs, ident, generics) = input;
    let options = SupervisorOptions::read(&attrs, errors);
    let may_end = options.auto_shutdown.as_ref().is_some_and(|auto| auto != "Never");
    let mut children = Vec::new();
    for field in fields.named {
        let own = ChildOptions::read(&field.attrs, errors);
        if let Some(significant) = &own.significant {
            if own.restart.as_ref().is_none_or(|restart| restart == "Permanent") {
                errors.at(
                    significant,
                    "a significant child may end for good; add `restart = \"transient\"` or `restart = \"temporary\"`",
                );
            }
            if !may_end {
                errors.at(
                    significant,
                    "a significant child ends its supervisor; say when: `#[supervisor(auto_shutdown = \"any_significant\")]`",
                );
            }
        }
        let field_ident = field.ident.expect("a named field has a name");
        let name = names::text(&field_ident);
        children.push(SupervisorChild { name, ident: field_ident, ty: field.ty, options: own });
    }
    let name = match &options.name {
        Some(name) => name.value(),
        None => snake(&names::text(&ident)),
    };
    Some(SupervisorTree { private: options.private(), ident, generics, name, options, children })
}

fn no_tree(tokens: impl ToTokens, errors: &mut Errors) -> Option<SupervisorTree> {
    errors.at(
        tokens,
        "only a struct with named fields is a supervisor: its fields are the children, and their names the children's; \
             give it named fields",
    );
    None
}

/// `BankOfAda` gives `bank_of_ada`.
fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_gives_its_name_in_small_letters() {
        for (camel, expected) in [("Bank", "bank"), ("BankOfAda", "bank_of_ada"), ("B2", "b2")] {
            assert_eq!(snake(camel), expected);
        }
    }
}
