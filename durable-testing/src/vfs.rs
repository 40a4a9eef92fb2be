//! The simulated disk as SQLite sees it: a VFS for every life of a disk.
//!
//! It behaves as SQLite's own VFS for Unix does where that can matter after a crash: the first sync
//! of a new journal or log also syncs its directory, and an error of that sync is ignored; an empty
//! file counts as missing where SQLite asks whether there is a journal to roll back; shared memory
//! starts empty when the first connection of a life comes.
//!
//! It promises SQLite one thing of the device, `SQLITE_IOCAP_POWERSAFE_OVERWRITE`, as the VFS for
//! Unix does by default: a write that is interrupted leaves the bytes beside it alone. Sectors are
//! said to have 4,096 bytes, as there, while the disk tears them at 512. Memory-mapped files are
//! not offered.
//!
//! Paths must be UTF-8.

// The one place that talks to C. Every callback gets pointers that SQLite made or that were handed
// to it here; each block says why they are good.
#![allow(unsafe_code)]

mod io;
mod locks;
mod shm;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rusqlite::ffi;

use self::io::{Opened, SimFile};
use self::locks::Shared;
use crate::disk::{Failure, Ino, Life, OpenHow, Stat, normalize};

/// Milliseconds from the beginning of the Julian day count to 1970.
const JULIAN_MS: i64 = 210_866_760_000_000;

/// The longest path that is taken, without its end.
const PATH_BYTES_MAX: c_int = 1_024;

/// Seeds SQLite's own generator, which makes the salts of logs and the values of `random()`.
///
/// The generator is one for the whole process and is not asked for entropy again, so call this at
/// the start of each world; worlds that run beside each other in one process share it. It is drawn
/// from the process's default VFS otherwise, never from a disk's.
pub fn seed_sqlite(seed: u64) {
    // Zero would mean no seed.
    let seed = c_int::from_ne_bytes(((seed ^ (seed >> 32)) as u32 | 1).to_ne_bytes());
    // SAFETY: this test control takes an `int` and a connection, which may be null; it touches the
    // generator under SQLite's mutex.
    unsafe {
        ffi::sqlite3_test_control(
            ffi::SQLITE_TESTCTRL_PRNG_SEED,
            seed,
            ptr::null_mut::<ffi::sqlite3>(),
        );
    }
}

/// What SQLite has of a life: never freed, as a connection that has no file, such as `:memory:`,
/// may use it after the life has ended. That costs about 250 bytes a life.
struct Shell {
    /// Empty: the life has ended.
    life: Mutex<Weak<Life>>,
    name: CString,
}

/// A VFS that is registered for as long as this lives.
pub(crate) struct Registered {
    shell: &'static Shell,
    vfs: *mut ffi::sqlite3_vfs,
}

// SAFETY: the pointer is only handed to `sqlite3_vfs_unregister`, once, which locks; the shell
// is behind a lock or never changes.
unsafe impl Send for Registered {}
// SAFETY: as above; nothing can be done with the pointer through a shared reference.
unsafe impl Sync for Registered {}

impl Registered {
    /// Registers a VFS under a name that no other in this process had or will have.
    pub(crate) fn new(life: Weak<Life>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("durable-sim-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let name = CString::new(name).expect("no zero byte is in it");
        let shell: &'static Shell = Box::leak(Box::new(Shell { life: Mutex::new(life), name }));
        let vfs = Box::into_raw(Box::new(vfs_of(shell)));
        // SAFETY: the structure, its name and its data are never freed, and from here on only
        // SQLite touches the structure.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert!(code == ffi::SQLITE_OK, "SQLite registers a VFS unless it is out of memory");
        Registered { shell, vfs }
    }

    pub(crate) fn name(&self) -> &str {
        self.shell.name.to_str().expect("the name is ASCII")
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: the structure was registered by `new` and is not freed.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
        *lock(&self.shell.life) = Weak::new();
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registered").field(&self.name()).finish()
    }
}

/// What the connections of one life share of each open file.
#[derive(Default)]
pub(crate) struct FileTable(Mutex<BTreeMap<Ino, Weak<Shared>>>);

impl FileTable {
    fn get(&self, ino: Ino) -> Arc<Shared> {
        let mut table = lock(&self.0);
        if let Some(shared) = table.get(&ino).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::new(Shared::default());
        table.insert(ino, Arc::downgrade(&shared));
        shared
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a callback's work; a panic must not cross into C and gives `failed` instead, after the
/// panic hook has reported it.
fn guard<R>(failed: R, work: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(failed)
}

fn vfs_of(shell: &'static Shell) -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: c_int::try_from(size_of::<SimFile>()).expect("a few words"),
        mxPathname: PATH_BYTES_MAX,
        pNext: ptr::null_mut(),
        zName: shell.name.as_ptr(),
        pAppData: ptr::from_ref(shell).cast_mut().cast(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: Some(x_dl_open),
        xDlError: Some(x_dl_error),
        xDlSym: Some(x_dl_sym),
        xDlClose: Some(x_dl_close),
        xRandomness: Some(x_randomness),
        xSleep: Some(x_sleep),
        xCurrentTime: Some(x_current_time),
        xGetLastError: Some(x_get_last_error),
        xCurrentTimeInt64: Some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// The life that a callback is for. `None`: it has ended.
///
/// # Safety
/// `vfs` was made by [`vfs_of`].
unsafe fn life(vfs: *mut ffi::sqlite3_vfs) -> Option<Arc<Life>> {
    // SAFETY: the caller's promise; such a structure and its shell live for ever.
    let shell = unsafe { &*(*vfs).pAppData.cast::<Shell>() };
    lock(&shell.life).upgrade()
}

/// The path in a C string. `None`: it is not UTF-8.
///
/// # Safety
/// `path` is a C string that lives for `'a`.
unsafe fn path<'a>(path: *const c_char) -> Option<&'a Path> {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(path) }.to_str().ok().map(Path::new)
}

unsafe extern "C" fn x_open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes for the file, which is the size of a `SimFile`.
    // Without methods it knows that there is nothing to close.
    unsafe { (*file).pMethods = ptr::null() };
    guard(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: SQLite calls a VFS's method with that VFS.
        let Some(life) = (unsafe { life(vfs) }) else { return ffi::SQLITE_IOERR };
        let named = if name.is_null() {
            None
        } else {
            // SAFETY: a name that is not null is a C string that outlives the call.
            match unsafe { path(name) } {
                Some(path) => Some(path),
                None => return ffi::SQLITE_CANTOPEN,
            }
        };
        let ino = match named {
            // A file that is deleted on close is unlinked at once by the VFS for Unix.
            Some(path) if flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0 => {
                let how = OpenHow {
                    create: flags & ffi::SQLITE_OPEN_CREATE != 0,
                    exclusive: flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0,
                };
                life.core().open(life.number(), path, how)
            }
            _ => life.core().open_nameless(life.number()),
        };
        let ino = match ino {
            Ok(ino) => ino,
            // Nothing may follow from what a dead disk says, not even that a file is missing.
            Err(Failure::Dead) => return ffi::SQLITE_IOERR,
            Err(_) => return ffi::SQLITE_CANTOPEN,
        };
        let opened = Box::new(Opened::new(life, ino, flags));
        // SAFETY: as above, the memory has room for a `SimFile`; its old contents need no drop.
        unsafe { file.cast::<SimFile>().write(SimFile::new(opened)) };
        if !out_flags.is_null() {
            // SAFETY: if it is not null it is a place for the flags.
            unsafe { *out_flags = flags };
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_dir: c_int,
) -> c_int {
    guard(ffi::SQLITE_IOERR_DELETE, || {
        // SAFETY: SQLite calls a VFS's method with that VFS and a C string.
        let (Some(life), Some(path)) = (unsafe { (life(vfs), path(name)) }) else {
            return ffi::SQLITE_IOERR_DELETE;
        };
        match life.core().unlink(life.number(), path) {
            Ok(()) => {}
            Err(Failure::NotFound) => return ffi::SQLITE_IOERR_DELETE_NOENT,
            Err(_) => return ffi::SQLITE_IOERR_DELETE,
        }
        if sync_dir & 1 != 0 && life.core().sync_parent(life.number(), &normalize(path)).is_err() {
            return ffi::SQLITE_IOERR_DIR_FSYNC;
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    guard(ffi::SQLITE_IOERR_ACCESS, || {
        // SAFETY: SQLite calls a VFS's method with that VFS and a C string.
        let (Some(life), Some(path)) = (unsafe { (life(vfs), path(name)) }) else {
            return ffi::SQLITE_IOERR_ACCESS;
        };
        let is_there = match life.core().stat(life.number(), path) {
            Ok(Stat::Missing) => false,
            Ok(Stat::Dir) => true,
            // An empty journal or log holds nothing to recover.
            Ok(Stat::File { len }) => flags != ffi::SQLITE_ACCESS_EXISTS || len > 0,
            Err(_) => return ffi::SQLITE_IOERR_ACCESS,
        };
        // SAFETY: a place for the answer.
        unsafe { *answer = c_int::from(is_there) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    out_bytes: c_int,
    out: *mut c_char,
) -> c_int {
    guard(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: SQLite gives a C string.
        let Some(path) = (unsafe { path(name) }) else { return ffi::SQLITE_CANTOPEN };
        let full = normalize(path);
        let full = full.as_os_str().as_encoded_bytes();
        let room = usize::try_from(out_bytes).unwrap_or(0);
        if full.len() >= room {
            return ffi::SQLITE_CANTOPEN;
        }
        // SAFETY: `out` has room for `out_bytes` bytes, which is more than the path has, and it
        // does not overlap our copy.
        unsafe {
            ptr::copy_nonoverlapping(full.as_ptr(), out.cast::<u8>(), full.len());
            *out.add(full.len()) = 0;
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_dl_open(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn x_dl_error(_vfs: *mut ffi::sqlite3_vfs, bytes: c_int, text: *mut c_char) {
    if bytes > 0 {
        // SAFETY: there is room for `bytes` bytes; an empty text is one.
        unsafe { *text = 0 };
    }
}

/// What SQLite calls a symbol of a library.
type Symbol = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char);

unsafe extern "C" fn x_dl_sym(
    _vfs: *mut ffi::sqlite3_vfs,
    _library: *mut c_void,
    _name: *const c_char,
) -> Option<Symbol> {
    None
}

unsafe extern "C" fn x_dl_close(_vfs: *mut ffi::sqlite3_vfs, _library: *mut c_void) {}

unsafe extern "C" fn x_randomness(
    vfs: *mut ffi::sqlite3_vfs,
    bytes: c_int,
    out: *mut c_char,
) -> c_int {
    guard(0, || {
        let len = usize::try_from(bytes).unwrap_or(0);
        // SAFETY: there is room for `bytes` bytes. They are set before they are read.
        let out = unsafe {
            ptr::write_bytes(out, 0, len);
            std::slice::from_raw_parts_mut(out.cast::<u8>(), len)
        };
        // SAFETY: SQLite calls a VFS's method with that VFS.
        if let Some(life) = unsafe { life(vfs) } {
            life.core().entropy(out);
        }
        bytes
    })
}

unsafe extern "C" fn x_sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    guard(microseconds, || {
        // SAFETY: SQLite calls a VFS's method with that VFS.
        if let Some(life) = unsafe { life(vfs) } {
            life.sleep(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)));
        }
        microseconds
    })
}

/// The time of day as a Julian day, in milliseconds.
///
/// # Safety
/// `vfs` was made by [`vfs_of`].
unsafe fn julian_ms(vfs: *mut ffi::sqlite3_vfs) -> i64 {
    // SAFETY: the caller's promise.
    let wall_ms = unsafe { life(vfs) }.map_or(0, |life| life.wall_ms());
    JULIAN_MS.saturating_add(i64::try_from(wall_ms).unwrap_or(i64::MAX))
}

unsafe extern "C" fn x_current_time_int64(vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    guard(ffi::SQLITE_ERROR, || {
        // SAFETY: SQLite calls a VFS's method with that VFS and a place for the time.
        unsafe { *out = julian_ms(vfs) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    guard(ffi::SQLITE_ERROR, || {
        // SAFETY: SQLite calls a VFS's method with that VFS and a place for the time.
        unsafe { *out = julian_ms(vfs) as f64 / 86_400_000.0 };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_get_last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _bytes: c_int,
    _text: *mut c_char,
) -> c_int {
    0
}
