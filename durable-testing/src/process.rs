//! A process for every world, so that no counter, cache or address of one world reaches the next.
//!
//! The test binary starts itself once more for one test ([`reexec`]): a quiet process, in which
//! only that test runs. It forks one child for every world ([`forked`]), and because nothing else
//! runs, every child begins with the same memory. Linux only: elsewhere both say that they are not
//! available, and a thread has to do.
//!
//! This module knows nothing of worlds or seeds; bytes come back.

// Forking, and the descriptors and statuses around it, are system calls.
#![cfg_attr(target_os = "linux", allow(unsafe_code))]

#[cfg(target_os = "linux")]
mod fork;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod quiet;
#[cfg(target_os = "linux")]
mod reexec;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::io;
#[cfg(not(target_os = "linux"))]
use std::{process::ExitStatus, time::Duration};

#[cfg(target_os = "linux")]
pub(crate) use self::{fork::forked, memory::tidy_memory, reexec::reexec};

/// Set in a process that [`reexec`] has started.
const MARK: &str = "DURABLE_SIM_PROCESS";

/// What became of a child of [`forked`].
#[derive(Debug)]
pub(crate) enum Forked {
    /// What the work returned.
    Returned(Vec<u8>),
    /// The limit has passed; the child was killed.
    TimedOut,
    /// The child ended without a result.
    Died {
        /// The signal that killed it, if one did.
        signal: Option<i32>,
        /// Its exit code, if it exited: 101 after a panic that the work did not catch.
        code: Option<i32>,
        /// The end of what it wrote to its standard error, at most 64 KiB.
        stderr: String,
    },
    /// No child could be made.
    Unavailable(io::Error),
}

/// Whether this system has [`reexec`] and [`forked`].
pub(crate) const fn is_available() -> bool {
    cfg!(target_os = "linux")
}

/// Whether [`reexec`] has started this process.
pub(crate) fn is_reexecuted() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts nothing on this system.
///
/// # Errors
/// Always, of the kind `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn reexec(
    _name: &str,
    _env: &[(&str, String)],
    _on_line: &mut dyn FnMut(&str),
) -> io::Result<ExitStatus> {
    Err(unsupported())
}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tidy_memory() {}

/// Runs nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forked(_limit: Duration, _work: impl FnOnce() -> Vec<u8>) -> Forked {
    Forked::Unavailable(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a process for every world needs Linux")
}
