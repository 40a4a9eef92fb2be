//! The classes of a data directory while it is opened: what the shards say, what the program says, and what follows.
//!
//! What follows is decided by [`lifecycle`]; here it is stored, shard after shard. A start that is cut off in the middle is
//! finished by the next one: the newest row of a class holds, and what a deleted class left is deleted whenever it is found.

use std::collections::BTreeMap;

use rusqlite::TransactionBehavior;

use super::numbers::{ClassNo, ObjectNo};
use super::rows::class::{self, ClassRow};
use super::rows::{self, history, schema};
use super::shard::Opened;
use crate::error::{Code, Error};
use crate::kernel::lifecycle::{self, Class, Misfit, Step};
use crate::limits::ERASED_AT_ONCE_MAX;
use crate::state::{Fingerprint, Schemas};
use crate::time::WallMs;

/// What a program says of its classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared<'a> {
    /// Who will have objects, with the schemas that their states are written with from here on.
    pub(crate) rows: &'a [ClassRow<'a>],
    /// What became of earlier classes, in order.
    pub(crate) steps: &'a [Step],
}

/// A class that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) class_no: ClassNo,
    /// What the ids of its objects are made with.
    pub(crate) origin: String,
    /// What stored states of it were written with.
    pub(crate) schemas: Schemas,
}

/// Stores in every shard what has become of the classes, and gives them by name.
pub(super) fn settle(
    opened: &mut [Opened],
    declared: Declared<'_>,
    now: WallMs,
) -> Result<BTreeMap<String, Named>, Error> {
    let mut classes = lifecycle::merge(opened.iter().map(|shard| shard.classes.clone()))
        .map_err(|misfit| explained(misfit, opened))?;
    let registered: Vec<_> = declared.rows.iter().map(|row| row.name).collect();
    let has_objects = |class_no| {
        for shard in opened.iter() {
            if rows::object::any_of(&shard.connection, ClassNo(class_no))
                .map_err(|cause| Stop::Storage(shard.place.error(&cause, "reading from")))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    };
    lifecycle::settle(&mut classes, declared.steps, &registered, has_objects).map_err(|stop| {
        match stop {
            Stop::Misfit(misfit) => explained(misfit, opened),
            Stop::Storage(error) => error,
        }
    })?;
    for shard in &mut *opened {
        let stored = store(shard, &classes, declared.rows, now);
        let stored = stored.and_then(|()| purge(shard, &classes));
        let stored = stored.and_then(|()| forget(shard, &classes, declared.rows));
        let stored = stored.and_then(|()| drop_sends(shard, &classes));
        stored.map_err(|cause| shard.place.error(&cause, "changing the classes of"))?;
    }
    let named = classes.into_values().filter_map(|class| {
        let Class { class_no, name, origin, .. } = class;
        let (class_no, mut schemas) = (ClassNo(class_no), Schemas::default());
        opened.iter().for_each(|shard| {
            shard.schemas.get(&class_no).into_iter().for_each(|rows| schemas.add(rows))
        });
        Some((name?, Named { class_no, origin, schemas }))
    });
    Ok(named.collect())
}

/// Why classes cannot be settled.
enum Stop {
    Misfit(Misfit),
    Storage(Error),
}

impl From<Misfit> for Stop {
    fn from(misfit: Misfit) -> Self {
        Stop::Misfit(misfit)
    }
}

fn explained(misfit: Misfit, opened: &[Opened]) -> Error {
    match misfit {
        Misfit::Contradiction { class_no, names } => {
            let folder = opened[0].place.path.parent().unwrap_or(&opened[0].place.path).display();
            let [one, other] = names.map(|name| name.unwrap_or_else(|| "deleted".to_owned()));
            Code::StorageCorrupt.error(format!(
                "the shards in {folder} contradict each other: class {class_no} is `{one}` and \
                 `{other}`; restore all shards from one backup"
            ))
        }
        Misfit::Taken { from, to } => Code::ClassTaken.error(format!(
            "class {from} is to be renamed to {to}, and both have objects; \
             delete one of the two, or rename to a name that is free"
        )),
    }
}

/// Stores what differs in one commit. Most starts find nothing that does.
fn store(
    shard: &mut Opened,
    classes: &BTreeMap<u32, Class>,
    rows: &[ClassRow<'_>],
    now: WallMs,
) -> rusqlite::Result<()> {
    let differing: Vec<_> =
        classes.values().filter(|class| !shard.classes.contains(class)).collect();
    let number = |row: &ClassRow<'_>| {
        let named = classes.values().find(|class| class.name.as_deref() == Some(row.name));
        ClassNo(named.expect("a registered class has a number").class_no)
    };
    // This code knows what its own schemas are; whoever comes later has only what is stored.
    let is_sound = |(class_no, row): &(ClassNo, &ClassRow<'_>)| {
        let stored = shard.schemas.get(class_no).and_then(|stored| stored.get(&row.fingerprint));
        stored.is_some_and(|stored| {
            stored == row.schema || Fingerprint::of_schema(stored) == row.fingerprint
        })
    };
    let unsound: Vec<_> =
        rows.iter().map(|row| (number(row), row)).filter(|row| !is_sound(row)).collect();
    if differing.is_empty() && unsound.is_empty() {
        return Ok(());
    }
    let all = shard.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    class::write(&all, &differing, now)?;
    for (class_no, row) in &unsound {
        schema::add(&all, *class_no, row.fingerprint, row.schema)?;
        schema::mend(&all, *class_no, row.fingerprint, row.schema)?;
    }
    all.commit()?;
    for (class_no, row) in unsound {
        let stored = shard.schemas.entry(class_no).or_default();
        stored.insert(row.fingerprint, row.schema.to_vec());
    }
    Ok(())
}

/// Deletes what deleted classes have left, some objects at a time.
fn purge(shard: &mut Opened, classes: &BTreeMap<u32, Class>) -> rusqlite::Result<()> {
    let Opened { connection, outbox, .. } = shard;
    for class in classes.values().filter(|class| class.name.is_none()) {
        loop {
            let class_no = ClassNo(class.class_no);
            let left: Vec<ObjectNo> =
                rows::object::some_of(connection, class_no, ERASED_AT_ONCE_MAX)?;
            if left.is_empty() {
                break;
            }
            let all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut gone = 0;
            for object_no in left {
                // Some may have gone with one above them.
                if let Some(id) = rows::object::id_of(&all, object_no)? {
                    gone += rows::erase_tree(&all, object_no, &id)?.sends;
                }
            }
            all.commit()?;
            *outbox = outbox.saturating_sub(gone);
        }
        rows::quarantine::erase_class(connection, ClassNo(class.class_no))?;
    }
    Ok(())
}

/// Takes away the sends to objects of deleted classes: there is nobody who would ever receive them.
fn drop_sends(shard: &mut Opened, classes: &BTreeMap<u32, Class>) -> rusqlite::Result<()> {
    if shard.outbox == 0 {
        return Ok(());
    }
    for class in classes.values().filter(|class| class.name.is_none()) {
        let dropped = rows::outbox::erase_class(&shard.connection, class.class_no)?;
        if dropped > 0 {
            let class = &class.origin;
            tracing::warn!(class, dropped, "sends went with the class that they were for");
            shard.outbox = shard.outbox.saturating_sub(dropped as u64);
        }
    }
    Ok(())
}

/// Deletes the past of objects whose classes do not keep it any more, some objects at a time: their next commits would
/// leave a gap in it.
fn forget(
    shard: &mut Opened,
    classes: &BTreeMap<u32, Class>,
    rows: &[ClassRow<'_>],
) -> rusqlite::Result<()> {
    if !shard.has_past {
        return Ok(());
    }
    for row in rows.iter().filter(|row| !row.keeps_history) {
        let class = classes.values().find(|class| class.name.as_deref() == Some(row.name));
        let class_no = ClassNo(class.expect("a registered class has a number").class_no);
        loop {
            let left = history::some_of(&shard.connection, class_no, ERASED_AT_ONCE_MAX)?;
            if left.is_empty() {
                break;
            }
            let all = shard.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            left.into_iter().try_for_each(|object_no| history::erase(&all, object_no))?;
            all.commit()?;
        }
    }
    Ok(())
}
