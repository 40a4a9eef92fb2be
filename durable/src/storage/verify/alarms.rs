//! Alarms and dead letters: whether each is of an object.

use rusqlite::Connection;

use super::Findings;
use crate::inspection::ProblemKind;
use crate::storage::rows::{alarm, dead_letter};

/// Every row that leads nowhere. Their columns are numbers and texts, which the page checks have read.
pub(super) fn verify(connection: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    for object_no in alarm::orphans(connection)? {
        let what =
            format!("an alarm of object number {object_no} is set, and there is no such object");
        findings.add(ProblemKind::AlarmOrphaned, what);
    }
    for letter_no in dead_letter::orphans(connection)? {
        let what = format!("dead letter {letter_no} is of an object that is not there");
        findings.add(ProblemKind::LetterOrphaned, what);
    }
    Ok(())
}
