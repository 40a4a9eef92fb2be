//! Who of a life's connections holds what of a file: SQLite's five lock levels, and its shared
//! memory. Memory of the process, not of the disk: it ends with the life.

use std::sync::{Arc, Mutex, Weak};

use super::shm::Shm;

/// How much of a file a connection holds, as SQLite numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Unlocked,
    Shared,
    Reserved,
    /// Waits for readers to leave and lets no new ones in.
    Pending,
    Exclusive,
}

impl Level {
    /// `None`: SQLite has no such level.
    pub(super) fn from_code(code: i32) -> Option<Self> {
        use rusqlite::ffi;

        Some(match code {
            ffi::SQLITE_LOCK_NONE => Level::Unlocked,
            ffi::SQLITE_LOCK_SHARED => Level::Shared,
            ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
            ffi::SQLITE_LOCK_PENDING => Level::Pending,
            ffi::SQLITE_LOCK_EXCLUSIVE => Level::Exclusive,
            _ => return None,
        })
    }
}

/// What the connections to one file share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) locks: Mutex<Locks>,
    /// Empty: no connection uses shared memory.
    pub(super) shm: Mutex<Weak<Shm>>,
}

impl Shared {
    /// The shared memory, which is new and empty if no other connection uses it.
    pub(super) fn shm(&self) -> Arc<Shm> {
        let mut shm = super::lock(&self.shm);
        shm.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Shm::default());
            *shm = Arc::downgrade(&new);
            new
        })
    }
}

/// The lock levels that are taken of one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Locks {
    /// Connections at `Shared` or above.
    holders: u32,
    /// The highest level above `Shared`, of which there is one. `None`: nobody is above.
    above: Option<Level>,
}

impl Locks {
    /// Takes a connection from `held` to `wanted` and gives what it holds then: less than `wanted`
    /// if others are in the way.
    pub(super) fn raise(&mut self, held: Level, wanted: Level) -> Level {
        if wanted <= held {
            return held;
        }
        let is_mine = held > Level::Shared;
        assert!(!is_mine || self.above == Some(held), "one connection is above shared: {self:?}");
        if held == Level::Unlocked {
            if self.above >= Some(Level::Pending) {
                return held;
            }
            assert!(wanted == Level::Shared, "SQLite reads before it writes");
            self.holders += 1;
            return Level::Shared;
        }
        if self.above.is_some() && !is_mine {
            return held;
        }
        let reached =
            if wanted == Level::Exclusive && self.holders > 1 { Level::Pending } else { wanted };
        self.above = Some(reached);
        reached
    }

    /// Takes a connection from `held` down to `wanted`.
    pub(super) fn lower(&mut self, held: Level, wanted: Level) -> Level {
        assert!(wanted <= Level::Shared, "SQLite lowers to shared or nothing");
        if held <= wanted {
            return held;
        }
        if held > Level::Shared {
            assert!(self.above == Some(held), "one connection is above shared: {self:?}");
            self.above = None;
        }
        if wanted == Level::Unlocked {
            self.holders -= 1;
        }
        wanted
    }

    /// Whether some connection is about to write.
    pub(super) fn is_reserved(&self) -> bool {
        self.above.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Level::{Exclusive, Pending, Reserved, Shared, Unlocked};
    use super::*;

    #[test]
    fn readers_share_and_writers_exclude() {
        let mut locks = Locks::default();
        let one = locks.raise(Unlocked, Shared);
        let other = locks.raise(Unlocked, Shared);
        assert_eq!((one, other), (Shared, Shared));
        let one = locks.raise(one, Reserved);
        assert_eq!(one, Reserved);
        assert_eq!(locks.raise(other, Reserved), Shared, "one is reserved already");
        assert_eq!(locks.raise(other, Exclusive), Shared, "nor can it overtake");
        assert!(locks.is_reserved());
        let third = locks.raise(Unlocked, Shared);
        assert_eq!(third, Shared, "readers come while it is only reserved");
        let one = locks.raise(one, Exclusive);
        assert_eq!(one, Pending, "readers are in the way");
        assert_eq!(locks.raise(Unlocked, Shared), Unlocked, "and no more are let in");
        locks.lower(other, Unlocked);
        assert_eq!(locks.raise(one, Exclusive), Pending, "one reader is left");
        locks.lower(third, Unlocked);
        let one = locks.raise(one, Exclusive);
        assert_eq!(one, Exclusive);
        assert_eq!(locks.raise(Unlocked, Shared), Unlocked);
        let one = locks.lower(one, Shared);
        assert_eq!(locks.raise(Unlocked, Shared), Shared);
        assert!(!locks.is_reserved());
        locks.lower(one, Unlocked);
        locks.lower(Shared, Unlocked);
        assert_eq!(locks, Locks::default());
    }
}
