//! Objects and their states, checked row by row.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row};

use super::Findings;
use crate::id::{ClassKey, ObjectId};
use crate::inspection::ProblemKind;
use crate::kernel::lifecycle::Class;
use crate::state::Fingerprint;
use crate::storage::look::Look;
use crate::storage::numbers::{ClassNo, Epoch, ObjectNo};
use crate::storage::rows::meta::Meta;
use crate::storage::rows::{class, frame, kin, object, schema, unsigned};

/// What rows of one shard are compared with.
pub(super) struct Shard<'l> {
    look: &'l Look,
    /// How often it was opened.
    boot: u64,
    /// The classes that it has rows of, and their keys.
    classes: BTreeMap<u32, (String, ClassKey)>,
    schemas: BTreeSet<(ClassNo, Fingerprint)>,
}

impl<'l> Shard<'l> {
    /// `classes`: as all shards have them.
    pub(super) fn read(
        look: &'l Look,
        connection: &Connection,
        classes: &[Class],
    ) -> rusqlite::Result<Self> {
        let here: BTreeSet<_> =
            class::all(connection)?.into_iter().map(|class| class.class_no).collect();
        let named = |class: &Class| {
            let name = class.name.as_ref().unwrap_or(&class.origin).clone();
            (class.class_no, (name, ClassKey::new(&look.manifest.id_key, &class.origin)))
        };
        Ok(Shard {
            look,
            boot: Meta::read(connection)?.map_or(0, |meta| meta.boot),
            classes: classes
                .iter()
                .filter(|class| here.contains(&class.class_no))
                .map(named)
                .collect(),
            schemas: schema::known(connection)?,
        })
    }

    /// Whether an id was made for a class. `None`: there is no such class.
    pub(super) fn owns(&self, class_no: u32, id: &ObjectId) -> Option<bool> {
        self.classes.get(&class_no).map(|(_, key)| key.owns(id))
    }

    /// Whether the id of an object of a class does not follow from its name, its jurisdiction and its parent. Without a name it
    /// follows from nothing, and neither does that of a child whose parent is not known.
    pub(super) fn is_misnamed(
        &self,
        class_no: u32,
        id: &ObjectId,
        (name, jurisdiction, parent): (Option<&str>, Option<&str>, Option<ObjectId>),
    ) -> bool {
        let (Some((_, key)), Some(name)) = (self.classes.get(&class_no), name) else {
            return false;
        };
        match parent {
            Some(parent) => key.child(&parent, name) != *id,
            None => !key.owns_child(id) && key.named(name, jurisdiction) != *id,
        }
    }

    /// What an object is called in a problem, by the class that owns its id. `None`: none does.
    pub(super) fn label_owned(&self, name: Option<&str>, id: &ObjectId) -> Option<String> {
        let (class_no, _) = self.classes.iter().find(|(_, (_, key))| key.owns(id))?;
        Some(self.label(*class_no, name, id))
    }

    /// The shard that an id belongs to.
    pub(super) fn owner_of(&self, id: &ObjectId) -> u16 {
        self.look.owner_of(id)
    }

    /// What an object is called in a problem.
    pub(super) fn label(&self, class_no: u32, name: Option<&str>, id: &ObjectId) -> String {
        let class = match self.classes.get(&class_no) {
            Some((class, _)) => class.clone(),
            None => format!("class {class_no}"),
        };
        name.map_or_else(|| format!("{class}({id})"), |name| format!("{class}({name})"))
    }
}

/// An object's row, with its snapshot's.
struct Stored {
    object_no: ObjectNo,
    id: ObjectId,
    class_no: u32,
    slot: i64,
    lookup_hash: i64,
    name: Option<String>,
    jurisdiction: Option<String>,
    /// `None`: it has no parent.
    parent: Option<ObjectId>,
    epoch: u64,
    commit_no: u64,
    /// `None`: there is no snapshot.
    body: Option<Vec<u8>>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let body: Option<Vec<u8>> = row.get(9)?;
        unsigned(row, 11)?;
        let (epoch, commit_no) =
            if body.is_some() { (unsigned(row, 7)?, unsigned(row, 8)?) } else { (0, 0) };
        Ok(Stored {
            object_no: object::number(row, 0)?,
            id: ObjectId::from_bytes(row.get(1)?),
            class_no: row.get(2)?,
            slot: row.get(3)?,
            lookup_hash: row.get(4)?,
            name: row.get(5)?,
            jurisdiction: row.get(6)?,
            parent: object::lineage(row, 10)?.map(|lineage| lineage.parent().id),
            epoch,
            commit_no,
            body,
        })
    }
}

/// Every object and its state, then the states that no object has.
pub(super) fn verify(
    shard: &Shard<'_>,
    connection: &Connection,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT o.object_no, o.id, o.class_no, o.slot, o.lookup_hash, o.name, o.jurisdiction,
             s.epoch, s.commit_no, s.body, o.lineage, o.born_ms
         FROM objects o LEFT JOIN snapshots s ON s.object_no = o.object_no ORDER BY o.object_no",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        findings.verified.objects += 1;
        match Stored::read(row) {
            Ok(stored) => verify_one(shard, &stored, findings),
            Err(cause) => {
                let number: i64 = row.get(0)?;
                let what = format!("the row of object number {number}: {cause}");
                findings.add(ProblemKind::RowUnreadable, what);
            }
        }
    }
    for what in kin::wrong(connection)? {
        findings.add(ProblemKind::KinWrong, what);
    }
    doubled(connection, findings)?;
    orphaned(connection, findings)
}

fn verify_one(shard: &Shard<'_>, stored: &Stored, findings: &mut Findings) {
    let Stored { object_no, id, class_no, name, .. } = stored;
    let label = || shard.label(*class_no, name.as_deref(), id);
    match shard.classes.get(class_no) {
        None => {
            let what =
                format!("object number {object_no} is of class {class_no}, which is not stored");
            findings.add_of(ProblemKind::ClassUnknown, label(), what);
        }
        Some((class, key)) => {
            if !key.owns(id) {
                let what = format!("its id {id} was not made for {class} in this directory");
                findings.add_of(ProblemKind::ObjectForeign, label(), what);
            } else if key.owns_child(id) != stored.parent.is_some() {
                let (says, stored) =
                    if stored.parent.is_some() { ("no", "a") } else { ("a", "no") };
                let what = format!("its id {id} is of {says} child, and {stored} parent is stored");
                findings.add_of(ProblemKind::KinWrong, label(), what);
            } else if shard.is_misnamed(
                *class_no,
                id,
                (name.as_deref(), stored.jurisdiction.as_deref(), stored.parent),
            ) {
                let what = format!("its name is that of another id than {id}");
                findings.add_of(ProblemKind::ObjectMisnamed, label(), what);
            }
        }
    }
    let owner = shard.look.owner_of(id);
    if findings.shard != Some(owner) {
        let what = format!("its id {id} belongs to shard {owner}");
        findings.add_of(ProblemKind::ObjectMisplaced, label(), what);
    } else if (stored.slot, stored.lookup_hash) != (id.slot().into(), id.lookup_hash()) {
        let what = format!(
            "its row says slot {} and hash {}, its id {id} gives {} and {}",
            stored.slot,
            stored.lookup_hash,
            id.slot(),
            id.lookup_hash()
        );
        findings.add_of(ProblemKind::ObjectMisplaced, label(), what);
    }
    verify_state(shard, stored, label, findings);
}

fn verify_state(
    shard: &Shard<'_>,
    stored: &Stored,
    label: impl Fn() -> String,
    findings: &mut Findings,
) {
    let Some(body) = &stored.body else {
        let what = format!("object number {} has no state", stored.object_no);
        return findings.add_of(ProblemKind::SnapshotMissing, label(), what);
    };
    findings.verified.bytes += body.len() as u64;
    match frame::decode(body) {
        // It was brought back to before its birth.
        Ok((frame::Header { codec: frame::Codec::Nothing, .. }, _)) => {}
        Ok((header, _)) => {
            let (class_no, print) = (ClassNo(stored.class_no), header.fingerprint);
            if !shard.schemas.contains(&(class_no, print)) {
                let what = format!("the schema {:016x} of its state is not stored", print.0);
                findings.add_of(ProblemKind::SchemaUnknown, label(), what);
            }
        }
        Err(error) => {
            let kind = if error.is_newer() {
                ProblemKind::SnapshotNewer
            } else {
                ProblemKind::SnapshotTorn
            };
            findings.add_of(kind, label(), format!("its state: {error}"));
        }
    }
    // Every later activation has a higher epoch than all of this boot.
    let boot = stored.epoch >> Epoch::COUNT_BITS;
    if boot > shard.boot || stored.commit_no == 0 {
        let what = format!(
            "commit {} of boot {boot} is stored, the shard was opened {} times",
            stored.commit_no, shard.boot
        );
        findings.add_of(ProblemKind::SnapshotAhead, label(), what);
    }
}

fn doubled(connection: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut select = connection
        .prepare("SELECT id, count(*) FROM objects GROUP BY lookup_hash, id HAVING count(*) > 1")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let count = unsigned(row, 1)?;
        let id = row.get(0).map(ObjectId::from_bytes);
        let id = id.map_or_else(|_| "an id that is none".to_owned(), |id| id.to_string());
        findings.add_of(ProblemKind::ObjectDoubled, id, format!("it is stored {count} times"));
    }
    Ok(())
}

fn orphaned(connection: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT object_no FROM snapshots
         WHERE object_no NOT IN (SELECT object_no FROM objects) ORDER BY object_no",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let what = format!("a state of object number {number} is stored, and no such object");
        findings.add(ProblemKind::SnapshotOrphaned, what);
    }
    Ok(())
}
