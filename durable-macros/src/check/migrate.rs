//! Rule 16: migrations lead from every older version, step by step, to the class.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::FnArg;

use super::idents;
use super::method::qualifiers;
use crate::attr::Marks;
use crate::errors::Errors;
use crate::model::{Class, Migration, cfgs, context_of, output};
use crate::names;
use crate::parse::Function;

/// One step; `None` if it is wrong.
pub(super) fn migration(
    function: &Function,
    marks: &Marks,
    class: &Class,
    errors: &mut Errors,
) -> Option<Migration> {
    let before = errors.count();
    let ident = &function.sig.ident;
    qualifiers(function, "or remove `#[migrate]`", errors);
    if let Some(asyncness) = &function.sig.asyncness {
        errors.at(asyncness, "a migration cannot wait; remove `async`");
    }
    if !function.sig.generics.params.is_empty() {
        errors.at(&function.sig.generics, "a migration takes one type; remove the parameters");
    }
    if let Some(cfg) = cfgs(function).first() {
        errors.at(cfg, "stored states know nothing of `cfg`; every build has every migration");
    }
    let taken = old_state(function, errors);
    if output(function).is_none() {
        errors.at(ident, "a migration gives the state of a newer version; let it return `Self`");
    }
    let from = marks.from.as_ref()?;
    let version: u32 = from.base10_parse().ok()?;
    if version >= class.version {
        let (present, next) = (class.version, version.saturating_add(1));
        errors.at(
            from,
            format!(
                "there is nothing to migrate from version {version} to, the class has version \
                 {present}; write `version = {next}` in `#[durable_object(…)]`"
            ),
        );
    }
    let (taken, output) = (taken?.clone(), output(function)?.clone());
    let words = idents(output.to_token_stream(), &|word: &Ident| {
        word == "Self" || names::text(word) == names::text(&class.ident)
    });
    let leads_to_class = !words.is_empty();
    let migration =
        Migration { ident: ident.clone(), from: version, taken, output, leads_to_class };
    (errors.count() == before).then_some(migration)
}

/// The only argument: the state as it was.
fn old_state<'f>(function: &'f Function, errors: &mut Errors) -> Option<&'f syn::Type> {
    let sig = &function.sig;
    let example = "take the old state alone: `old: CartV1`";
    match sig.inputs.iter().collect::<Vec<_>>()[..] {
        [arg @ FnArg::Typed(old)] if context_of(arg).is_none() => return Some(&old.ty),
        [] => errors.at(&sig.ident, format!("a migration has an old state to migrate; {example}")),
        ref all => {
            let wrong = all
                .iter()
                .find(|arg| matches!(arg, FnArg::Receiver(_)) || context_of(arg).is_some());
            let wrong = wrong.unwrap_or_else(|| all.last().expect("there is one"));
            errors.at(wrong, format!("a migration runs before there is an object; {example}"));
        }
    }
    None
}

/// The steps in order, each leading to the next or to the class. `false`: they do not, and that is reported.
pub(super) fn chain(class: &mut Class, errors: &mut Errors) -> bool {
    let before = errors.count();
    class.migrations.sort_by_key(|step| step.from);
    for pair in class.migrations.windows(2) {
        let [step, next] = pair else { unreachable!("windows of two") };
        if step.from == next.from {
            errors.at(
                &next.ident,
                format!("`{}` takes version {} already; keep one", step.ident, step.from),
            );
        } else if step.from + 1 < next.from {
            missing(step, class, errors);
        }
    }
    if let Some(last) = class.migrations.last_mut() {
        // Whatever it calls what it returns, rustc sees whether it is the class.
        last.leads_to_class = true;
    }
    if let Some(last) = class.migrations.last()
        && last.from + 1 < class.version
    {
        missing(last, class, errors);
    }
    errors.count() == before
}

fn missing(step: &Migration, class: &Class, errors: &mut Errors) {
    let gap = step.from + 1;
    errors.at(
        &step.ident,
        format!(
            "version {gap} has no migration, so states stored with it could not be read; add \
             `#[migrate(from = {gap})]`, which may return `{}` at once",
            class.ident
        ),
    );
}
