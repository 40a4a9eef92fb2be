//! What a shard keeps beside its objects: which of them do not run, sends that wait, and numbers that are not given again.

use rusqlite::Connection;

use super::Findings;
use super::objects::Shard;
use crate::inspection::ProblemKind;
use crate::storage::numbers::ClassNo;
use crate::storage::rows::quarantine::{self, DamagedQuarantine, StoredQuarantine};
use crate::storage::rows::{meta, outbox, received, sql};

/// Every quarantine, every send, then the numbers.
pub(super) fn verify(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    for found in quarantine::all(connection)? {
        match found {
            Ok(stored) => verify_one(shard, &stored, findings),
            Err(damaged) => tell(shard, damaged, findings),
        }
    }
    verify_sends(shard, connection, findings)?;
    let (object_no, log_no) = meta::erased(connection)?;
    if !sql::is_possible(object_no) {
        let what = format!("object number {object_no} was erased, and no object can have it");
        findings.add(ProblemKind::RowUnreadable, what);
    }
    let end = sql::log::NUMBERS_END;
    if u64::try_from(log_no).is_ok_and(|log_no| log_no + 1 < end) {
        return Ok(());
    }
    let what = format!("row {log_no} of the log was erased, the numbers are 0 to {}", end - 2);
    findings.add(ProblemKind::RowUnreadable, what);
    Ok(())
}

/// Whose quarantine cannot be read, and why.
fn tell(shard: &Shard<'_>, damaged: DamagedQuarantine, findings: &mut Findings) {
    let DamagedQuarantine { id, name, what, .. } = damaged;
    let label = id.and_then(|id| shard.label_owned(name.as_deref(), &id));
    if let Some(label) = label {
        return findings.add_of(
            ProblemKind::RowUnreadable,
            label,
            format!("its quarantine: {what}"),
        );
    }
    let whose = match (name, id) {
        (Some(name), _) => format!("`{}`", name.escape_debug()),
        (None, Some(id)) => id.to_string(),
        (None, None) => "an object without an id".to_owned(),
    };
    findings.add(ProblemKind::RowUnreadable, format!("the quarantine of {whose}: {what}"));
}

/// Whether each send can be read and is for an object that there may be.
fn verify_sends(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let damaged = outbox::damaged(connection)?.into_iter();
    for what in damaged.chain(received::damaged(connection)?) {
        findings.add(ProblemKind::SendDamaged, what);
    }
    for (send_no, class_no, target) in outbox::targets(connection)? {
        let what = match shard.owns(class_no, &target) {
            Some(true) => continue,
            Some(false) => {
                format!("send {send_no} is for {target}, which was not made for its class")
            }
            None => format!("send {send_no} is for class {class_no}, which is not stored"),
        };
        findings.add(ProblemKind::SendDamaged, what);
    }
    Ok(())
}

fn verify_one(shard: &Shard<'_>, stored: &StoredQuarantine, findings: &mut Findings) {
    let StoredQuarantine { id, class_no: ClassNo(class_no), name, jurisdiction, lineage, .. } =
        stored;
    let label = || shard.label(*class_no, name.as_deref(), id);
    match shard.owns(*class_no, id) {
        None => {
            let what = format!("its quarantine is of class {class_no}, which is not stored");
            findings.add_of(ProblemKind::ClassUnknown, label(), what);
        }
        Some(false) => {
            let what = format!("its quarantine is of id {id}, which was not made for its class");
            findings.add_of(ProblemKind::ObjectForeign, label(), what);
        }
        Some(true) => {
            let owner = shard.owner_of(id);
            if findings.shard != Some(owner) {
                let what =
                    format!("its quarantine is kept here, its id {id} belongs to shard {owner}");
                findings.add_of(ProblemKind::ObjectMisplaced, label(), what);
            }
            let parent = lineage.as_ref().map(|lineage| lineage.parent().id);
            let whose = (name.as_deref(), jurisdiction.as_deref(), parent);
            if shard.is_misnamed(*class_no, id, whose) {
                let what = format!("its quarantine is of id {id}, and its name that of another");
                findings.add_of(ProblemKind::ObjectMisnamed, label(), what);
            }
        }
    }
}
