//! `#[durable_testing::test]`: a test that runs in simulated worlds.
//!
//! The same steps as for a class: `options` reads, `check` judges, the model is here, `expand`
//! prints. The test's function is emitted as it was written, inside of the function that the test
//! harness calls.

mod check;
mod expand;
mod options;

use proc_macro2::{Ident, TokenStream};
use syn::{LitInt, Path};

use crate::errors::Errors;
use crate::parse::Function;
use options::TestOptions;

/// A checked test.
struct Test {
    /// The user's function. Its attributes and visibility go to what the harness calls.
    function: Function,
    /// Where `durable_testing` is found.
    krate: TokenStream,
    /// The function that registers the classes.
    runtime: Path,
    /// `None`: as many worlds as the simulation thinks right.
    seeds: Option<LitInt>,
    /// The flags, each the simulation's method of the same name, in the order of the user's.
    flags: Vec<Ident>,
}

/// `#[durable_testing::test(args)] item`.
pub(crate) fn durable_test(args: TokenStream, item: &TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = TestOptions::read(args, &mut errors);
    let function = match check::input(item) {
        Ok(function) => function,
        Err(error) => {
            errors.push(error);
            return expand::beside(item, errors);
        }
    };
    check::function(&function, &mut errors);
    check::options(&options, &mut errors);
    let krate = options.krate();
    match options.runtime {
        Some(runtime) if errors.count() == 0 => {
            let TestOptions { seeds, flags, .. } = options;
            expand::test(&Test { function, krate, runtime, seeds, flags })
        }
        _ => expand::as_written(&function, errors),
    }
}
