//! Calls that are known again by a key.

use std::sync::Arc;

use super::Call;
use crate::caller::unencodable;
use crate::class::Access;
use crate::error::{Code, Error, Outcome};
use crate::keyed::{ArgsDigest, Keyed, check_key};
use crate::object::Object;

impl<O: Object, Out> Call<O, Out> {
    /// Gives the call a key that it is known again by: made several times with the same key, it takes effect once, and all
    /// get the result of the first. For a caller that does not know whether it was heard, such as one that crashed or whose
    /// connection broke.
    ///
    /// The result is stored in the commit of the effect, and kept for 24 h unless
    /// [`keep_results`](crate::RuntimeBuilder::keep_results), or the class by `keep_results = "168h"`, says otherwise. A call that
    /// comes while the first one runs waits for it. One that the object never heard of, or whose turn was undone, by an `Err`
    /// of the method or by whatever else, has left nothing, and runs when it is made again. Keys are the object's own:
    /// another object does not know them.
    ///
    /// `key`: 1 to 255 bytes that tell the request from all others, such as an order's number or a random id.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Account { cents: u64 }
    ///
    /// #[durable_object(name = "doc.KeyedAccount")]
    /// impl Account {
    ///     pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Account>().start().await?;
    /// let ada = runtime.get::<Account>("ada");
    /// assert_eq!(ada.deposit(500).idempotency_key("order-17").await?, 500);
    /// assert_eq!(ada.deposit(500).idempotency_key("order-17").await?, 500, "it is the same deposit");
    /// let error = ada.deposit(900).idempotency_key("order-17").await.unwrap_err();
    /// assert_eq!(error.code(), "call.mismatched");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Beside those of every call: `call.mismatched` if the key was used for another method or other arguments;
    /// `call.key_invalid` if it is empty or too long, or the method takes `&self`, which has no effect that could come twice;
    /// `result.too_large` if the result has more than [`RESULT_BYTES_MAX`](crate::limits::RESULT_BYTES_MAX), and the turn is
    /// undone; `result.overloaded` if the object keeps [`RESULTS_MAX`](crate::limits::RESULTS_MAX) results or
    /// [`RESULTS_BYTES_MAX`](crate::limits::RESULTS_BYTES_MAX) of them, and nothing runs; `result.torn`, `result.newer`;
    /// `call.unencodable` if arguments or result do not encode. Sent or scheduled, a call with a key fails with
    /// `call.key_invalid`: it takes effect once without one.
    ///
    /// # Source
    /// The `Idempotency-Key` of HTTP interfaces, Stripe's above all. Theirs keeps errors, too; here a method that returns `Err`
    /// has changed nothing, so there is nothing to be kept from happening twice.
    pub fn idempotency_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.options().key = Some(key.into());
        self
    }

    /// Says that a schedule may keep the call, which keeps nothing of what few calls have.
    ///
    /// # Errors
    /// `call.key_invalid`; `call.metadata_invalid`.
    pub(super) fn check_kept(&self) -> Result<(), Error> {
        self.check_keyless()?;
        let Some(options) = &self.options else { return Ok(()) };
        match &options.fault {
            Some(error) => Err(error.clone().with_outcome(Outcome::RolledBack)),
            None if options.metadata.is_empty() => Ok(()),
            None => Err(Code::CallMetadataInvalid.error(format!(
                "`{}` is scheduled with metadata, which a schedule does not keep; pass it as an argument",
                O::method(&self.call).name
            ))),
        }
    }

    /// Says that a call that nobody waits for has no key.
    ///
    /// # Errors
    /// `call.key_invalid`.
    pub(super) fn check_keyless(&self) -> Result<(), Error> {
        let Some(key) = self.options.as_ref().and_then(|options| options.key.as_ref()) else {
            return Ok(());
        };
        Err(Code::CallKeyInvalid.error(format!(
            "`{}` is sent or scheduled with idempotency key `{}`, and takes effect once without one; leave the key out",
            O::method(&self.call).name,
            key.escape_debug()
        )))
    }
}

/// What a call is known again by.
#[cold]
pub(super) fn keyed<O: Object>(key: Arc<str>, call: &O::Call) -> Result<Keyed, Error> {
    check_key(&key)?;
    let method = O::method(call);
    if method.access == Access::Read {
        return Err(Code::CallKeyInvalid.error(format!(
            "`{}` takes `&self` and is called with idempotency key `{}`, but has no effect that could come twice; \
             leave the key out",
            method.name,
            key.escape_debug()
        )));
    }
    let args = O::encode_call(call);
    let args = args.map_err(|error| unencodable::<O>(&error, Outcome::NotStarted))?;
    Ok(Keyed { key, args: ArgsDigest::of(&args) })
}
