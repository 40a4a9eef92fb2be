//! Who watches and steers the runtime in a simulation.
//!
//! A host that ships has none: each place that would report costs one look at an empty option. The places have names, so
//! that a fault can be planned for one of them and still be found after the code around it has changed.

use std::sync::Arc;
use std::time::Duration;

use super::{BoxFuture, Entropy};
use crate::class::{Durability, MethodSpec, Rate};
use crate::due::{AlarmSpec, AlarmView};
use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::restart::{Decision, Exit, SupervisorSpec};
use crate::keyed::ResultView;
use crate::kv::{KvChange, KvKey};
use crate::schedule::ScheduleView;
use crate::send::{SendId, SendView, SendsView};
use crate::sql::SqlChange;
use crate::time::WallMs;

/// Watches and steers. Called on whatever thread does the work.
pub trait Director: Send + Sync {
    /// The runtime stands between two of its steps. It may be cut off here, by a disk that dies in this call.
    fn saw(&self, event: &Event<'_>);

    /// An activation looks for its next call; it goes on when the future ends. `None`: at once.
    fn pass(&self, object: &ObjectId) -> Option<BoxFuture<'static, ()>>;

    /// The number of a call that is made inside of the runtime, from 1.
    fn number_call(&self) -> u64;

    /// What a turn draws from, so that the turn can be run again with the same numbers.
    fn entropy(&self, call: u64) -> Arc<dyn Entropy>;

    /// Whether arguments and results of calls inside of the runtime take the way through the codec.
    fn is_wired(&self) -> bool;
}

/// What happened. Calls have numbers from 1; 0 stands for a hook, or for no call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A caller sends a call. Calls of one `stub` must begin in the order in which this is seen.
    Sent {
        object: &'a ObjectId,
        class: &'static str,
        call: u64,
        stub: u64,
        method: &'static MethodSpec,
        /// What its answer waits for.
        durability: Durability,
        /// The shard and the epoch of the activation whose turn makes it: what that has submitted must be durable before the
        /// call arrives. `None`: no turn makes it.
        from: Option<(u16, u64)>,
        /// The turn that makes it, by its call. `None`: no turn does; 0: a hook.
        within: Option<u64>,
        /// It waits for room where there is none.
        is_patient: bool,
        /// Encoded. `None`: the call came from elsewhere, and whoever sent it knows them.
        args: Option<&'a [u8]>,
    },
    /// A call waits at its object, with all that do, and may.
    /// `overtakes`: it goes before all others. `is_held`: something else than calls that has the object to itself comes first, or
    /// the end of its activation.
    Queued {
        object: &'a ObjectId,
        call: u64,
        overtakes: bool,
        is_held: bool,
        waiting: usize,
        waiting_max: usize,
        /// What its class says of the calls that come. `None`: as many as come.
        rate: Option<Rate>,
        /// How many calls of its class may be under way. `None`: as the runtime says.
        class_max: Option<u32>,
    },
    /// A call is refused at its object, because the turn that makes it would wait for itself.
    /// `is_held`: as of one that is queued.
    Circular { object: &'a ObjectId, call: u64, is_held: bool },
    /// A call begins at an object whose activation ends after it: what waits there waits for that end.
    Held { object: &'a ObjectId },
    /// An activation is there, and begins to load.
    Activating {
        object: &'a ObjectId,
        class: &'static str,
        name: Option<&'a str>,
        incarnation: u64,
    },
    /// It has what is stored, not decoded yet. `commit` 0: nothing is, and this is what it begins as.
    Loaded { object: &'a ObjectId, epoch: u64, commit: u64, state: &'a [u8] },
    /// What is stored was written by older code. This is what it is to this code, and what its first turn begins with.
    Evolved { object: &'a ObjectId, state: &'a [u8] },
    /// It has come into memory below its parent, which is there, as this run.
    Joined { object: &'a ObjectId, parent: &'a ObjectId, run: u64 },
    /// It has crashed, and is about to leave memory.
    Died { object: &'a ObjectId, exit: &'a Exit },
    /// Its hook is about to be told that another object has ended. `run`: of a child, as it has joined; 0 if it was watched.
    Heard { object: &'a ObjectId, about: &'a ObjectId, run: u64 },
    /// It cannot start, and was tried so often since it was last in memory; 0: what is above it cannot.
    Unstartable { object: &'a ObjectId, error: &'a Error, tries: u32 },
    /// It could not start, which may pass: it was tried so often, and is tried again.
    StartFailed { object: &'a ObjectId, error: &'a Error, tries: u32 },
    /// Its object has crashed, or did not start, by its own fault.
    Crashed {
        object: &'a ObjectId,
        is_quarantined: bool,
        /// So many within the period are let pass.
        crashes: u32,
        period: Duration,
    },
    /// It is stored that the object does not run. From `retry_at` on one call is let through.
    Quarantined { object: &'a ObjectId, retry_at: WallMs, failed_trials: u32 },
    /// A call to an object that does not run is let through.
    QuarantineTried { object: &'a ObjectId },
    /// So many of its objects have failed that the class has.
    ClassFailed { class: &'static str },
    /// The object may run, because a call that was let through went well, somebody has released it, or nothing is left of it.
    QuarantineEnded { object: &'a ObjectId, is_trial: bool },
    /// It is gone, with everything that it held.
    Gone { object: &'a ObjectId, incarnation: u64 },
    /// A turn begins, on this encoded state.
    TurnBegan {
        object: &'a ObjectId,
        epoch: u64,
        call: u64,
        method: &'static MethodSpec,
        state: &'a [u8],
    },
    /// A call with an idempotency key does not run: it gets the result that is kept, or is refused.
    Repeated {
        object: &'a ObjectId,
        call: u64,
        key: &'a str,
        /// The encoded reply that it gets. `None`: it is refused.
        reply: Option<&'a [u8]>,
    },
    /// A call whose turn could begin is over: its caller has left, or its time is, or an interceptor has refused it.
    Skipped { object: &'a ObjectId, call: u64 },
    /// Work begins that a turn has spawned, under a number of its object's own.
    WorkBegan { object: &'a ObjectId, call: u64, work: u64 },
    /// It has ended, with everything that it held.
    WorkEnded { object: &'a ObjectId, work: u64 },
    /// The turn asked for the time.
    TurnTold { call: u64, now: WallMs },
    /// The turn asked for random numbers.
    TurnDrew { call: u64 },
    /// The turn has set its object's alarm, or cancelled it. `None`: it has taken back what it did to it.
    AlarmDealt { object: &'a ObjectId, call: u64, at: Option<Option<WallMs>> },
    /// The turn has set a schedule of its object, or cancelled it. `None`: it has taken back what it did to it.
    ScheduleDealt {
        object: &'a ObjectId,
        call: u64,
        name: &'a str,
        schedule: Option<Option<&'a ScheduleView>>,
    },
    /// A schedule that was due is about to run, as this call, for what `run` says. `None`: it runs for none of the times that
    /// it has missed.
    ScheduleFires {
        object: &'a ObjectId,
        call: u64,
        schedule: &'a ScheduleView,
        run: Option<&'a ScheduleView>,
        /// What follows on a failure.
        spec: AlarmSpec,
        /// Somebody wants it whether it is due or not.
        is_forced: bool,
    },
    /// The handler of an alarm is about to begin, as this call.
    AlarmFires {
        object: &'a ObjectId,
        call: u64,
        alarm: AlarmView,
        /// What follows on a failure.
        spec: AlarmSpec,
        /// Somebody wants it whether it is due or not.
        is_forced: bool,
    },
    /// A dead letter of the object is about to be retried or dropped; this is the object's alarm from there on.
    LetterTended { object: &'a ObjectId, alarm: Option<AlarmView> },
    /// A send that no turn has made is about to be stored.
    SendPut { send: &'a SendView },
    /// A send has come to its target. It is about to run as this call, unless it has been received before.
    SendArrives {
        object: &'a ObjectId,
        call: u64,
        send: SendId,
        retry_count: u32,
        /// What follows on a failure.
        spec: AlarmSpec,
        was_received: bool,
    },
    /// A send is about to be brought to its target, as it was read.
    SendLeaves { send: SendId },
    /// A send is about to be taken back by somebody who is not a turn.
    SendRecalled { send: SendId },
    /// It is durable what has become of a send.
    SendTended { send: SendId, tended: Tended },
    /// What a turn has sent to sockets of its object is about to leave. `call`: 0 if no turn has, as for what is answered without
    /// the object.
    FramesLeave { object: &'a ObjectId, call: u64 },
    /// The turn made a stub of another object, or of its own.
    TurnReached { call: u64 },
    /// A turn has read of what its activation has handed over and what is stored; of its own writes nothing is told.
    /// `value`: as it is stored, its header included; `None`: there is none.
    KvRead { object: &'a ObjectId, call: u64, key: &'a KvKey, value: Option<&'a [u8]> },
    /// A turn ended. `state`: what it left in memory, before anything is undone; empty if that does not encode. `kv`: what
    /// it did to its object's KV, in the order of keys.
    TurnEnded {
        object: &'a ObjectId,
        call: u64,
        method: &'static MethodSpec,
        ended: TurnEnd,
        state: &'a [u8],
        kv: &'a [KvChange],
        /// What its commit is to do to the object's database, if it is kept. `None`: nothing.
        sql: Option<&'a SqlChange>,
    },
    /// A commit was handed to the shard. `place`: in the shard's order; `state`: also if it is as it was; `kv`: what it does
    /// to the object's KV, in the order of keys.
    Submitted {
        object: &'a ObjectId,
        epoch: u64,
        commit: u64,
        call: u64,
        shard: u16,
        place: u64,
        state: &'a [u8],
        kv: &'a [KvChange],
        /// What it does to the object's database. `None`: nothing.
        sql: Option<&'a SqlChange>,
        /// The object's alarm from here on, if it changes it. `None`: it is as it was.
        alarm: Option<Option<AlarmView>>,
        /// The object's schedules from here on, if it changes them. `None`: they are as they were.
        schedules: Option<&'a [ScheduleView]>,
        /// What it does about sends. `None`: nothing.
        sends: Option<&'a SendsView>,
        /// The result that it keeps. `None`: none.
        result: Option<&'a ResultView>,
        /// Nothing of the object is left; `state` is empty.
        erases: bool,
        /// The commit of the object whose moment it brings back; 0: that before the first. `None`: it brings none back.
        restores: Option<u64>,
    },
    /// The shard has stored a batch, and nobody was told.
    Stored { shard: u16 },
    /// Somebody is about to be told of this commit.
    Settled { shard: u16, place: u64, is_durable: bool },
    /// A log is about to be copied into its database.
    Checkpointing { shard: u16 },
    /// A shard is about to be copied into a backup.
    Copying { shard: u16 },
    /// A shard takes nothing more.
    Stopped { shard: u16, error: &'a Error },
    /// The caller has its answer; `Ok` also for a rejection, which is the method's own.
    Answered {
        call: u64,
        /// The encoded reply; empty if the call came from elsewhere.
        outcome: Result<&'a [u8], &'a Error>,
    },
    /// The caller went without an answer.
    Abandoned { call: u64 },
    /// A supervisor begins, with none of its children there.
    SupervisorBegan { supervisor: &'a str, spec: &'a SupervisorSpec },
    /// A task runs for the first time.
    TaskBegan { supervisor: &'a str, child: &'a str, incarnation: u64 },
    /// It has ended, with everything that it held; its supervisor does not know.
    TaskEnded { supervisor: &'a str, child: &'a str, incarnation: u64 },
    /// A supervisor has decided something, or seen it. It is named from the top of the tree.
    Supervised { supervisor: &'a str, decision: &'a Decision },
}

/// What has become of a send that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tended {
    /// It waits now, which no turn has made.
    Put,
    /// It has left the outbox: it took effect, or is a dead letter.
    Over,
    /// It has failed so often, and waits.
    Again { retries: u32, due: WallMs },
    /// Somebody has taken it back.
    TakenBack,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// The method returned, and what it changed is kept.
    Kept,
    /// The method refused.
    Rejected,
    /// The method returned, and wants nothing of the object to be left.
    Erased,
    /// The method panicked.
    Panicked,
}

impl Event<'_> {
    /// Names of all places, for plans.
    pub const POINTS: &'static [&'static str] = &[
        "call.sent",
        "call.queued",
        "activation.loading",
        "activation.loaded",
        "activation.unstartable",
        "activation.gone",
        "turn.began",
        "turn.told",
        "turn.drew",
        "turn.reached",
        "turn.ended",
        "commit.submitted",
        "commit.stored",
        "commit.settled",
        "log.copying",
        "shard.stopped",
        "call.answered",
        "call.abandoned",
        "kv.read",
        "activation.evolved",
        "shard.copying",
        "alarm.dealt",
        "alarm.fires",
        "letter.tended",
        "supervisor.decided",
        "supervisor.began",
        "task.began",
        "task.ended",
        "object.crashed",
        "object.quarantined",
        "quarantine.tried",
        "quarantine.ended",
        "class.failed",
        "child.joined",
        "end.heard",
        "activation.died",
        "schedule.dealt",
        "schedule.fires",
        "call.circular",
        "send.put",
        "send.arrives",
        "send.tended",
        "send.recalled",
        "queue.held",
        "call.repeated",
        "call.skipped",
        "send.leaves",
        "work.began",
        "work.ended",
        "start.failed",
        "frames.leave",
    ];

    /// The name of its place.
    pub fn point(&self) -> &'static str {
        let index = match self {
            Event::Sent { .. } => 0,
            Event::Queued { .. } => 1,
            Event::Activating { .. } => 2,
            Event::Loaded { .. } => 3,
            Event::Unstartable { .. } => 4,
            Event::Gone { .. } => 5,
            Event::TurnBegan { .. } => 6,
            Event::TurnTold { .. } => 7,
            Event::TurnDrew { .. } => 8,
            Event::TurnReached { .. } => 9,
            Event::TurnEnded { .. } => 10,
            Event::Submitted { .. } => 11,
            Event::Stored { .. } => 12,
            Event::Settled { .. } => 13,
            Event::Checkpointing { .. } => 14,
            Event::Stopped { .. } => 15,
            Event::Answered { .. } => 16,
            Event::Abandoned { .. } => 17,
            Event::KvRead { .. } => 18,
            Event::Evolved { .. } => 19,
            Event::Copying { .. } => 20,
            Event::AlarmDealt { .. } => 21,
            Event::AlarmFires { .. } => 22,
            Event::LetterTended { .. } => 23,
            Event::Supervised { .. } => 24,
            Event::SupervisorBegan { .. } => 25,
            Event::TaskBegan { .. } => 26,
            Event::TaskEnded { .. } => 27,
            Event::Crashed { .. } => 28,
            Event::Quarantined { .. } => 29,
            Event::QuarantineTried { .. } => 30,
            Event::QuarantineEnded { .. } => 31,
            Event::ClassFailed { .. } => 32,
            Event::Joined { .. } => 33,
            Event::Heard { .. } => 34,
            Event::Died { .. } => 35,
            Event::ScheduleDealt { .. } => 36,
            Event::ScheduleFires { .. } => 37,
            Event::Circular { .. } => 38,
            Event::SendPut { .. } => 39,
            Event::SendArrives { .. } => 40,
            Event::SendTended { .. } => 41,
            Event::SendRecalled { .. } => 42,
            Event::Held { .. } => 43,
            Event::Repeated { .. } => 44,
            Event::Skipped { .. } => 45,
            Event::SendLeaves { .. } => 46,
            Event::WorkBegan { .. } => 47,
            Event::WorkEnded { .. } => 48,
            Event::StartFailed { .. } => 49,
            Event::FramesLeave { .. } => 50,
        };
        Self::POINTS[index]
    }
}
