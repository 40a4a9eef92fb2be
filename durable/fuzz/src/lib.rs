//! Runs a target, and measures the memory that it takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Memory that a decoder may take for each byte that it is given. A map of one entry takes a node for eleven.
const TIMES_MAX: usize = 512;

/// Memory that it may take beside: a list whose length is damaged is given room for one MiB before its end is found, and a
/// state has lists in lists.
const BESIDE_MAX: usize = 8 << 20;

/// Runs a target on bytes.
///
/// # Panics
/// If the target does, or takes too much memory.
pub fn run(target: fn(&[u8]), bytes: &[u8]) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    target(bytes);
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    let allowed = TIMES_MAX * bytes.len() + BESIDE_MAX;
    assert!(
        taken <= allowed,
        "{taken} bytes were taken for {}, allowed are {allowed}",
        bytes.len()
    );
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.dealloc(memory, layout) }
    }
}
