//! Calls of typed clients: encoded as calls of this process are that leave it, and kept in the order of their stubs.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::order::Place;
use super::problem::{Problem, plain};
use super::{Service, Settings};
use crate::caller::{Who, WhoKey};
use crate::class::Durability;
use crate::codec::{decode_first, encode_wire};
use crate::error::{Code, Error};
use crate::exposed::{Answer, Args, Asked, Door, ExposedMethod, Wishing};
use crate::id::Placement;
use crate::metadata::Metadata;
use crate::object::BoxFuture;
use crate::protocol::{CALL, KEEPS_ORDER, Wishes};

/// Whether a request is a typed call.
pub(super) fn is_typed(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind == CALL)
}

/// A typed call that has passed, as far as it is known before its body is read.
pub(super) struct TypedCall<'a> {
    pub(super) door: &'a dyn Door,
    pub(super) method: &'static ExposedMethod,
    pub(super) object: WhoKey,
    pub(super) timeout: Option<Duration>,
    /// What the one who let it pass has said of it.
    pub(super) metadata: Metadata,
    /// `None`: its connection keeps no order.
    pub(super) place: Option<Place>,
}

impl Service {
    pub(super) async fn answer_typed(
        &self,
        mut call: TypedCall<'_>,
        body: Bytes,
    ) -> Result<Response, Problem> {
        let mut place = call.place.take();
        let keeps_order = place.is_some();
        let (wishes, args) = decode_first::<Wishes<'_>>(&body).map_err(|why| {
            Problem::malformed(format!("what stands before the arguments does not decode: {why}"))
        })?;
        check_signature(call.door, call.method, &wishes)?;
        let asked = asked(&self.settings, &call, &wishes, args)?;
        let door = call.door;
        if let Some(place) = &mut place {
            place.comes().await;
        }
        let answer: BoxFuture<'static, Result<Vec<u8>, Error>> = match wishes.kept {
            None => {
                let answer = door.call(asked);
                Box::pin(async move {
                    match answer.await? {
                        Answer::Value(bytes) => Ok(bytes),
                        Answer::Rejection(_) | Answer::Response(_) | Answer::Stream(_) => {
                            unreachable!("typed calls are answered with encoded replies")
                        }
                    }
                })
            }
            Some(delay) => {
                let kept = door.keep(asked, delay);
                Box::pin(async move {
                    let id = kept.await?;
                    Ok(encode_wire(&id).expect("three numbers encode"))
                })
            }
        };
        let bytes = after_first_poll(answer, move || drop(place)).await?;
        let mut response = plain(StatusCode::OK, CALL, bytes);
        if keeps_order {
            let name = HeaderName::from_static(KEEPS_ORDER);
            response.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        Ok(response)
    }
}

/// Both sides have the same types of arguments and of the result, as far as their names tell.
fn check_signature(
    door: &dyn Door,
    method: &ExposedMethod,
    wishes: &Wishes<'_>,
) -> Result<(), Error> {
    let spec = door.spec(method.name);
    if (wishes.args, wishes.returns) == (spec.args, spec.returns) {
        return Ok(());
    }
    let text = |text: &str| text.escape_debug().take(512).collect::<String>();
    Err(Code::CallUndecodable.error(format!(
        "`{}` of class {} is `({}) -> {}` here and `({}) -> {}` in the client; run the same code on both sides",
        method.name,
        door.class(),
        spec.args,
        spec.returns,
        text(wishes.args),
        text(wishes.returns),
    )))
}

fn asked<'a>(
    settings: &Settings,
    call: &TypedCall<'_>,
    wishes: &Wishes<'_>,
    args: &'a [u8],
) -> Result<Asked<'a>, Error> {
    let is_placed = wishes.jurisdiction.is_some() || wishes.location_hint.is_some();
    let placement = is_placed.then(|| {
        let mut placement = Placement::new();
        placement.jurisdiction = wishes.jurisdiction.map(Arc::from);
        placement.location_hint = wishes.location_hint.map(Arc::from);
        Arc::new(placement)
    });
    Ok(Asked {
        who: Who { key: call.object.clone(), placement },
        method: call.method,
        args: Args::Wire(args),
        timeout: call.timeout,
        usual_timeout: settings.timeout,
        key: wishes.key.map(Arc::from),
        metadata: travelling(settings, call, wishes)?,
        wishing: Wishing {
            is_patient: wishes.is_patient,
            durability: wishes.is_relaxed.map(|is_relaxed| match is_relaxed {
                true => Durability::Relaxed,
                false => Durability::Synced,
            }),
        },
    })
}

/// What travels with the call: what it has passed with, over the trace that it is part of, and over all else that the client
/// says if that is believed.
fn travelling(
    settings: &Settings,
    call: &TypedCall<'_>,
    wishes: &Wishes<'_>,
) -> Result<Metadata, Error> {
    if settings.believes_metadata {
        return call.metadata.clone().over(&wishes.metadata);
    }
    let mut said = Metadata::new();
    if let Some(trace) = wishes.metadata.trace() {
        said.set_trace(&trace)?;
    }
    call.metadata.clone().over(&said)
}

/// What a future gives that is polled once before `then`: a call is at its object then.
async fn after_first_poll<T>(mut work: BoxFuture<'static, T>, then: impl FnOnce()) -> T {
    let first = poll_fn(|task| match Pin::new(&mut work).poll(task) {
        Poll::Ready(given) => Poll::Ready(Some(given)),
        Poll::Pending => Poll::Ready(None),
    })
    .await;
    then();
    match first {
        Some(given) => given,
        None => work.await,
    }
}
