//! Every bound of the system, each with its reason.

use std::time::Duration;

/// Longest name of an object, in bytes of UTF-8. Names are stored and listed, so they stay small.
pub const NAME_BYTES_MAX: usize = 1_024;

/// Longest class name, in bytes. It is part of every error and log line.
pub const CLASS_NAME_BYTES_MAX: usize = 128;

/// Largest encoded state of one object, in bytes. It is rewritten whole by every commit; larger data belongs elsewhere.
pub const SNAPSHOT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Longest key of an object's KV, in bytes. Keys are compared and held in memory whole.
pub const KV_KEY_BYTES_MAX: usize = 2_048;

/// Largest encoded value of an object's KV, in bytes. It is read and written whole; larger data is spread over keys.
pub const KV_VALUE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Keys that are read at once on the thread that runs the turn; more are read by a lane, because they hold the thread up.
pub(crate) const KV_KEYS_AT_ONCE_MAX: usize = 32;

/// Rows that a list of an object's KV reads in one go.
pub(crate) const KV_PAGE_ROWS_MAX: usize = 128;

/// Bytes of rows with which a list of an object's KV stops reading in one go: bounds the memory that a list holds.
pub(crate) const KV_PAGE_BYTES_MAX: usize = 256 * 1024;

/// Largest encoded arguments or result of one call, in bytes, where they leave the process. They are held in memory whole.
pub const WIRE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Share of [`SNAPSHOT_BYTES_MAX`], in percent, from which a commit is warned about.
pub const SNAPSHOT_WARNED_PERCENT: usize = 80;

/// Calls that may wait at one object. More would only wait longer than their callers.
pub const INBOX_CALLS_MAX: usize = 1_024;

/// Calls that may be under way in one runtime. Also bounds the shards' queues: every write set belongs to a call.
pub const IN_FLIGHT_CALLS_MAX: usize = 65_536;

/// How long an object without calls stays in memory.
pub const IDLE: Duration = Duration::from_secs(10);

/// Objects that may be in memory at once; the least recently used one leaves when another needs its place.
pub const RESIDENT_OBJECTS_MAX: usize = 100_000;

/// Slots that ids hash to. A shard owns a range of them, so this is also the largest number of shards.
pub const SLOTS: u16 = 1_024;

/// Shards of a new data directory. One lane carries the load of a few cores; more shards sync separately.
pub const SHARDS: u16 = 1;

/// Turns that an activation runs before it lets other tasks of its thread run.
pub(crate) const TURNS_PER_SLICE: usize = 64;

/// Supervisors that the activations of one class are spread over, at most, so that no one mailbox is the bottleneck.
pub(crate) const GROUP_PARTITIONS: usize = 16;

/// Parts of a class's directory, each with a lock of its own.
pub(crate) const DIRECTORY_PARTITIONS: usize = 64;

/// Write sets that one group commit takes. Bounds the longest wait behind one transaction.
pub(crate) const BATCH_WRITE_SETS_MAX: usize = 4_096;

/// Bytes of snapshots and rows that one group commit takes, beyond its first: bounds memory and the longest wait when
/// they are large.
pub(crate) const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of snapshots and rows that wait for one writer before activations let their commits settle first: bounds memory
/// when they are large and the disk is slow.
pub(crate) const LANE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Threads that read stored objects, per shard, at most.
pub(crate) const READERS_PER_SHARD: usize = 2;

/// Pages of the write-ahead log after which the checkpointer starts: 16 MiB.
pub const CHECKPOINT_PAGES: u32 = 4_096;

/// The longest log before it is copied that may be asked for, in pages: 4 GiB.
pub const CHECKPOINT_PAGES_MAX: u32 = 1_048_576;

/// A rest of the log that the writer copies itself, as a share of [`CHECKPOINT_PAGES`]: 1 MiB of copying and one sync.
pub(crate) const FINISH_SHARE: u32 = 16;

/// Length of the log from which the writer waits until everything is copied, because the checkpointer does not keep up, in
/// multiples of [`CHECKPOINT_PAGES`]. Bounds the log at 256 MiB and one batch.
pub(crate) const LOG_LENGTHS_MAX: u32 = 16;

/// How long the writer waits until such a log can start over, before it goes on with a longer one: another process may
/// read it for minutes, and all commits wait with the writer.
pub(crate) const RESTART_WAIT: Duration = Duration::from_millis(250);

/// Times that one request copies what came meanwhile before it leaves the rest to the next request.
pub(crate) const CHECKPOINT_PASSES_MAX: u32 = 4;

/// Objects of a deleted class that one commit erases at most: enough to share a sync, few enough that the log stays short.
pub(crate) const ERASED_AT_ONCE_MAX: u32 = 1_000;

/// Objects that one page of a listing holds at most.
pub const LIST_PAGE_MAX: usize = 1_000;

/// Problems that one verification lists; more are counted. A directory with more is beyond being mended row by row.
pub const PROBLEMS_MAX: usize = 1_000;

const _: () = assert!(INBOX_CALLS_MAX <= IN_FLIGHT_CALLS_MAX);
const _: () = assert!(SHARDS <= SLOTS);
const _: () = assert!(BATCH_BYTES_MAX <= LANE_BYTES_MAX && SNAPSHOT_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(KV_VALUE_BYTES_MAX <= BATCH_BYTES_MAX && KV_PAGE_ROWS_MAX > 0);
