//! The numbers that storage counts with, each a type of its own so that none is taken for another.

use std::fmt;

/// Stands for an object inside of its shard. Rows hang on it instead of on the 32-byte id: smaller
/// and quicker.
///
/// Never given to another object; gaps are usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectNo(pub(crate) i64);

/// Stands for a class inside of its data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClassNo(pub(crate) u32);

/// Which activation of an object: later ones have higher epochs, also after the process was
/// restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Epoch(pub(crate) u64);

impl Epoch {
    /// Bits of the count inside of one boot of a shard. 40 bits last for years of activations at
    /// any rate, and leave 2^23 boots before an epoch no longer fits SQLite's signed integers.
    pub(crate) const COUNT_BITS: u32 = 40;

    /// Boots that a shard can have.
    pub(crate) const BOOTS_MAX: u64 = 1 << (63 - Self::COUNT_BITS);

    /// The epoch before the first one of a boot.
    pub(crate) fn of_boot(boot: u64) -> Self {
        assert!(boot < Self::BOOTS_MAX, "boot {boot} is below {}", Self::BOOTS_MAX);
        Epoch(boot << Self::COUNT_BITS)
    }
}

/// Position of a write set in its shard's order of submission, counted from 1 since the store was
/// opened. Never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CommitSeq(pub(crate) u64);

macro_rules! shown_as_number {
    ($($number:ty),+) => { $(
        impl fmt::Display for $number {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+ };
}

shown_as_number!(ObjectNo, ClassNo, Epoch, CommitSeq);
