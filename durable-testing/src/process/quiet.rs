//! Waiting until nothing else runs in this process.

use std::fs;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process that does not become quiet is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at.
const NAP: Duration = Duration::from_micros(50);

/// Waits, once in a process, until every other thread sleeps.
///
/// libtest starts a thread for the test and then still has to go to sleep itself. Children that
/// are forked before it does begin with another heap than those after. A process in which there
/// is always something running is given up, and its children differ.
#[allow(clippy::disallowed_methods, reason = "it is real threads that are waited for")]
pub(super) fn settle() {
    static SETTLED: Once = Once::new();
    SETTLED.call_once(|| {
        let started = Instant::now();
        while !is_quiet() && started.elapsed() < PATIENCE {
            thread::sleep(NAP);
        }
    });
}

/// Whether this is the only thread that is not asleep. What sleeps can be woken by this thread
/// alone, since nothing else runs; one that merely had to give way is not asleep but ready.
fn is_quiet() -> bool {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return true };
    let awake = threads.flatten().filter(|thread| {
        // A thread that has ended meanwhile is quiet enough.
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in brackets and may have some in it.
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('S'))
    });
    awake.count() <= 1
}
