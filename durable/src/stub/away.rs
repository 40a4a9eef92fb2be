//! Calls of an object in another process.

use std::sync::Arc;
use std::time::Duration;

use super::future::State;
use super::options::{self, Options};
use super::{Call, Way};
use crate::caller::{Caller, Kept, Request, Who, unencodable, unstreamable};
use crate::error::{Error, Outcome};
use crate::object::{Object, carried};

/// The way to an object that is reached through a caller.
pub(super) struct Away {
    pub(super) caller: Arc<dyn Caller>,
    pub(super) who: Who,
    /// Tells this stub from the caller's others.
    pub(super) stub: u64,
}

impl<O: Object, Out> Call<O, Out> {
    pub(super) fn make_away(self) -> Result<State<O, Out>, Error> {
        let (address, unpack) = (self.address.clone(), self.unpack);
        let method = O::method(&self.call);
        if method.is_stream {
            return Err(unstreamable::<O>(method));
        }
        let (caller, request) = self.into_request(false)?;
        Ok(State::Away { reply: caller.call(request), method, unpack, object: address })
    }

    pub(super) fn put_away(mut self, delay: Option<Duration>) -> Result<Kept, Error> {
        // Nobody waits for it.
        (self.timeout, self.is_patient) = (None, false);
        let (caller, request) = self.into_request(true)?;
        Ok(caller.send(request, delay))
    }

    /// The call as it travels, and who takes it there.
    fn into_request(self, is_send: bool) -> Result<(Arc<dyn Caller>, Request), Error> {
        let Call { address, call, timeout, durability, options, is_patient, .. } = self;
        let Way::Away(Away { caller, who, stub }) = address.way()? else {
            unreachable!("the way was looked at")
        };
        let method = O::method(&call);
        let args = O::encode_call(&call);
        let args = args.map_err(|error| unencodable::<O>(&error, Outcome::NotStarted))?;
        let made = Some((&address, method, is_send));
        let Options { key, metadata, .. } = options::whole(options, &carried(), made)?;
        let request = Request {
            class: O::CLASS.name,
            who: who.clone(),
            method,
            args,
            timeout,
            durability,
            key,
            metadata,
            is_patient,
            stub: *stub,
        };
        Ok((Arc::clone(caller), request))
    }
}
