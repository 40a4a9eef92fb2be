//! The replaced functions of the C library.
//!
//! std and the `getrandom` crate reach for `getrandom`, `clock_gettime`, `nanosleep`,
//! `clock_nanosleep` and `pthread_create`; SQLite for `gettimeofday`, `time`, `nanosleep` and
//! `usleep`; `getentropy` and `sleep` complete the families. Each has the signature and the meaning
//! that its manual page gives it, and calls what it hides if there are no wards to ask.

use std::ffi::{CStr, c_int, c_long, c_uint, c_void};
use std::mem::transmute;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Misuse, Wards, ask};

const NS_PER_S: u64 = 1_000_000_000;

/// The most that `getentropy` gives at once.
const ENTROPY_BYTES_MAX: usize = 256;

/// What a sleep that is not slept leaves over.
const NOTHING_LEFT: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

/// A function of the C library that one of ours hides.
struct Hidden {
    name: &'static CStr,
    /// Null until the function is called for the first time.
    address: AtomicPtr<c_void>,
}

impl Hidden {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    #[inline]
    fn address(&self) -> *mut c_void {
        // The code behind the pointer was there before this program began, so there is nothing that
        // a stronger order would make visible.
        let known = self.address.load(Ordering::Relaxed);
        if known.is_null() { self.find() } else { known }
    }

    #[cold]
    fn find(&self) -> *mut c_void {
        // SAFETY: the name is a C string. Neither the lookup nor the allocation that it may do asks
        // for a clock, for entropy or for a thread.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        if found.is_null() {
            // SAFETY: ends the process. There is no answer to give, and unwinding into C is worse.
            unsafe { libc::abort() }
        }
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

/// The function of the C library by that name, as a function pointer.
macro_rules! hidden {
    ($name:literal, fn($($argument:ty),* $(,)?) -> $result:ty) => {{
        static HIDDEN: Hidden = Hidden::new($name);
        // SAFETY: the address is that of a function of the C library, which has this signature.
        unsafe {
            transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> $result>(
                HIDDEN.address(),
            )
        }
    }};
}

/// Fills `length` bytes at `buffer` from the seed; `false` if the real function is to do it.
///
/// # Safety
/// `buffer` is good for writes of `length` bytes, or `length` is zero.
unsafe fn fill(buffer: *mut c_void, length: usize) -> bool {
    if length == 0 {
        return false;
    }
    ask(|wards| {
        // SAFETY: the caller promises that the bytes can be written and nobody else has them; they
        // are initialised before they are lent.
        let bytes = unsafe {
            ptr::write_bytes(buffer.cast::<u8>(), 0, length);
            slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
        };
        wards.fill(bytes);
    })
    .is_some()
}

/// One reading of the virtual wall clock, in nanoseconds, if this is a world's thread.
#[inline]
fn wall_ns() -> Option<u64> {
    ask(|wards| {
        notice_clock(wards);
        wards.wall_ns()
    })
}

/// One reading of the virtual monotonic clock, in nanoseconds, if this is a world's thread.
#[inline]
fn monotonic_ns() -> Option<u64> {
    ask(|wards| {
        notice_clock(wards);
        wards.monotonic_ns()
    })
}

fn notice_clock(wards: &dyn Wards) {
    if wards.is_watching() {
        wards.misused(Misuse::Clock);
    }
}

/// Whether the thread is spared a sleep because it is a world's.
fn is_sleep_skipped() -> bool {
    ask(|wards| wards.misused(Misuse::Sleep)).is_some()
}

/// Writes through a pointer of C that may be null.
///
/// # Safety
/// `to` is null or good for a write.
unsafe fn give<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, so the caller promises that it can be written.
        unsafe { to.write(value) };
    }
}

fn seconds(ns: u64) -> libc::time_t {
    (ns / NS_PER_S).cast_signed()
}

fn nanoseconds(ns: u64) -> c_long {
    (ns % NS_PER_S).cast_signed()
}

/// Hides `getrandom(2)`.
///
/// # Safety
/// As for the C function: `buffer` is good for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    // SAFETY: `buffer` is as this function is promised.
    if unsafe { fill(buffer, length) } {
        return length.cast_signed();
    }
    let real = hidden!(c"getrandom", fn(*mut c_void, usize, c_uint) -> isize);
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(buffer, length, flags) }
}

/// Hides `getentropy(3)`.
///
/// # Safety
/// As for the C function: `buffer` is good for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(buffer: *mut c_void, length: usize) -> c_int {
    // SAFETY: `buffer` is as this function is promised.
    if length <= ENTROPY_BYTES_MAX && unsafe { fill(buffer, length) } {
        return 0;
    }
    // This one also says that a length is too great.
    let real = hidden!(c"getentropy", fn(*mut c_void, usize) -> c_int);
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(buffer, length) }
}

/// Hides `clock_gettime(3)`. The time that a thread or process has used is virtual too, since
/// nothing else about it would be the same in a second run.
///
/// # Safety
/// As for the C function: `time` is good for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    let virtual_ns = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => wall_ns(),
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_BOOTTIME
        | libc::CLOCK_PROCESS_CPUTIME_ID
        | libc::CLOCK_THREAD_CPUTIME_ID => monotonic_ns(),
        _ => None,
    };
    if let Some(ns) = virtual_ns {
        let read = libc::timespec { tv_sec: seconds(ns), tv_nsec: nanoseconds(ns) };
        // SAFETY: `time` can be written, as this function is promised.
        unsafe { time.write(read) };
        return 0;
    }
    let real = hidden!(c"clock_gettime", fn(libc::clockid_t, *mut libc::timespec) -> c_int);
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(clock, time) }
}

/// Hides `gettimeofday(2)`. The time zone, which is obsolete, stays untouched in a world.
///
/// # Safety
/// As for the C function: each pointer is null or good for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut libc::timeval, zone: *mut c_void) -> c_int {
    if let Some(ns) = wall_ns() {
        let read = libc::timeval { tv_sec: seconds(ns), tv_usec: nanoseconds(ns) / 1_000 };
        // SAFETY: `time` is null or can be written, as this function is promised.
        unsafe { give(time, read) };
        return 0;
    }
    let real = hidden!(c"gettimeofday", fn(*mut libc::timeval, *mut c_void) -> c_int);
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(time, zone) }
}

/// Hides `time(2)`.
///
/// # Safety
/// As for the C function: `time` is null or good for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn time(time: *mut libc::time_t) -> libc::time_t {
    if let Some(ns) = wall_ns() {
        // SAFETY: `time` is null or can be written, as this function is promised.
        unsafe { give(time, seconds(ns)) };
        return seconds(ns);
    }
    let real = hidden!(c"time", fn(*mut libc::time_t) -> libc::time_t);
    // SAFETY: the argument is as this function is promised.
    unsafe { real(time) }
}

/// Hides `nanosleep(2)`.
///
/// # Safety
/// As for the C function: `time` can be read, `rest` is null or good for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const libc::timespec, rest: *mut libc::timespec) -> c_int {
    if is_sleep_skipped() {
        // SAFETY: `rest` is null or can be written, as this function is promised.
        unsafe { give(rest, NOTHING_LEFT) };
        return 0;
    }
    let real = hidden!(c"nanosleep", fn(*const libc::timespec, *mut libc::timespec) -> c_int);
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(time, rest) }
}

/// Hides `clock_nanosleep(2)`.
///
/// # Safety
/// As for the C function: `time` can be read, `rest` is null or good for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: libc::clockid_t,
    flags: c_int,
    time: *const libc::timespec,
    rest: *mut libc::timespec,
) -> c_int {
    if is_sleep_skipped() {
        // SAFETY: `rest` is null or can be written, as this function is promised.
        unsafe { give(rest, NOTHING_LEFT) };
        return 0;
    }
    let real = hidden!(
        c"clock_nanosleep",
        fn(libc::clockid_t, c_int, *const libc::timespec, *mut libc::timespec) -> c_int
    );
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(clock, flags, time, rest) }
}

/// Hides `usleep(3)`, which does not call the `nanosleep` above.
#[unsafe(no_mangle)]
extern "C" fn usleep(microseconds: c_uint) -> c_int {
    if is_sleep_skipped() {
        return 0;
    }
    let real = hidden!(c"usleep", fn(c_uint) -> c_int);
    // SAFETY: the real function takes any number.
    unsafe { real(microseconds) }
}

/// Hides `sleep(3)`, which does not call the `nanosleep` above.
#[unsafe(no_mangle)]
extern "C" fn sleep(seconds: c_uint) -> c_uint {
    if is_sleep_skipped() {
        return 0;
    }
    let real = hidden!(c"sleep", fn(c_uint) -> c_uint);
    // SAFETY: the real function takes any number.
    unsafe { real(seconds) }
}

/// Hides `pthread_create(3)`: a world has one thread, so asking for more of them fails as it does
/// when the system has none left.
///
/// # Safety
/// As for the C function.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    if ask(|wards| wards.misused(Misuse::Thread)).is_some() {
        return libc::EAGAIN;
    }
    let real = hidden!(
        c"pthread_create",
        fn(
            *mut libc::pthread_t,
            *const libc::pthread_attr_t,
            extern "C" fn(*mut c_void) -> *mut c_void,
            *mut c_void,
        ) -> c_int
    );
    // SAFETY: the arguments are as this function is promised.
    unsafe { real(thread, attributes, start, argument) }
}
