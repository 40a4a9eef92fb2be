//! What a struct must be to be a supervisor.

use proc_macro2::TokenStream;
use syn::{Data, DataStruct, DeriveInput, Fields};

use crate::attr::{ChildOptions, SupervisorOptions};
use crate::errors::Errors;
use crate::model::{SupervisorChild, SupervisorTree};
use crate::names;

/// The tree of a struct, or `None` if it is none.
pub(crate) fn supervisor(item: TokenStream, errors: &mut Errors) -> Option<SupervisorTree> {
    let input: DeriveInput = errors.take(syn::parse2(item))?;
    let options = SupervisorOptions::read(&input.attrs, errors);
    let Data::Struct(DataStruct { fields: Fields::Named(fields), .. }) = input.data else {
        errors.at(
            &input.ident,
            "only a struct with named fields is a supervisor: its fields are the children, and their names the children's; \
             give it named fields",
        );
        return None;
    };
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
        let ident = field.ident.expect("a named field has a name");
        children.push(SupervisorChild {
            name: names::text(&ident),
            ident,
            ty: field.ty,
            options: own,
        });
    }
    let name = match &options.name {
        Some(name) => name.value(),
        None => snake(&names::text(&input.ident)),
    };
    let (ident, generics) = (input.ident, input.generics);
    Some(SupervisorTree { private: options.private(), ident, generics, name, options, children })
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
