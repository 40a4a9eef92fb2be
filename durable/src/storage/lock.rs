//! The lock of the data directory: one process at a time, and the others are told which one.

use std::fmt;
use std::path::Path;

use super::shared::DirectoryLock;
use super::store::failed;
use crate::error::{Code, Error};
use crate::host::Host;
use crate::time::WallMs;

/// Takes the lock, or says who holds it.
pub(super) fn take(host: &Host, directory: &Path) -> Result<DirectoryLock, Error> {
    let path = directory.join("LOCK");
    let contents = format!("pid {}, since {}\n", host.process_id, Timestamp(host.clock.wall()));
    let taken = host.disk.lock(&path, &contents).map_err(|cause| failed(&path, cause))?;
    taken.map_err(|holder| {
        if holder.starts_with(&format!("pid {},", std::process::id())) {
            return Code::StorageLocked.error(format!(
                "the data directory {} is held by another runtime of this process; await its \
                 `shutdown` first, or choose another directory",
                directory.display()
            ));
        }
        let holder = match holder.trim() {
            "" => "a process that is just starting",
            holder => holder,
        };
        Code::StorageLocked.error(format!(
            "the data directory {} is held by {holder}; stop that process or choose another \
             directory",
            directory.display()
        ))
    })
}

/// A wall-clock time as RFC 3339 writes it, in UTC and whole seconds.
struct Timestamp(WallMs);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.0 / 1_000;
        let (mut days, second) = (seconds / 86_400, seconds % 86_400);
        let mut year = 1970;
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        // Whole cycles of the calendar first, so that no clock, however wrong, makes this slow.
        year += days / 146_097 * 400;
        days %= 146_097;
        while days >= 365 + u64::from(is_leap(year)) {
            days -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while days >= lengths[month] {
            days -= lengths[month];
            month += 1;
        }
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let (month, day) = (month + 1, days + 1);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp(WallMs(ms)).to_string(), text);
        }
    }
}
