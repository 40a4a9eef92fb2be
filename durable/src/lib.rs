//! Durable, supervised virtual objects: put `#[durable_object]` on an `impl` block and call it from anywhere.
//!
//! An object has an id, always exists, lives in memory only while it is used, runs one call at a time, and keeps its
//! state through crashes: an acknowledged change is on disk.
//!
//! ```
//! use durable::prelude::*;
//!
//! #[derive(Default, DurableState)]
//! struct Counter { count: u64 }
//!
//! #[durable_object(name = "demo.Counter")]
//! impl Counter {
//!     /// Adds `n` and returns the new count.
//!     pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count }
//!
//!     pub fn count(&self) -> u64 { self.count }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let data = dir.path();
//! let runtime = Runtime::builder(data).register::<Counter>().start().await?;
//! let visits = runtime.get::<Counter>("visits");
//! visits.add(1).await?;                       // answered when it is on disk
//! assert_eq!(visits.count().await?, 1);
//! runtime.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod alarm;
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod caller;
mod class;
mod client;
mod codec;
mod config;
mod cut;
mod data_directory;
mod directory;
mod due;
mod error;
mod exposed;
#[doc(hidden)]
pub mod fuzz;
mod history;
#[doc(hidden)]
pub mod host;
#[cfg(feature = "http")]
pub mod http;
mod id;
mod inspection;
mod interceptor;
mod item_stream;
mod kernel;
mod keyed;
mod kv;
pub mod limits;
mod listing;
#[doc(hidden)]
pub mod lock;
mod metadata;
mod object;
#[cfg(any(feature = "http", feature = "client"))]
mod protocol;
mod quarantine;
mod registry;
#[cfg(feature = "client")]
pub mod remote;
mod rewind;
mod runtime;
mod schedule;
mod send;
#[cfg(feature = "http")]
pub mod socket;
mod sql;
mod state;
mod storage;
mod stub;
mod supervise;
mod time;
mod trace;
mod when;
#[cfg(feature = "http")]
mod wire;

pub use class::{Access, ChildStrategy, ChildrenSpec, ClassSpec, Durability, MethodSpec, Rate};
pub use client::Client;
pub use cut::CutOff;
pub use data_directory::DataDirectory;
pub use due::{AlarmInfo, AlarmSpec, AlarmView, DeadLetter, DeadLetterId, DeadLetterKind};
/// What changes in a stored type is read by names, or by a migration: see [Change your state](crate::guide::evolution). A
/// skipped field lives as long as the object is in memory.
///
/// ```
/// use std::collections::BTreeMap;
/// use durable::DurableState;
///
/// #[derive(Default, DurableState)]
/// struct Cart {
///     lines: BTreeMap<String, Line>,
///     #[serde(skip)]
///     total_cents: Option<u64>,
/// }
///
/// #[derive(DurableState)]
/// enum Line { Goods { count: u32, cents: u64 }, Voucher(u64) }
/// ```
pub use durable_macros::DurableState;
/// Both ways to write a tree give the same specs:
///
/// ```
/// use std::time::Duration;
/// use durable::prelude::*;
/// use durable::{Objects, Restart, Supervisor, Task, objects, task};
///
/// # #[derive(Default, DurableState)]
/// # struct Account { cents: u64 }
/// # #[durable_object(name = "bank.Account")]
/// # impl Account { pub fn deposit(&mut self, cents: u64) -> u64 { self.cents += cents; self.cents } }
/// struct Reporter;
///
/// impl Task for Reporter {
///     async fn run(&self, cx: TaskContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         Ok(cx.stopping().await)
///     }
/// }
///
/// #[derive(Supervisor)]
/// #[supervisor(strategy = "one_for_all", intensity = 3, period = "5s")]
/// struct Bank {
///     accounts: Objects<Account>,
///     #[child(restart = "transient", shutdown = "2s")]
///     reporter: Reporter,
/// }
///
/// let derived = Supervisor::from(Bank { accounts: Objects::new(), reporter: Reporter });
/// let built = Supervisor::one_for_all("bank")
///     .intensity(3, Duration::from_secs(5))
///     .child(objects::<Account>())
///     .child(task("reporter", async |cx| cx.stopping().await)
///         .restart(Restart::Transient)
///         .shutdown(Duration::from_secs(2)));
/// assert_eq!(derived.spec(), built.spec());
/// ```
pub use durable_macros::Supervisor;
/// One block for each type; what a method did is undone if it returns `Err` or panics.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Debug, DurableState)]
/// pub enum Refused { Empty, TooMany { asked: u32, left: u32 } }
///
/// #[derive(DurableState)]
/// pub struct Stock { left: u32 }
///
/// #[durable_object(name = "shop.Stock", key = u64)]
/// impl Stock {
///     pub fn take(&mut self, count: u32) -> Result<u32, Refused> {
///         let left = self.left;
///         self.left = left.checked_sub(count).ok_or(Refused::TooMany { asked: count, left })?;
///         Ok(self.left)
///     }
///
///     #[init]
///     fn filled() -> Self { Stock { left: 10 } }
/// }
///
/// #[derive(Default, DurableState)]
/// pub struct Order { articles: Vec<u64> }
///
/// #[durable_object(name = "shop.Order")]
/// impl Order {
///     pub fn add(&mut self, article: u64) { self.articles.push(article); }
///
///     /// Takes every article out of its stock; another object's refusal passes through.
///     pub async fn check_out(&mut self, cx: &mut Context<'_, Self>) -> Result<usize, CallError<Refused>> {
///         if self.articles.is_empty() {
///             return Err(CallError::Rejected(Refused::Empty));
///         }
///         for article in &self.articles {
///             cx.get::<Stock>(*article).take(1).await?;
///         }
///         Ok(std::mem::take(&mut self.articles).len())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// let runtime = Runtime::builder(dir.path()).register::<Stock>().register::<Order>().start().await?;
/// let order = runtime.get::<Order>("4711");
/// order.add(5).await?;
/// assert_eq!(order.check_out().await.unwrap(), 1);
/// let refused = runtime.get::<Stock>(5).take(10).await.unwrap_err();
/// assert!(matches!(refused.rejection(), Some(Refused::TooMany { asked: 10, left: 9 })));
/// # Ok(())
/// # }
/// ```
pub use durable_macros::durable_object;
pub use error::{CallError, Code, Error, ErrorKind, Outcome};
pub use history::{Bookmark, Cause, Diff, FieldDiff, History, HistoryEntry, KeyDiff, TableDiff};
pub use id::{IntoKey, Name, ObjectId, Placement};
pub use inspection::{
    Backup, KeptCall, Problem, ProblemKind, ShardSummary, StoredClass, StoredKey, StoredObject,
    StoredState, Summary, Verified,
};
pub use interceptor::{IncomingCall, Interceptor, OutgoingCall, Refusal, TurnOutcome, TurnReport};
pub use item_stream::ItemStream;
pub use kernel::restart::{
    AutoShutdown, Backoff, ChildKind, ChildSpec, Decision, Exit, ExitReason, Restart, Shutdown,
    Strategy, SupervisorSpec,
};
pub use keyed::ResultView;
pub use kv::KvKey;
pub use listing::{Listed, Listing};
pub use metadata::Metadata;
pub use object::{
    Alarm, ChildExit, Children, Context, Down, Kv, KvList, Object, OwnedChild, Planned, Rng,
    Schedule, Sql, SqlExecuted, SqlRow, SqlRows, TurnTask,
};
pub use quarantine::Quarantined;
pub use runtime::{Runtime, RuntimeBuilder};
pub use schedule::{Misfire, Overlap, ScheduleInfo, ScheduleView};
pub use send::{SendId, SendView, SendsView};
pub use sql::{Migration, SqlNamed, SqlParams, SqlValue};
pub use state::{DurableState, Fingerprint, StateValue, Wire};
pub use stub::{Call, CallFuture, Stub, StubRef};
pub use supervise::{
    Child, ChildCounts, ChildField, ChildStatus, ClassStatus, Objects, SupervisionEvent,
    SupervisionEvents, Supervisor, SupervisorHandle, SupervisorStatus, Task, TaskContext,
    TaskResult, objects, task,
};
pub use time::WallMs;
pub use trace::TraceContext;
pub use when::When;

/// What a program that has objects needs: `use durable::prelude::*;`.
pub mod prelude {
    pub use crate::{
        CallError, Client, Context, DurableState, Error, ObjectId, Runtime, Stub, TaskContext,
        durable_object,
    };
}

/// The long pages.
pub mod guide {
    /// How the crate is built: its floors, and what each may know.
    #[doc = include_str!("../docs/architecture.md")]
    pub mod architecture {}

    /// What is promised, and which test attacks each promise.
    #[doc = include_str!("../docs/guarantees.md")]
    pub mod guarantees {}

    /// How to look at a data directory, save it, restore it, and what to do when it is damaged.
    #[doc = include_str!("../docs/operations.md")]
    pub mod operations {}

    /// The data directory, to the byte.
    #[doc = include_str!("../docs/disk_format.md")]
    pub mod disk_format {}

    /// Where an object keeps what: struct, keys and tables, and what a turn does to them.
    #[doc = include_str!("../docs/store_data.md")]
    pub mod store_data {}

    /// How objects wake themselves: alarms, their retries, and dead letters.
    #[doc = include_str!("../docs/act_later.md")]
    pub mod act_later {}

    /// How objects call each other, and how they send calls that take effect exactly once.
    #[doc = include_str!("../docs/talk_between_objects.md")]
    pub mod talk_between_objects {}

    /// How a program serves its objects to callers that are not written in Rust.
    #[cfg(feature = "http")]
    #[doc = include_str!("../docs/serve_over_http.md")]
    pub mod serve_over_http {}

    /// How objects talk over sockets that stay open while they are not in memory.
    #[cfg(feature = "http")]
    #[doc = include_str!("../docs/real_time.md")]
    pub mod real_time {}

    /// What may change in stored types, and what becomes of the states that are stored.
    #[doc = include_str!("../docs/evolution.md")]
    pub mod evolution {}

    /// The tree of a service: supervisors, tasks and class groups.
    #[doc = include_str!("../docs/supervision.md")]
    pub mod supervision {}

    /// Every error code: what it means, and what to do.
    #[doc = include_str!("../docs/errors.md")]
    pub mod errors {}
}

/// For `durable-testing`: classes run apart from every runtime.
#[doc(hidden)]
pub mod alone {
    pub use crate::object::alone::{Alone, Stepped, birth, decode, encode, step};

    /// The schedules in the body of a stored row. `None`: there is no row.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn schedules(body: Option<&[u8]>) -> Result<Vec<crate::ScheduleView>, String> {
        let all = body.map_or(Ok(Vec::new()), crate::storage::schedule::decode);
        let all = all.map_err(|error| error.to_string())?;
        Ok(all.iter().map(crate::schedule::Schedule::view).collect())
    }

    /// Bytes before the state in a stored row.
    pub const FRAME_HEADER_BYTES: usize = crate::storage::frame::HEADER_BYTES;
}

#[doc(hidden)]
pub mod __private {
    pub use crate::codec::{DecodeError, EncodeError, decode_wire, encode_wire};
    pub use crate::exposed::{
        Answered, Arguments, Exposed, ExposedMethod, Exposure, Feed, MethodShape, NamedReply,
        ReplyParts, Shape, ShapeOf, Unshaped, Verb, decode_arguments,
    };
    #[cfg(feature = "http")]
    pub use crate::exposed::{
        Connected, Fetch, Fetched, Handled, OnClose, OnConnect, OnError, OnMessage,
    };
    pub use crate::object::{
        Activated, Alarmed, BoxFuture, FromError, Heard, Migrated, Notice, OldState, Plain, Probe,
        Ran, Rang, Returned, misdirected,
    };
    pub use crate::state::{stored, transient};
    pub use crate::stub::Address;
    pub use crate::{
        Access, AlarmInfo, AlarmSpec, AutoShutdown, Backoff, Call, CallError, Child, ChildField,
        ChildStrategy, ChildrenSpec, ClassSpec, Context, DurableState, Error, ItemStream,
        MethodSpec, Migration, Name, Object, Rate, Restart, Shutdown, Stub, Supervisor, Wire,
    };
    pub use postcard_schema;
    pub use serde;
}

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
