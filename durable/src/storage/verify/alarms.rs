//! Alarms, schedules, dead letters and results that are kept: whether each is of an object, and can be read.

use rusqlite::Connection;

use super::Findings;
use super::objects::Shard;
use super::tables::label;
use crate::inspection::ProblemKind;
use crate::storage::rows::{alarm, dead_letter, result, schedule};

/// Every row that leads nowhere, says what no commit has written, or has a body that is none.
pub(super) fn verify(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    for object_no in alarm::DUES.orphans(connection)? {
        let what =
            format!("an alarm of object number {object_no} is set, and there is no such object");
        findings.add(ProblemKind::AlarmOrphaned, what);
    }
    for object_no in schedule::DUES.orphans(connection)? {
        let what =
            format!("schedules of object number {object_no} are set, and there is no such object");
        findings.add(ProblemKind::ScheduleOrphaned, what);
    }
    for (object_no, wrong) in schedule::damaged(connection)? {
        let object = label(shard, connection, object_no)?;
        let object = object.unwrap_or_else(|| format!("object number {object_no}"));
        let what = format!("its schedules cannot be used: {wrong}");
        findings.add_of(ProblemKind::ScheduleDamaged, object, what);
    }
    for object_no in result::orphans(connection)? {
        let what =
            format!("results of object number {object_no} are kept, and there is no such object");
        findings.add(ProblemKind::ResultOrphaned, what);
    }
    for (object_no, what) in result::damaged(connection)? {
        if let Some(object) = label(shard, connection, object_no)? {
            findings.add_of(ProblemKind::ResultDamaged, object, what);
        }
    }
    let alarms = alarm::damaged(connection)?.into_iter();
    let alarms = alarms.map(|(object_no, wrong)| (object_no, format!("its alarm: {wrong}")));
    for (object_no, what) in alarms.chain(dead_letter::damaged(connection)?) {
        // Those of nobody are told of below and above.
        if let Some(object) = label(shard, connection, object_no)? {
            findings.add_of(ProblemKind::RowUnreadable, object, what);
        }
    }
    for letter_no in dead_letter::orphans(connection)? {
        let what = format!("dead letter {letter_no} is of an object that is not there");
        findings.add(ProblemKind::LetterOrphaned, what);
    }
    Ok(())
}
