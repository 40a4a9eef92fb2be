//! What third-party code on a world's thread gets instead of entropy, clocks and threads of the
//! operating system.
//!
//! The functions of the C library that give them away are defined here once more, so the linker
//! takes these. They ask the [`Wards`] of the thread that calls, if it has [entered](enter) a
//! world, and the C library's own functions on all other threads: an ordinary test in the same
//! binary sees nothing of it. Nothing has to be switched on, and only binaries that link this
//! crate have these symbols.
//!
//! Linux with glibc on 64 bits is where this works; elsewhere a world can be entered, but nobody
//! ever asks its wards. What is not seen anywhere: system calls made without the C library, and
//! instructions such as `rdtsc`.
//!
//! This module knows nothing of worlds, seeds or runtimes.

// The functions of the C library are given raw pointers, and a thread finds its wards by one.
#![allow(unsafe_code)]

mod place;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod symbols;
#[cfg(all(test, target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod tests;

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::rc::Rc;
use std::thread;

pub(crate) use self::place::place;

/// What third-party code on the world's thread is given instead of the operating system's.
///
/// While one of these methods runs, its thread sees the real clocks and the real entropy, so a ward
/// may do what it likes without being asked again. A panic in here cannot pass through the C code
/// that may have called: its caller gets zeros, and it goes on when [`Entered`] is dropped.
pub(crate) trait Wards {
    /// Fills `bytes` from the seed.
    fn fill(&self, bytes: &mut [u8]);
    /// Virtual nanoseconds since some fixed moment; never goes back.
    fn monotonic_ns(&self) -> u64;
    /// Virtual nanoseconds since the Unix epoch.
    fn wall_ns(&self) -> u64;
    /// Hears of what code in a world should not do; see [`Misuse`] for when. [`place`] says where.
    fn misused(&self, misuse: Misuse);
    /// Whether a method of the user's runs right now.
    fn is_watching(&self) -> bool;
}

/// What code in a world should have asked the runtime for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// A clock was read while a method of the user's ran. The reader got the virtual time.
    Clock,
    /// The thread wanted to sleep, at any time. It did not.
    Sleep,
    /// A thread was to be started, at any time. It was not.
    Thread,
}

/// Gives this thread's entropy, clocks and threads into the hands of `wards`, until the returned
/// value is dropped.
///
/// A thread draws the keys of its `HashMap`s once, so enter before anything else happens on it.
///
/// # Panics
/// If this thread is in a world already.
pub(crate) fn enter(wards: Rc<dyn Wards>) -> Entered {
    THREAD.with(|thread| {
        assert!(thread.held.get().is_null(), "a thread is in one world at a time");
        let held = Rc::new(Held { wards, panic: Cell::new(None) });
        thread.held.set(Rc::as_ptr(&held));
        Entered { held }
    })
}

/// Runs `f` in the real world: for backtraces, pipes and whatever else needs real clocks.
pub(crate) fn suspended<T>(f: impl FnOnce() -> T) -> T {
    let _away = Away::begin();
    f()
}

/// This thread's stay in a world; dropping it leaves the world.
///
/// # Panics
/// Dropping it goes on with the panic of a ward, if there was one.
#[must_use = "the thread leaves the world when this is dropped"]
pub(crate) struct Entered {
    /// Not to be sent to another thread, which `Rc` sees to. A forgotten stay keeps what the thread
    /// points to alive, so it is merely one that never ends.
    held: Rc<Held>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        THREAD.with(|thread| thread.held.set(ptr::null()));
        if let Some(panic) = self.held.panic.take()
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

/// What a stay in a world keeps alive.
struct Held {
    wards: Rc<dyn Wards>,
    /// The first panic of a ward; `None` while there was none.
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

/// What a thread knows of itself. It needs no destructor and no initialisation, so that it can be
/// read by any C code at any time, also while a thread starts or ends or inside an allocator.
struct Thread {
    /// The stay of this thread; null outside of worlds.
    held: Cell<*const Held>,
    /// How many calls of [`suspended`] or of wards are under way.
    away: Cell<u32>,
}

thread_local! {
    static THREAD: Thread =
        const { Thread { held: Cell::new(ptr::null()), away: Cell::new(0) } };
}

/// Counts one reason why the real functions answer, for as long as it lives.
struct Away;

impl Away {
    fn begin() -> Self {
        THREAD.with(|thread| thread.away.set(thread.away.get() + 1));
        Self
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        THREAD.with(|thread| thread.away.set(thread.away.get() - 1));
    }
}

/// Asks the wards of this thread; `None` if the real function is to answer.
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")),
    expect(dead_code, reason = "no function of this system is replaced")
)]
#[inline]
fn ask<T: Default>(question: impl FnOnce(&dyn Wards) -> T) -> Option<T> {
    let held = THREAD.with(|thread| thread.held.get());
    if held.is_null() { None } else { ask_held(held, question) }
}

/// The rest of [`ask`], off the way that every clock reading of every ordinary thread takes.
#[cold]
fn ask_held<T: Default>(held: *const Held, question: impl FnOnce(&dyn Wards) -> T) -> Option<T> {
    if THREAD.with(|thread| thread.away.get()) > 0 {
        return None;
    }
    // SAFETY: the pointer is this thread's own and not null, so the `Entered` that set it has not
    // been dropped, or was forgotten; either way its share of the `Rc` is still there. The question
    // may drop that `Entered`, hence a share of our own.
    let held = unsafe {
        Rc::increment_strong_count(held);
        Rc::from_raw(held)
    };
    let _away = Away::begin();
    let answer =
        catch_unwind(AssertUnwindSafe(|| question(&*held.wards))).unwrap_or_else(|panic| {
            let first = held.panic.take().unwrap_or(panic);
            held.panic.set(Some(first));
            T::default()
        });
    Some(answer)
}
