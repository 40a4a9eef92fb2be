//! The context of a trace, as the W3C's Trace Context says it: `traceparent` and `tracestate`. Plain data.

use std::fmt::{self, Write};
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::metadata::Metadata;

/// The keys of metadata that a trace travels under: the names of the headers.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

/// Of the flags the one that level 1 of the recommendation defines.
const SAMPLED: u8 = 1;

/// Bytes of a `traceparent` of version 0, and what later versions begin with.
const TRACEPARENT_BYTES: usize = 55;

/// Members of a `tracestate` at most, empty ones not counted.
const MEMBERS_MAX: usize = 32;

/// Which trace a call is part of, and which span has made it.
///
/// It travels as [metadata](crate::Metadata), under `traceparent` and `tracestate`, so whoever sets those headers' texts as they came has
/// set it, too. The runtime passes it on unchanged; a span of its own for each call is an [`Interceptor`](crate::Interceptor)'s
/// business.
///
/// ```
/// use durable::TraceContext;
///
/// # fn main() -> Result<(), durable::Error> {
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace = TraceContext::parse(header)?.with_state("vendor=opaque,other@vendor=1")?;
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), header);
/// let below = trace.below([7; 8])?;
/// assert_eq!(below.trace_id(), trace.trace_id());
/// assert_eq!(TraceContext::parse("00-0-0-01").unwrap_err().code(), "trace.malformed");
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// W3C Trace Context, level 1. A `traceparent` of a later version is read by its first four fields, and printed as one of version 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    is_sampled: bool,
    /// `None`: there is none.
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// A trace. `trace_id`: 16 bytes that tell it from all others; `parent_id`: the 8 bytes of the span that calls; `is_sampled`: it
    /// may be recorded.
    ///
    /// # Errors
    /// `trace.malformed` if an id is all zeros.
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], is_sampled: bool) -> Result<Self, Error> {
        if trace_id == [0; 16] || parent_id == [0; 8] {
            return Err(malformed("an id of a trace is all zeros", "draw another"));
        }
        Ok(TraceContext { trace_id, parent_id, is_sampled, state: None })
    }

    /// Reads a `traceparent`.
    ///
    /// # Errors
    /// `trace.malformed`.
    pub fn parse(traceparent: &str) -> Result<Self, Error> {
        let wrong = || {
            let text: String = traceparent.escape_debug().take(80).collect();
            malformed(
                &format!("`{text}` is no traceparent"),
                "they look like `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`",
            )
        };
        let (first, rest) =
            traceparent.as_bytes().split_at_checked(TRACEPARENT_BYTES).ok_or_else(wrong)?;
        let are_apart = [2, 35, 52].iter().all(|place| first[*place] == b'-');
        let version = hex::<1>(&first[..2]).ok_or_else(wrong)?[0];
        // A later version may go on, after a dash.
        let is_whole = if version == 0 { rest.is_empty() } else { matches!(rest, [] | [b'-', ..]) };
        if !are_apart || version == 0xff || !is_whole {
            return Err(wrong());
        }
        let trace_id = hex(&first[3..35]).ok_or_else(wrong)?;
        let parent_id = hex(&first[36..52]).ok_or_else(wrong)?;
        let [flags] = hex::<1>(&first[53..]).ok_or_else(wrong)?;
        Self::new(trace_id, parent_id, flags & SAMPLED != 0).map_err(|_| wrong())
    }

    /// The same with this `tracestate`. Several headers of that name are one, with commas between. Empty: none.
    ///
    /// # Errors
    /// `trace.malformed`; whoever has received it goes on without.
    pub fn with_state(mut self, tracestate: &str) -> Result<Self, Error> {
        check_state(tracestate)?;
        let is_any = tracestate.split(',').any(|member| !trimmed(member).is_empty());
        self.state = is_any.then(|| Arc::from(tracestate));
        Ok(self)
    }

    /// The same trace, as the span `parent_id` passes it on.
    ///
    /// # Errors
    /// `trace.malformed` if the id is all zeros.
    pub fn below(&self, parent_id: [u8; 8]) -> Result<Self, Error> {
        let below = Self::new(self.trace_id, parent_id, self.is_sampled)?;
        Ok(TraceContext { state: self.state.clone(), ..below })
    }

    /// What tells the trace from all others.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span that has made the call.
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether it may be recorded.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// What tracing systems have added, as a `tracestate`. `None`: nothing.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Display for TraceContext {
    /// A `traceparent` of version 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_char('-')?;
        self.parent_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.is_sampled))
    }
}

impl Metadata {
    /// The trace that travels with it. `None`: none does, or its `traceparent` is none. A `tracestate` that is none is left out, as
    /// the recommendation wants it.
    pub fn trace(&self) -> Option<TraceContext> {
        let trace = TraceContext::parse(self.get(TRACEPARENT)?).ok()?;
        let with_state =
            self.get(TRACESTATE).and_then(|state| trace.clone().with_state(state).ok());
        Some(with_state.unwrap_or(trace))
    }

    /// Lets a trace travel, in the place of another.
    ///
    /// # Errors
    /// As [`set`](Self::set); then it is as it was.
    pub fn set_trace(&mut self, trace: &TraceContext) -> Result<(), Error> {
        let mut all = self.clone();
        all.remove(TRACESTATE);
        all.set(TRACEPARENT, &trace.to_string())?;
        trace.state().map_or(Ok(()), |state| all.set(TRACESTATE, state))?;
        *self = all;
        Ok(())
    }
}

fn malformed(what: &str, cure: &str) -> Error {
    Code::TraceMalformed.error(format!("{what}; {cure}"))
}

/// So many bytes from lower-case digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// Without the spaces and tabs that may stand around a member.
fn trimmed(member: &str) -> &str {
    member.trim_matches([' ', '\t'])
}

/// Whether a text is a list of members, each key once.
///
/// # Errors
/// `trace.malformed`.
fn check_state(state: &str) -> Result<(), Error> {
    let mut keys = Vec::new();
    for member in state.split(',').map(trimmed).filter(|member| !member.is_empty()) {
        let shown: String = member.escape_debug().take(80).collect();
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        if !is_key(key) || !is_value(value) {
            let what = format!("`{shown}` is no member of a tracestate");
            return Err(malformed(&what, "they look like `vendor=opaque`"));
        }
        if keys.contains(&key) {
            let what = format!("`{shown}` is the second member of that key of a tracestate");
            return Err(malformed(&what, "leave one out"));
        }
        keys.push(key);
    }
    if keys.len() > MEMBERS_MAX {
        let what = format!("a tracestate has {} members, the limit is {MEMBERS_MAX}", keys.len());
        return Err(malformed(&what, "leave the last ones out"));
    }
    Ok(())
}

/// A key of one system, or of a tenant of one.
fn is_key(key: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    match key.split_once('@') {
        None => is_part(key, is_letter, 256),
        Some((tenant, system)) => {
            let may_begin = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            is_part(tenant, may_begin, 241) && is_part(system, is_letter, 14)
        }
    }
}

fn is_part(part: &str, may_begin: impl Fn(u8) -> bool, bytes_max: usize) -> bool {
    let is_allowed =
        |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let bytes = part.as_bytes();
    let begins_well = bytes.first().is_some_and(|first| may_begin(*first));
    begins_well && bytes.len() <= bytes_max && bytes.iter().all(is_allowed)
}

/// Printable ASCII, but for commas and equal signs, and no space at its end.
fn is_value(value: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(is_allowed) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_what_the_recommendation_says() {
        let ends = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (text, is_sampled) in [
            (format!("00-{ends}-00"), false),
            (format!("00-{ends}-01"), true),
            (format!("00-{ends}-ff"), true),
            (format!("00-{ends}-fe"), false),
            (format!("01-{ends}-01"), true),
            (format!("cc-{ends}-01-what-comes-later"), true),
            (format!("cc-{ends}-01-"), true),
        ] {
            let trace = TraceContext::parse(&text).expect(&text);
            assert_eq!(trace.is_sampled(), is_sampled, "{text}");
            assert_eq!(trace.to_string(), format!("00-{ends}-0{}", u8::from(is_sampled)));
        }
        for wrong in [
            String::new(),
            format!("ff-{ends}-01"),
            format!("00-{ends}-01-"),
            format!("00-{ends}-01-more"),
            format!("cc-{ends}-01.more"),
            format!("00-{ends}-0"),
            format!("00-{ends}-0x"),
            format!("0-{ends}-01"),
            format!(" 00-{ends}-01"),
            format!("00-{}-01", ends.to_uppercase()),
            format!("00-{}-01", ends.replace('-', "_")),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            "ä".repeat(30),
        ] {
            let error = TraceContext::parse(&wrong).expect_err(&wrong);
            assert_eq!(error.code(), "trace.malformed");
        }
    }

    #[test]
    fn a_tracestate_is_a_list_of_members() {
        let trace = TraceContext::parse(PARENT).expect("it is one");
        let many =
            |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let long = |bytes: usize| format!("a={}", "x".repeat(bytes));
        for right in [
            "a=b",
            "a=b,c=d",
            " a=b ,\tc=d",
            "a=b,,c=d",
            "0a@b=c",
            "a/b*c_d-e=1",
            "a=b c",
            &many(32),
            &long(256),
            &format!("{}=x", "k".repeat(256)),
        ] {
            let with_state = trace.clone().with_state(right).expect(right);
            assert_eq!(with_state.state(), Some(right));
        }
        for wrong in [
            "a",
            "a=",
            "=b",
            "A=b",
            "0a=b",
            "a=b=c",
            "a=b,a=c",
            "a@=b",
            "@a=b",
            "a@0b=c",
            "a@b@c=d",
            "a=ü",
            "a b=c",
            "a=\u{7f}",
            &many(33),
            &long(257),
            &format!("{}=x", "k".repeat(257)),
            &format!("a@{}=x", "k".repeat(15)),
        ] {
            let error = trace.clone().with_state(wrong).expect_err(wrong);
            assert_eq!(error.code(), "trace.malformed");
        }
        assert_eq!(trace.with_state(" , ").expect("it is empty").state(), None);
    }

    #[test]
    fn a_trace_travels_and_one_without_a_state_has_not_that_of_another() {
        let mut metadata = Metadata::new();
        assert_eq!(metadata.trace(), None);
        metadata.set(TRACEPARENT, PARENT).expect("it may");
        metadata.set(TRACESTATE, "A=b").expect("it may");
        let trace = metadata.trace().expect("there is one");
        assert_eq!(trace.state(), None, "what is no state is left out");
        let with_state = trace.clone().with_state("a=b").expect("it is one");
        metadata.set_trace(&with_state).expect("it may");
        assert_eq!(metadata.trace().as_ref(), Some(&with_state));
        let mut own = Metadata::new();
        own.set_trace(&trace.below([1; 8]).expect("it is one")).expect("it may");
        let both = own.over(&metadata).expect("there is room");
        assert_eq!((both.trace().expect("there is one").state(), both.len()), (None, 1));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            trace_id: [u8; 16], parent_id: [u8; 8], is_sampled: bool,
        ) {
            let Ok(trace) = TraceContext::new(trace_id, parent_id, is_sampled) else { return Ok(()) };
            prop_assert_eq!(TraceContext::parse(&trace.to_string()).expect("its own"), trace);
        }

        #[test]
        fn any_text_is_one_or_is_not(text: String, state: String) {
            if let Ok(trace) = TraceContext::parse(&text) {
                let _ = trace.with_state(&state);
            }
            let _ = TraceContext::parse(PARENT).expect("it is one").with_state(&state);
        }
    }
}
