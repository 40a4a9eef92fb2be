//! What SQLite takes for the file of an object's database: a VFS whose only file is [`Pages`].
//!
//! SQLite keeps VFSs for the whole process, so this one is registered once and has no state. Which pages an open is for
//! is laid down on the opening thread, for as long as that open takes. Any other file that SQLite asks for, a journal or
//! a temporary one, does not exist and cannot be made: of an object's database nothing ever touches a file system.

// The one place of the crate that talks to C. Every callback gets pointers that SQLite made or that were handed to it
// here; each block says why they are good.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, OpenFlags, ffi};

use super::around;
use super::pages::Pages;
use crate::limits::SQL_PAGE_BYTES;

/// The VFS's name, among all of a process.
const NAME: &CStr = c"durable-pages";

/// What every database is called. Nobody sees it but SQLite.
const FILE: &str = "object";

/// Milliseconds from the beginning of the Julian day count to 1970.
const JULIAN_MS: i64 = 210_866_760_000_000;

thread_local! {
    /// The pages that the open on this thread is for. `None`: none is under way.
    static OPENING: RefCell<Option<Arc<Pages>>> = const { RefCell::new(None) };
}

/// A connection to these pages.
pub(super) fn connect(pages: &Arc<Pages>) -> rusqlite::Result<Connection> {
    static REGISTERED: OnceLock<c_int> = OnceLock::new();
    let code = *REGISTERED.get_or_init(register);
    if code != ffi::SQLITE_OK {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    }
    OPENING.with(|opening| *opening.borrow_mut() = Some(Arc::clone(pages)));
    // A connection belongs to one activation, behind a lock.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(FILE, flags, NAME);
    OPENING.with(|opening| opening.borrow_mut().take());
    let connection = connection?;
    without_lookaside(&connection)?;
    Ok(connection)
}

/// Lets a connection do without memory that it would set aside: 48 KiB for each.
fn without_lookaside(connection: &Connection) -> rusqlite::Result<()> {
    // SAFETY: the handle is that of an open connection, which nobody else uses meanwhile; this operation takes a pointer,
    // null for memory of SQLite's own, and two `int`s.
    let code = unsafe {
        ffi::sqlite3_db_config(
            connection.handle(),
            ffi::SQLITE_DBCONFIG_LOOKASIDE,
            ptr::null_mut::<c_void>(),
            0 as c_int,
            0 as c_int,
        )
    };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

fn register() -> c_int {
    let vfs = Box::new(ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: c_int::try_from(size_of::<PagesFile>()).expect("a few words"),
        mxPathname: 64,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(x_open),
        xDelete: Some(x_delete),
        xAccess: Some(x_access),
        xFullPathname: Some(x_full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(x_randomness),
        xSleep: Some(x_sleep),
        xCurrentTime: Some(x_current_time),
        xGetLastError: Some(x_get_last_error),
        xCurrentTimeInt64: Some(x_current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    });
    // SAFETY: the structure is never freed, its name is static, and from here on only SQLite touches it.
    unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0) }
}

/// What SQLite holds of an open file.
#[repr(C)]
struct PagesFile {
    base: ffi::sqlite3_file,
    /// From `Arc::into_raw`; the close takes it back.
    pages: *const Pages,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_lock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Runs a callback's work; a panic must not cross into C and gives `failed` instead, after the panic hook has reported
/// it.
fn guard<R>(failed: R, work: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(failed)
}

/// The pages behind an open file.
///
/// # Safety
/// `file` was opened by this VFS and not closed, and is not closed while the reference lives: SQLite uses a file under
/// its connection's lock, and none of these methods closes it.
unsafe fn pages<'a>(file: *mut ffi::sqlite3_file) -> &'a Pages {
    // SAFETY: the open wrote a `PagesFile` there, with a pointer that keeps the pages alive until the close.
    unsafe { &*(*file.cast::<PagesFile>()).pages }
}

unsafe extern "C" fn x_open(
    _vfs: *mut ffi::sqlite3_vfs,
    _name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives `szOsFile` bytes for the file, the size of a `PagesFile`. Without methods it knows that there
    // is nothing to close.
    unsafe { (*file).pMethods = ptr::null() };
    guard(ffi::SQLITE_CANTOPEN, || {
        if flags & ffi::SQLITE_OPEN_MAIN_DB == 0 {
            return ffi::SQLITE_CANTOPEN;
        }
        let opening = OPENING.with(|opening| opening.borrow_mut().take());
        let Some(pages) = opening else { return ffi::SQLITE_CANTOPEN };
        let base = ffi::sqlite3_file { pMethods: &raw const METHODS };
        // SAFETY: as above, the memory has room for it; its old contents need no drop.
        unsafe { file.cast::<PagesFile>().write(PagesFile { base, pages: Arc::into_raw(pages) }) };
        if !out_flags.is_null() {
            // SAFETY: if it is not null it is a place for the flags.
            unsafe { *out_flags = flags };
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    guard(ffi::SQLITE_OK, || {
        // SAFETY: SQLite closes an open file once, and then uses it no more; the pointer is from `Arc::into_raw`.
        drop(unsafe { Arc::from_raw((*file.cast::<PagesFile>()).pages) });
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    bytes: c_int,
    at: i64,
) -> c_int {
    guard(ffi::SQLITE_IOERR_READ, || {
        let Some((number, offset, len)) = within_page(bytes, at) else {
            return ffi::SQLITE_IOERR_READ;
        };
        // SAFETY: SQLite gives `bytes` bytes of its own to fill. They are set before they are read.
        let out = unsafe {
            ptr::write_bytes(out.cast::<u8>(), 0, len);
            slice::from_raw_parts_mut(out.cast::<u8>(), len)
        };
        // SAFETY: SQLite calls a file's method with that file.
        match unsafe { pages(file) }.read(number) {
            Ok(Some(page)) => out.copy_from_slice(&page[offset..offset + len]),
            Ok(None) => return ffi::SQLITE_IOERR_SHORT_READ,
            Err(()) => return ffi::SQLITE_IOERR_READ,
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    at: i64,
) -> c_int {
    guard(ffi::SQLITE_IOERR_WRITE, || {
        let Some((number, 0, SQL_PAGE_BYTES)) = within_page(len, at) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: SQLite gives that many bytes, and leaves them alone during the call.
        let page = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), SQL_PAGE_BYTES) };
        // SAFETY: SQLite calls a file's method with that file.
        unsafe { pages(file) }.write(number, page);
        ffi::SQLITE_OK
    })
}

/// Which page these bytes are of, where they begin in it, and how many they are. `None`: they are not in one page.
fn within_page(bytes: c_int, at: i64) -> Option<(u32, usize, usize)> {
    let (bytes, at) = (usize::try_from(bytes).ok()?, usize::try_from(at).ok()?);
    let (index, offset) = (at / SQL_PAGE_BYTES, at % SQL_PAGE_BYTES);
    let number = u32::try_from(index).ok()?.checked_add(1)?;
    (offset + bytes <= SQL_PAGE_BYTES).then_some((number, offset, bytes))
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    guard(ffi::SQLITE_IOERR_TRUNCATE, || {
        let Ok(len) = usize::try_from(len) else { return ffi::SQLITE_IOERR_TRUNCATE };
        let Ok(count) = u32::try_from(len.div_ceil(SQL_PAGE_BYTES)) else {
            return ffi::SQLITE_IOERR_TRUNCATE;
        };
        // SAFETY: SQLite calls a file's method with that file.
        unsafe { pages(file) }.truncate(count);
        ffi::SQLITE_OK
    })
}

/// Durable is what the shard has committed; there is nothing to sync here.
unsafe extern "C" fn x_sync(_file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    guard(ffi::SQLITE_IOERR_FSTAT, || {
        // SAFETY: SQLite calls a file's method with that file, and with a place for the size.
        unsafe { *out = i64::from(pages(file).count()) * SQL_PAGE_BYTES as i64 };
        ffi::SQLITE_OK
    })
}

/// Nobody else has the pages, so there is nothing to lock.
unsafe extern "C" fn x_lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_check_reserved_lock(
    _file: *mut ffi::sqlite3_file,
    out: *mut c_int,
) -> c_int {
    // SAFETY: a place for the answer.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_file_control(
    _file: *mut ffi::sqlite3_file,
    _operation: c_int,
    _argument: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn x_sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SQL_PAGE_BYTES as c_int
}

unsafe extern "C" fn x_device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    // A write changes the bytes that it names, and no others.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn x_delete(
    _vfs: *mut ffi::sqlite3_vfs,
    _name: *const c_char,
    _sync_dir: c_int,
) -> c_int {
    ffi::SQLITE_IOERR_DELETE_NOENT
}

unsafe extern "C" fn x_access(
    _vfs: *mut ffi::sqlite3_vfs,
    _name: *const c_char,
    _flags: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: a place for the answer. There is no journal, and no log.
    unsafe { *answer = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    out_bytes: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite gives a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > usize::try_from(out_bytes).unwrap_or(0) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has room for `out_bytes` bytes, which the name fits in, and is not the name.
    unsafe { ptr::copy_nonoverlapping(name.as_ptr(), out.cast::<u8>(), name.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_randomness(
    _vfs: *mut ffi::sqlite3_vfs,
    bytes: c_int,
    out: *mut c_char,
) -> c_int {
    guard(0, || {
        let len = usize::try_from(bytes).unwrap_or(0);
        // SAFETY: there is room for `bytes` bytes. They are set before they are read.
        let out = unsafe {
            ptr::write_bytes(out, 0, len);
            slice::from_raw_parts_mut(out.cast::<u8>(), len)
        };
        around::fill(out);
        bytes
    })
}

unsafe extern "C" fn x_sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    // Sleeping is waiting for somebody else's lock, and there is nobody else.
    microseconds
}

unsafe extern "C" fn x_current_time_int64(_vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    guard(ffi::SQLITE_ERROR, || {
        let Some(now) = around::now() else { return ffi::SQLITE_ERROR };
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        // SAFETY: SQLite gives a place for the time.
        unsafe { *out = JULIAN_MS.saturating_add(now_ms) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    let mut now = 0;
    // SAFETY: as that function wants it.
    let code = unsafe { x_current_time_int64(vfs, &raw mut now) };
    // SAFETY: SQLite gives a place for the time.
    unsafe { *out = now as f64 / 86_400_000.0 };
    code
}

unsafe extern "C" fn x_get_last_error(
    _vfs: *mut ffi::sqlite3_vfs,
    _bytes: c_int,
    _text: *mut c_char,
) -> c_int {
    0
}
