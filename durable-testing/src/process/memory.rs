//! Memory for a child, made ready at once.
//!
//! A world touches a few hundred pages for the first time. Each of them is an exception of the
//! processor, and together they cost a child more than its disk does. One huge page in their place
//! costs a tenth of that; where there is none, they are asked for in one call, which costs half.

/// What a world takes of the heap, at most times.
const HEAP_BYTES: usize = 1 << 20;

/// A huge page of all processors that Linux commonly runs on.
const HUGE_BYTES: usize = 2 << 20;

/// What it takes of its stack.
const STACK_BYTES_USED: usize = 64 << 10;

const PAGE_BYTES: usize = 4 << 10;

/// What the allocator keeps in front of a piece, at most.
const HEADER_BYTES: usize = 16;

/// Makes the heap of this process, and of those that it forks, one area that grows in large steps,
/// and gives back what is free in it, which each child would copy when it uses it.
///
/// To be called before other threads are started, whose heaps would be areas of their own.
#[cfg(target_env = "gnu")]
pub(crate) fn tidy_memory() {
    // SAFETY: each call takes numbers and sets a parameter of malloc, or has it give memory back.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
        // Larger pieces would be mapped and unmapped each time.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::malloc_trim(0);
    }
}

/// Other allocators have no such settings.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn tidy_memory() {}

/// Makes the first part of this process's heap ready.
///
/// To be called in a process that ends soon: what lies before the huge page is lost to it.
pub(super) fn prepare_heap() {
    let ahead = Vec::<u8>::with_capacity(2 * HUGE_BYTES);
    let start = ahead.as_ptr().addr();
    drop(ahead);
    let huge = (start + HEADER_BYTES).next_multiple_of(HUGE_BYTES);
    // What is allocated next begins where the huge page does. Nobody touches this, so it takes no memory.
    let before = Vec::<u8>::with_capacity(huge - start - HEADER_BYTES);
    let is_there = before.as_ptr().addr() == start;
    std::mem::forget(before);
    if is_there {
        advise(huge, HUGE_BYTES, libc::MADV_HUGEPAGE);
        advise(huge, HEAP_BYTES, libc::MADV_POPULATE_WRITE);
    }
}

/// Makes the stack below this frame ready.
#[inline(never)]
pub(super) fn prepare_stack() {
    let here = 0_u8;
    let top = (&raw const here).addr();
    advise(top - STACK_BYTES_USED, STACK_BYTES_USED, libc::MADV_POPULATE_WRITE);
}

/// Tells the system something about the whole pages of a range. One that does not know the advice leaves them to be touched
/// one by one.
fn advise(start: usize, bytes: usize, advice: libc::c_int) {
    let from = start.next_multiple_of(PAGE_BYTES);
    let to = (start + bytes) / PAGE_BYTES * PAGE_BYTES;
    if from >= to {
        return;
    }
    // SAFETY: the advices that are given here change no byte of the range, which is mapped or else refused.
    unsafe {
        let from = std::ptr::with_exposed_provenance_mut(from);
        libc::madvise(from, to - from.addr(), advice);
    }
}
