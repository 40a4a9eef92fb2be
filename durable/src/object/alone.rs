//! A class run apart from every runtime: one state in, one call, the next state and the reply out.
//!
//! It is what a history of calls is compared with. The methods that run are the very same; only what surrounds them is
//! missing, so a method that calls another object cannot be run like this, and says so.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll, Waker};

use crate::class::Access;
use crate::codec;
use crate::host::Entropy;
use crate::id::ObjectId;
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::object::{Context, Object, Ran};
use crate::time::WallMs;

/// What a turn sees of its object and its world when there is no runtime.
pub struct Alone {
    /// The object's id.
    pub id: ObjectId,
    /// The object's name.
    pub name: Option<Arc<str>>,
    /// The time that the turn is told. `None`: it must not ask.
    pub now: Option<WallMs>,
    /// Where the turn draws from.
    pub entropy: Arc<dyn Entropy>,
    /// What the turn asked for that is not there. Empty: nothing.
    pub(crate) missing: OnceLock<&'static str>,
}

impl Alone {
    /// For one turn.
    pub fn new(id: ObjectId, name: Option<Arc<str>>, entropy: Arc<dyn Entropy>) -> Self {
        Alone { id, name, now: None, entropy, missing: OnceLock::new() }
    }

    /// The turn is told this time.
    pub fn at(mut self, now: WallMs) -> Self {
        self.now = Some(now);
        self
    }

    pub(crate) fn lacks(&self, what: &'static str) {
        self.missing.get_or_init(|| what);
    }

    fn check(&self, method: &str) -> Result<(), String> {
        match self.missing.get() {
            Some(what) => Err(format!("`{method}` {what}, so it cannot be run by itself")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a turn came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// The encoded state after it.
    pub state: Vec<u8>,
    /// What the method returned, encoded.
    pub reply: Vec<u8>,
}

/// An object from its encoded state.
///
/// # Errors
/// Why the bytes are none.
pub fn decode<O: Object>(state: &[u8]) -> Result<O, String> {
    codec::decode(state)
}

/// The encoded state of an object that was never stored.
///
/// # Errors
/// Why the class cannot be run by itself.
pub fn birth<O: Object>(alone: &Alone) -> Result<Vec<u8>, String> {
    let object = O::create(&Context::alone(alone));
    alone.check("init")?;
    encode(&object)
}

/// Runs one call on `state`. A method that panics leaves the state as it was and has no reply, as in a runtime.
///
/// # Errors
/// Why the method cannot be run by itself.
pub fn step<O: Object>(
    alone: &Alone,
    state: &[u8],
    method: &str,
    args: &[u8],
) -> Result<Stepped, String> {
    let mut object: O = decode(state)?;
    activate(alone, &mut object, state)?;
    let call = O::decode_call(method, args).map_err(|error| format!("{error:?}"))?;
    let spec = O::method(&call);
    let ran = catch_unwind(AssertUnwindSafe(|| run(alone, &mut object, method, call)));
    alone.check(method)?;
    let Ok(ran) = ran else { return Ok(Stepped { state: state.to_vec(), reply: Vec::new() }) };
    let Ran { reply, is_rejected } = ran?;
    let state =
        if is_rejected || spec.access == Access::Read { state.to_vec() } else { encode(&object)? };
    let reply = O::encode_reply(&reply).map_err(|error| format!("{error:?}"))?;
    Ok(Stepped { state, reply })
}

fn run<O: Object>(
    alone: &Alone,
    object: &mut O,
    method: &str,
    call: O::Call,
) -> Result<Ran<O::Reply>, String> {
    let spec = O::method(&call);
    match (spec.access, spec.is_async) {
        (Access::Read, false) => Ok(object.read(&Context::alone(alone), call)),
        (Access::Write, false) => Ok(object.write(&mut Context::alone(alone), call)),
        (Access::Read, true) => at_once(method, object.read_async(&Context::alone(alone), call)),
        (Access::Write, true) => {
            at_once(method, object.write_async(&mut Context::alone(alone), call))
        }
    }
}

/// Runs `#[on_activate]`, which may fill what is not stored, and nothing else.
fn activate<O: Object>(alone: &Alone, object: &mut O, state: &[u8]) -> Result<(), String> {
    let mut cx = Context::alone(alone);
    let Some(hook) = object.on_activate(&mut cx) else { return Ok(()) };
    at_once("on_activate", hook)??;
    alone.check("on_activate")?;
    if encode(object)? == state {
        Ok(())
    } else {
        Err("`#[on_activate]` changes what is stored, so no call can be run by itself".to_owned())
    }
}

/// The value of a future that does not wait.
fn at_once<T>(method: &str, future: impl Future<Output = T>) -> Result<T, String> {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => {
            Err(format!("`{method}` waits for something, so it cannot be run by itself"))
        }
    }
}

fn encode<O: Object>(object: &O) -> Result<Vec<u8>, String> {
    codec::encode(object, 0, SNAPSHOT_BYTES_MAX).map_err(|error| format!("{error:?}"))
}
