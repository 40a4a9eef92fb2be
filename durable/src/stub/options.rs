//! What few calls have: a key, and what travels with them. It stands in a box of its own, so that the others do without.

use std::sync::Arc;

use super::{Address, Call, keyed};
use crate::class::MethodSpec;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::object::{Extras, Object, carried, is_carrying};
use crate::trace::TraceContext;

/// What few calls have.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// What it is known again by. `None`: it has no idempotency key.
    pub(super) key: Option<Arc<str>>,
    /// What travels with it, beside what the turn carries that makes it.
    pub(super) metadata: Metadata,
    /// What is wrong with the options, so that it is never made. `None`: nothing.
    pub(super) fault: Option<Error>,
}

impl<O: Object, Out> Call<O, Out> {
    /// Lets an entry travel with the call: its method reads it by [`Context::metadata`](crate::Context::metadata), and so does
    /// every method that is called or sent to below it. For facts about the request that methods in the middle have no
    /// business with, such as a tenant, a principal, or the id of a request.
    ///
    /// `key`: 1 to 64 of `a` to `z`, digits, `.`, `_` and `-`. `value`: a text without control characters. Set inside of a turn, it
    /// takes the place of what the turn carries under that key. A call with an idempotency key that is made again may carry
    /// something else.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Echo {}
    ///
    /// #[durable_object(name = "doc.Echo")]
    /// impl Echo {
    ///     pub fn tenant(&self, cx: &Context<'_, Self>) -> Option<String> {
    ///         cx.metadata().get("tenant").map(str::to_owned)
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Echo>().start().await?;
    /// let echo = runtime.get::<Echo>("e");
    /// assert_eq!(echo.tenant().metadata("tenant", "acme").await?.as_deref(), Some("acme"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Beside those of every call: `call.metadata_invalid` if the entry may not be one, or if more than
    /// [`METADATA_ENTRIES_MAX`](crate::limits::METADATA_ENTRIES_MAX) entries or
    /// [`METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX) bytes would travel, those of the turn that makes the call included.
    /// Scheduled, a call with metadata fails with `call.metadata_invalid`: a schedule keeps none.
    pub fn metadata(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let options = self.options();
        if let Err(error) = options.metadata.set(key.as_ref(), value.as_ref()) {
            options.fault.get_or_insert(error);
        }
        self
    }

    /// Makes the call part of a trace: its method reads it by `cx.metadata().trace()`, and every call and send below carries it on.
    /// Set inside of a turn, it takes the place of the trace that the turn carries.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata).
    pub fn trace(mut self, trace: &TraceContext) -> Self {
        let options = self.options();
        if let Err(error) = options.metadata.set_trace(trace) {
            options.fault.get_or_insert(error);
        }
        self
    }

    /// Lets all of these travel with the call.
    pub(crate) fn carrying(mut self, metadata: Metadata) -> Self {
        if !metadata.is_empty() {
            self.options().metadata = metadata;
        }
        self
    }

    pub(super) fn options(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }
}

/// A call that is made here, for interceptors: through which address, of which method, and whether it is sent. `None`: it was
/// made elsewhere, where they have seen it.
pub(super) type MadeHere<'a, O> = Option<(&'a Address<O>, &'static MethodSpec, bool)>;

/// What few calls have, as a call has it that sets out: with what the turn that makes it carries, and what interceptors add.
///
/// # Errors
/// What is wrong with the options; `call.metadata_invalid`; why an interceptor does not let it pass.
pub(super) fn whole<O: Object>(
    options: Option<Box<Options>>,
    below: &Metadata,
    made: MadeHere<'_, O>,
) -> Result<Options, Error> {
    let Options { key, metadata, fault } = *options.unwrap_or_default();
    if let Some(error) = fault {
        return Err(error);
    }
    let mut metadata = metadata.over(below)?;
    if let Some((address, method, is_send)) = made {
        address.on_call(method, is_send, &mut metadata)?;
    }
    Ok(Options { key, metadata, fault: None })
}

/// What a call has at its object that few have. `None`: nothing. `is_from_here`: it was not made elsewhere.
///
/// # Errors
/// As [`whole`]; `call.key_invalid`; `call.unencodable`.
#[inline]
pub(super) fn extras<O: Object>(
    options: Option<Box<Options>>,
    call: &O::Call,
    (address, is_from_here): (&Address<O>, bool),
) -> Result<Option<Box<Extras>>, Error> {
    let is_intercepted = is_from_here && address.has_interceptors();
    if options.is_none() && !is_carrying() && !is_intercepted {
        return Ok(None);
    }
    made(options, call, is_intercepted.then_some((address, O::method(call), false)))
}

#[cold]
fn made<O: Object>(
    options: Option<Box<Options>>,
    call: &O::Call,
    made: MadeHere<'_, O>,
) -> Result<Option<Box<Extras>>, Error> {
    let Options { key, metadata, .. } = whole(options, &carried(), made)?;
    let keyed = key.map(|key| keyed::keyed::<O>(key, call)).transpose()?;
    let is_any = keyed.is_some() || !metadata.is_empty();
    Ok(is_any.then(|| Box::new(Extras { keyed, metadata })))
}
