//! Everything that is on disk: the data directory, its shards, and the lanes that write and read
//! them.
//!
//! Above this floor nothing sees SQLite. What it promises: a [`WriteSet`] is released with `Ok`
//! only after it is durable, in the order of submission; one that was not applied is released with
//! an error and leaves no trace; and stored bytes that cannot be used are reported, never replaced.
//! Rows carry their slot, and an epoch stands on every commit, so that a shard can later be split,
//! moved and owned by another process.

mod ahead;
mod backup;
mod batch;
mod checkpoint;
mod chores;
mod classes;
mod copy;
pub(crate) mod fuzz;
pub(crate) mod history;
mod jobs;
mod letters;
mod lock;
mod log;
mod look;
mod manifest;
mod notices;
mod numbers;
mod outbox;
mod quarantines;
mod reader;
pub(crate) mod rows;
mod shard;
mod shared;
mod sql;
mod sqlite;
mod store;
mod stored;
mod verify;
mod write_set;
mod writer;

pub(crate) use classes::{Declared, Named};
pub(crate) use letters::Refusal;
pub(crate) use look::Look;
pub(crate) use manifest::fuzz as fuzz_manifest;
pub(crate) use numbers::{ClassNo, CommitSeq, ObjectNo};
pub(crate) use outbox::Chore as SendChore;
pub(crate) use quarantines::{Chore, page as quarantine_page, told as quarantine_told};
pub(crate) use rows::alarm::StoredAlarm;
pub(crate) use rows::class::ClassRow;
pub(crate) use rows::dead_letter::{Again, Carried, LetterOf, NewLetter, StoredLetter};
pub(crate) use rows::outbox::{StoredSend, decode as decode_send, encode as encode_send};
pub(crate) use rows::quarantine::{Found as FoundQuarantine, StoredQuarantine};
pub(crate) use rows::result::{self, ResultWrite};
pub(crate) use rows::schedule;
pub(crate) use rows::sql::SqlWrite;
pub(crate) use rows::{frame, kv};
pub(crate) use shard::Shard;
pub(crate) use sql::{
    Answer, Around, Ask, Asked, Database, Pages, Savepoint, SqlFailure, compare, migrate,
};
pub(crate) use store::Store;
pub(crate) use stored::{After, KvAsk, KvRows, Loaded, StoredObject};
pub(crate) use write_set::{AlarmWrite, Birth, Fence, Release, ScheduleWrite, SendWrite, WriteSet};
