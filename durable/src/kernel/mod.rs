//! Decisions, one small pure machine per file: state and event in, effects out.
//!
//! Nothing here waits, reads a clock, draws a random number, takes a lock or touches a disk. The shells carry out what
//! these machines say, so every rule can be tested as a table and read without knowing what runs it.

pub(crate) mod activation;
pub(crate) mod admission;
pub(crate) mod ahead;
pub(crate) mod alarm;
pub(crate) mod breaker;
pub(crate) mod commit;
pub(crate) mod delta;
pub(crate) mod evolve;
pub(crate) mod family;
pub(crate) mod gate;
pub(crate) mod history;
#[cfg(feature = "client")]
pub(crate) mod in_order;
pub(crate) mod keyed;
pub(crate) mod lifecycle;
pub(crate) mod merge;
pub(crate) mod outbox;
pub(crate) mod overlay;
pub(crate) mod pace;
pub(crate) mod pages;
pub(crate) mod quarantine;
pub(crate) mod quick;
pub(crate) mod range;
pub(crate) mod rate;
pub(crate) mod reads;
pub(crate) mod residency;
pub(crate) mod restart;
pub(crate) mod retry;
pub(crate) mod schedule;
#[cfg(feature = "http")]
pub(crate) mod sockets;
pub(crate) mod sweep;
pub(crate) mod turn;
pub(crate) mod waits;
