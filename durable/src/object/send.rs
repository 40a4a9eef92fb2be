//! What a turn does about sends: it makes them, and takes them back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Code, Error, Outcome};
use crate::id::ObjectId;
use crate::limits::{ALARM_AHEAD_MAX, OUTBOX_SENDS_MAX, RETRY_AFTER, SENDS_BYTES_MAX, SENDS_MAX};
use crate::metadata::Metadata;
use crate::object::kv::{Owner, Turn};
use crate::object::{Context, Object};
use crate::send::{NewSend, SendId};
use crate::storage::{SendWrite, encode_send};
use crate::stub::Call;
use crate::time::WallMs;

impl<O: Object> Context<'_, O> {
    /// Sends a call: it is made after this turn's commit, and never if this turn fails. It takes effect exactly once,
    /// whatever crashes when. Gives what the send is called.
    ///
    /// Sends of this object to one target take effect in the order in which they are made, each after the one before it is
    /// over. What the method returns is dropped. If it returns `Err` or panics, what it did is undone and it is run again as
    /// an alarm of the target's class would be; in the end it is a [dead letter](crate::Runtime::dead_letters) of the
    /// target, and the next one follows. The target may be this object itself. A timeout of the call means nothing here.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Account { cents: u64 }
    ///
    /// #[durable_object(name = "doc.SendingAccount")]
    /// impl Account {
    ///     pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents }
    ///
    ///     /// Both accounts change, or neither does.
    ///     pub fn transfer(&mut self, cx: &mut Context<'_, Self>, to: String, cents: u64) -> Result<u64, String> {
    ///         self.cents = self.cents.checked_sub(cents).ok_or("overdrawn")?;
    ///         cx.send(cx.get::<Account>(&to).deposit(cents));
    ///         Ok(self.cents)
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Account>().start().await?;
    /// let ada = runtime.get::<Account>("ada");
    /// ada.deposit(500).await?;
    /// assert_eq!(ada.transfer("bob".into(), 200).await.unwrap(), 300);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The turn fails, whatever it returns: with `send.read_only` if it takes `&self`; with `send.too_many` or
    /// `send.too_large` if it sends more than a turn may; with `send.overloaded` if too many wait; with `call.unencodable`;
    /// with what made the stub unusable.
    ///
    /// # Panics
    /// In `#[init]`, which stores nothing. Send in `#[on_activate]`, or in a method.
    pub fn send<C: Object, Out>(&self, call: Call<C, Out>) -> SendId {
        self.sends.send((self, &self.metadata), call, None)
    }

    /// As [`send`](Self::send), but the call is made so much after [`now`](Self::now) at the earliest. It has no order with
    /// other sends.
    ///
    /// # Errors
    /// As [`send`](Self::send); `send.too_far` if `delay` is longer than
    /// [`ALARM_AHEAD_MAX`](crate::limits::ALARM_AHEAD_MAX).
    pub fn send_after<C: Object, Out>(&self, delay: Duration, call: Call<C, Out>) -> SendId {
        self.sends.send((self, &self.metadata), call, Some(delay))
    }

    /// Takes back a send of this object, as part of this turn, if it waits then: one that is being delivered when this turn
    /// commits may take effect, and is not tried again if it fails.
    /// [`Runtime::cancel_send`](crate::Runtime::cancel_send) tells which.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn cancel_send(&self, id: SendId) {
        self.sends.take_back(self, id);
    }
}

/// Where the sends of a turn come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SendBase<'a> {
    Is {
        source: ObjectId,
        shard: u16,
        epoch: u64,
        /// Sends that the activation has made, kept or not.
        made: &'a AtomicU32,
        /// Sends that wait in the shard.
        waiting: u64,
    },
    /// A class that is run alone has nobody to send to.
    Unknown,
}

/// A turn's dealings with sends.
pub(crate) struct SendDesk<'a> {
    base: SendBase<'a>,
    turn: Turn,
    dealt: Mutex<Dealt>,
}

#[derive(Default)]
struct Dealt {
    made: Vec<NewSend>,
    taken_back: Vec<SendId>,
    /// Of the calls.
    bytes: usize,
    /// Why the turn cannot be kept. `None`: it can.
    fault: Option<Error>,
}

/// How far a turn had come: calls that it had made, and calls that it had taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendMark(usize, usize);

impl<'a> SendDesk<'a> {
    pub(crate) fn new(base: SendBase<'a>, turn: Turn) -> Self {
        SendDesk { base, turn, dealt: Mutex::default() }
    }

    pub(crate) fn mark(&self) -> SendMark {
        let dealt = self.dealt.lock();
        SendMark(dealt.made.len(), dealt.taken_back.len())
    }

    /// Goes back to what it was.
    pub(crate) fn reset(&self, SendMark(made, taken_back): SendMark) {
        let mut dealt = self.dealt.lock();
        dealt.made.truncate(made);
        dealt.taken_back.truncate(taken_back);
        dealt.bytes = dealt.made.iter().map(|send| send.body.len()).sum();
    }

    pub(crate) fn has_dealt(&mut self) -> bool {
        let Dealt { made, taken_back, fault, .. } = self.dealt.get_mut();
        !made.is_empty() || !taken_back.is_empty() || fault.is_some()
    }

    pub(crate) fn take_dealt(&mut self) -> (SendWrite, Option<Error>) {
        let Dealt { mut made, mut taken_back, fault, .. } = std::mem::take(self.dealt.get_mut());
        // What it takes back of its own was never there.
        let own: Vec<_> = made.iter().map(|send| send.id).collect();
        made.retain(|send| !taken_back.contains(&send.id));
        taken_back.retain(|id| !own.contains(id));
        (SendWrite { made, taken_back, ..SendWrite::default() }, fault)
    }

    /// Makes a send. `delay`: how long it stays at least. `None`: not longer than those before it.
    pub(crate) fn send<C: Object, Out>(
        &self,
        (owner, metadata): (&dyn Owner, &Metadata),
        call: Call<C, Out>,
        delay: Option<Duration>,
    ) -> SendId {
        let SendBase::Is { source, shard, epoch, made, waiting } = self.base else {
            owner.lacks("sends a call");
            return SendId { shard: 0, epoch: 0, number: 1 };
        };
        let number = made.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let id = SendId { shard, epoch, number };
        let until = delay.map(|delay| later(owner.told_now(), delay));
        let kept = self.check(owner, "sends").and_then(|()| {
            let (until, now) = (until.transpose()?, owner.peek_now().unwrap_or_default());
            let until_ms = until.unwrap_or(now);
            let (target, class_no, call) = call.into_sent(Some(source), until_ms, metadata)?;
            let (source, body) = (Some(source), encode_send(&call));
            Ok(NewSend { id, source, target, class_no, until, body })
        });
        let mut dealt = self.dealt.lock();
        let room = kept.and_then(|send| {
            let (count, bytes) = (dealt.made.len() + 1, dealt.bytes + send.body.len());
            check_room((count, bytes), waiting).map(|()| send)
        });
        match room {
            Ok(send) => {
                dealt.bytes += send.body.len();
                dealt.made.push(send);
            }
            // What was made before the turn is part of it.
            Err(error) => {
                dealt.fault.get_or_insert(error.with_outcome(Outcome::RolledBack));
            }
        }
        id
    }

    /// Takes a send back.
    pub(crate) fn take_back(&self, owner: &dyn Owner, id: SendId) {
        let is_near = match self.base {
            SendBase::Is { shard, .. } => id.shard == shard,
            SendBase::Unknown => {
                owner.lacks("takes a send back");
                return;
            }
        };
        let checked = self.check(owner, "takes a send back");
        let mut dealt = self.dealt.lock();
        match checked {
            Ok(()) if dealt.taken_back.len() >= SENDS_MAX => {
                let error = too_many(dealt.taken_back.len() + 1, "are taken back");
                dealt.fault.get_or_insert(error);
            }
            // One of another shard is not of this object, and waits where this turn does not commit.
            Ok(()) if is_near => dealt.taken_back.push(id),
            Ok(()) => {}
            Err(error) => drop(dealt.fault.get_or_insert(error)),
        }
    }

    /// Whether the turn may do anything about sends.
    fn check(&self, owner: &dyn Owner, what: &str) -> Result<(), Error> {
        match self.turn {
            Turn::Write => Ok(()),
            Turn::Read => Err(Code::SendReadOnly.error(format!(
                "a turn that takes `&self` of {} {what}, and leaves nothing that would keep it; \
                 let the method take `&mut self`",
                owner.label()
            ))),
            Turn::Init => panic!(
                "`#[init]` of {} {what}, and nothing of it is stored; do it in `#[on_activate]` or a method",
                owner.label()
            ),
        }
    }
}

const AHEAD_MS_MAX: u64 = ALARM_AHEAD_MAX.as_secs() * 1_000;

/// So long after `now`.
pub(crate) fn later(now: WallMs, delay: Duration) -> Result<WallMs, Error> {
    let ms = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    if ms > AHEAD_MS_MAX {
        return Err(Code::SendTooFar.error(format!(
            "a send is to leave in {ms} ms, the limit is {AHEAD_MS_MAX} ms; send in steps, or mend its unit"
        )));
    }
    Ok(WallMs(now.0.saturating_add(ms)))
}

/// Whether so many calls of so many bytes may be sent together, where so many wait already.
pub(crate) fn check_room((count, bytes): (usize, usize), waiting: u64) -> Result<(), Error> {
    if count > SENDS_MAX {
        return Err(too_many(count, "are sent"));
    }
    if bytes > SENDS_BYTES_MAX {
        return Err(Code::SendTooLarge.error(format!(
            "the calls that are sent have {bytes} bytes once encoded, the limit is {SENDS_BYTES_MAX}; \
             keep what they tell in an object, and say where"
        )));
    }
    if waiting + count as u64 > OUTBOX_SENDS_MAX {
        return Err(Code::SendOverloaded.error(format!(
            "{waiting} sends wait in the shard, the limit is {OUTBOX_SENDS_MAX}; send again later, and see which targets fail"
        )).with_retry_after(RETRY_AFTER));
    }
    Ok(())
}

fn too_many(count: usize, what: &str) -> Error {
    Code::SendTooMany.error(format!(
        "{count} calls {what} in one turn, the limit is {SENDS_MAX}; spread them over several turns"
    ))
}
