//! The options of `#[durable_object]`, and its marks on the functions of the block.

use std::ops::RangeInclusive;

use proc_macro2::{Ident, TokenStream};
use syn::parse::ParseStream;
use syn::{LitInt, LitStr, Meta, Path, Type, Visibility};

use super::options::{each_option, literal, once, set, wrong};
use super::private;

use crate::errors::Errors;
use crate::names;
use crate::parse::Function;

const CLASS_OPTIONS: &str = "`name = \"…\"`, `version = 1`, `key = Type`, `idle = \"10s\"`, \
                             `durability = \"relaxed\"`, `alarm_retries = 6`, `alarm_delay = \"2s\"`, \
                             `alarm_limit = \"15m\"`, `migrations = \"migrations/account\"`, \
                             `children = \"one_for_one\"`, `intensity = 3`, `period = \"5s\"`, \
                             `crashes = 5`, `crash_period = \"60s\"`, `turn_limit = \"30s\"`, `keep_results = \"24h\"`, \
                             `rate = \"100/s\"`, `burst = 20`, `in_flight = 10000`, \
                             `history`, `http`, `on_crash = \"close_sockets\"`, `visibility = \"pub(crate)\"`, `crate = path`";
const RPC_OPTIONS: &str =
    "`skip`, `name = \"…\"`, `timeout = \"5s\"`, `reentrant`, `http = \"GET\"`";
const MIGRATE_OPTIONS: &str = "`from = 1`";

/// Most retries of an alarm; the runtime has the same limit.
const RETRIES_MAX: u32 = 1_000;

/// Largest intensity; the runtime has the same limit.
const INTENSITY_MAX: u32 = 10_000;

/// Most crashes that are let pass; the runtime has the same limit.
const CRASHES_MAX: u32 = 1_000;

/// Most calls of a rate and of a burst; the runtime has the same limit.
const RATE_CALLS_MAX: u32 = 1_000_000;

/// Longest period of a rate, in milliseconds; the runtime has the same limit.
const RATE_PERIOD_MS_MAX: u64 = 3_600_000;

/// For how long results are kept at most, in milliseconds; the runtime has the same limit.
const KEEP_RESULTS_MS_MAX: u64 = 30 * 86_400_000;

/// Most calls that are under way; the runtime has the same limit.
const IN_FLIGHT_MAX: u32 = 65_536;

/// What stands in `#[durable_object(…)]`.
#[derive(Default)]
pub(crate) struct ClassOptions {
    /// `None`: missing, or wrong and reported.
    pub(crate) name: Option<LitStr>,
    /// `None`: version 1.
    pub(crate) version: Option<LitInt>,
    /// `None`: plain names.
    pub(crate) key: Option<Type>,
    /// `None`: as the runtime says.
    pub(crate) idle_ms: Option<u64>,
    /// `None`: synced.
    pub(crate) is_relaxed: Option<bool>,
    /// `None`: as many as the runtime allows unless a class says otherwise.
    pub(crate) alarm_retries: Option<LitInt>,
    /// `None`: the usual delay.
    pub(crate) alarm_delay_ms: Option<u64>,
    /// `None`: as the runtime says.
    pub(crate) alarm_limit_ms: Option<u64>,
    /// The strategy's variant. `None`: one for one.
    pub(crate) children: Option<Ident>,
    /// `None`: as OTP has it.
    pub(crate) intensity: Option<LitInt>,
    /// In milliseconds. `None`: as OTP has it.
    pub(crate) period_ms: Option<u64>,
    /// `None`: as the runtime says.
    pub(crate) crashes: Option<LitInt>,
    /// In milliseconds. `None`: as the runtime says.
    pub(crate) crash_period_ms: Option<u64>,
    /// In milliseconds. `None`: as the runtime says.
    pub(crate) turn_limit_ms: Option<u64>,
    /// In milliseconds. `None`: as the runtime says.
    pub(crate) keep_results_ms: Option<u64>,
    /// Calls, and the milliseconds that so many may come in. `None`: as many as come.
    pub(crate) rate: Option<(u32, u64)>,
    /// `None`: as many as come in a period of the rate.
    pub(crate) burst: Option<LitInt>,
    /// `None`: as the runtime says.
    pub(crate) in_flight: Option<LitInt>,
    /// The folder of the migrations. `None`: there are none.
    pub(crate) migrations: Option<LitStr>,
    /// Former states are kept.
    pub(crate) keeps_history: bool,
    /// Its methods can be called over HTTP.
    pub(crate) is_http: bool,
    /// Its sockets are closed when it crashes. `None`: they stay.
    pub(crate) closes_sockets: Option<bool>,
    /// `None`: `pub`.
    pub(crate) visibility: Option<Visibility>,
    /// `None`: `::durable`.
    pub(crate) krate: Option<Path>,
    /// Whether `name` was written at all.
    pub(crate) has_name: bool,
    /// Whether `rate` was written at all.
    pub(crate) has_rate: bool,
}

impl ClassOptions {
    pub(crate) fn read(args: TokenStream, errors: &mut Errors) -> Self {
        let mut options = ClassOptions::default();
        let mut seen = Vec::new();
        each_option(args, CLASS_OPTIONS, errors, |key, value, errors| {
            let known = match names::text(key).as_str() {
                "name" => {
                    options.has_name = true;
                    set(&mut options.name, literal(key, value, "bank.Account"), errors)
                }
                "version" => set(&mut options.version, version(key, value), errors),
                "key" => set(&mut options.key, value.parse(), errors),
                "idle" => set(&mut options.idle_ms, duration(key, value), errors),
                "durability" => set(&mut options.is_relaxed, durability(key, value), errors),
                "alarm_retries" => set(&mut options.alarm_retries, retries(key, value), errors),
                "alarm_delay" => set(&mut options.alarm_delay_ms, duration(key, value), errors),
                "alarm_limit" => set(&mut options.alarm_limit_ms, duration(key, value), errors),
                "children" => set(&mut options.children, children(key, value), errors),
                "intensity" => set(&mut options.intensity, intensity(key, value), errors),
                "period" => set(&mut options.period_ms, some_time(key, value), errors),
                "crashes" => set(&mut options.crashes, crashes(key, value), errors),
                "crash_period" => set(&mut options.crash_period_ms, some_time(key, value), errors),
                "turn_limit" => set(&mut options.turn_limit_ms, some_time(key, value), errors),
                "keep_results" => set(&mut options.keep_results_ms, keep(key, value), errors),
                "rate" => {
                    options.has_rate = true;
                    set(&mut options.rate, rate(key, value), errors)
                }
                "burst" => set(&mut options.burst, burst(key, value), errors),
                "in_flight" => set(&mut options.in_flight, in_flight(key, value), errors),
                "migrations" => {
                    set(&mut options.migrations, literal(key, value, "migrations/account"), errors)
                }
                // A value after one of these is reported as one that is not part of it.
                "history" => {
                    options.keeps_history = true;
                    true
                }
                "http" => {
                    options.is_http = true;
                    true
                }
                "on_crash" => set(&mut options.closes_sockets, on_crash(key, value), errors),
                "visibility" => set(&mut options.visibility, visibility(key, value), errors),
                "crate" => set(&mut options.krate, value.call(Path::parse_mod_style), errors),
                _ => return false,
            };
            once(&mut seen, key, errors);
            known
        });
        options
    }

    /// The module that generated code takes everything from.
    pub(crate) fn private(&self) -> TokenStream {
        private(self.krate.as_ref())
    }
}

/// The marks on one function of the block.
#[derive(Default)]
pub(crate) struct Marks {
    pub(crate) on_activate: Option<Ident>,
    pub(crate) alarm: Option<Ident>,
    pub(crate) on_child_exit: Option<Ident>,
    pub(crate) on_down: Option<Ident>,
    pub(crate) init: Option<Ident>,
    pub(crate) migrate: Option<Ident>,
    /// The version that a migration takes; `None`: missing, or wrong and reported.
    pub(crate) from: Option<LitInt>,
    /// The `rpc` of `#[rpc(…)]`.
    pub(crate) rpc: Option<Ident>,
    pub(crate) skip: bool,
    /// The wire name, if it is not the method's own.
    pub(crate) name: Option<LitStr>,
    /// In milliseconds. `None`: its calls have as much time as they take.
    pub(crate) timeout_ms: Option<u64>,
    /// The `reentrant` of `#[rpc(reentrant)]`.
    pub(crate) reentrant: Option<Ident>,
    /// The `fetch` of `#[fetch]`.
    pub(crate) fetch: Option<Ident>,
    /// What the function hears of sockets, and the word that says it. The last one stands.
    pub(crate) socket: Option<(Ident, SocketEvent)>,
    /// It is marked as hearing of two things.
    pub(crate) hears_twice: bool,
    /// What `#[rpc(http = "…")]` says, and the `http` of it. `None`: it says nothing, or what is wrong and reported.
    pub(crate) http: Option<(Ident, Http)>,
}

/// How a method can be called over HTTP, if its class can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    /// With its arguments in the path's query.
    Get,
    /// With its arguments in the body.
    Post,
    /// Not at all.
    Off,
    /// It takes whole requests.
    Fetch,
    /// Sockets call it, and nobody else.
    Socket(SocketEvent),
}

/// What happens to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketEvent {
    Connect,
    Message,
    Close,
    Error,
}

impl SocketEvent {
    /// The event of an attribute.
    fn of(attribute: &Ident) -> Option<Self> {
        let all = [Self::Connect, Self::Message, Self::Close, Self::Error];
        all.into_iter().find(|event| attribute == event.attribute())
    }

    /// Its attribute.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            SocketEvent::Connect => names::ON_CONNECT,
            SocketEvent::Message => names::ON_MESSAGE,
            SocketEvent::Close => names::ON_CLOSE,
            SocketEvent::Error => names::ON_ERROR,
        }
    }
}

impl Marks {
    /// Whether the runtime calls the function by itself, other than to migrate.
    pub(crate) fn is_hook(&self) -> bool {
        self.hooks().next().is_some()
    }

    /// The hooks that the function is marked as.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = &Ident> {
        let marks =
            [&self.on_activate, &self.alarm, &self.on_child_exit, &self.on_down, &self.init];
        marks.into_iter().flatten()
    }

    pub(crate) fn read(function: &Function, errors: &mut Errors) -> Self {
        let mut marks = Marks::default();
        for attr in function.own_attrs() {
            let ident = attr.path().get_ident().expect("own attributes are single words").clone();
            if ident == names::RPC {
                marks.read_rpc(&attr.meta, errors);
                marks.rpc = Some(ident);
                continue;
            }
            if ident == names::MIGRATE {
                marks.read_migrate(&attr.meta, errors);
                marks.migrate = Some(ident);
                continue;
            }
            if !matches!(attr.meta, Meta::Path(_)) {
                errors.at(&attr.meta, format!("`#[{ident}]` takes no options; write `#[{ident}]`"));
            }
            if let Some(event) = SocketEvent::of(&ident) {
                marks.hears_twice |= marks.socket.is_some();
                marks.socket = Some((ident, event));
                continue;
            }
            let mark = match () {
                () if ident == names::INIT => &mut marks.init,
                () if ident == names::FETCH => &mut marks.fetch,
                () if ident == names::ALARM => &mut marks.alarm,
                () if ident == names::ON_CHILD_EXIT => &mut marks.on_child_exit,
                () if ident == names::ON_DOWN => &mut marks.on_down,
                () => &mut marks.on_activate,
            };
            *mark = Some(ident);
        }
        marks
    }

    fn read_migrate(&mut self, meta: &Meta, errors: &mut Errors) {
        let before = errors.count();
        if let Meta::List(list) = meta {
            let from = &mut self.from;
            each_option(list.tokens.clone(), MIGRATE_OPTIONS, errors, |key, value, errors| {
                key == "from" && set(from, version(key, value), errors)
            });
        }
        if self.from.is_none() && errors.count() == before {
            let text = "a migration says which version it takes; write `#[migrate(from = 1)]`";
            errors.at(meta, text);
        }
    }

    fn read_rpc(&mut self, meta: &Meta, errors: &mut Errors) {
        let Meta::List(list) = meta else {
            errors.at(meta, format!("`#[rpc]` needs an option; the options are {RPC_OPTIONS}"));
            return;
        };
        each_option(list.tokens.clone(), RPC_OPTIONS, errors, |key, value, errors| {
            match names::text(key).as_str() {
                "skip" => self.skip = true,
                "name" => return set(&mut self.name, literal(key, value, "deposit"), errors),
                "timeout" => return set(&mut self.timeout_ms, some_time(key, value), errors),
                "reentrant" => self.reentrant = Some(key.clone()),
                "http" => {
                    self.http = errors.take(http(key, value)).map(|http| (key.clone(), http));
                }
                _ => return false,
            }
            true
        });
    }
}

/// How a method is called over HTTP.
fn http(key: &Ident, input: ParseStream<'_>) -> syn::Result<Http> {
    let text = literal(key, input, "GET")?;
    match text.value().as_str() {
        "GET" => Ok(Http::Get),
        "POST" => Ok(Http::Post),
        "off" => Ok(Http::Off),
        other => Err(syn::Error::new(
            text.span(),
            format!("`http` is \"GET\", \"POST\" or \"off\", not \"{other}\""),
        )),
    }
}

/// A number that counts from 1.
fn version(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    number(key, input, (1..=u32::MAX, "a number", 2))
}

/// What becomes of an object's children when one of them crashes: the strategy's variant.
fn children(key: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let text = literal(key, input, "one_for_one")?;
    let variant = match text.value().as_str() {
        "one_for_one" => "OneForOne",
        "one_for_all" => "OneForAll",
        "rest_for_one" => "RestForOne",
        other => {
            return Err(syn::Error::new(
                text.span(),
                format!(
                    "`children` is one of \"one_for_one\", \"one_for_all\", \"rest_for_one\", not \"{other}\""
                ),
            ));
        }
    };
    Ok(Ident::new(variant, text.span()))
}

/// How often children are restarted within a period; 0 is never.
fn intensity(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    number(key, input, (0..=INTENSITY_MAX, "a number of restarts", 3))
}

/// How often an object may crash within a period.
fn crashes(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    number(key, input, (1..=CRASHES_MAX, "a number of crashes", 5))
}

/// How many calls an object takes at once.
fn burst(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    number(key, input, (1..=RATE_CALLS_MAX, "a number of calls", 20))
}

/// How many calls of a class are under way.
fn in_flight(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    number(key, input, (1..=IN_FLIGHT_MAX, "a number of calls", 10_000))
}

/// How many calls an object takes in how many milliseconds: `"100/s"`, `"5/m"`, `"3/500ms"`.
fn rate(key: &Ident, input: ParseStream<'_>) -> syn::Result<(u32, u64)> {
    let text = literal(key, input, "100/s")?;
    let refuse = |why: String| Err(syn::Error::new(text.span(), why));
    let Some((calls, period_ms)) = parse_rate(&text.value()) else {
        return refuse(format!(
            "`{}` is not a rate; write a number of calls and a time: \"100/s\", \"5/m\", \"20/h\" or \"3/500ms\"",
            text.value()
        ));
    };
    if !(1..=u64::from(RATE_CALLS_MAX)).contains(&calls) {
        return refuse(format!("`{key}` takes 1 to {RATE_CALLS_MAX} calls, not {calls}"));
    }
    if !(1..=RATE_PERIOD_MS_MAX).contains(&period_ms) {
        return refuse(format!(
            "`{key}` takes a time of 1 ms to 1 h, not {period_ms} ms; count in the object's state what comes in longer ones"
        ));
    }
    Ok((u32::try_from(calls).expect("it is not too large"), period_ms))
}

/// For how long results of calls with idempotency keys are kept, in milliseconds.
fn keep(key: &Ident, input: ParseStream<'_>) -> syn::Result<u64> {
    let span = input.span();
    match duration(key, input)? {
        ms @ 1..=KEEP_RESULTS_MS_MAX => Ok(ms),
        ms => Err(syn::Error::new(
            span,
            format!("`{key}` takes a time of 1 ms to 720 h, which is 30 days, not {ms} ms"),
        )),
    }
}

fn parse_rate(text: &str) -> Option<(u64, u64)> {
    let (calls, time) = text.split_once('/')?;
    let is_number = !calls.is_empty() && calls.bytes().all(|byte| byte.is_ascii_digit());
    let period = if time.starts_with(|c: char| c.is_ascii_digit()) {
        parse_duration(time)
    } else {
        parse_duration(&format!("1{time}"))
    };
    Some((is_number.then(|| calls.parse().ok()).flatten()?, period?))
}

/// How often a failing alarm is tried again; 0 is none.
fn retries(key: &Ident, input: ParseStream<'_>) -> syn::Result<LitInt> {
    number(key, input, (0..=RETRIES_MAX, "a number", 6))
}

/// A number of a range, what it is called, and one that would do.
fn number(
    key: &Ident,
    input: ParseStream<'_>,
    (range, what, example): (RangeInclusive<u32>, &str, u32),
) -> syn::Result<LitInt> {
    let (min, max) = (range.start(), range.end());
    let expected = format!("{what} from {min} to {max}; write `{key} = {example}`");
    let number: LitInt = input.parse().map_err(|_| wrong(key, input, &expected))?;
    match number.base10_parse::<u32>() {
        Ok(given) if range.contains(&given) => Ok(number),
        _ => Err(syn::Error::new(number.span(), format!("`{key}` takes {expected}"))),
    }
}

fn visibility(key: &Ident, input: ParseStream<'_>) -> syn::Result<Visibility> {
    let text = literal(key, input, "pub(crate)")?;
    text.parse().map_err(|_| {
        let hint = "takes a visibility; write \"pub\", \"pub(crate)\", \"pub(super)\" or \"\" for \
            private";
        syn::Error::new(text.span(), format!("`{key}` {hint}"))
    })
}

/// Whether answers do not wait for the disk.
fn durability(key: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
    let text = literal(key, input, "relaxed")?;
    match text.value().as_str() {
        "synced" => Ok(false),
        "relaxed" => Ok(true),
        _ => Err(syn::Error::new(
            text.span(),
            "`durability` is \"synced\", where answers wait for the disk, or \"relaxed\", where they do not",
        )),
    }
}

/// Whether an object's sockets are closed when it crashes.
fn on_crash(key: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
    let text = literal(key, input, "close_sockets")?;
    match text.value().as_str() {
        "keep_sockets" => Ok(false),
        "close_sockets" => Ok(true),
        _ => Err(syn::Error::new(
            text.span(),
            "`on_crash` is \"keep_sockets\", where sockets outlive a crash of their object, or \"close_sockets\", where they do not",
        )),
    }
}

/// A duration in milliseconds: `"500ms"`, `"10s"`, `"5m"`, `"2h"`.
pub(super) fn duration(key: &Ident, input: ParseStream<'_>) -> syn::Result<u64> {
    let text = literal(key, input, "10s")?;
    parse_duration(&text.value()).ok_or_else(|| {
        let hint = "write a whole number and its unit: \"500ms\", \"10s\", \"5m\" or \"2h\"";
        syn::Error::new(text.span(), format!("`{}` is not a duration; {hint}", text.value()))
    })
}

/// A duration that is not nothing, in milliseconds.
pub(super) fn some_time(key: &Ident, input: ParseStream<'_>) -> syn::Result<u64> {
    let span = input.span();
    match duration(key, input)? {
        0 => Err(syn::Error::new(span, format!("`{key}` is no time at all; give it some"))),
        time => Ok(time),
    }
}

pub(super) fn parse_duration(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn a_duration_is_a_whole_number_and_its_unit() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("0s", Some(0)),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("10 s", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_number_of_calls_and_a_time() {
        for (text, expected) in [
            ("100/s", Some((100, 1_000))),
            ("5/m", Some((5, 60_000))),
            ("20/h", Some((20, 3_600_000))),
            ("3/500ms", Some((3, 500))),
            ("1/ms", Some((1, 1))),
            ("0/s", Some((0, 1_000))),
            ("100", None),
            ("/s", None),
            ("100/", None),
            ("100/d", None),
            ("-1/s", None),
            ("+1/s", None),
            ("1.5/s", None),
            ("100 / s", None),
            ("100/s/s", None),
            ("99999999999999999999/s", None),
        ] {
            assert_eq!(parse_rate(text), expected, "{text}");
        }
    }

    #[test]
    fn every_wrong_option_is_reported() {
        let mut errors = Errors::default();
        let args = quote!(
            name = 5,
            verzion = 2,
            idle = "soon",
            key = Map<A, B>,
            durability = "lazy",
            name = "a"
        );
        let options = ClassOptions::read(args, &mut errors);
        let texts = errors.texts();
        assert_eq!(texts.len(), 5, "{texts:?}");
        assert!(texts[0].contains("takes a string"), "{texts:?}");
        assert!(texts[1].contains("unknown option `verzion`; the options are"), "{texts:?}");
        assert!(texts[2].contains("`soon` is not a duration"), "{texts:?}");
        assert!(texts[3].contains("`durability` is \"synced\""), "{texts:?}");
        assert!(texts[4].contains("given twice"), "{texts:?}");
        assert!(options.key.is_some());
    }
}
