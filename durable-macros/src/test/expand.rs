//! Prints a checked test, or the user's code beside what is wrong with it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::Test;
use super::check::is_harness;
use crate::errors::Errors;
use crate::names;
use crate::parse::Function;

/// The function that the harness calls, with the user's inside of it. Both have the same name, so
/// that an editor finds the one that was written under the name of the test.
pub(super) fn test(test: &Test) -> TokenStream {
    let Test { function, krate, runtime, seeds, flags } = test;
    let Function { attrs, vis, sig, body } = function;
    let (ident, name) = (&sig.ident, names::text(&sig.ident));
    let seeds = seeds.as_ref().map(|seeds| quote!(.seeds(#seeds)));
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #ident() {
            #sig #body

            #krate::__private::run(
                #krate::__private::Place {
                    module: ::core::module_path!(),
                    test: #name,
                    manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
                    file: ::core::file!(),
                },
                #krate::Simulation::new() #seeds #(.#flags())*,
                #runtime,
                #ident,
            )
        }
    }
}

/// The user's function beside the errors. Without the attributes of other harnesses, which would
/// report it once more.
pub(super) fn as_written(function: &Function, errors: Errors) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let attrs = attrs.iter().filter(|attr| !is_harness(attr));
    beside(quote!(#(#attrs)* #vis #sig #body), errors)
}

/// Anything beside the errors. Nothing calls it, which needs no warning.
pub(super) fn beside(item: impl ToTokens, errors: Errors) -> TokenStream {
    let errors = errors.into_tokens();
    quote!(#errors #[allow(dead_code)] #item)
}

#[cfg(test)]
mod tests {
    use super::super::durable_test;
    use quote::quote;

    #[test]
    fn the_function_stands_as_it_was_written_inside_of_the_test() {
        let args = quote!(wire, runtime = crate::bank, real, seeds = 1_000);
        let item = quote! {
            /// Nothing is lost.
            #[should_panic = "lost"]
            #[cfg(unix)]
            pub(crate) async fn r#match(mut sim: Sim) -> Result<(), Lost> { half.typed. }
        };
        let expected = quote! {
            #[::core::prelude::v1::test]
            /// Nothing is lost.
            #[should_panic = "lost"]
            #[cfg(unix)]
            pub(crate) fn r#match() {
                async fn r#match(mut sim: Sim) -> Result<(), Lost> { half.typed. }

                ::durable_testing::__private::run(
                    ::durable_testing::__private::Place {
                        module: ::core::module_path!(),
                        test: "match",
                        manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
                        file: ::core::file!(),
                    },
                    ::durable_testing::Simulation::new().seeds(1_000).wire().real(),
                    crate::bank,
                    r#match,
                )
            }
        };
        assert_eq!(durable_test(args, &item).to_string(), expected.to_string());
    }

    #[test]
    fn a_wrong_test_stays_beside_all_that_is_wrong_with_it() {
        let args = quote!(seeds = 0, crash_everywhere);
        let item = quote!(#[test] #[cfg(unix)] fn lost() { half.typed. });
        let printed = durable_test(args, &item).to_string();
        let kept = quote!(#[allow(dead_code)] #[cfg(unix)] fn lost() { half.typed. }).to_string();
        assert!(printed.ends_with(&kept), "{printed}");
        // Seeds, another harness, `async`, the argument, the missing runtime.
        assert_eq!(printed.matches("compile_error").count(), 5, "{printed}");
    }
}
