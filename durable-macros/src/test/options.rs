//! The options of `#[durable_testing::test]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::parse::ParseStream;
use syn::{LitInt, Path};

use crate::attr::{each_option, once, set, wrong};
use crate::errors::Errors;
use crate::names;

const OPTIONS: &str = "`runtime = path`, `seeds = 200`, `crash_everywhere`, `wire`, `real`, \
                       `crate = path`";

/// Most seeds of one test. More belong to a run of their own, not to every `cargo test`.
const SEEDS_MAX: u32 = 1_000_000;

/// What stands in `#[durable_testing::test(…)]`.
#[derive(Default)]
pub(super) struct TestOptions {
    /// `None`: missing, or wrong and reported.
    pub(super) runtime: Option<Path>,
    /// `None`: as many as the simulation thinks right.
    pub(super) seeds: Option<LitInt>,
    /// `crash_everywhere`, `wire`, `real`, in the order in which they stand.
    pub(super) flags: Vec<Ident>,
    /// `None`: `::durable_testing`.
    krate: Option<Path>,
    /// Whether `runtime` was not written, in a list that could be read.
    pub(super) lacks_runtime: bool,
}

impl TestOptions {
    pub(super) fn read(args: TokenStream, errors: &mut Errors) -> Self {
        let mut options = TestOptions::default();
        let (mut seen, mut is_readable) = (Vec::new(), args.is_empty());
        each_option(args, OPTIONS, errors, |key, value, errors| {
            is_readable = true;
            let known = match names::text(key).as_str() {
                "runtime" => set(&mut options.runtime, runtime(key, value), errors),
                "seeds" => set(&mut options.seeds, seeds(key, value), errors),
                "crate" => set(&mut options.krate, krate(key, value), errors),
                "crash_everywhere" | "wire" | "real" => {
                    options.flags.push(key.clone());
                    true
                }
                _ => return false,
            };
            once(&mut seen, key, errors);
            known
        });
        options.lacks_runtime = is_readable && !seen.iter().any(|key| key == "runtime");
        options
    }

    /// Where everything that is emitted comes from.
    pub(super) fn krate(&self) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote!(::durable_testing), |krate| quote!(#krate))
    }

    /// The flag of this name, if it was given.
    pub(super) fn flag(&self, name: &str) -> Option<&Ident> {
        self.flags.iter().find(|flag| names::text(flag) == name)
    }
}

fn runtime(key: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    let expected = "the path of a function, `fn(RuntimeBuilder) -> RuntimeBuilder`; write \
        `runtime = bank`";
    input.call(Path::parse_mod_style).map_err(|_| wrong(key, input, expected))
}

fn krate(key: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    let expected = "the path of a crate; write `crate = ::durable_testing`";
    input.call(Path::parse_mod_style).map_err(|_| wrong(key, input, expected))
}

fn seeds(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    let expected = format!("a number from 1 to {SEEDS_MAX}; write `seeds = 200`");
    let number: LitInt = input.parse().map_err(|_| wrong(key, input, &expected))?;
    let is_count = number.base10_parse::<u32>().is_ok_and(|seeds| (1..=SEEDS_MAX).contains(&seeds));
    if !is_count || !number.suffix().is_empty() {
        return Err(syn::Error::new(number.span(), format!("`{key}` takes {expected}")));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(args: TokenStream) -> Vec<String> {
        let mut errors = Errors::default();
        TestOptions::read(args, &mut errors);
        errors.texts()
    }

    #[test]
    fn every_option_is_read() {
        let mut errors = Errors::default();
        let args = quote!(runtime = crate::bank, seeds = 1_000, wire, real, crate = durable::sim);
        let options = TestOptions::read(args, &mut errors);
        assert_eq!(errors.texts(), <[&str; 0]>::default());
        assert_eq!(options.seeds.as_ref().map(LitInt::base10_digits), Some("1000"));
        assert_eq!(options.flags, ["wire", "real"]);
        assert_eq!(options.krate().to_string(), quote!(durable::sim).to_string());
        assert!(options.runtime.is_some() && options.flag("crash_everywhere").is_none());
    }

    #[test]
    fn every_wrong_option_is_reported() {
        let args = quote!(runtime = "bank", seeds = 0, wire = true, seed = 7, wire, crate = 5);
        let texts = texts(args);
        assert_eq!(texts.len(), 6, "{texts:?}");
        assert!(texts[0].contains("`runtime` takes the path of a function"), "{texts:?}");
        assert!(texts[1].contains("a number from 1 to 1000000"), "{texts:?}");
        assert!(texts[2].contains("not part of `wire`"), "{texts:?}");
        assert!(texts[3].contains("unknown option `seed`; the options are `runtime"), "{texts:?}");
        assert!(texts[4].contains("given twice"), "{texts:?}");
    }

    #[test]
    fn a_missing_runtime_is_known_unless_the_list_could_not_be_read() {
        for (args, is_missing) in [
            (quote!(), true),
            (quote!(seed = 7), true),
            (quote!(wire), true),
            (quote!(runtime = "bank"), false),
            (quote!(200), false),
        ] {
            let options = TestOptions::read(args.clone(), &mut Errors::default());
            assert_eq!(options.lacks_runtime, is_missing, "{args}");
        }
    }

    #[test]
    fn seeds_are_a_number_within_its_limits() {
        for args in [
            quote!(seeds),
            quote!(seeds = 0),
            quote!(seeds = 1_000_001),
            quote!(seeds = 5u8),
            quote!(seeds = -1),
            quote!(seeds = 1.5),
            quote!(seeds = "200"),
            quote!(seeds = 99999999999999999999),
        ] {
            let texts = texts(args.clone());
            assert_eq!(texts.len(), 1, "{args}: {texts:?}");
            assert!(texts[0].contains("a number from 1 to 1000000"), "{args}: {texts:?}");
        }
        for args in [quote!(seeds = 1), quote!(seeds = 1_000_000), quote!(seeds = 0xff)] {
            assert_eq!(texts(args.clone()), <[&str; 0]>::default(), "{args}");
        }
    }
}
