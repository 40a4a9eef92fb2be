//! What objects keep under keys, checked row by row.

use rusqlite::Connection;

use super::Findings;
use super::objects::Shard;
use crate::id::ObjectId;
use crate::inspection::ProblemKind;
use crate::kv::KvKey;
use crate::storage::rows::kv;

/// Every value.
pub(super) fn verify(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT k.object_no, k.key, k.value, o.class_no, o.name, o.id
         FROM kv k LEFT JOIN objects o ON o.object_no = k.object_no ORDER BY k.object_no, k.key",
    )?;
    let mut rows = select.query([])?;
    let mut orphan = None;
    while let Some(row) = rows.next()? {
        findings.verified.keys += 1;
        let object_no: i64 = row.get(0)?;
        let class_no: Option<u32> = row.get(3)?;
        let Some(class_no) = class_no else {
            // One problem for all values of an object that is not there.
            if orphan.replace(object_no) != Some(object_no) {
                let what =
                    format!("values of object number {object_no} are stored, and no such object");
                findings.add(ProblemKind::KvOrphaned, what);
            }
            continue;
        };
        let key = KvKey::stored(row.get_ref(1)?.as_blob()?);
        let value = row.get_ref(2)?.as_blob()?;
        findings.verified.bytes += value.len() as u64;
        if let Err(error) = kv::open(&key, value) {
            let kind = if error.is_newer() { ProblemKind::KvNewer } else { ProblemKind::KvTorn };
            let id = row.get(5).map(ObjectId::from_bytes);
            let name: Option<String> = row.get(4)?;
            let object = match id {
                Ok(id) => shard.label(class_no, name.as_deref(), &id),
                Err(_) => format!("object number {object_no}"),
            };
            findings.add_of(kind, object, format!("its key {key:?}: {error}"));
        }
    }
    Ok(())
}
