//! Calls as they are made: what is written, whose turn it is, and how long a caller waits.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::Uri;
use hyper::body::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Base;
use super::driver::{Driver, Job, Message, Stage};
use crate::caller::{Caller, Kept, Request, Who, WhoKey};
use crate::class::Durability;
use crate::codec::{decode_wire, encode_wire};
use crate::error::{Code, Error, Outcome};
use crate::host::Host;
use crate::id::{ObjectId, check_name};
use crate::limits::{CLIENT_CALLS_MAX, CLIENT_GRACE, WIRE_BYTES_MAX};
use crate::object::BoxFuture;
use crate::protocol::{ID, NAME, Wishes, escape};
use crate::send::SendId;

/// The way to a runtime elsewhere.
pub(super) struct Calls {
    host: Host,
    /// Inner `Err`: what is wrong with the address.
    base: Result<Base, Error>,
    messages: mpsc::Sender<Message>,
    /// One for each call that may be under way.
    places: Arc<Semaphore>,
    stubs: AtomicU64,
}

impl Calls {
    pub(super) fn new(host: Host, base: Result<Base, Error>) -> Self {
        let (messages, received) = mpsc::channel(CLIENT_CALLS_MAX);
        if let Ok(base) = &base {
            let driver = Driver::new(host.clone(), base.clone(), received);
            host.tasks.spawn(Box::pin(driver.run()));
        }
        let places = Arc::new(Semaphore::new(CLIENT_CALLS_MAX));
        Calls { host, base, messages, places, stubs: AtomicU64::new(1) }
    }

    /// Sets a call on its way, and gives what it will be answered.
    fn make(
        &self,
        request: &Request,
        kept: Option<Option<Duration>>,
    ) -> Result<BoxFuture<'static, Result<Vec<u8>, Error>>, Error> {
        let base = self.base.as_ref().map_err(Error::clone)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        let timeout = request.timeout.or(request.method.timeout);
        let clock = Arc::clone(&self.host.clock);
        let deadline = timeout.map(|timeout| clock.now() + timeout);
        let stage = Arc::new(Stage::default());
        let job = Job {
            stub: request.stub,
            uri: uri(base, request)?,
            body: body(request, kept)?,
            deadline,
            stage: Arc::clone(&stage),
            answer,
            messages: self.messages.clone(),
            object: label(request),
            tries: 0,
            _place: place,
        };
        let object = job.object.clone();
        self.messages.try_send(Message::Made(job)).map_err(|error| match error {
            TrySendError::Full(_) => full(),
            TrySendError::Closed(_) => gone(Outcome::NotStarted),
        })?;
        Ok(Box::pin(async move {
            let lost = |_| Err(gone(Outcome::Unknown));
            let Some(deadline) = deadline else { return answered.await.unwrap_or_else(lost) };
            let answered = match select(answered, clock.sleep_until(deadline)).await {
                Either::Left((answer, _)) => return answer.unwrap_or_else(lost),
                Either::Right(((), answered)) => answered,
            };
            if stage.leave() {
                return Err(expired().with_object(object));
            }
            // The server answers when the time is over; what it says is better than what can be guessed here.
            match select(answered, clock.sleep_until(deadline + CLIENT_GRACE)).await {
                Either::Left((answer, _)) => answer.unwrap_or_else(lost),
                Either::Right(_) => Err(unanswered().with_object(object)),
            }
        }))
    }
}

impl Caller for Calls {
    fn call(&self, request: Request) -> BoxFuture<'static, Result<Vec<u8>, Error>> {
        self.make(&request, None).unwrap_or_else(|error| Box::pin(ready(Err(error))))
    }

    fn send(&self, request: Request, delay: Option<Duration>) -> Kept {
        match self.make(&request, Some(delay)) {
            Ok(made) => Box::pin(async move {
                let id = decode_wire::<SendId>(&made.await?);
                id.map_err(|error| {
                    let text = format!("the server has given no id of a send: {error:?}; run one version of this crate");
                    Code::ServerForeign.error(text).with_outcome(Outcome::Committed)
                })
            }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn id(&self, class: &'static str, who: &Who) -> Result<ObjectId, Error> {
        match &who.key {
            WhoKey::Id(id) => Ok(*id),
            WhoKey::Name(name) => Err(Code::IdAway.error(format!(
                "the id of {class}({}) is known where the object is; let a method give it, or use the name",
                name.escape_debug()
            ))),
        }
    }

    fn unique(&self, class: &'static str) -> Result<ObjectId, Error> {
        Err(Code::IdAway.error(format!(
            "ids of class {class} are made where its objects are; let a method make one, or take a name that nobody else has"
        )))
    }

    fn number_stub(&self) -> u64 {
        self.stubs.fetch_add(1, Ordering::Relaxed)
    }
}

/// The error of a call that the server may have when its time is over.
fn unanswered() -> Error {
    let text = "no answer came while the call had time; read the object to see what became of it";
    Code::ServerUnreachable.error(text).with_outcome(Outcome::Unknown)
}

/// The error of a call whose time was over before it left.
pub(super) fn expired() -> Error {
    let text =
        "the call's time was over before there was a connection; call again, or give it more time";
    Code::CallExpired.error(text)
}

/// The error of one call too many.
fn full() -> Error {
    Code::ClientOverloaded.error(format!(
        "{CLIENT_CALLS_MAX} calls of the client are under way, which is the limit; call again when some are over"
    ))
}

/// The error of a call whose tokio runtime has ended.
fn gone(outcome: Outcome) -> Error {
    let text = "the tokio runtime that the client was made in has ended; make the client in one that lasts";
    Code::ServerUnreachable.error(text).with_outcome(outcome)
}

/// The object, as errors call it.
fn label(request: &Request) -> String {
    match &request.who.key {
        WhoKey::Name(name) => format!("{}({})", request.class, name.escape_debug()),
        WhoKey::Id(id) => format!("{}({id})", request.class),
    }
}

fn uri(base: &Base, request: &Request) -> Result<Uri, Error> {
    if let WhoKey::Name(name) = &request.who.key {
        check_name(request.class, name)?;
    }
    let mut path = format!("{}://{}{}/", base.handshake.scheme(), base.authority, base.path);
    escape(request.class, &mut path);
    path.push('/');
    match &request.who.key {
        WhoKey::Name(name) => {
            path.push_str(NAME);
            escape(name, &mut path);
        }
        WhoKey::Id(id) => path.push_str(&format!("{ID}{id}")),
    }
    path.push('/');
    escape(request.method.name, &mut path);
    path.try_into().map_err(|error| {
        let text =
            format!("the address of the runtime gives no path of a call: {error}; correct it");
        Code::ConfigInvalid.error(text)
    })
}

fn body(request: &Request, kept: Option<Option<Duration>>) -> Result<Bytes, Error> {
    let placement = request.who.placement.as_deref();
    let wishes = Wishes {
        args: request.method.args,
        returns: request.method.returns,
        is_relaxed: request.durability.map(|durability| durability == Durability::Relaxed),
        key: request.key.as_deref(),
        is_patient: request.is_patient,
        kept,
        jurisdiction: placement.and_then(|placement| placement.jurisdiction.as_deref()),
        location_hint: placement.and_then(|placement| placement.location_hint.as_deref()),
        metadata: request.metadata.clone(),
    };
    let unencodable =
        |why: String| Code::CallUnencodable.error(format!("{}: {why}", request.class));
    let mut body = encode_wire(&wishes).map_err(|error| unencodable(format!("{error:?}")))?;
    body.extend_from_slice(&request.args);
    let size = body.len();
    if size > WIRE_BYTES_MAX {
        return Err(unencodable(format!(
            "{size} bytes are to go over the wire, the limit is {WIRE_BYTES_MAX}; send them in parts"
        )));
    }
    Ok(body.into())
}
