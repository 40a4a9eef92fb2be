//! Reads an impl block without judging it. Bodies stay as they were written: a half-typed body is
//! rustc's to report, and the class around it keeps its stub.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Generics, Signature, Token, Type, Visibility};

use crate::names;

/// An impl block, inherent or of a trait.
pub(crate) struct ImplBlock {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) unsafety: Option<Token![unsafe]>,
    pub(crate) impl_token: Token![impl],
    pub(crate) generics: Generics,
    /// The trait and its `for`; `None`: an inherent impl.
    pub(crate) of_trait: Option<TokenStream>,
    pub(crate) self_ty: Type,
    /// `#![…]` at the top of the block.
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) items: Vec<Item>,
    /// The span of the braces.
    span: Span,
}

/// What stands in an impl block.
pub(crate) enum Item {
    Function(Box<Function>),
    /// A constant, a type or a macro, as it was written.
    Other(TokenStream),
}

/// A function of the block, with a receiver or without.
pub(crate) struct Function {
    /// All attributes, ours too.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// In braces, unread.
    pub(crate) body: TokenTree,
}

impl Parse for ImplBlock {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let unsafety = input.parse()?;
        let impl_token = input.parse()?;
        let mut generics: Generics =
            if input.peek(Token![<]) { input.parse()? } else { Generics::default() };
        let (of_trait, self_ty) = header(input)?;
        generics.where_clause = input.parse()?;
        let braces: Group = input.parse()?;
        let span = braces.span();
        let (inner_attrs, items) = syn::parse::Parser::parse2(body, braces.stream())?;
        Ok(ImplBlock {
            attrs,
            unsafety,
            impl_token,
            generics,
            of_trait,
            self_ty,
            inner_attrs,
            items,
            span,
        })
    }
}

/// `Account`, or `Trait for Account`.
fn header(input: ParseStream<'_>) -> syn::Result<(Option<TokenStream>, Type)> {
    let negative: Option<Token![!]> = input.parse()?;
    let first: Type = input.parse()?;
    if !input.peek(Token![for]) {
        return Ok((None, first));
    }
    let for_token: Token![for] = input.parse()?;
    Ok((Some(quote!(#negative #first #for_token)), input.parse()?))
}

/// What is between the braces of the block.
fn body(input: ParseStream<'_>) -> syn::Result<(Vec<Attribute>, Vec<Item>)> {
    let inner_attrs = input.call(Attribute::parse_inner)?;
    let mut items = Vec::new();
    while !input.is_empty() {
        items.push(input.parse()?);
    }
    Ok((inner_attrs, items))
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        ahead.call(Attribute::parse_outer)?;
        ahead.parse::<Visibility>()?;
        if is_function(&ahead) {
            return Ok(Item::Function(Box::new(input.parse()?)));
        }
        Ok(Item::Other(input.parse::<syn::ImplItem>()?.into_token_stream()))
    }
}

/// Whether a function follows, after its attributes and visibility. `const` alone may also begin a
/// constant.
fn is_function(input: ParseStream<'_>) -> bool {
    let qualified = input.peek2(Token![fn])
        || input.peek2(Token![async])
        || input.peek2(Token![unsafe])
        || input.peek2(Token![extern]);
    input.peek(Token![fn])
        || input.peek(Token![async])
        || input.peek(Token![unsafe])
        || input.peek(Token![extern])
        || input.peek(Token![const]) && qualified
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Function {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl Function {
    /// The attributes whose meaning this macro defines.
    pub(crate) fn own_attrs(&self) -> impl Iterator<Item = &Attribute> {
        self.attrs.iter().filter(|attr| is_ours(attr))
    }
}

/// Whether the attribute is one of `#[durable_object]`'s, to be taken out of the emitted impl.
fn is_ours(attr: &Attribute) -> bool {
    let ours = [
        names::RPC,
        names::FETCH,
        names::ON_CONNECT,
        names::ON_MESSAGE,
        names::ON_CLOSE,
        names::ON_ERROR,
        names::ON_ACTIVATE,
        names::ALARM,
        names::ON_CHILD_EXIT,
        names::ON_DOWN,
        names::INIT,
        names::MIGRATE,
    ];
    ours.iter().any(|name| attr.path().is_ident(name))
}

/// Whether the attribute would rewrite the async methods of the block.
pub(crate) fn is_async_trait(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "async_trait")
}

/// The block as it was written, minus our attributes. `#[async_trait]` is an error that has been
/// reported; it goes too, because what it makes of the methods would only be reported again.
impl ToTokens for ImplBlock {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let ImplBlock { attrs, unsafety, impl_token, generics, of_trait, self_ty, .. } = self;
        let attrs = attrs.iter().filter(|attr| !is_async_trait(attr));
        let (inner_attrs, items) = (&self.inner_attrs, &self.items);
        let where_clause = &generics.where_clause;
        tokens.extend(quote!(#(#attrs)* #unsafety #impl_token #generics #of_trait #self_ty));
        where_clause.to_tokens(tokens);
        let body = quote!(#(#inner_attrs)* #(#items)*);
        let mut braces = Group::new(proc_macro2::Delimiter::Brace, body);
        braces.set_span(self.span);
        tokens.extend([TokenTree::from(braces)]);
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Item::Function(function) => function.to_tokens(tokens),
            Item::Other(other) => other.to_tokens(tokens),
        }
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Function { attrs, vis, sig, body } = self;
        let attrs = attrs.iter().filter(|attr| !is_ours(attr));
        tokens.extend(quote!(#(#attrs)* #vis #sig #body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_as_it_was_written_minus_our_attributes() {
        let written = quote! {
            #[cfg(all())]
            impl crate::Cart where Self: Sized {
                #![allow(unused)]
                const LARGEST: u64 = { 1 };
                const fn cap() -> u64 { Self::LARGEST }
                #[doc = "Adds."]
                #[rpc(name = "put")]
                pub async fn add(&mut self, r#type: String) -> Result<(), Full> { half.typed. }
                #[on_activate]
                fn wake(&mut self) {}
                made_by! { a macro }
            }
        };
        let expected = quote! {
            #[cfg(all())]
            impl crate::Cart where Self: Sized {
                #![allow(unused)]
                const LARGEST: u64 = { 1 };
                const fn cap() -> u64 { Self::LARGEST }
                #[doc = "Adds."]
                pub async fn add(&mut self, r#type: String) -> Result<(), Full> { half.typed. }
                fn wake(&mut self) {}
                made_by! { a macro }
            }
        };
        let block: ImplBlock = syn::parse2(written).expect("an impl block");
        assert_eq!(block.to_token_stream().to_string(), expected.to_string());
        assert!(block.of_trait.is_none());
    }

    #[test]
    fn the_impl_of_a_trait_is_known_as_such() {
        for text in [
            "impl Clone for Cart {}",
            "impl<T> !Send for Cart<T> {}",
            "unsafe impl A<B> \
            for C {}",
        ] {
            let block: ImplBlock = syn::parse_str(text).expect("an impl block");
            assert!(block.of_trait.is_some(), "{text}");
        }
    }
}
