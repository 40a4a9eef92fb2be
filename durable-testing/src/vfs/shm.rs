//! The shared memory of a database in WAL mode: the index of its log, and eight lock slots.
//!
//! It is plain heap memory, as all connections are in this process. SQLite's own code orders its
//! accesses by the slots and by barriers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Mutex;

use rusqlite::ffi;

const SLOTS: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// The shared memory of one file, from the first connection that maps it to the last that unmaps.
#[derive(Debug, Default)]
pub(super) struct Shm(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    regions: Vec<Region>,
    /// Above zero: so many hold it shared. Below: one holds it alone. Zero: it is free.
    slots: [i32; SLOTS],
}

/// What one connection holds, a bit for each slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    shared: u32,
    exclusive: u32,
}

/// How slots are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Shared,
    Exclusive,
}

impl Shm {
    /// The memory of a region: the same address for everyone, until the last connection has
    /// unmapped. `None`: there is none yet and it is not wanted either.
    pub(super) fn region(&self, index: usize, bytes: usize, extend: bool) -> Option<NonNull<u8>> {
        let regions = &mut super::lock(&self.0).regions;
        while extend && regions.len() <= index {
            regions.push(Region::new(bytes));
        }
        let region = regions.get(index)?;
        assert!(region.layout.size() == bytes, "SQLite's regions have one size");
        Some(region.start)
    }

    /// Takes slots, all or none of them. `false`: others are in the way.
    pub(super) fn take(
        &self,
        masks: &mut Masks,
        slots: std::ops::Range<usize>,
        want: Want,
    ) -> bool {
        let mask = mask(&slots);
        let taken = &mut super::lock(&self.0).slots[slots];
        match want {
            Want::Shared => {
                assert!(taken.len() == 1, "SQLite shares one slot at a time");
                if masks.shared & mask != 0 {
                    return true;
                }
                if taken[0] < 0 {
                    return false;
                }
                taken[0] += 1;
                masks.shared |= mask;
            }
            Want::Exclusive => {
                assert!(masks.exclusive & mask == 0, "SQLite takes a slot once");
                if taken.iter().any(|slot| *slot != 0) {
                    return false;
                }
                taken.fill(-1);
                masks.exclusive |= mask;
            }
        }
        true
    }

    /// Lets go of those of the slots that are held.
    pub(super) fn release(&self, masks: &mut Masks, slots: std::ops::Range<usize>) {
        let state = &mut super::lock(&self.0);
        for index in slots {
            let (bit, slot) = (1 << index, &mut state.slots[index]);
            if masks.exclusive & bit != 0 {
                assert!(*slot == -1, "a slot that is held alone has no other holder");
                *slot = 0;
            } else if masks.shared & bit != 0 {
                assert!(*slot > 0, "a slot that is shared is counted");
                *slot -= 1;
            }
            masks.exclusive &= !bit;
            masks.shared &= !bit;
        }
    }

    /// Lets go of everything.
    pub(super) fn release_all(&self, masks: &mut Masks) {
        self.release(masks, 0..SLOTS);
    }
}

fn mask(slots: &std::ops::Range<usize>) -> u32 {
    slots.clone().map(|slot| 1 << slot).sum()
}

/// Zeroed memory that stays where it is.
#[derive(Debug)]
struct Region {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to the region alone and is freed once, by whichever thread drops it.
// Rust code never reads or writes it; only its address is handed out.
unsafe impl Send for Region {}

impl Region {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes.max(8), 8).expect("a region is small");
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Region { start, layout }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it was allocated by `new` with this layout, and nobody has its address any more:
        // a connection that was given it holds the `Shm` until it unmaps.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_or_held_alone_and_ranges_are_taken_whole() {
        let shm = Shm::default();
        let (mut one, mut other) = (Masks::default(), Masks::default());
        assert!(shm.take(&mut one, 3..4, Want::Shared));
        assert!(shm.take(&mut one, 3..4, Want::Shared), "once more is no second time");
        assert!(shm.take(&mut other, 3..4, Want::Shared));
        assert!(!shm.take(&mut other, 2..5, Want::Exclusive), "one of them is shared");
        assert!(shm.take(&mut other, 4..6, Want::Exclusive));
        assert!(!shm.take(&mut one, 5..6, Want::Shared));
        shm.release(&mut one, 3..4);
        shm.release_all(&mut other);
        assert!(shm.take(&mut one, 0..8, Want::Exclusive));
        shm.release_all(&mut one);
        assert_eq!(one, Masks::default());
        assert_eq!(super::super::lock(&shm.0).slots, [0; SLOTS]);
    }

    #[test]
    fn a_region_is_zeroed_stays_where_it_is_and_comes_only_when_wanted() {
        let shm = Shm::default();
        assert_eq!(shm.region(0, 32_768, false), None);
        let first = shm.region(0, 32_768, true).expect("made");
        let third = shm.region(2, 32_768, true).expect("made");
        assert_eq!(shm.region(0, 32_768, false), Some(first));
        assert_eq!(shm.region(2, 32_768, true), Some(third));
        // SAFETY: the region has that many bytes and nobody writes them.
        let bytes = unsafe { std::slice::from_raw_parts(first.as_ptr(), 32_768) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }
}
