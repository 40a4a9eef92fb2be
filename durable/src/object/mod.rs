//! One object in memory: its place in the directory, its activation, its turns, the calls that wait for it.

mod activation;
pub(crate) mod alone;
mod call;
mod context;
mod definition;
mod erased;
mod kv;
mod live;
pub(crate) mod past;
mod settled;
mod slot;
mod sql;
pub(crate) mod stored;
mod witness;

pub(crate) use activation::{Activation, ActivationMessage};
pub(crate) use call::{PendingCall, Permit, expired};
pub use context::{Context, Rng};
pub(crate) use context::{Dealt, Stores};
pub use definition::{
    Activated, BoxFuture, FromError, Object, Plain, Probe, Ran, Returned, misdirected,
};
pub use kv::{Kv, KvList};
pub(crate) use slot::{Incarnation, Refused, Resident, Slot, gone};
pub use sql::{Sql, SqlExecuted, SqlRow, SqlRows};
pub use stored::{Migrated, OldState};
