//! The methods of an open file.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use rusqlite::ffi;

use super::locks::{Level, Shared};
use super::shm::{Masks, Shm, Want};
use super::{guard, lock};
use crate::disk::{Failure, Ino, Life};

/// What the VFS for Unix says of a sector.
const SECTOR_BYTES: c_int = 4_096;

/// What SQLite holds of an open file.
#[repr(C)]
pub(super) struct SimFile {
    base: ffi::sqlite3_file,
    /// From `Box::into_raw`; the close takes it back.
    opened: *mut Opened,
}

/// An open file.
pub(super) struct Opened {
    life: Arc<Life>,
    ino: Ino,
    shared: Arc<Shared>,
    level: Level,
    /// The file's name is not known to be durable: its first sync syncs the directory as well.
    wants_dir_sync: bool,
    /// `None`: shared memory is not mapped.
    shm: Option<(Arc<Shm>, Masks)>,
}

impl SimFile {
    pub(super) fn new(opened: Box<Opened>) -> Self {
        SimFile {
            base: ffi::sqlite3_file { pMethods: &raw const METHODS },
            opened: Box::into_raw(opened),
        }
    }
}

impl Opened {
    pub(super) fn new(life: Arc<Life>, ino: Ino, flags: c_int) -> Self {
        let journal =
            ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
        Opened {
            shared: life.files.get(ino),
            life,
            ino,
            level: Level::Unlocked,
            // Also for a file that exists: an earlier process may have made it without a sync.
            wants_dir_sync: flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journal != 0,
            shm: None,
        }
    }

    fn sync(&mut self) -> Result<(), Failure> {
        let (core, life) = (self.life.core(), self.life.number());
        core.sync(life, self.ino)?;
        if self.wants_dir_sync {
            match core.sync_parent_of(life, self.ino) {
                // The VFS for Unix ignores it, as some systems cannot sync a directory.
                Ok(()) | Err(Failure::Io) => self.wants_dir_sync = false,
                // A machine that has stopped does not go on to acknowledge a commit.
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    fn is_dead(&self) -> bool {
        self.life.core().check(self.life.number()).is_err()
    }

    fn unmap(&mut self) {
        if let Some((shm, mut masks)) = self.shm.take() {
            shm.release_all(&mut masks);
        }
    }

    fn unlock(&mut self, wanted: Level) {
        self.level = lock(&self.shared.locks).lower(self.level, wanted);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.unmap();
        self.unlock(Level::Unlocked);
        self.life.core().close(self.life.number(), self.ino);
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(x_close),
    xRead: Some(x_read),
    xWrite: Some(x_write),
    xTruncate: Some(x_truncate),
    xSync: Some(x_sync),
    xFileSize: Some(x_file_size),
    xLock: Some(x_lock),
    xUnlock: Some(x_unlock),
    xCheckReservedLock: Some(x_check_reserved_lock),
    xFileControl: Some(x_file_control),
    xSectorSize: Some(x_sector_size),
    xDeviceCharacteristics: Some(x_device_characteristics),
    xShmMap: Some(x_shm_map),
    xShmLock: Some(x_shm_lock),
    xShmBarrier: Some(x_shm_barrier),
    xShmUnmap: Some(x_shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The open file behind SQLite's.
///
/// # Safety
/// `file` was opened by this VFS and not closed, and no other method runs on it: SQLite uses a file
/// from one thread at a time, under its connection's lock, and none of its methods calls another.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Opened {
    // SAFETY: the open wrote a `SimFile` there with a box's pointer, and by the caller's promise
    // nobody else has a reference into the box.
    unsafe { &mut *(*file.cast::<SimFile>()).opened }
}

unsafe extern "C" fn x_close(file: *mut ffi::sqlite3_file) -> c_int {
    guard(ffi::SQLITE_OK, || {
        // SAFETY: SQLite closes an open file once, and then uses it no more.
        drop(unsafe { Box::from_raw((*file.cast::<SimFile>()).opened) });
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
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let (Ok(len), Ok(at)) = (usize::try_from(bytes), usize::try_from(at)) else {
            return ffi::SQLITE_IOERR_READ;
        };
        let out = out.cast::<u8>();
        let read = opened.life.core().read(opened.life.number(), opened.ino, at, len, |found| {
            // SAFETY: `out` has room for `len` bytes, `found` has no more than that, and SQLite's
            // memory does not overlap the disk's.
            unsafe {
                ptr::copy_nonoverlapping(found.as_ptr(), out, found.len());
                ptr::write_bytes(out.add(found.len()), 0, len - found.len());
            }
            found.len()
        });
        match read {
            Ok(read) if read < len => ffi::SQLITE_IOERR_SHORT_READ,
            Ok(_) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_IOERR_READ,
        }
    })
}

unsafe extern "C" fn x_write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    at: i64,
) -> c_int {
    guard(ffi::SQLITE_IOERR_WRITE, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let (Ok(len), Ok(at)) = (usize::try_from(len), usize::try_from(at)) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        // SAFETY: SQLite gives that many bytes, and leaves them alone during the call.
        let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) };
        match opened.life.core().write(opened.life.number(), opened.ino, at, bytes) {
            Ok(()) => ffi::SQLITE_OK,
            Err(Failure::Full) => ffi::SQLITE_FULL,
            Err(_) => ffi::SQLITE_IOERR_WRITE,
        }
    })
}

unsafe extern "C" fn x_truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    guard(ffi::SQLITE_IOERR_TRUNCATE, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let Ok(len) = usize::try_from(len) else { return ffi::SQLITE_IOERR_TRUNCATE };
        match opened.life.core().truncate(opened.life.number(), opened.ino, len) {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_IOERR_TRUNCATE,
        }
    })
}

/// Both strengths of a sync reach the device, as on Linux, and a sync of data alone covers the
/// length as well, as `fdatasync` does.
unsafe extern "C" fn x_sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    guard(ffi::SQLITE_IOERR_FSYNC, || {
        let strength = flags & !ffi::SQLITE_SYNC_DATAONLY;
        assert!(
            matches!(strength, ffi::SQLITE_SYNC_NORMAL | ffi::SQLITE_SYNC_FULL),
            "SQLite syncs in one of two strengths, not {flags:#x}"
        );
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        match unsafe { opened(file) }.sync() {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_IOERR_FSYNC,
        }
    })
}

unsafe extern "C" fn x_file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    guard(ffi::SQLITE_IOERR_FSTAT, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let Ok(len) = opened.life.core().len(opened.life.number(), opened.ino) else {
            return ffi::SQLITE_IOERR_FSTAT;
        };
        // SAFETY: a place for the size.
        unsafe { *out = i64::try_from(len).expect("memory is smaller than that") };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guard(ffi::SQLITE_IOERR_LOCK, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let Some(wanted) = Level::from_code(level) else { return ffi::SQLITE_IOERR_LOCK };
        if opened.is_dead() {
            return ffi::SQLITE_IOERR_LOCK;
        }
        opened.level = lock(&opened.shared.locks).raise(opened.level, wanted);
        if opened.level < wanted { ffi::SQLITE_BUSY } else { ffi::SQLITE_OK }
    })
}

unsafe extern "C" fn x_unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guard(ffi::SQLITE_IOERR_UNLOCK, || {
        let Some(wanted) = Level::from_code(level) else { return ffi::SQLITE_IOERR_UNLOCK };
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        unsafe { opened(file) }.unlock(wanted);
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    answer: *mut c_int,
) -> c_int {
    guard(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        if opened.is_dead() {
            return ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
        }
        let is_reserved = lock(&opened.shared.locks).is_reserved();
        // SAFETY: a place for the answer.
        unsafe { *answer = c_int::from(is_reserved) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_file_control(
    _file: *mut ffi::sqlite3_file,
    _what: c_int,
    _argument: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn x_sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

unsafe extern "C" fn x_device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn x_shm_map(
    file: *mut ffi::sqlite3_file,
    index: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: a place for the address.
    unsafe { *out = ptr::null_mut() };
    guard(ffi::SQLITE_IOERR_SHMMAP, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let (Ok(index), Ok(bytes)) = (usize::try_from(index), usize::try_from(bytes)) else {
            return ffi::SQLITE_IOERR_SHMMAP;
        };
        if opened.is_dead() {
            return ffi::SQLITE_IOERR_SHMMAP;
        }
        let shared = &opened.shared;
        let (shm, _) = opened.shm.get_or_insert_with(|| (shared.shm(), Masks::default()));
        if let Some(region) = shm.region(index, bytes, extend != 0) {
            // SAFETY: as above. The region outlives the mapping, as `opened` holds it until then.
            unsafe { *out = region.as_ptr().cast() };
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn x_shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    guard(ffi::SQLITE_IOERR_SHMLOCK, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        let opened = unsafe { opened(file) };
        let is_dead = opened.is_dead();
        let (Ok(from), Ok(count)) = (usize::try_from(offset), usize::try_from(count)) else {
            return ffi::SQLITE_IOERR_SHMLOCK;
        };
        let Some((shm, masks)) = &mut opened.shm else { return ffi::SQLITE_IOERR_SHMLOCK };
        let slots = from..from + count;
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            shm.release(masks, slots);
            return ffi::SQLITE_OK;
        }
        if is_dead {
            return ffi::SQLITE_IOERR_SHMLOCK;
        }
        let is_shared = flags & ffi::SQLITE_SHM_SHARED != 0;
        let want = if is_shared { Want::Shared } else { Want::Exclusive };
        if shm.take(masks, slots, want) { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
    })
}

unsafe extern "C" fn x_shm_barrier(_file: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn x_shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    guard(ffi::SQLITE_OK, || {
        // SAFETY: SQLite calls a file's method with that file, as `opened` wants it.
        unsafe { opened(file) }.unmap();
        ffi::SQLITE_OK
    })
}
