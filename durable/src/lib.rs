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

#[doc(hidden)]
pub mod bench;
mod class;
mod client;
mod codec;
mod config;
mod directory;
mod error;
#[doc(hidden)]
pub mod host;
mod id;
mod kernel;
pub mod limits;
mod listing;
mod object;
mod registry;
mod runtime;
mod state;
mod storage;
mod stub;
mod supervise;
mod time;

pub use class::{Access, ClassSpec, MethodSpec};
pub use client::Client;
pub use durable_macros::{DurableState, durable_object};
pub use error::{CallError, Code, Error, ErrorKind, Outcome};
pub use id::{IntoKey, Name, ObjectId, Placement};
pub use listing::{Listed, Listing};
pub use object::{Context, Object, Rng};
pub use runtime::{Runtime, RuntimeBuilder};
pub use state::{DurableState, Fingerprint, Wire};
pub use stub::{Call, CallFuture, Stub};
pub use time::WallMs;

/// What a program that has objects needs: `use durable::prelude::*;`.
pub mod prelude {
    pub use crate::{
        CallError, Client, Context, DurableState, Error, ObjectId, Runtime, Stub, durable_object,
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

    /// The data directory, to the byte.
    #[doc = include_str!("../docs/disk_format.md")]
    pub mod disk_format {}

    /// Every error code: what it means, and what to do.
    #[doc = include_str!("../docs/errors.md")]
    pub mod errors {}
}

#[doc(hidden)]
pub mod __private {
    pub use crate::object::{
        Activated, BoxFuture, FromError, Plain, Probe, Ran, Returned, misdirected,
    };
    pub use crate::state::{stored, transient};
    pub use crate::stub::Address;
    pub use crate::{
        Access, Call, CallError, ClassSpec, Context, DurableState, Error, MethodSpec, Name, Object,
        Stub, Wire,
    };
    pub use postcard_schema;
    pub use serde;
}

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
