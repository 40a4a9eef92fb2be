//! Quarantines of a shard: what is to be stored of them, beside the commits of objects; and those of a data directory that
//! no runtime holds.
//!
//! They are rare, and of no turn, so they have a queue and transactions of their own, in the writer's lane.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::lock;
use super::look::{Look, asked};
use super::numbers::ClassNo;
use super::rows::class;
use super::rows::quarantine::{self, DamagedQuarantine, Found, StoredQuarantine};
use super::sqlite::Role;
use super::store::{check_meta, renew_log, unopened};
use crate::error::Error;
use crate::id::{ClassKey, ObjectId};
use crate::kernel::lifecycle::Class;
use crate::limits::LIST_PAGE_MAX;
use crate::quarantine::Quarantined;
use crate::time::WallMs;

/// What is to be stored.
#[derive(Clone, Debug)]
pub(crate) enum Chore {
    /// The object does not run.
    Put(StoredQuarantine),
    /// It does.
    Remove(ObjectId),
    /// Nothing: somebody waits for what came before.
    Nothing,
}

pub(super) type Answer = oneshot::Sender<Result<(), Error>>;

/// What waits for the writer: at most one for each object that fails, and one for each request of a person.
pub(super) type Chores = super::chores::Chores<(Chore, Answer)>;

/// Opens a transaction and does them in order. The caller commits.
pub(super) fn apply(connection: &Connection, chores: &[(Chore, Answer)]) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    chores.iter().try_for_each(|(chore, _)| match chore {
        Chore::Put(stored) => quarantine::put(connection, stored),
        Chore::Nothing => Ok(()),
        Chore::Remove(id) => quarantine::remove(connection, id).map(drop),
    })
}

/// Tells everybody what became of them.
pub(super) fn answer(chores: Vec<(Chore, Answer)>, stored: Result<(), Error>) {
    for (_, answer) in chores {
        // Whoever no longer waits does not need to be told.
        let _ = answer.send(stored.clone());
    }
}

/// As it is told to those who ask for it. `class`: says the name of its class, by the number that is stored, or by the
/// object's id where the row cannot be read.
pub(crate) fn told(
    found: Found,
    class: impl FnOnce(Result<ClassNo, &ObjectId>) -> String,
) -> Quarantined {
    match found {
        Ok(StoredQuarantine { id, class_no, name, sentence, .. }) => Quarantined {
            id,
            class: class(Ok(class_no)),
            name,
            reason: sentence.reason,
            since: sentence.since,
            retry_at: sentence.retry_at,
            failed_trials: sentence.failed_trials,
        },
        Err(DamagedQuarantine { id, name, what, .. }) => {
            let id = id.expect("only those are listed whose ids can be read");
            Quarantined {
                id,
                class: class(Err(&id)),
                name,
                reason: format!("what is stored of its quarantine cannot be read: {what}"),
                since: WallMs(0),
                retry_at: WallMs::MAX,
                failed_trials: 0,
            }
        }
    }
}

/// One page of what several shards have, in the order of ids.
pub(crate) fn page(shards: Vec<Vec<Found>>) -> Vec<Found> {
    let mut page: Vec<_> = shards.into_iter().flatten().collect();
    page.sort_by_key(|found| match found {
        Ok(stored) => Some(stored.id),
        Err(damaged) => damaged.id,
    });
    page.truncate(LIST_PAGE_MAX);
    page
}

impl Look {
    /// One page of the quarantined objects, in the order of their ids.
    ///
    /// # Errors
    /// `storage.*`.
    pub(crate) fn quarantined(&self, after: Option<ObjectId>) -> Result<Vec<Quarantined>, Error> {
        let classes = self.merged(self.each_shard(|_, connection| class::all(connection))?)?;
        let read =
            |_, connection: &Connection| quarantine::list(connection, None, after, LIST_PAGE_MAX);
        let owns = |Class { origin, .. }: &Class, id: &ObjectId| {
            ClassKey::new(&self.manifest.id_key, origin).owns(id)
        };
        let named = |class: Result<ClassNo, &ObjectId>| match class {
            Ok(ClassNo(class_no)) => {
                let name = classes.get(&class_no).and_then(|Class { name, .. }| name.clone());
                name.unwrap_or_else(|| format!("class {class_no}"))
            }
            Err(id) => {
                let class = classes.values().find(|class| owns(class, id));
                let name = class.and_then(|Class { name, .. }| name.clone());
                name.unwrap_or_else(|| "an unknown class".to_owned())
            }
        };
        let found = page(self.each_shard(read)?).into_iter();
        Ok(found.map(|found| told(found, named)).collect())
    }

    /// Lets an object run again. Whether it was quarantined.
    ///
    /// # Errors
    /// `storage.locked` if a runtime holds the directory; `storage.*`.
    pub(crate) fn release(&self, id: &ObjectId) -> Result<bool, Error> {
        let _lock = lock::take(&self.host, &self.directory)?;
        let index = self.owner_of(id);
        let (place, manifest) = (self.place(index), self.directory.join("durable.toml"));
        renew_log(&self.host, &place)?;
        let opened = place.open(Role::Writer);
        let connection = opened.map_err(|cause| asked(unopened(&place, &manifest, &cause)))?;
        check_meta(&place, &connection, index, &self.manifest).map_err(asked)?;
        quarantine::remove(&connection, id)
            .map_err(|cause| asked(place.error(&cause, "writing to")))
    }
}
