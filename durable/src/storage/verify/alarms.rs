//! Alarms, schedules and dead letters: whether each is of an object, and can be read.

use rusqlite::Connection;

use super::Findings;
use crate::inspection::ProblemKind;
use crate::storage::rows::{alarm, dead_letter, schedule};

/// Every row that leads nowhere, and every body that is none. Other columns are numbers and texts, which the page checks have
/// read.
pub(super) fn verify(connection: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    for object_no in alarm::orphans(connection)? {
        let what =
            format!("an alarm of object number {object_no} is set, and there is no such object");
        findings.add(ProblemKind::AlarmOrphaned, what);
    }
    for object_no in schedule::orphans(connection)? {
        let what =
            format!("schedules of object number {object_no} are set, and there is no such object");
        findings.add(ProblemKind::ScheduleOrphaned, what);
    }
    for (object_no, wrong) in schedule::damaged(connection)? {
        let what = format!("the schedules of object number {object_no} cannot be used: {wrong}");
        findings.add(ProblemKind::ScheduleDamaged, what);
    }
    for letter_no in dead_letter::orphans(connection)? {
        let what = format!("dead letter {letter_no} is of an object that is not there");
        findings.add(ProblemKind::LetterOrphaned, what);
    }
    Ok(())
}
