//! The rules of a test, one function for each.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, FnArg, Item as SynItem, Safety, Type};

use super::options::TestOptions;
use crate::attr;
use crate::check::{Tied, tied};
use crate::errors::Errors;
use crate::model::compact;
use crate::names;
use crate::parse::Function;

/// What a test looks like, in the words of an error.
const FORM: &str = "async fn name(sim: Sim) -> TestResult { … }";

/// The attribute stands on a function.
pub(super) fn input(item: &TokenStream) -> syn::Result<Function> {
    syn::parse2(item.clone()).map_err(|error| match syn::parse2::<SynItem>(item.clone()) {
        Ok(_) => {
            let message =
                format!("`#[durable_testing::test]` goes on a function; put it on `{FORM}`");
            syn::Error::new(attr::whole_attribute(), message)
        }
        Err(_) => error,
    })
}

/// Everything that must hold of the options together.
pub(super) fn options(options: &TestOptions, errors: &mut Errors) {
    if options.lacks_runtime {
        errors.push(syn::Error::new(
            attr::whole_attribute(),
            "the test needs the function that registers its classes; write \
             `#[durable_testing::test(runtime = bank)]`",
        ));
    }
    if let (Some(flag), Some(_)) = (options.flag("crash_everywhere"), &options.seeds) {
        errors.at(
            flag,
            "`crash_everywhere` leaves nothing to chance, so it has no seeds; remove it or `seeds`",
        );
    }
}

/// Everything that must hold of the function.
pub(super) fn function(function: &Function, errors: &mut Errors) {
    no_other_harness(function, errors);
    qualifiers(function, errors);
    is_async(function, errors);
    no_generics(function, errors);
    arguments(function, errors);
}

/// The harness must not meet the function twice.
fn no_other_harness(function: &Function, errors: &mut Errors) {
    for attr in function.attrs.iter().filter(|attr| is_harness(attr)) {
        let path = compact(attr.path());
        errors.at(
            attr,
            format!("`#[durable_testing::test]` makes the test by itself; remove `#[{path}]`"),
        );
    }
}

/// Whether the attribute, as `#[test]` or `#[tokio::test]`, would make a test of the function.
pub(super) fn is_harness(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "test")
}

/// Nothing that could not be called like a plain function.
fn qualifiers(function: &Function, errors: &mut Errors) {
    let sig = &function.sig;
    let mut refuse = |tokens: TokenStream, word: &str| {
        errors.at(tokens, format!("a test is a plain function; remove `{word}`"));
    };
    if let Some(constness) = &sig.constness {
        refuse(constness.to_token_stream(), "const");
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        refuse(unsafety.to_token_stream(), "unsafe");
    }
    if let Some(abi) = &sig.abi {
        refuse(abi.to_token_stream(), "extern");
    }
    if let Some(variadic) = &sig.variadic {
        refuse(variadic.to_token_stream(), "...");
    }
}

/// A world goes on while its test waits.
fn is_async(function: &Function, errors: &mut Errors) {
    if function.sig.asyncness.is_none() {
        errors.at(function.sig.fn_token, "a test waits for its world; write `async fn`");
    }
}

/// Nobody could say what the parameters are.
fn no_generics(function: &Function, errors: &mut Errors) {
    let generics = &function.sig.generics;
    if !generics.params.is_empty() {
        errors.at(generics, "a test cannot be generic; remove the parameters");
    } else if let Some(clause) = &generics.where_clause {
        errors.at(clause, "a test cannot have a `where` clause; remove it");
    }
}

/// The world is handed over, and nothing else.
fn arguments(function: &Function, errors: &mut Errors) {
    let sig = &function.sig;
    let mut typed = 0_usize;
    for arg in &sig.inputs {
        match arg {
            FnArg::Receiver(receiver) => errors
                .at(receiver, "a test stands by itself, outside of an `impl`; take `sim: Sim`"),
            FnArg::Typed(arg) => {
                typed += 1;
                if typed > 1 {
                    errors.at(arg, "a test takes its world and nothing else; remove this argument");
                } else {
                    handed_over(&arg.ty, errors);
                }
            }
        }
    }
    if sig.inputs.is_empty() {
        let name = names::text(&sig.ident);
        errors.at(&sig.ident, format!("a test takes its world; write `async fn {name}(sim: Sim)`"));
    }
}

/// The world is the test's own, of a type that is known.
fn handed_over(ty: &Type, errors: &mut Errors) {
    match tied(ty.to_token_stream()) {
        Some(Tied::Reference) => {
            errors.at(ty, "the world is handed over, not lent; take `sim: Sim`");
        }
        Some(Tied::ImplTrait) => errors.at(ty, "a test cannot be generic; take `sim: Sim`"),
        // A type alone says nothing about whether it is a world; rustc knows.
        Some(Tied::Lifetime(_) | Tied::SelfType(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function as tokens. Text, because it is shorter to read here.
    fn item(text: &str) -> TokenStream {
        text.parse().expect("tokens")
    }

    fn texts(text: &str) -> Vec<String> {
        let mut errors = Errors::default();
        function(&input(&item(text)).expect("a function"), &mut errors);
        errors.texts()
    }

    #[test]
    fn a_test_waits_and_takes_its_world() {
        for text in [
            "async fn a(sim: Sim) -> TestResult { half.typed. }",
            "#[should_panic] pub async fn a(mut sim: durable_testing::Sim) {}",
            "async fn a(Sim { clock, .. }: Sim) -> Result<(), Box<dyn Error>> {}",
            "async fn a(_: Sim) -> impl Termination {}",
        ] {
            assert_eq!(texts(text), <[&str; 0]>::default(), "{text}");
        }
    }

    #[test]
    fn every_mistake_of_a_test_is_reported() {
        for (text, count) in [
            ("fn a(sim: Sim) {}", 1),
            ("async fn a() {}", 1),
            ("async fn a(sim: Sim, seed: u64, more: u8) {}", 2),
            ("async fn a(&self) {}", 1),
            ("async fn a(sim: &mut Sim) {}", 1),
            ("async fn a(sim: impl World) {}", 1),
            ("async fn a<'a, T>(sim: Sim) where T: World {}", 1),
            ("async fn a(sim: Sim) where Sim: World {}", 1),
            ("#[test] #[tokio::test(start_paused = true)] async fn a(sim: Sim) {}", 2),
            ("const unsafe extern \"C\" fn a<T>(&self, sim: &Sim, seed: u64) {}", 8),
        ] {
            let texts = texts(text);
            assert_eq!(texts.len(), count, "{text}: {texts:?}");
        }
    }

    #[test]
    fn what_is_no_function_is_refused() {
        for text in ["struct A;", "mod a { fn b() {} }", "impl A {}"] {
            let error = input(&item(text)).err().expect("no function").to_string();
            assert!(error.contains("goes on a function"), "{error}");
        }
        assert!(input(&item("async fn a(sim: Sim) ->")).is_err());
    }
}
