//! Deterministic simulation for objects written with [`durable`].
//!
//! Nothing is here yet: the runtime takes all of its time, randomness, disk and threads from one
//! [`Host`](durable::host::Host), which is the seam that a simulation will implement.
