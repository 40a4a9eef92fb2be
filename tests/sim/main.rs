//! The runtime in simulated worlds: the workload that every capability joins, and what the simulation itself promises.

mod checkers;
mod controls;
mod misuse;
mod schedule;
mod tokio;
mod workload;
