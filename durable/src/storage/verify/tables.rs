//! The databases of objects, checked page by page and row by row of their logs.

use rusqlite::{Connection, OptionalExtension};

use super::Findings;
use super::objects::Shard;
use crate::id::ObjectId;
use crate::inspection::ProblemKind;
use crate::storage::numbers::ObjectNo;
use crate::storage::rows::sql;

/// Every database. What its tables say is SQLite's own affair: only an object that uses it asks for that.
pub(super) fn verify(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    for (object_no, rows) in sql::owners(connection)? {
        let Some(object) = label(shard, connection, object_no)? else {
            let what =
                format!("tables of object number {object_no} are stored, and no such object");
            findings.add(ProblemKind::TablesOrphaned, what);
            continue;
        };
        if let Err(error) = sql::check(connection, object_no, rows)? {
            let kind =
                if error.is_newer() { ProblemKind::TablesNewer } else { ProblemKind::TablesTorn };
            findings.add_of(kind, object, format!("its tables: {error}"));
        }
    }
    Ok(())
}

/// What the object is called. `None`: there is none.
pub(super) fn label(
    shard: &Shard<'_>,
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT class_no, name, id FROM objects WHERE object_no = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (class_no, name) = (row.get(0)?, row.get::<_, Option<String>>(1)?);
        let id = row.get(2).map(ObjectId::from_bytes);
        Ok(match id {
            Ok(id) => shard.label(class_no, name.as_deref(), &id),
            Err(_) => format!("object number {object_no}"),
        })
    };
    select.query_row([object_no.0], read).optional()
}
