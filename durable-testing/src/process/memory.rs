//! Memory for a child, made ready at once.
//!
//! A world touches a few hundred pages for the first time. Each of them is an exception of the
//! processor, and together they cost a child more than its disk does; asked for in one call, they
//! cost a tenth.

/// What a world takes of the heap, at most times.
const HEAP_BYTES: usize = 1 << 20;

/// What it takes of its stack.
const STACK_BYTES_USED: usize = 64 << 10;

const PAGE_BYTES: usize = 4 << 10;

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
pub(super) fn prepare_heap() {
    let heap = Vec::<u8>::with_capacity(HEAP_BYTES);
    populate(heap.as_ptr().addr(), HEAP_BYTES);
}

/// Makes the stack below this frame ready.
#[inline(never)]
pub(super) fn prepare_stack() {
    let here = 0_u8;
    let top = (&raw const here).addr();
    populate(top - STACK_BYTES_USED, STACK_BYTES_USED);
}

/// Asks for the whole pages of a range at once. A system that cannot do it leaves them to be
/// touched one by one.
fn populate(start: usize, bytes: usize) {
    let from = start.next_multiple_of(PAGE_BYTES);
    let to = (start + bytes) / PAGE_BYTES * PAGE_BYTES;
    if from >= to {
        return;
    }
    // SAFETY: changes no byte of the range, which is mapped or else refused.
    unsafe {
        let from = std::ptr::with_exposed_provenance_mut(from);
        libc::madvise(from, to - from.addr(), libc::MADV_POPULATE_WRITE);
    }
}
