//! The options of `#[supervisor(…)]` on a struct and of `#[child(…)]` on its fields.

use proc_macro2::{Ident, TokenStream};
use syn::parse::ParseStream;
use syn::{Attribute, LitInt, LitStr, Path};

use super::class::{parse_duration, some_time};
use super::options::{each_option, literal, once, set};
use super::private;
use super::state::lists;
use crate::errors::Errors;
use crate::names;

const TYPE_OPTIONS: &str = "`name = \"…\"`, `strategy = \"…\"`, `intensity = 3`, `period = \"5s\"`, \
    `auto_shutdown = \"…\"`, `crate = path`";
const CHILD_OPTIONS: &str =
    "`restart = \"…\"`, `shutdown = \"5s\"`, `significant`, `backoff = \"10ms..1s\"`";

/// What stands in `#[supervisor(…)]`.
#[derive(Default)]
pub(crate) struct SupervisorOptions {
    /// `None`: `::durable`.
    krate: Option<Path>,
    /// `None`: from the struct's name.
    pub(crate) name: Option<LitStr>,
    /// The constructor. `None`: `one_for_one`.
    pub(crate) strategy: Option<LitStr>,
    /// `None`: as OTP has it.
    pub(crate) intensity: Option<LitInt>,
    /// In milliseconds. `None`: as OTP has it.
    pub(crate) period_ms: Option<u64>,
    /// The variant. `None`: never.
    pub(crate) auto_shutdown: Option<Ident>,
}

/// What stands in `#[child(…)]`. `None`: as the child itself has it.
#[derive(Default)]
pub(crate) struct ChildOptions {
    /// The variant.
    pub(crate) restart: Option<Ident>,
    pub(crate) shutdown: Option<Stop>,
    /// Where it was said.
    pub(crate) significant: Option<Ident>,
    /// First and longest, in milliseconds.
    pub(crate) backoff_ms: Option<(u64, u64)>,
}

/// How a child is stopped.
pub(crate) enum Stop {
    /// The variant.
    Always(Ident),
    /// Milliseconds.
    Time(u64),
}

impl SupervisorOptions {
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let (mut options, mut seen) = (SupervisorOptions::default(), Vec::new());
        for tokens in lists(attrs, "supervisor", TYPE_OPTIONS, errors) {
            each_option(tokens, TYPE_OPTIONS, errors, |key, value, errors| {
                once(&mut seen, key, errors);
                options.add(key, value, errors)
            });
        }
        options
    }

    fn add(&mut self, key: &Ident, value: ParseStream<'_>, errors: &mut Errors) -> bool {
        match names::text(key).as_str() {
            "crate" => set(&mut self.krate, value.call(Path::parse_mod_style), errors),
            "name" => set(&mut self.name, literal(key, value, "bank"), errors),
            "strategy" => set(&mut self.strategy, strategy(key, value), errors),
            "intensity" => {
                let number = value.parse::<LitInt>().map_err(|_| {
                    super::options::wrong(key, value, "a number of restarts; write `intensity = 3`")
                });
                set(&mut self.intensity, number, errors)
            }
            "period" => set(&mut self.period_ms, some_time(key, value), errors),
            "auto_shutdown" => {
                let choices = [
                    ("never", "Never"),
                    ("any_significant", "AnySignificant"),
                    ("all_significant", "AllSignificant"),
                ];
                set(&mut self.auto_shutdown, choice(key, value, &choices), errors)
            }
            _ => false,
        }
    }

    /// The module that generated code takes everything from.
    pub(crate) fn private(&self) -> TokenStream {
        private(self.krate.as_ref())
    }
}

impl ChildOptions {
    pub(crate) fn read(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let (mut options, mut seen) = (ChildOptions::default(), Vec::new());
        for tokens in lists(attrs, "child", CHILD_OPTIONS, errors) {
            each_option(tokens, CHILD_OPTIONS, errors, |key, value, errors| {
                once(&mut seen, key, errors);
                options.add(key, value, errors)
            });
        }
        options
    }

    fn add(&mut self, key: &Ident, value: ParseStream<'_>, errors: &mut Errors) -> bool {
        match names::text(key).as_str() {
            "restart" => {
                let choices = [
                    ("permanent", "Permanent"),
                    ("transient", "Transient"),
                    ("temporary", "Temporary"),
                ];
                set(&mut self.restart, choice(key, value, &choices), errors)
            }
            "shutdown" => set(&mut self.shutdown, stop(key, value), errors),
            "significant" => {
                self.significant = Some(key.clone());
                true
            }
            "backoff" => set(&mut self.backoff_ms, backoff(key, value), errors),
            _ => false,
        }
    }
}

/// One of some words, as the variant that it stands for.
fn choice(key: &Ident, input: ParseStream<'_>, choices: &[(&str, &str)]) -> syn::Result<Ident> {
    let word = literal(key, input, choices[0].0)?;
    let found = choices.iter().find(|(text, _)| *text == word.value());
    found.map(|(_, variant)| Ident::new(variant, word.span())).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(text, _)| format!("\"{text}\"")).collect();
        let text = format!("`{key}` is one of {}, not \"{}\"", words.join(", "), word.value());
        syn::Error::new(word.span(), text)
    })
}

fn strategy(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    let word = literal(key, input, "one_for_one")?;
    let text = match word.value().as_str() {
        "one_for_one" | "one_for_all" | "rest_for_one" => return Ok(word),
        "dynamic" => "the children of a dynamic supervisor come at run time, not from fields; \
            build it with `Supervisor::dynamic`"
            .to_owned(),
        other => format!(
            "`strategy` is one of \"one_for_one\", \"one_for_all\", \"rest_for_one\", not \"{other}\""
        ),
    };
    Err(syn::Error::new(word.span(), text))
}

fn stop(key: &Ident, input: ParseStream<'_>) -> syn::Result<Stop> {
    let ahead = input.fork().parse::<LitStr>().ok();
    let variant = match ahead.as_ref().map(LitStr::value).as_deref() {
        Some("kill") => "Kill",
        Some("infinity") => "Infinity",
        _ => return some_time(key, input).map(Stop::Time),
    };
    let word = literal(key, input, "5s")?;
    Ok(Stop::Always(Ident::new(variant, word.span())))
}

fn backoff(key: &Ident, input: ParseStream<'_>) -> syn::Result<(u64, u64)> {
    let word = literal(key, input, "10ms..1s")?;
    let text = word.value();
    let times = text
        .split_once("..")
        .and_then(|(first, longest)| Some((parse_duration(first)?, parse_duration(longest)?)));
    match times {
        Some((first, longest)) if 0 < first && first <= longest => Ok((first, longest)),
        _ => Err(syn::Error::new(
            word.span(),
            format!(
                "`{text}` is not a backoff; write the first wait and the longest, as in \"10ms..1s\""
            ),
        )),
    }
}
