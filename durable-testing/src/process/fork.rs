//! One piece of work in one forked child.
//!
//! The child's memory is a copy of this process's, and its only thread the one that forked. It
//! starts a fresh thread for the work, because thread-locals, such as the keys of `HashMap`s, would
//! be this thread's otherwise. It never returns, unwinds or exits in the usual way: the buffers and
//! the handlers that would run then are copies of its parent's.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use super::Forked;
use super::memory::{prepare_heap, prepare_stack};
use super::quiet::settle;
use super::reexec::die_with_parent;

/// The stack of the thread that works.
const STACK_BYTES: usize = 8 << 20;

/// How much of a child's standard error is kept, from its end.
const STDERR_BYTES_KEPT: usize = 64 << 10;

/// How much of it is read at once.
const STDERR_BYTES_READ: usize = 4 << 10;

/// What Linux gives a pipe room for.
const PIPE_BYTES: usize = 64 << 10;

/// In front of a result: its length, little endian.
const HEADER_BYTES: usize = size_of::<u64>();

/// How a child exits after a panic that the work did not catch; the code of a Rust program.
const CODE_PANICKED: i32 = 101;

/// How a child exits that could not begin or could not say what the work returned.
const CODE_BROKEN: i32 = 102;

/// How often a child is looked at that has closed its pipe and lives on.
const NAP: Duration = Duration::from_millis(1);

/// Runs `work` in a forked child, on a fresh thread there, and gives what it returned.
///
/// The child is killed `limit` of real time after it began, and when this thread ends. What it
/// writes to its standard error is kept back; its standard output is this process's. Nothing of it
/// is left when this returns.
///
/// The process should be quiet, and the first call waits a moment for that: what another thread
/// holds locked now is locked for ever in the child, and what it changes meanwhile makes the next
/// child another one.
pub(crate) fn forked(limit: Duration, work: impl FnOnce() -> Vec<u8>) -> Forked {
    let pipes = io::pipe().and_then(|results| Ok((results, io::pipe()?)));
    let ((results, results_in), (stderr, stderr_in)) = match pipes {
        Ok(pipes) => pipes,
        Err(error) => return Forked::Unavailable(error),
    };
    settle();
    let deadline = Deadline::after(limit);
    // SAFETY: the child goes nowhere but into `run_child`, which never returns. The C library
    // makes its own locks, malloc's among them, usable in the child.
    match unsafe { libc::fork() } {
        -1 => Forked::Unavailable(io::Error::last_os_error()),
        0 => {
            drop((results, stderr));
            run_child(results_in, stderr_in, work)
        }
        pid => {
            // Else the pipes would stay open after the child's end.
            drop((results_in, stderr_in));
            let child = Unwaited(pid);
            Heard { results, result: Vec::new(), stderr, tail: Vec::new() }.finish(child, &deadline)
        }
    }
}

/// What the child does, all of it.
fn run_child(results: PipeWriter, stderr: PipeWriter, work: impl FnOnce() -> Vec<u8>) -> ! {
    // Unwinding would go on in the frames of the parent.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        die_with_parent();
        prepare_heap();
        // SAFETY: takes two descriptors, both open.
        unsafe { libc::dup2(stderr.as_raw_fd(), libc::STDERR_FILENO) };
        let carried = Carried((results, work));
        let begun = move || {
            prepare_stack();
            let (results, work) = carried.unpack();
            match catch_unwind(AssertUnwindSafe(work)) {
                Ok(result) => end(send(results, &result)),
                Err(_) => end(CODE_PANICKED),
            }
        };
        // SAFETY: what `begun` borrows outlives the thread: this one waits below, in the frames
        // that it was borrowed from, until the process ends.
        unsafe { thread::Builder::new().stack_size(STACK_BYTES).spawn_unchecked(begun) }
            .expect("a process that could be forked has room for a thread");
        loop {
            // SAFETY: takes nothing. A signal's handler may end it, hence the loop.
            unsafe { libc::pause() };
        }
    }));
    end(CODE_BROKEN)
}

/// Writes a result and gives the code to exit with.
fn send(mut results: PipeWriter, result: &[u8]) -> i32 {
    let mut message = Vec::with_capacity(HEADER_BYTES + result.len());
    message.extend_from_slice(&(result.len() as u64).to_le_bytes());
    message.extend_from_slice(result);
    if results.write_all(&message).is_ok() { 0 } else { CODE_BROKEN }
}

/// Ends the process at once: no destructor, no handler and no buffer of the parent's runs.
fn end(code: i32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Something that goes to another thread though its type does not allow it.
struct Carried<T>(T);

// SAFETY: used once, in a process whose only other thread waits for ever from then on, so that the
// new thread takes its place and nothing is used from two.
unsafe impl<T> Send for Carried<T> {}

impl<T> Carried<T> {
    /// By value, so that a closure takes the whole and not a part that is not `Send`.
    fn unpack(self) -> T {
        self.0
    }
}

/// What has come from a child so far.
struct Heard {
    results: PipeReader,
    /// Header and result.
    result: Vec<u8>,
    stderr: PipeReader,
    /// The end of the child's standard error.
    tail: Vec<u8>,
}

impl Heard {
    /// Hears the child out and sees it off.
    fn finish(mut self, child: Unwaited, deadline: &Deadline) -> Forked {
        let status = match self.listen(deadline) {
            // It has nothing left to do but to exit.
            Ok(Ended::Whole) => {
                child.wait();
                return Forked::Returned(self.result.split_off(HEADER_BYTES));
            }
            Ok(Ended::Short) => child.wait_until(deadline),
            Ok(Ended::Late) => None,
            Err(error) => return Forked::Unavailable(error), // which kills the child
        };
        let Some(status) = status else { return Forked::TimedOut };
        // The child is gone, so all that it wrote is there already. A process that it has left
        // behind may go on writing, hence the bound, which is what a pipe holds.
        for _ in 0..PIPE_BYTES.div_ceil(STDERR_BYTES_READ) {
            let is_more = is_readable(self.stderr.as_raw_fd());
            if !is_more || !matches!(self.hear_stderr(), Ok(length) if length > 0) {
                break;
            }
        }
        Forked::Died {
            signal: status.signal(),
            code: status.code(),
            stderr: String::from_utf8_lossy(&self.tail).into_owned(),
        }
    }

    /// Reads until there is a result, or none to come, or no time left.
    fn listen(&mut self, deadline: &Deadline) -> io::Result<Ended> {
        let mut chunk = [0; 16 << 10];
        let mut polled = [readable(self.results.as_raw_fd()), readable(self.stderr.as_raw_fd())];
        loop {
            let left_ms = deadline.left_ms();
            let is_any_ready = poll(&mut polled, left_ms)?;
            // One that writes to its standard error all the time is always ready.
            if !is_any_ready || (left_ms == 0 && polled[0].revents == 0) {
                return Ok(Ended::Late);
            }
            if polled[1].revents != 0 && self.hear_stderr()? == 0 {
                polled[1].fd = -1; // closed, which poll would tell again and again
            }
            if polled[0].revents != 0 {
                let length = read(&mut self.results, &mut chunk)?;
                if length == 0 {
                    return Ok(Ended::Short);
                }
                self.result.extend_from_slice(&chunk[..length]);
                if self.is_whole() {
                    return Ok(Ended::Whole);
                }
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.result
            .split_first_chunk::<HEADER_BYTES>()
            .is_some_and(|(header, result)| result.len() as u64 >= u64::from_le_bytes(*header))
    }

    /// Takes a part of the child's standard error; gives its length, 0 at its end.
    fn hear_stderr(&mut self) -> io::Result<usize> {
        let mut chunk = [0; STDERR_BYTES_READ];
        let length = read(&mut self.stderr, &mut chunk)?;
        self.tail.extend_from_slice(&chunk[..length]);
        let surplus = self.tail.len().saturating_sub(STDERR_BYTES_KEPT);
        self.tail.drain(..surplus);
        Ok(length)
    }
}

/// How listening to a child ended.
enum Ended {
    /// With its result.
    Whole,
    /// Its end of the pipe is closed, without a result.
    Short,
    /// The time is up.
    Late,
}

/// A child that has not been waited for; it is killed when this is dropped.
struct Unwaited(libc::pid_t);

impl Unwaited {
    /// Waits as long as it takes.
    fn wait(self) {
        self.reap(0);
        std::mem::forget(self);
    }

    /// Waits until the deadline; `None` if the child had to be killed.
    fn wait_until(self, deadline: &Deadline) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.reap(libc::WNOHANG) {
                std::mem::forget(self);
                return Some(status);
            }
            if deadline.left_ms() == 0 {
                return None;
            }
            nap();
        }
    }

    /// Takes the status of the child; `None` if it is still running, which only `WNOHANG` shows.
    fn reap(&self, flags: i32) -> Option<ExitStatus> {
        let mut status = 0;
        loop {
            // SAFETY: the child is this process's and unwaited, so that its id is not another's;
            // `status` can be written.
            match unsafe { libc::waitpid(self.0, &raw mut status, flags) } {
                0 => return None,
                -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                // Someone ignores or takes the statuses of all children; this one is gone too.
                -1 => return Some(ExitStatus::from_raw(CODE_BROKEN << 8)),
                _ => return Some(ExitStatus::from_raw(status)),
            }
        }
    }
}

impl Drop for Unwaited {
    fn drop(&mut self) {
        // SAFETY: as above: the id cannot be another process's before the child was waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        self.reap(0);
    }
}

/// A moment of real time; `None` is never.
struct Deadline(Option<Instant>);

#[allow(clippy::disallowed_methods, reason = "it is real processes that are waited for")]
impl Deadline {
    fn after(limit: Duration) -> Self {
        Self(Instant::now().checked_add(limit))
    }

    /// Milliseconds left, rounded up, as `poll` takes them; -1 if there is no end.
    fn left_ms(&self) -> i32 {
        let Some(at) = self.0 else { return -1 };
        let left = at.saturating_duration_since(Instant::now());
        i32::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX)
    }
}

#[allow(clippy::disallowed_methods, reason = "it is a real process that is waited for")]
fn nap() {
    thread::sleep(NAP);
}

fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Whether something can be read without waiting; the end counts.
fn is_readable(fd: RawFd) -> bool {
    poll(&mut [readable(fd)], 0).unwrap_or(false)
}

/// Waits until one of the descriptors is ready; `false` if none was in time.
fn poll(polled: &mut [libc::pollfd], timeout_ms: i32) -> io::Result<bool> {
    // SAFETY: pointer and length are those of one slice, which is lent for writing.
    match unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms) } {
        -1 => {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            // As if all were quiet: the caller looks at its deadline and comes again.
            polled.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(true)
        }
        ready => Ok(ready > 0),
    }
}

fn read(pipe: &mut PipeReader, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match pipe.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
