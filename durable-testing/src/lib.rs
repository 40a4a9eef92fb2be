//! Deterministic simulation for objects written with [`durable`].
//!
//! A test gets a [`Sim`]: a world in which time, chance, the order of everything, the disk and the power come from one
//! seed. The runtime in it is the one that ships, on another host; SQLite in it is SQLite, on a disk that can fail.
#![doc = include_str!("../docs/testing.md")]

#[doc(hidden)]
pub mod bench;
mod chance;
mod check;
mod crew;
pub mod disk;
mod failure;
pub mod history;
mod intercept;
mod ledger;
mod lock;
#[cfg(feature = "http")]
mod network;
mod past;
pub mod plan;
mod process;
mod quarantine;
mod real;
mod report;
mod result;
mod runner;
mod sim;
mod simulation;
mod trace;
mod vfs;
mod view;
mod world;

pub use check::linear::{self, Model, Step};
pub use crew::Crew;
/// Makes a test of an async function that takes a [`Sim`].
pub use durable_macros::durable_test as test;
pub use history::Recorded;
pub use lock::{assert_locked, assert_state_golden};
#[cfg(feature = "http")]
pub use network::{SimListener, SimSocket, Unconnected};
pub use plan::{Faults, Hazard};
pub use result::{Holds, IntoResult, TestError, TestResult};
pub use sim::Sim;
pub use simulation::{Failed, Simulation};
pub use trace::{Happened, Trace};
pub use view::World;

/// What a test of objects needs: `use durable_testing::prelude::*;`.
pub mod prelude {
    pub use crate::{Crew, Faults, Model, Recorded, Sim, Simulation, Step, TestError, TestResult};
}

/// The names of the places at which a world can be made to crash, by [`Sim::crash_at`].
pub fn points() -> &'static [&'static str] {
    durable::host::Event::POINTS
}

/// Encodes a value as arguments and replies are, for a [`Model`].
///
/// # Panics
/// If its `Serialize` refuses.
pub fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    durable::__private::encode_wire(value)
        .unwrap_or_else(|error| panic!("the value does not encode: {error:?}"))
}

#[doc(hidden)]
pub mod __private {
    pub use crate::runner::{Place, run};
}
