//! The past of objects, checked row by row: each is whole, follows the one before it, and the last one leads to the present.

use rusqlite::Connection;

use super::Findings;
use super::objects::Shard;
use super::tables::label;
use crate::inspection::ProblemKind;
use crate::storage::numbers::ObjectNo;
use crate::storage::rows::history::{self, Walk};
use crate::storage::rows::unsigned;

/// Every chain of rows.
pub(super) fn verify(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let mut at = ObjectNo(i64::MIN);
    while let Some(object_no) = history::next_object(connection, at)? {
        at = object_no;
        let Some(object) = label(shard, connection, object_no)? else {
            let what =
                format!("the past of object number {object_no} is stored, and no such object");
            findings.add(ProblemKind::HistoryOrphaned, what);
            continue;
        };
        if let Some((kind, what)) = fault(connection, object_no, findings)? {
            findings.add_of(kind, object, format!("its history: {what}"));
        }
    }
    Ok(())
}

/// What is wrong with the past of one object. `None`: nothing.
fn fault(
    connection: &Connection,
    object_no: ObjectNo,
    findings: &mut Findings,
) -> rusqlite::Result<Option<(ProblemKind, String)>> {
    let sql = "SELECT epoch, commit_no FROM snapshots WHERE object_no = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([object_no.0])?;
    // An object without a state is a problem of its own.
    let Some(row) = rows.next()? else { return Ok(None) };
    let (mut epoch, newest) = (unsigned(row, 0)?, unsigned(row, 1)?);
    let (mut broken, mut count) = (None, 0_u64);
    let walked = history::walk_back(connection, object_no, newest, |head, past, bytes| {
        count += 1;
        findings.verified.bytes += bytes;
        if past.epoch != epoch {
            let commit_no = head.commit_no;
            broken = Some(format!("commit {commit_no} is of epoch {}, not {epoch}", past.epoch));
            return Walk::End;
        }
        epoch = past.after_epoch;
        Walk::On
    })?;
    if let Err(error) = walked {
        let kind =
            if error.is_newer() { ProblemKind::HistoryNewer } else { ProblemKind::HistoryTorn };
        return Ok(Some((kind, error.to_string())));
    }
    let sql = "SELECT count(*) FROM history WHERE object_no = ?1";
    let stored: u64 = connection.query_row(sql, [object_no.0], |row| unsigned(row, 0))?;
    if broken.is_none() && stored != count {
        broken = Some(format!("{stored} rows are stored, {count} lead to commit {newest}"));
    }
    Ok(broken.map(|what| (ProblemKind::HistoryTorn, what)))
}
