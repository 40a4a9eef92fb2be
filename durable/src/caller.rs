//! The way of a call to a runtime that is somewhere else: by names and encoded values.

use std::sync::Arc;
use std::time::Duration;

use crate::class::{Durability, MethodSpec};
use crate::codec::{DecodeError, EncodeError};
use crate::error::{Code, Error, Outcome};
use crate::id::{ObjectId, Placement};
use crate::limits::WIRE_BYTES_MAX;
use crate::metadata::Metadata;
use crate::object::{BoxFuture, Object};
use crate::send::SendId;

/// Takes calls to a runtime and brings their answers back.
pub trait Caller: Send + Sync {
    /// Sends a call; its answer is the encoded reply. Calls of one stub are sent in the order in which this is called, not
    /// in the order in which the futures are polled. Dropping the future takes back a call whose turn has not begun.
    fn call(&self, request: Request) -> BoxFuture<'static, Result<Vec<u8>, Error>>;

    /// Sends a call whose answer nobody waits for: it is kept when the future gives its id. `delay`: how long it stays there
    /// at least. `None`: not longer than those before it.
    fn send(&self, request: Request, delay: Option<Duration>) -> Kept;

    /// Who an object is.
    ///
    /// # Errors
    /// `class.unknown`, `name.too_long`, `id.foreign`; `runtime.closed` while the runtime cannot be reached.
    fn id(&self, class: &'static str, who: &Who) -> Result<ObjectId, Error>;

    /// The id of a new object.
    fn unique(&self, class: &'static str) -> Result<ObjectId, Error>;

    /// Tells the stubs of this caller apart.
    fn number_stub(&self) -> u64;
}

/// What gives the id of a send when that is kept.
pub type Kept = BoxFuture<'static, Result<SendId, Error>>;

/// Which object of a class.
#[derive(Clone, Debug)]
pub struct Who {
    /// Its name or id.
    pub key: WhoKey,
    /// `None`: no wishes.
    pub placement: Option<Arc<Placement>>,
}

/// What an object is asked for by.
#[derive(Clone, Debug)]
pub enum WhoKey {
    /// Its name.
    Name(Arc<str>),
    /// Its id.
    Id(ObjectId),
}

/// One call, as it travels.
#[derive(Clone, Debug)]
pub struct Request {
    /// The class's name.
    pub class: &'static str,
    /// The object.
    pub who: Who,
    /// The method.
    pub method: &'static MethodSpec,
    /// The encoded arguments.
    pub args: Vec<u8>,
    /// `None`: it waits as long as it takes.
    pub timeout: Option<Duration>,
    /// `None`: as the class says.
    pub durability: Option<Durability>,
    /// What it is known again by. `None`: it has no idempotency key.
    pub key: Option<Arc<str>>,
    /// What travels with it.
    pub metadata: Metadata,
    /// It waits for room where there is none.
    pub is_patient: bool,
    /// The stub that it is made through, by [`Caller::number_stub`].
    pub stub: u64,
}

/// The error of a call whose arguments, or of a reply that, cannot go over a wire.
pub(crate) fn unencodable<O: Object>(error: &EncodeError, outcome: Outcome) -> Error {
    let what = match error {
        EncodeError::TooLarge(size) => format!(
            "{size} bytes are to go over the wire, the limit is {WIRE_BYTES_MAX}; send them in parts"
        ),
        EncodeError::Refused(reason) => {
            format!("a value cannot be encoded: {reason}; mend its `Serialize`")
        }
    };
    Code::CallUnencodable.error(format!("{}: {what}", O::CLASS.name)).with_outcome(outcome)
}

/// The error of a call from another process that would give a stream.
pub(crate) fn unstreamable<O: Object>(method: &MethodSpec) -> Error {
    Code::CallUnencodable.error(format!(
        "`{}` of class {} gives a stream, which is for callers in the same process; call a method that gives a page at a time",
        method.name,
        O::CLASS.name
    ))
}

/// The error of bytes that are not what they should be.
pub(crate) fn undecodable<O: Object>(error: &DecodeError, outcome: Outcome) -> Error {
    let class = O::CLASS.name;
    match error {
        DecodeError::UnknownMethod(method) => Code::CallUnknownMethod.error(format!(
            "class {class} has no method `{method}`; call one that it has, or run the code that has it"
        )),
        DecodeError::Malformed(reason) => Code::CallUndecodable.error(format!(
            "a value of class {class} does not decode: {reason}; both sides must have the same types"
        )),
    }
    .with_outcome(outcome)
}
