//! Calls and replies of a simulation that take the way through the codec, though nobody is elsewhere.

use crate::caller::{undecodable, unencodable};
use crate::class::MethodSpec;
use crate::error::{Error, Outcome};
use crate::object::Object;

/// A call as it comes out of the codec.
pub(super) fn over_the_wire<O: Object>(call: &O::Call) -> Result<O::Call, Error> {
    let args = O::encode_call(call);
    let args = args.map_err(|error| unencodable::<O>(&error, Outcome::NotStarted))?;
    O::decode_call(O::method(call).name, &args)
        .map_err(|error| undecodable::<O>(&error, Outcome::NotStarted))
}

/// A reply as it comes out of the codec.
pub(super) fn reply_over_the_wire<O: Object>(
    reply: &O::Reply,
    method: &MethodSpec,
) -> Result<O::Reply, Error> {
    let bytes = O::encode_reply(reply);
    let bytes = bytes.map_err(|error| unencodable::<O>(&error, Outcome::Committed))?;
    O::decode_reply(method.name, &bytes)
        .map_err(|error| undecodable::<O>(&error, Outcome::Committed))
}
