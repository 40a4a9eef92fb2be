//! The rules, one function for each. What passes becomes a model; what does not is reported, never
//! both.

mod class;
mod hook;
mod http;
mod method;
mod migrate;
mod state;
mod supervisor;
mod tables;

pub(crate) use class::{class, input};
pub(crate) use state::state;
pub(crate) use supervisor::supervisor;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};

/// The first token that borrows something, or names a type which only exists inside the impl.
pub(crate) enum Tied {
    /// `&`.
    Reference,
    /// A lifetime other than `'static`.
    Lifetime(Span),
    /// `impl Trait`.
    ImplTrait,
    /// `Self`.
    SelfType(Span),
}

/// Looks for what ties a type to the place where it is written.
pub(crate) fn tied(tokens: TokenStream) -> Option<Tied> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match &token {
            TokenTree::Punct(punct) if punct.as_char() == '&' => Some(Tied::Reference),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => match tokens.next() {
                Some(TokenTree::Ident(name)) if name == "static" => None,
                _ => Some(Tied::Lifetime(punct.span())),
            },
            TokenTree::Ident(ident) if ident == "impl" => Some(Tied::ImplTrait),
            TokenTree::Ident(ident) if ident == "Self" => Some(Tied::SelfType(ident.span())),
            TokenTree::Group(group) => tied(group.stream()),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Every identifier among the tokens that `is_hit` accepts.
pub(super) fn idents(tokens: TokenStream, is_hit: &impl Fn(&Ident) -> bool) -> Vec<Ident> {
    let mut hits = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if is_hit(&ident) => hits.push(ident),
            TokenTree::Group(group) => hits.extend(idents(group.stream(), is_hit)),
            _ => {}
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::ClassOptions;
    use crate::errors::Errors;
    use crate::parse::ImplBlock;
    use quote::quote;

    #[test]
    fn a_type_that_owns_what_it_holds_is_tied_to_nothing() {
        for text in ["Vec<String>", "Cow<'static, str>", "[u8; 4]", "(A, B)", "crate::SelfMade"] {
            assert!(tied(text.parse().expect("tokens")).is_none(), "{text}");
        }
        for text in ["Option<&'static str>", "Cow<'_, str>", "Vec<(u8, Self)>", "Box<impl Fn()>"] {
            assert!(tied(text.parse().expect("tokens")).is_some(), "{text}");
        }
    }

    #[test]
    fn a_wrong_method_is_left_out_and_the_others_stay() {
        let block: ImplBlock = syn::parse_quote! {
            impl Cart {
                pub fn sound(&self, count: u64) -> u64 { count }
                pub fn borrowed(&self, item: &str) {}
                pub fn id(&self) {}
                fn private(&self, item: &str) {}
                #[cfg(unix)] pub fn twice(&self) {}
                #[cfg(windows)] pub fn twice(&self) {}
            }
        };
        let mut errors = Errors::default();
        let options = ClassOptions::read(quote!(name = "shop.Cart"), &mut errors);
        let class = class(&block, options, &mut errors).expect("the class is usable");
        let kept: Vec<_> = class.methods.iter().map(|method| method.ident.to_string()).collect();
        assert_eq!(kept, ["sound", "twice", "twice"]);
        assert_eq!(errors.count(), 2, "{:?}", errors.texts());
    }

    #[test]
    fn state_that_is_wrong_in_many_places_is_reported_at_each() {
        let mut errors = Errors::default();
        let item = quote! {
            #[serde(untagged)]
            enum Wrong {
                A { by_key: HashMap<u64, usize>, #[serde(flatten)] inner: Inner },
                #[serde(skip)]
                B(#[serde(with = "codec")] u64),
            }
        };
        assert!(state(item, &mut errors).is_none());
        assert_eq!(errors.count(), 6, "{:?}", errors.texts());
    }
}
