//! Deterministic simulation for objects written with [`durable`].
//!
//! The runtime takes all of its time, randomness, disk and threads from one [`Host`](durable::host::Host). Here is the
//! first part of a host that can be broken on purpose: a [disk](disk::SimDisk) under the real SQLite, with power cuts,
//! torn writes, full disks and failing syncs. Virtual time and a seeded scheduler are not there yet.

pub mod disk;
mod vfs;
