//! Calls that nobody waits for: they are kept until they have taken effect.

use std::time::Duration;

use super::options::{self, Options};
use super::{Call, Way};
use crate::caller::unencodable;
use crate::error::{Code, Error, Outcome};
use crate::host::Event;
use crate::id::{Lineage, ObjectId};
use crate::metadata::Metadata;
use crate::object::{Object, carried, check_room, later};
use crate::send::{NewSend, SendId, SentCall};
use crate::storage::{SendChore, encode_send};
use crate::time::WallMs;

impl<O: Object, Out> Call<O, Out> {
    /// Sends the call without waiting for it: when this answers the call is on the disk, and takes effect exactly once, also
    /// if the process ends in the next moment. Whatever the method returns is dropped; if it returns `Err` or panics, what
    /// it did is undone and it is run again as an alarm of its class would be, and in the end it is a
    /// [dead letter](crate::Runtime::dead_letters). Sends from outside to one object take effect in the order in which they
    /// were stored. A timeout of the call means nothing here.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Counter { count: u64 }
    ///
    /// #[durable_object(name = "doc.SentCounter")]
    /// impl Counter {
    ///     pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Counter>().start().await?;
    /// let counter = runtime.get::<Counter>("visits");
    /// let id = counter.add(2).send().await?;
    /// // It has been delivered, or is about to be, or was taken back.
    /// let _ = runtime.cancel_send(id).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `send.in_turn` if the stub was made inside a turn: there [`Context::send`](crate::Context::send) sends with the turn;
    /// `call.key_invalid` if the call has an idempotency key; `send.too_large`, `send.overloaded`; `call.unencodable`; what made
    /// the stub unusable; `runtime.overloaded`; `runtime.closed`, also if the tokio runtime that it was started in is gone, and
    /// nobody can say whether the call was kept if the error's outcome is [`Unknown`](Outcome::Unknown); `storage.*` if it
    /// cannot be stored.
    ///
    /// # Cancel safety
    /// If the future is dropped after it was polled, the call is sent, or not.
    pub async fn send(self) -> Result<SendId, Error> {
        self.put(None).await
    }

    /// As [`send`](Self::send), but the call is made so much later at the earliest. It has no order with other sends.
    ///
    /// # Errors
    /// As [`send`](Self::send); `send.too_far` if `delay` is longer than
    /// [`ALARM_AHEAD_MAX`](crate::limits::ALARM_AHEAD_MAX).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_after(self, delay: Duration) -> Result<SendId, Error> {
        self.put(Some(delay)).await
    }

    pub(crate) async fn put(self, delay: Option<Duration>) -> Result<SendId, Error> {
        if self.address.0.origin.is_some() {
            return Err(Code::SendInTurn.error(format!(
                "a turn sends a call to {:?} that would not be part of it; \
                 say `cx.send(call)`, which leaves with the turn's commit or not at all",
                self.address
            )));
        }
        let group = match self.address.way()? {
            Way::Here(target) => std::sync::Arc::clone(&target.group),
            Way::Away(_) => return self.put_away(delay)?.await,
        };
        let _permit = group.admit_send(self.address.is_inside())?;
        let now = group.host().clock.wall();
        let until = delay.map(|delay| later(now, delay)).transpose();
        let sent = until
            .and_then(|until| Ok((until, self.into_sent(None, until.unwrap_or(now), &carried())?)));
        let (until, (target, class_no, call)) =
            sent.map_err(|error| error.with_outcome(Outcome::NotStarted))?;
        let (shard, body) = (group.shard(&target), encode_send(&call));
        check_room((1, body.len()), shard.outbox())
            .map_err(|error| error.with_outcome(Outcome::NotStarted))?;
        let id = SendId { shard: shard.index(), epoch: shard.next_epoch().0, number: 1 };
        let new = NewSend { id, source: None, target, class_no, until, body };
        let view = new.view();
        group.host().report(|| Event::SendPut { send: &view });
        let stored = shard.tended_send(SendChore::Put(new));
        stored.await.map(|_| id)
    }

    /// What is kept of it: whom it calls, that object's class, and the call. `below`: what the turn carries that makes it.
    pub(crate) fn into_sent(
        self,
        source: Option<ObjectId>,
        scheduled: WallMs,
        below: &Metadata,
    ) -> Result<(ObjectId, u32, SentCall), Error> {
        let Way::Here(target) = self.address.way()? else {
            return Err(Code::RuntimeClosed
                .error("the object is in another process; send through a stub of its own"));
        };
        self.check_keyless()?;
        let args = O::encode_call(&self.call);
        let args = args.map_err(|error| unencodable::<O>(&error, Outcome::RolledBack))?;
        let method = O::method(&self.call);
        let made = self.sent.is_none().then_some((&self.address, method, true));
        let Options { metadata, .. } = options::whole(self.options, below, made)?;
        let text = |text: &std::sync::Arc<str>| text.to_string();
        let placement = target.placement.as_ref();
        let lineage = target.lineage.as_ref().or_else(|| target.slot.get()?.lineage());
        let call = SentCall {
            source,
            name: target.name.as_ref().map(text),
            jurisdiction: placement.and_then(|wishes| wishes.jurisdiction.as_ref()).map(text),
            location_hint: placement.and_then(|wishes| wishes.location_hint.as_ref()).map(text),
            lineage: lineage.map(Lineage::encode).unwrap_or_default(),
            method: method.name.to_owned(),
            args,
            scheduled,
            metadata,
        };
        Ok((target.id, target.group.class_no().0, call))
    }
}
