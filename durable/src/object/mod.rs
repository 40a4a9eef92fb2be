//! One object in memory: its place in the directory, its activation, its turns, the calls that wait for it.

mod activation;
mod alarm;
pub(crate) mod alone;
#[cfg(feature = "http")]
mod broadcast;
mod call;
mod carried;
mod children;
mod context;
mod definition;
mod ends;
mod engine;
mod erased;
pub(crate) mod errand;
pub(crate) mod inside;
mod intercepted;
mod keyed;
mod kv;
mod letters;
mod live;
pub(crate) mod notice;
pub(crate) mod past;
mod places;
mod reads;
mod receive;
mod recur;
mod ring;
mod schedule;
mod send;
mod settled;
mod slot;
#[cfg(feature = "http")]
mod sockets;
mod sql;
pub(crate) mod stored;
mod task;
mod uncalled;
mod witness;
mod work;
mod write;

pub(crate) use activation::{Activation, ActivationMessage};
pub use alarm::{Alarm, Alarmed, Rang};
#[cfg(feature = "http")]
pub use broadcast::{Event, Followed};
pub(crate) use call::{CallSpec, Extras, PendingCall};
pub(crate) use carried::{carried, is_carrying};
pub use children::{Children, OwnedChild};
pub use context::{Context, Rng};
pub(crate) use context::{Dealt, Stores};
pub use definition::{
    Activated, BoxFuture, FromError, Object, Plain, Probe, Ran, Returned, misdirected,
};
pub use kv::{Kv, KvList};
pub(crate) use letters::{
    LetterDeed, taken as alarm_taken, unknown as letter_unknown, unreadable as letter_unreadable,
};
pub use notice::{ChildExit, Down, Heard, Notice};
pub(crate) use places::{Permit, Places};
pub(crate) use receive::{Delivery, InTrain};
pub use schedule::{Planned, Schedule};
pub(crate) use schedule::{schedules_full, schedules_torn, schedules_unreadable};
pub(crate) use send::{check_room, later};
pub(crate) use slot::{Arrived, Cut, Incarnation, Kin, Refused, Resident, Slot, TooLate, gone};
#[cfg(feature = "http")]
pub use sockets::Sockets;
pub use sql::{Sql, SqlExecuted, SqlRow, SqlRows};
pub use stored::{Migrated, OldState};
pub use task::TurnTask;
pub(crate) use uncalled::{Firing, Rung};
