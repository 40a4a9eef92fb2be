//! The runtime in simulated worlds: the workload that every capability joins, and what the simulation itself promises.

mod tokio;
mod workload;
