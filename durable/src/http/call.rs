//! From a request to a call, and from what it gives to a response.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::events::events;
use super::fetch;
use super::guest;
use super::order::Place;
use super::problem::{Problem, headed};
use super::server::Attended;
use super::socket::{self, Comes};
use super::typed::{TypedCall, is_typed};
use super::{Asking, Service, Settings};
use crate::caller::{Who, WhoKey};
use crate::error::{Code, Error};
use crate::exposed::{Answer, Args, Asked, Door, ExposedMethod, Verb, Wishing, unescape};
use crate::metadata::Metadata;
use crate::object::BoxFuture;
use crate::protocol::{ID, NAME, TIMEOUT};
use crate::trace::{TRACEPARENT, TRACESTATE, TraceContext};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Answers a request that a program's own routes have brought.
pub(super) async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    service.respond(request, Arrival::default()).await
}

/// What is known of how a request has come.
#[derive(Default)]
pub(super) struct Arrival<'a> {
    /// The connection. `None`: it is one of the program's own server.
    pub(super) by: Option<&'a Attended>,
    /// Whoever comes behind it waits until this call is at its object, or fails. `None`: nobody does.
    pub(super) place: Option<Place>,
}

/// What a request is for.
struct Target<'s, 'p> {
    door: &'s dyn Door,
    method: &'static ExposedMethod,
    object: WhoKey,
    way: Way<'p>,
}

/// How the object is asked.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// By the name of the method.
    Named,
    /// By a whole request, for what stands behind the object.
    Fetch(&'a str),
    /// By a socket that would come in, for what stands behind the object.
    Socket(&'a str),
}

impl Service {
    /// Answers a request. Its future is small: each request has one.
    pub(super) fn respond<'a, B: Incoming>(
        &'a self,
        request: Request<B>,
        arrival: Arrival<'a>,
    ) -> impl Future<Output = Response> + Send + 'a {
        self.answer(request, arrival).map(|given| given.unwrap_or_else(Problem::into_response))
    }

    async fn answer<B: Incoming>(
        &self,
        request: Request<B>,
        arrival: Arrival<'_>,
    ) -> Result<Response, Problem> {
        if let Some(routes) = self.beside(request.uri().path()) {
            drop(arrival);
            return Ok(ask(routes, request).await);
        }
        let (parts, body) = request.into_parts();
        let Arrival { by, place } = arrival;
        let is_typed = is_typed(&parts.headers);
        let wants_socket = !is_typed && socket::is_wanted(&parts);
        let target = self.target(parts.uri.path(), (is_typed, wants_socket))?;
        let passed = self.pass(&parts, &target, (is_typed, by)).await?;
        let Target { door, method, object, way } = target;
        if let Way::Socket(rest) = way {
            let request = fetch::request(&parts, rest, Bytes::new());
            let metadata = with_trace(passed, &parts.headers);
            let comes = Comes { class: door.class(), object, request, metadata };
            return Box::pin(self.take_socket(comes, parts, by.map(Attended::serving))).await;
        }
        let timeout = timeout(&parts.headers, &self.settings)?;
        // Most answers do not say whom they are about.
        let label = {
            let object = object.clone();
            move || label(door.class(), &object)
        };
        if is_typed {
            let body = Box::pin(self.body(&parts.headers, body)).await?;
            let call = TypedCall { door, method, object, timeout, metadata: passed, place };
            let answered = Box::pin(self.answer_typed(call, body)).await;
            return answered.map_err(|problem| problem.about(label()));
        }
        drop(place);
        let key = if let Way::Named = way { idempotency_key(&parts.headers)? } else { None };
        let asked = Asked {
            who: Who { key: object, placement: None },
            method,
            args: Args::Json(b"{}"),
            timeout,
            usual_timeout: self.settings.timeout,
            key,
            metadata: with_trace(passed, &parts.headers),
            wishing: Wishing::default(),
        };
        let call = match (way, method.verb) {
            (Way::Fetch(rest) | Way::Socket(rest), _) => {
                let body = Box::pin(self.body(&parts.headers, body)).await?;
                let request = Box::new(fetch::request(&parts, rest, body));
                door.call(Asked { args: Args::Fetch(request), ..asked })
            }
            (Way::Named, Verb::Get) => {
                let query = parts.uri.query().unwrap_or_default();
                door.call(Asked { args: Args::Query(query), ..asked })
            }
            (Way::Named, Verb::Post) => {
                if !is_json(&parts.headers) {
                    return Err(Problem::wrong_type());
                }
                let body = Box::pin(self.body(&parts.headers, body)).await?;
                let args = if body.is_empty() { asked.args } else { Args::Json(&body) };
                door.call(Asked { args, ..asked })
            }
        };
        let headers = emptied(parts);
        self.answered(call.await, headers, label)
    }

    /// The program's own routes, if they are asked and not an object.
    fn beside(&self, path: &str) -> Option<&Router> {
        let routes = self.routes.as_ref()?;
        let class = path.strip_prefix('/').unwrap_or(path).split('/').next().unwrap_or_default();
        let is_known = unescape(class).is_ok_and(|class| self.doors.contains_key(&*class));
        (!is_known).then_some(routes)
    }

    /// Whether a request may pass. Gives what travels with it.
    async fn pass(
        &self,
        parts: &Parts,
        target: &Target<'_, '_>,
        (is_typed, by): (bool, Option<&Attended>),
    ) -> Result<Metadata, Problem> {
        let Target { door, method, object, way } = target;
        match way {
            Way::Socket(_) => guest::check_origin(&parts.headers, &self.origins)?,
            _ if is_typed => check_verb(&parts.method, Verb::Post)?,
            Way::Named => check_verb(&parts.method, method.verb)?,
            Way::Fetch(_) => {}
        }
        let Some(authorize) = &self.authorize else { return Ok(Metadata::new()) };
        let asking = Asking {
            headers: &parts.headers,
            query: parts.uri.query().unwrap_or_default(),
            certificate: by.and_then(Attended::certificate),
            class: door.class(),
            object,
            method: method.name,
            verb: match way {
                Way::Fetch(_) => fetch::verb(*door, method, &parts.method),
                Way::Named | Way::Socket(_) => method.verb,
            },
        };
        authorize.ask(&asking).await.map_err(Problem::denied)
    }

    /// The response to a call that is not typed. `headers`: an empty map with room. `label`: its object.
    fn answered(
        &self,
        given: Result<Answer, Error>,
        headers: HeaderMap,
        label: impl Fn() -> String,
    ) -> Result<Response, Problem> {
        match given {
            Ok(Answer::Value(json)) => {
                let mut response = Response::new(Body::from(json));
                *response.headers_mut() = headers;
                Ok(headed(response, "application/json"))
            }
            Ok(Answer::Rejection(json)) => Err(Problem::rejected(json, label())),
            Ok(Answer::Response(response)) => {
                fetch::response(response).map_err(|error| Problem::from(error).about(label()))
            }
            Ok(Answer::Stream(items)) => {
                Ok(events(items, label(), Arc::clone(&self.runtime.host().clock)))
            }
            Err(error) => Err(Problem::from(error).about(label())),
        }
    }

    /// What a path leads to. A class that has not opted in and one that there is not look alike, and so do methods. Methods that
    /// have names come before the one that takes whole requests, which only typed callers call by its name.
    fn target<'s, 'p>(
        &'s self,
        path: &'p str,
        (is_typed, wants_socket): (bool, bool),
    ) -> Result<Target<'s, 'p>, Problem> {
        let mut segments = path.strip_prefix('/').unwrap_or(path).splitn(3, '/');
        let (Some(class), Some(object), rest) = (segments.next(), segments.next(), segments.next())
        else {
            return Err(Problem::unknown_path());
        };
        if object.is_empty() {
            // More likely a client's mistake than the object without a name.
            return Err(Problem::unknown_path());
        }
        let plain = |segment: &'p str| {
            unescape(segment).map_err(|why| Problem::malformed(format!("the path: {why}; mend it")))
        };
        let named = |text: &str| text.escape_debug().take(128).collect::<String>();
        let class = plain(class)?;
        let door = self.doors.get(&*class).map(|door| &**door);
        if wants_socket
            && let Some((door, method)) = door.and_then(|door| Some((door, door.entrance()?)))
        {
            let object = object_of(&plain(object)?)?;
            return Ok(Target { door, method, object, way: Way::Socket(rest.unwrap_or_default()) });
        }
        let fetch = door.and_then(|door| Some((door, door.fetch()?)));
        let is_name = |rest: &&str| !rest.is_empty() && !rest.contains('/');
        let name = rest.filter(is_name).map(plain).transpose()?;
        let (door, method, way) = match (name, fetch) {
            (None, None) => return Err(Problem::unknown_path()),
            (None, Some((door, fetch))) => (door, fetch, Way::Fetch(rest.unwrap_or_default())),
            (Some(name), fetch) => {
                let door = door.ok_or_else(|| {
                    Code::ClassUnknown.error(format!(
                        "no class `{}` is served here; ask for one that is",
                        named(&class)
                    ))
                })?;
                match (door.method(&name), fetch) {
                    (Some(method), _) => (door, method, Way::Named),
                    (None, Some((_, fetch))) if is_typed && fetch.name == name => {
                        (door, fetch, Way::Named)
                    }
                    (None, Some((_, fetch))) if !is_typed => {
                        (door, fetch, Way::Fetch(rest.unwrap_or_default()))
                    }
                    (None, _) => {
                        return Err(Problem::from(Code::CallUnknownMethod.error(format!(
                            "class {class} has no method `{}` that is served here; ask for one that is",
                            named(&name)
                        ))));
                    }
                }
            }
        };
        let object = object_of(&plain(object)?)?;
        Ok(Target { door, method, object, way })
    }

    async fn body<B: Incoming>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Problem> {
        let bytes_max = self.settings.body_bytes_max;
        let length =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > bytes_max) {
            return Err(Problem::too_large(bytes_max));
        }
        let clock = &self.runtime.host().clock;
        let time_over = || clock.sleep_until(clock.now() + self.settings.body_timeout);
        before(whole(body, bytes_max), time_over).await.ok_or_else(Problem::slow)?
    }
}

/// What routes of the program answer.
fn ask<B: Incoming>(routes: &Router, request: Request<B>) -> BoxFuture<'static, Response> {
    let answered = TowerToHyperService::new(routes.clone()).call(request.map(Body::new));
    Box::pin(answered.map(|Ok(response)| response))
}

/// What the headers of a request stood in, for those of its answer. Its texts lie in the buffer that the connection reads into, which is
/// only taken again when nobody has them.
fn emptied(Parts { mut headers, .. }: Parts) -> HeaderMap {
    headers.clear();
    headers
}

/// All of a body, which is not copied if it comes in one piece, as most do.
async fn whole<B: Incoming>(body: B, bytes_max: usize) -> Result<Bytes, Problem> {
    let (mut body, mut first, mut all) = (pin!(body), Bytes::new(), Vec::new());
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| Problem::malformed("the body was cut off; send it again"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if first.len() + all.len() + piece.len() > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
        if first.is_empty() && all.is_empty() {
            first = piece;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&piece);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// The body of a request.
pub(super) trait Incoming:
    HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static
{
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static> Incoming for B {}

/// The object that a segment of a path is about.
fn object_of(segment: &str) -> Result<WhoKey, Problem> {
    if let Some(id) = segment.strip_prefix(ID) {
        return Ok(WhoKey::Id(id.parse()?));
    }
    Ok(WhoKey::Name(Arc::from(segment.strip_prefix(NAME).unwrap_or(segment))))
}

/// An object, as errors call it.
fn label(class: &str, object: &WhoKey) -> String {
    match object {
        WhoKey::Name(name) => format!("{class}({})", name.escape_debug()),
        WhoKey::Id(id) => format!("{class}({id})"),
    }
}

fn check_verb(given: &Method, verb: Verb) -> Result<(), Problem> {
    let is_right = match verb {
        Verb::Get => given == Method::GET || given == Method::HEAD,
        Verb::Post => given == Method::POST,
    };
    if is_right { Ok(()) } else { Err(Problem::wrong_verb(verb)) }
}

/// Whether a body says that it is JSON. Pages of other sites cannot make a browser say that unasked.
fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let Some((kind, form)) = essence.split_once('/') else { return false };
    let suffix = form.rsplit_once('+').map_or(form, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

/// The one header of this name. `None`: there is none.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => {
                Err(Problem::malformed(format!("the header `{name}` is no plain text; mend it")))
            }
        },
        (Some(_), Some(_)) => {
            Err(Problem::malformed(format!("the header `{name}` is given twice; keep one of them")))
        }
    }
}

/// In quotes, as the draft of the IETF has it, or without, as most write it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<Arc<str>>, Problem> {
    let key = only(headers, IDEMPOTENCY_KEY)?;
    Ok(key.map(|key| {
        let quoted = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
        Arc::from(quoted.unwrap_or(key))
    }))
}

/// How much time the request gives. `None`: it says nothing.
fn timeout(headers: &HeaderMap, settings: &Settings) -> Result<Option<Duration>, Problem> {
    let Some(text) = only(headers, TIMEOUT)? else { return Ok(None) };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit_ms: Option<u64> = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let (Ok(count), Some(unit_ms)) = (count.parse::<u64>(), unit_ms) else {
        return Err(Problem::malformed(
            "the header `durable-timeout` is a whole number and its unit, such as `500ms`, `10s`, `5m` or `1h`",
        ));
    };
    let timeout = Duration::from_millis(count.saturating_mul(unit_ms));
    Ok(Some(timeout.min(settings.timeout_max)))
}

/// What travels with the call: what it has passed with, and the trace that it is part of. One that is malformed is none.
fn with_trace(mut metadata: Metadata, headers: &HeaderMap) -> Metadata {
    let texts = |name: &str| {
        let all: Vec<_> =
            headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
        all
    };
    let [parent] = texts(TRACEPARENT)[..] else { return metadata };
    let Ok(trace) = TraceContext::parse(parent) else { return metadata };
    let with_state = trace.clone().with_state(&texts(TRACESTATE).join(","));
    let trace = with_state.unwrap_or(trace);
    if let Err(error) = metadata.set_trace(&trace) {
        tracing::debug!(%error, "a trace does not travel with a call over HTTP");
    }
    metadata
}

/// What work gives, if that is before a time is over, which begins when there is something to wait for.
async fn before<T>(
    work: impl Future<Output = T>,
    time: impl FnOnce() -> BoxFuture<'static, ()>,
) -> Option<T> {
    let (mut work, mut time, mut time_over) = (pin!(work), Some(time), None);
    poll_fn(|task| {
        if let Poll::Ready(value) = work.as_mut().poll(task) {
            return Poll::Ready(Some(value));
        }
        if let Some(time) = time.take() {
            time_over = Some(time());
        }
        let time_over = time_over.as_mut().expect("it has begun");
        time_over.as_mut().poll(task).map(|()| None)
    })
    .await
}
