//! What is found in a data directory by those who look at it from outside. Plain data.

use std::fmt;
use std::sync::Arc;

use crate::due::AlarmView;
use crate::id::{ObjectId, Placement};
use crate::kv::KvKey;
use crate::schedule::ScheduleView;
use crate::state::shape::Shape;
use crate::state::{Fingerprint, StateValue};
use crate::time::WallMs;

/// A backup, or a directory that was restored from one, that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// How many shards were copied.
    pub shards: u16,
    /// How many objects are in them.
    pub objects: u64,
    /// Bytes of the shards' files.
    pub bytes: u64,
}

/// What a data directory is, in a few numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The format of its files.
    pub format: u32,
    /// How many objects it holds, over all shards and classes.
    pub objects: u64,
    /// Bytes of the shards' databases, without their logs.
    pub bytes: u64,
    /// What the lock's file says of the last process that held it, such as `pid 4711, since …`; `None`: nothing. The process
    /// may have ended since.
    pub holder: Option<String>,
    /// Each shard, by index.
    pub shards: Vec<ShardSummary>,
}

/// One shard in a few numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardSummary {
    /// Which one, from 0.
    pub index: u16,
    /// How many objects it holds.
    pub objects: u64,
    /// Bytes of its database, without the log.
    pub bytes: u64,
    /// How often it was opened to be written.
    pub boots: u64,
}

/// A class that a data directory knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredClass {
    /// Its number in the directory.
    pub number: u32,
    /// `None`: it was deleted.
    pub name: Option<String>,
    /// What the ids of its objects are made with: the name that it was born with, or something like it.
    pub origin: String,
    /// How many objects it has.
    pub objects: u64,
    /// What its states were written with, in no particular order.
    pub fingerprints: Vec<Fingerprint>,
}

/// What is stored of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredObject {
    /// Its id.
    pub id: ObjectId,
    /// `None`: only its id is known.
    pub name: Option<Arc<str>>,
    /// Its class.
    pub class: String,
    /// Where it should live.
    pub placement: Placement,
    /// Which shard it is in.
    pub shard: u16,
    /// When it committed first.
    pub born: WallMs,
    /// Of the activation that committed last.
    pub epoch: u64,
    /// How many commits it had.
    pub commits: u64,
    /// Its state. `Err`: why it cannot be used, in words for people.
    pub state: Result<StoredState, String>,
    /// Its alarm. `None`: none is set.
    pub alarm: Option<AlarmView>,
    /// Its schedules, in the order of their names. `Err`: why they cannot be used, in words for people.
    pub schedules: Result<Vec<ScheduleView>, String>,
    /// How many dead letters it has.
    pub dead_letters: u64,
    /// The first of its keys, in the order of their bytes, at most [`LIST_PAGE_MAX`](crate::limits::LIST_PAGE_MAX).
    pub keys: Vec<StoredKey>,
    /// How many keys it has.
    pub keys_count: u64,
    /// Bytes of all values, with their headers.
    pub values_bytes: u64,
    /// The results that it keeps for whoever makes a call again with its idempotency key, those kept last first, at most
    /// [`LIST_PAGE_MAX`](crate::limits::LIST_PAGE_MAX); also those that are over and not taken away yet. `Err`: what is wrong
    /// with some of them, in words for people.
    pub results: Vec<Result<KeptCall, String>>,
    /// How many of those it has.
    pub results_count: u64,
    /// How far back its history goes: the number of the commit at whose end it begins, and when the next one was stored.
    /// `None`: nothing of its past is kept.
    pub history: Option<(u64, WallMs)>,
}

/// A stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredState {
    /// Version of its layout, as the class counts.
    pub version: u32,
    /// Which schema its writer had.
    pub fingerprint: Fingerprint,
    /// That schema, as it is stored. `None`: it is not.
    pub schema: Option<Vec<u8>>,
    /// The encoded struct.
    pub bytes: Vec<u8>,
}

impl StoredState {
    /// The state, as the schema of its writer says.
    ///
    /// # Errors
    /// The schema is not stored, or the bytes are no state of it: what is wrong, in words for people.
    pub fn value(&self) -> Result<StateValue, String> {
        let schema = self.schema.as_deref().ok_or("its schema is not stored")?;
        let shape =
            Shape::decode(schema).map_err(|error| format!("its schema is damaged: {error}"))?;
        StateValue::read(&shape, &self.bytes).map_err(|error| error.to_string())
    }
}

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredKey {
    /// The key.
    pub key: KvKey,
    /// Bytes of its value, with its header.
    pub bytes: u64,
}

/// A call whose result is kept for whoever makes it again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptCall {
    /// Its idempotency key.
    pub key: String,
    /// Its method.
    pub method: String,
    /// From then on nobody gets it.
    pub until: WallMs,
}

/// What was looked at in a data directory, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// What is wrong, shard by shard. At most [`PROBLEMS_MAX`](crate::limits::PROBLEMS_MAX).
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub problems_left_out: u64,
    /// How many shards were read to their end.
    pub shards: u16,
    /// How many objects were looked at.
    pub objects: u64,
    /// How many keys were looked at.
    pub keys: u64,
    /// Bytes of their states and values.
    pub bytes: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// In which shard. `None`: it concerns the whole directory.
    pub shard: Option<u16>,
    /// Of which object, as `class(name)` or `class(id)`. `None`: it is about no single object.
    pub object: Option<String>,
    /// What was found and what belongs there, in words for people.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { kind, shard, object, what } = self;
        write!(f, "{kind}:")?;
        if let Some(shard) = shard {
            write!(f, " shard {shard}:")?;
        }
        if let Some(object) = object {
            write!(f, " {object}:")?;
        }
        write!(f, " {what}; {}", kind.advice())
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $advice:literal;)+) => {
        /// What can be wrong in a data directory: `noun.adjective`, as in the [operations page](crate::guide::operations).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemKind {
            /// Every kind, in the order of the operations page.
            pub const ALL: &[ProblemKind] = &[$(ProblemKind::$variant),+];

            /// The kind as text.
            pub const fn as_str(self) -> &'static str {
                match self { $(ProblemKind::$variant => $text,)+ }
            }

            /// What to do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(ProblemKind::$variant => $advice,)+ }
            }
        }
    };
}

kinds! {
    /// A shard's file is not there, or not permitted.
    ShardMissing = "shard.missing", "put the file back, mend its permissions, or restore the directory from a backup";
    /// A shard's file is of another directory, of another place in this one, or of another format.
    ShardForeign = "shard.foreign", "put the right file in its place, or restore the directory from a backup";
    /// SQLite finds the file damaged.
    ShardDamaged = "shard.damaged", "check the disk, keep a copy of the file, and restore the directory from a backup";
    /// The disk failed while a shard was read, so what comes after is not known.
    ShardUnreadable = "shard.unreadable", "check the disk and verify again";
    /// There is a database that belongs to no shard.
    FileUnknown = "file.unknown", "find out whose it is, and move it elsewhere";
    /// Two shards say different things of one class.
    ClassContradictory = "class.contradictory", "restore all shards from one backup";
    /// Rows are of a class that the shard does not know.
    ClassUnknown = "class.unknown", "restore the directory from a backup";
    /// A state was written with a schema that is not stored.
    SchemaUnknown = "schema.unknown", "start the version that wrote it once, which stores it";
    /// An object's row does not lead to where its id says.
    ObjectMisplaced = "object.misplaced", "restore the object from a backup: calls do not find this one";
    /// An id was not made for the object's class in this directory.
    ObjectForeign = "object.foreign", "restore the object from a backup: calls refuse its id";
    /// A name gives another id than the one that is stored with it.
    ObjectMisnamed = "object.misnamed", "reach it by its id, or restore it from a backup";
    /// One id is stored more than once.
    ObjectDoubled = "object.doubled", "restore the object from a backup";
    /// What says which objects are below which is not what the objects say.
    KinWrong = "kin.wrong", "restore the directory from a backup: a deletion of the parent would miss the child";
    /// An object has no state.
    SnapshotMissing = "snapshot.missing", "restore the object from a backup: its calls fail with state.torn";
    /// A state's checksum or frame is wrong.
    SnapshotTorn = "snapshot.torn", "restore the object from a backup: its calls fail with state.torn";
    /// A state is in a frame of newer code.
    SnapshotNewer = "snapshot.newer", "start a version that knows it";
    /// A state belongs to no object.
    SnapshotOrphaned = "snapshot.orphaned", "keep a copy of the file: it may be all that is left of an object";
    /// A state's numbers are ahead of its shard's, so that no later commit would be stored.
    SnapshotAhead = "snapshot.ahead", "restore the directory from a backup";
    /// A value's checksum or header is wrong.
    KvTorn = "kv.torn", "restore the object from a backup: reads of the key fail with kv.torn";
    /// A value has a header of newer code.
    KvNewer = "kv.newer", "start a version that knows it";
    /// Values belong to no object.
    KvOrphaned = "kv.orphaned", "keep a copy of the file: it may be all that is left of an object";
    /// A page of an object's database, or a row of its log, is damaged or missing.
    TablesTorn = "tables.torn", "restore the object from a backup: turns that need the page fail with storage.corrupt";
    /// An object's database is in an envelope of newer code.
    TablesNewer = "tables.newer", "start a version that knows it";
    /// A database belongs to no object.
    TablesOrphaned = "tables.orphaned", "keep a copy of the file: it may be all that is left of an object";
    /// A row of an object's history is damaged or missing, or does not follow the one before it.
    HistoryTorn = "history.torn", "the object itself is sound: take a backup's copy if you must go further back than the row";
    /// A row of an object's history is in an envelope of newer code.
    HistoryNewer = "history.newer", "start a version that knows it";
    /// A history belongs to no object.
    HistoryOrphaned = "history.orphaned", "keep a copy of the file: it may be all that is left of an object";
    /// An alarm belongs to no object.
    AlarmOrphaned = "alarm.orphaned", "keep a copy of the file: its object may be missing; the alarm never fires";
    /// Schedules belong to no object.
    ScheduleOrphaned = "schedule.orphaned", "keep a copy of the file: their object may be missing; they never run";
    /// The schedules of an object cannot be read.
    ScheduleDamaged = "schedule.damaged", "restore the file from a backup; the object cannot start";
    /// A dead letter belongs to no object.
    LetterOrphaned = "letter.orphaned", "keep a copy of the file: its object may be missing";
    /// Results of calls with idempotency keys belong to no object.
    ResultOrphaned = "result.orphaned", "keep a copy of the file: their object may be missing; nobody gets them";
    /// The result of a call with an idempotency key cannot be read, or nobody would find it.
    ResultDamaged = "result.damaged", "restore the object from a backup: the same call may fail, or take effect again";
    /// A send that waits cannot be read, or would never come to anybody.
    SendDamaged = "send.damaged", "restore the directory from a backup; the send is never delivered";
    /// A row holds what no commit has written.
    RowUnreadable = "row.unreadable", "check the disk and restore the directory from a backup";
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_stands_once_and_in_the_operations_page() {
        let page = include_str!("../docs/operations.md");
        let mut seen = BTreeSet::new();
        for kind in ProblemKind::ALL {
            assert!(seen.insert(kind.as_str()), "{kind} stands twice");
            assert!(page.contains(&format!("`{kind}`")), "docs/operations.md lacks `{kind}`");
            assert!(!kind.advice().ends_with('.'), "{kind}");
        }
    }
}
