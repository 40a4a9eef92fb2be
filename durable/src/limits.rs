//! Every bound of the system, each with its reason.

mod edge;

use std::time::Duration;

pub use self::edge::*;

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

/// Bytes of a page of an object's database. Small, so that a turn changes little more than what it means to.
pub(crate) const SQL_PAGE_BYTES: usize = 1_024;

/// Pages that an object's database may have: 10 GiB.
pub const SQL_PAGES_MAX: u32 = 10 * 1024 * 1024;

/// Largest text, blob or row of an object's database, in bytes. They are held in memory whole.
pub const SQL_VALUE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Columns of a table, an index or a result. More are a sign of a table that should be two.
pub const SQL_COLUMNS_MAX: usize = 100;

/// Parameters that one statement binds.
pub const SQL_PARAMETERS_MAX: usize = 100;

/// Longest SQL text, in bytes. It is compiled on the thread that runs the turn.
pub const SQL_TEXT_BYTES_MAX: usize = 100_000;

/// Bytes that the result of one query may take. It is held in memory whole.
pub const SQL_RESULT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Longest pattern of LIKE and GLOB, in bytes: the time to match grows with its square.
pub const SQL_PATTERN_BYTES_MAX: usize = 50;

/// Terms of a compound SELECT, depth of an expression, depth of triggers, arguments of a function, steps of a compiled
/// statement: what a statement may ask of the stack and of the compiler.
pub(crate) const SQL_COMPOUND_MAX: usize = 50;
pub(crate) const SQL_DEPTH_MAX: usize = 100;
pub(crate) const SQL_TRIGGER_DEPTH_MAX: usize = 10;
pub(crate) const SQL_ARGUMENTS_MAX: usize = 100;
pub(crate) const SQL_STEPS_MAX: usize = 25_000;

/// Savepoints inside of each other. Each keeps what it may have to undo.
pub const SAVEPOINT_DEPTH_MAX: usize = 64;

/// Statements that an open database keeps compiled.
pub(crate) const SQL_STATEMENTS_KEPT: usize = 32;

/// Memory of an open database for pages that it has read, in KiB. An object's working set is small, and many are open.
pub(crate) const SQL_CACHE_KIB: u32 = 256;

/// Rows of the log of an object's database before a commit folds them: bounds what opening it reads, row by row. Measured:
/// with 128 an object takes three times as long to open, and its commits write two thirds of the bytes.
pub(crate) const SQL_LOG_ROWS_MAX: u32 = 32;

/// Pages of databases whose past is kept that one writer remembers, so that it need not follow their logs for each commit:
/// 8 MiB.
pub(crate) const HISTORY_PAGES_KEPT_MAX: usize = 8_192;

/// Which share of the length of a shard's write-ahead log is added to the log of databases before it is swept the first time:
/// 4 MiB, a few thousand rows.
pub(crate) const LOG_SWEPT_SHARE: u64 = 4;

/// Rows of that log that are looked at for each row that is added while it is swept: at 4 a sweep is over before a third of
/// what it looks at was added anew.
pub(crate) const LOG_SWEPT_PER_ROW: usize = 4;

/// Objects whose folds a sweep remembers, so that it need not look for each row: 4 MiB.
pub(crate) const LOG_SWEPT_FOLDS_MAX: usize = 65_536;

/// Bytes of that log before a commit folds it: bounds the memory for pages that are in the log only.
pub(crate) const SQL_LOG_BYTES_MAX: usize = 64 * 1024;

/// Largest encoded arguments or result of one call, in bytes, where they leave the process. They are held in memory whole.
pub const WIRE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Largest encoded schema of a state, in bytes. Every schema that a class ever had is kept, and read at each start.
pub(crate) const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// How deep a schema may be nested. What follows it recurses, on a stack that user code shares.
pub(crate) const SCHEMA_DEPTH_MAX: usize = 64;

/// Elements without bytes, such as `()`, in one state that is read by name. Nothing else bounds how many damaged bytes
/// can ask for.
pub(crate) const EMPTY_ELEMENTS_MAX: usize = 65_536;

/// Made-up values of one schema, at most, that a test of a lock reads; there is one for each variant, and rarely more.
pub(crate) const SAMPLES_MAX: usize = 1_024;

/// Share of [`SNAPSHOT_BYTES_MAX`], in percent, from which a commit is warned about.
pub const SNAPSHOT_WARNED_PERCENT: usize = 80;

/// Calls that may wait at one object. More would only wait longer than their callers.
pub const INBOX_CALLS_MAX: usize = 1_024;

/// Calls that may be under way in one runtime. Also bounds the shards' queues: every write set belongs to a call.
pub const IN_FLIGHT_CALLS_MAX: usize = 65_536;

/// Calls that may be under way in one class: as many as in its runtime, unless somebody wants a class to leave room for others.
pub const CLASS_IN_FLIGHT_CALLS_MAX: usize = IN_FLIGHT_CALLS_MAX;

/// Most calls of an object in a period of its rate, and most at once. More is no limit that anybody would notice.
pub const RATE_CALLS_MAX: u32 = 1_000_000;

/// Longest period of a rate. A rate is kept in memory; what is counted over days belongs into the object's state.
pub const RATE_PERIOD_MAX: Duration = Duration::from_secs(3_600);

/// After which time a call is worth another try that met a full queue: most queues of calls that take some microseconds
/// are empty by then.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Calls that wait at one object before its pace is measured, and before one may be refused because of it: fewer are a handful.
pub(crate) const PACE_WAITING_MIN: usize = 8;

/// How often an object's pace is measured before it says anything.
pub(crate) const PACE_SAMPLES_MIN: u32 = 2;

/// Turns that are measured together, at least, and how long slow ones are.
pub(crate) const PACE_TURNS_MIN: u32 = 8;
pub(crate) const PACE_TIME: Duration = Duration::from_millis(100);

/// How long an object's pace is believed while no calls wait.
pub(crate) const PACE_KEPT: Duration = Duration::from_millis(250);

/// Calls that are taken from a queue for each look at the clock while its object's pace is known.
pub(crate) const PACE_LOOK_EVERY: u32 = 8;

/// What looking through all objects for calls whose time is over may take, as one of so many parts of the time.
pub(crate) const RELIEF_SHARE: u32 = 50;

/// Objects that are looked through before other tasks of the thread run.
pub(crate) const RELIEF_OBJECTS_AT_ONCE: usize = 256;

/// Calls that wait which are looked at for each one that is refused: less than the refusal itself costs.
pub(crate) const SWEPT_PER_REFUSAL: usize = 64;

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

/// How long turns may take that callers run in their own task: about what it costs to wake another one.
pub(crate) const DRIVE_TIME: Duration = Duration::from_micros(20);

/// Calls, one of which looks how long the turns take that it runs.
pub(crate) const DRIVE_LOOK_EVERY: u16 = 16;

/// Calls, one of which tries whether turns that were too long still are.
pub(crate) const DRIVE_TRIED_EVERY: u16 = 256;

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

/// Page of a shard's database, in bytes. A commit logs each page that it touches whole, and most rows are small: pages of
/// 4 KiB were measured at two thirds of the commits and up to twice the bytes on the device, and are a fifth faster only
/// for states from 64 KiB on; pages of 512 bytes gain nothing more.
pub(crate) const SHARD_PAGE_BYTES: u32 = 1_024;

/// Pages of the write-ahead log after which the checkpointer starts: 16 MiB.
pub const CHECKPOINT_PAGES: u32 = 16_384;

/// The longest log before it is copied that may be asked for, in pages: 4 GiB.
pub const CHECKPOINT_PAGES_MAX: u32 = 4_194_304;

/// Bytes by which the file of a log is made longer at once: at least, and at most.
pub(crate) const LOG_AHEAD_BYTES_MIN: u64 = 64 * 1024;
pub(crate) const LOG_AHEAD_BYTES_MAX: u64 = 1024 * 1024;

/// A rest of the log that the writer copies itself, as a share of [`CHECKPOINT_PAGES`]: 1 MiB of copying and one sync.
pub(crate) const FINISH_SHARE: u32 = 16;

/// Length of the log from which the writer waits until everything is copied, because the checkpointer does not keep up, in
/// multiples of [`CHECKPOINT_PAGES`]. Bounds the log at 256 MiB and one batch.
pub(crate) const LOG_LENGTHS_MAX: u32 = 16;

/// How long the writer waits until such a log can start over, before it goes on with a longer one: another process may
/// read it for minutes, and all commits wait with the writer.
pub(crate) const RESTART_WAIT: Duration = Duration::from_millis(250);

/// How often an alarm whose handler failed is tried again before it becomes a dead letter.
pub const ALARM_RETRIES: u32 = 6;

/// Most retries that a class may ask for: years of them.
pub(crate) const ALARM_RETRIES_MAX: u32 = 1_000;

/// How long after a first failure an alarm is tried again.
pub const ALARM_DELAY: Duration = Duration::from_secs(2);

/// How often that delay doubles: from 2 s to 17 minutes.
pub(crate) const ALARM_DOUBLINGS_MAX: u32 = 9;

/// How long a run of an alarm's handler may take. It has its object to itself, so that nobody else is served meanwhile.
pub const ALARM_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long the turn of a call may run. Nobody else is served by its object meanwhile, and callers rarely wait longer.
pub const TURN_LIMIT: Duration = Duration::from_secs(30);

/// Calls of a circle that its error names; more are counted. People follow no longer ones, and a circle can be as long as
/// there are calls in flight.
pub(crate) const CHAIN_NAMED_MAX: usize = 64;

/// How far ahead an alarm may be set: a hundred years. More is a mistake in the unit.
pub const ALARM_AHEAD_MAX: Duration = Duration::from_secs(36_525 * 86_400);

/// Alarms that are fired in a second, so that those that fell due while nothing ran leave room for calls.
pub const ALARMS_PER_SECOND: u32 = 5_000;

/// Most alarms in a second that may be asked for.
pub const ALARMS_PER_SECOND_MAX: u32 = 1_000_000;

/// Alarms of one runtime that are fired and whose handlers have not ended: bounds what they have in memory at once.
pub(crate) const ALARMS_IN_FLIGHT_MAX: usize = 256;

/// Alarms of one shard that wait in memory; the others wait in the index.
pub(crate) const ALARM_WINDOW_MAX: usize = 1_024;

/// Alarms that one read of the index gives.
pub(crate) const ALARM_ROWS_MAX: usize = 256;

/// Notices of changed alarms that wait in one shard. When there are more, the index is read anew instead.
pub(crate) const ALARM_NOTICES_MAX: usize = 65_536;

/// How long an alarm is held back whose object could not be run for it, such as one that cannot start; and how often that
/// doubles, up to 51 s.
pub(crate) const ALARM_HOLD: Duration = Duration::from_millis(100);
pub(crate) const ALARM_HOLD_DOUBLINGS_MAX: u32 = 9;

/// How often the wall clock is looked at while alarms wait: it may be set forward meanwhile.
pub(crate) const ALARM_LOOK: Duration = Duration::from_secs(10);

/// Schedules of one object. They are one row, which an activation reads and every run of one of them rewrites; who has more
/// to do later keeps it in a table, with one alarm or schedule for all of it.
pub const SCHEDULES_MAX: usize = 64;

/// Longest name of a schedule, in bytes. It is part of errors and log lines.
pub const SCHEDULE_NAME_BYTES_MAX: usize = 128;

/// Largest encoded arguments of a schedule's call, in bytes: with all that an object may have, its row stays below a snapshot.
pub const SCHEDULE_ARGS_BYTES_MAX: usize = 16 * 1024;

/// Shortest period of a schedule. Each run is a commit; what happens more often is a loop.
pub const SCHEDULE_EVERY_MIN: Duration = Duration::from_millis(100);

/// How late a time of a schedule may be looked at without having been missed: a runtime that is busy, or starts, is no reason
/// to skip a run.
pub const SCHEDULE_GRACE: Duration = Duration::from_secs(60);

/// Most missed times for which a schedule may be told to run.
pub const SCHEDULE_ALL_MAX: u32 = 1_000;

/// Times of a schedule that wait for its run for an earlier one, at most: the last of them.
pub const SCHEDULE_QUEUE_MAX: u32 = 100;

/// Most jitter: a day.
pub const SCHEDULE_JITTER_MAX: Duration = Duration::from_secs(86_400);

/// Times that one preview gives at most.
pub const SCHEDULE_PREVIEW_MAX: usize = 1_000;

/// Longest cron expression, in bytes. It is parsed whenever the object is loaded.
pub(crate) const CRON_BYTES_MAX: usize = 256;

/// Calls that one turn may send, and as many that it may take back. They are one commit, which others wait for.
pub const SENDS_MAX: usize = 1_024;

/// Bytes that the calls have once encoded that one turn sends: as much as a snapshot.
pub const SENDS_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX;

/// Sends that wait in one shard, at most. They are on the disk only, and this many mean that a target does not take them.
pub const OUTBOX_SENDS_MAX: u64 = 1_000_000;

/// Sends of one pair that are delivered together. They are committed together, too, so this is how many share the time that
/// a sync takes twice; and what the last of them waits for if the first one fails is read in vain.
pub(crate) const SENDS_TRAIN_MAX: usize = 64;

/// Bytes of the calls of such sends, at most, unless there is but one.
pub(crate) const SENDS_TRAIN_BYTES_MAX: usize = 1 << 20;

/// Sends of one runtime that are being delivered: bounds what they have in memory at once.
pub(crate) const SENDS_IN_FLIGHT_MAX: usize = 1_024;

/// Longest idempotency key, in bytes. It is stored with every result; a hash of what is longer does as well.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Pieces of work of one object that turns have spawned and that are under way, or about to be: more is a queue, and belongs
/// in what the object stores.
pub const SPAWNED_MAX: usize = 64;

/// Items of a stream of results that wait for its reader: enough to keep both at work, and little to hold in memory.
pub const STREAM_ITEMS_MAX: usize = 16;

/// How long a piece of such work may take, as long as a run of an alarm may: its object stays in memory for it.
pub const SPAWNED_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Entries that travel with a call: a handful of facts about the request, and no second list of arguments.
pub const METADATA_ENTRIES_MAX: usize = 16;

/// Bytes of the keys and values of those. They go with every call below, and are stored with every send.
pub const METADATA_BYTES_MAX: usize = 4_096;

/// Longest key of one, in bytes.
pub const METADATA_KEY_BYTES_MAX: usize = 64;

/// For how long the result of a call with an idempotency key is kept: whoever has not heard of it asks again within a day.
pub const RESULTS_KEEP: Duration = Duration::from_secs(86_400);

/// For how long results may be asked to be kept, at most. They are many, and only of use to who makes the same call again.
pub const RESULTS_KEEP_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Largest encoded result that is kept of a call, in bytes. It is stored beside the effect, in the same commit.
pub const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// Results that one object keeps, at most: three calls in four seconds, all day. Of each, an activation that has had a call with a
/// key has some thirty bytes in memory.
pub const RESULTS_MAX: u64 = 65_536;

/// Bytes of results and keys from which on an object keeps no more: with the last one, 33 MiB.
pub const RESULTS_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Bytes of results up to which they are stored with their object's state, which each of its commits writes anew. Then they are
/// sealed as a chunk of their own; one that is larger is a chunk by itself.
pub(crate) const RESULTS_CHUNK_BYTES: usize = 1_024;

/// Chunks of results that are over and that a commit takes away which seals one: more than one, so that their number falls.
pub(crate) const RESULTS_SWEPT_BY_COMMIT: usize = 4;

/// Bytes of an error's text that a dead letter keeps. It is for people, and may be anything.
pub(crate) const DEAD_LETTER_ERROR_BYTES_MAX: usize = 4_096;

/// Times that one request copies what came meanwhile before it leaves the rest to the next request.
pub(crate) const CHECKPOINT_PASSES_MAX: u32 = 4;

/// Objects of a deleted class that one commit erases at most: enough to share a sync, few enough that the log stays short.
pub(crate) const ERASED_AT_ONCE_MAX: u32 = 1_000;

/// For how long the past of objects is kept.
pub const HISTORY_KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Bytes of the past that are kept of one object.
pub const HISTORY_BYTES_PER_OBJECT: u64 = 16 * 1024 * 1024;

/// Most bytes of the past of one object that may be asked for: going back reads them, and one row holds half of it at most.
pub const HISTORY_BYTES_PER_OBJECT_MAX: u64 = 512 * 1024 * 1024;

/// Rows of its object's past that a commit takes away at most, beside the one that it adds.
pub(crate) const HISTORY_EXPIRED_BY_COMMIT: usize = 4;

/// Rows of the past that one step of a sweep takes away at most, and objects that it looks at: bounds how long commits wait.
pub(crate) const HISTORY_SWEPT_AT_ONCE: usize = 128;

/// Batches that a writer stores before a sweep that is under way has its turn, when it never rests.
pub(crate) const HISTORY_SWEEP_BATCHES: u32 = 64;

/// Between two sweeps, at least.
pub(crate) const HISTORY_SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// How often an object is tried to be brought into memory whose storage fails as it may not do the next time, before those who
/// wait for it are told. All tries take less than half a second, which callers wait anyway.
pub const START_TRIES_MAX: u32 = 5;

/// How long such an object is left alone after it has failed first: longer than a bus takes to reset, shorter than anybody notices.
/// It doubles with each try, +0..25 %.
pub(crate) const START_DELAY: Duration = Duration::from_millis(10);

/// Crashes of one object within [`CRASH_PERIOD`] after which it is still let run again.
pub const CRASHES_MAX: u32 = 5;

/// How long a crash counts.
pub const CRASH_PERIOD: Duration = Duration::from_secs(60);

/// Most crashes that may be let pass. The times of so many are kept for each object that crashes.
pub(crate) const CRASHES_MAX_MAX: u32 = 1_000;

/// How long an object rests after its second crash within the period, and how often that doubles: a loop of crashes is
/// to leave the processor to others, and its callers are not to wait for long.
pub(crate) const CRASH_REST: Duration = Duration::from_millis(20);
pub(crate) const CRASH_REST_DOUBLINGS_MAX: u32 = 5;

/// After which time one call to a quarantined object is let through. It doubles with each that fails.
pub const QUARANTINE_DELAY: Duration = Duration::from_secs(1);

/// The longest of these times: whoever mends the cause elsewhere has the object back within it.
pub const QUARANTINE_DELAY_MAX: Duration = Duration::from_secs(3_600);

/// How long an object that was let out must go on before its earlier failures are forgotten.
pub const PROBATION: Duration = Duration::from_secs(60);

/// Share of a class's objects in use, in percent, above which the class itself counts as failed when so many of them fail
/// within [`BREAKER_WINDOW`].
pub const BREAKER_SHARE_PERCENT: u32 = 50;

/// How many they must be at least, so that a few objects of a small class do not stop it.
pub const BREAKER_OBJECTS_MIN: usize = 10;

/// How long the failure of an object counts for its class.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(10);

/// How long a class that has failed and has no supervisor takes no calls.
pub const BREAKER_COOL_DOWN: Duration = Duration::from_secs(5);

/// How long a shutdown lets turns run, unless it is said. Orchestrators kill a process 30 s after they have asked it to end, and
/// what is cut off by us is at least told.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(25);

/// How long a shutdown waits for what it has cut off. Only a thread that is blocked takes longer.
pub(crate) const CUT_GRACE: Duration = Duration::from_secs(1);

/// Turns that were cut off which the error of a shutdown names; more are counted.
pub(crate) const CUTS_NAMED_MAX: usize = 16;

/// Bytes of what an object failed with that are kept.
pub(crate) const QUARANTINE_REASON_BYTES_MAX: usize = 512;

/// Children that a supervisor may have at a time. Whoever has more of a kind has objects, which cost nothing at rest.
pub const CHILDREN_MAX: usize = 100_000;

/// Longest name of a child or a supervisor, in bytes: that of a class, because a class group is called like it.
pub const CHILD_NAME_BYTES_MAX: usize = CLASS_NAME_BYTES_MAX;

/// Supervisors inside of each other. Budgets of restarts multiply from level to level.
pub const SUPERVISOR_DEPTH_MAX: usize = 16;

/// Largest intensity. The times of so many restarts are kept.
pub const INTENSITY_MAX: u32 = 10_000;

/// How long a task has to end once it was asked to, unless its spec says otherwise. As OTP's workers.
pub const TASK_SHUTDOWN: Duration = Duration::from_secs(5);

/// Requests that may wait at one supervisor. They come from people and from code that starts children.
pub const SUPERVISOR_REQUESTS_MAX: usize = 1_024;

/// Supervision events that a subscriber may be behind before it misses the oldest.
pub const SUPERVISION_EVENTS_MAX: usize = 1_024;

/// Parents above an object. Each is in memory while the object is, and a call to the object may have to wake all of them.
pub const CHILD_DEPTH_MAX: usize = 4;

/// How long the turn of a child may go on that its parent restarts together with another. As tasks of the service.
pub const CHILD_OBJECT_SHUTDOWN: Duration = TASK_SHUTDOWN;

/// How long a child waits at most for a parent that is to leave memory and has other children there: one of these may be in
/// a turn that calls it. Long enough for turns that do not wait for anybody, so that a parent leaves whoever calls.
pub(crate) const CHILD_HELD_BACK: Duration = Duration::from_secs(1);

/// What an object may have to hear of its children and of those that it watches. More come only while its turn hangs.
pub(crate) const NOTICES_MAX: usize = 1_024;

/// Objects that one object may watch. Each watch keeps the other's place in memory.
pub const WATCHED_MAX: usize = 1_024;

/// Objects that one page of a listing holds at most.
pub const LIST_PAGE_MAX: usize = 1_000;

/// Problems that one verification lists; more are counted. A directory with more is beyond being mended row by row.
pub const PROBLEMS_MAX: usize = 1_000;

const _: () =
    assert!(SCHEDULES_MAX * (SCHEDULE_ARGS_BYTES_MAX + METADATA_BYTES_MAX) <= SNAPSHOT_BYTES_MAX);
const _: () = assert!(INBOX_CALLS_MAX <= IN_FLIGHT_CALLS_MAX);
const _: () = assert!(RATE_PERIOD_MAX.as_secs() < u64::MAX / 1_000_000_000 / RATE_CALLS_MAX as u64);
const _: () = assert!(SHARDS <= SLOTS);
const _: () = assert!(ALARM_ROWS_MAX < ALARM_WINDOW_MAX / 2 && ALARM_RETRIES <= ALARM_RETRIES_MAX);
const _: () = assert!(START_TRIES_MAX > 1 && START_TRIES_MAX < 32);
const _: () = assert!(BREAKER_SHARE_PERCENT < 100 && BREAKER_OBJECTS_MIN > 1);
const _: () = assert!(CRASH_REST_DOUBLINGS_MAX < 32 && CRASHES_MAX <= CRASHES_MAX_MAX);
const _: () = assert!(ALARM_DOUBLINGS_MAX < 32 && ALARM_HOLD_DOUBLINGS_MAX < 32);
const _: () = assert!(BATCH_BYTES_MAX <= LANE_BYTES_MAX && SNAPSHOT_BYTES_MAX <= BATCH_BYTES_MAX);
const _: () = assert!(KV_VALUE_BYTES_MAX <= BATCH_BYTES_MAX && KV_PAGE_ROWS_MAX > 0);
const _: () = assert!(SQL_PAGES_MAX < 1 << 24 && SQL_PAGE_BYTES <= u16::MAX as usize);
const _: () = assert!(SQL_LOG_ROWS_MAX > 0 && SQL_LOG_BYTES_MAX > SQL_PAGE_BYTES);
const _: () = assert!(LOG_SWEPT_SHARE > 0 && LOG_SWEPT_PER_ROW > 1 && LOG_SWEPT_FOLDS_MAX > 0);
