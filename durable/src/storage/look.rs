//! A data directory as one sees it from outside, without being its runtime: what is stored, and copies of it.
//!
//! It never takes the directory's lock and never writes into it, so it works beside the process that holds it, and on what a
//! process has left that died. SQLite may make the index of a log anew, which is memory and not data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::copy::{self, Copier};
use super::history::{self, Misplaced};
use super::manifest::Manifest;
use super::numbers::ClassNo;
use super::rows::meta::{FORMAT, Meta};
use super::rows::{class, dead_letter, frame, kv, object, result, schedule, schema};
use super::sqlite::{Place, Role};
use super::store::{check_meta, failed, shard_place, unopened};
use super::stored::{After, Listed};
use super::verify;
use crate::error::{Code, Error, Outcome};
use crate::history::{Bookmark, HistoryEntry};
use crate::host::Host;
use crate::id::{ClassKey, ObjectId};
use crate::inspection::{
    Backup, KeptCall, ShardSummary, StoredClass, StoredKey, StoredObject, StoredState, Summary,
    Verified,
};
use crate::kernel::lifecycle::{self, Class};
use crate::keyed::KeptResult;
use crate::limits::{LIST_PAGE_MAX, SLOTS};

/// A data directory that exists.
#[derive(Clone)]
pub(crate) struct Look {
    pub(super) host: Host,
    pub(super) directory: PathBuf,
    pub(super) manifest: Manifest,
}

impl Look {
    /// # Errors
    /// `storage.missing`, `backup.incomplete`, `storage.newer`, `storage.corrupt`, `storage.failed`.
    pub(crate) fn open(host: Host, directory: &Path) -> Result<Self, Error> {
        let path = directory.join("durable.toml");
        let bytes = host.disk.read(&path).map_err(|cause| asked(failed(&path, cause)))?;
        let Some(bytes) = bytes else {
            return Err(Code::StorageMissing.error(format!(
                "{} is no data directory: it has no durable.toml; name one that a runtime has made",
                directory.display()
            )));
        };
        let manifest = Manifest::decode(&path, &bytes)?;
        Ok(Look { host, directory: directory.to_owned(), manifest })
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.directory.join("shards")
    }

    pub(super) fn place(&self, index: u16) -> Place {
        shard_place(&self.host, &self.folder(), index)
    }

    /// A shard, to be read, if it is one of this directory.
    fn shard(&self, index: u16) -> Result<(Place, Connection), Error> {
        let place = self.place(index);
        let manifest = self.directory.join("durable.toml");
        let opened = place.open(Role::Reader);
        let connection = opened.map_err(|cause| asked(unopened(&place, &manifest, &cause)))?;
        check_meta(&place, &connection, index, &self.manifest).map_err(asked)?;
        Ok((place, connection))
    }

    /// What `read` gives of every shard, each in one moment.
    pub(super) fn each_shard<T>(
        &self,
        mut read: impl FnMut(u16, &Connection) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let read = |index| {
            let (place, connection) = self.shard(index)?;
            in_one_moment(&connection, |connection| read(index, connection))
                .map_err(|cause| asked(place.error(&cause, "reading from")))
        };
        (0..self.manifest.shards).map(read).collect()
    }

    pub(crate) fn summary(&self) -> Result<Summary, Error> {
        let shards = self.each_shard(|index, connection| {
            let boots = Meta::read(connection)?.map_or(0, |meta| meta.boot);
            let (objects, bytes) = copy::count(connection)?;
            Ok(ShardSummary { index, objects, bytes, boots })
        })?;
        let path = self.directory.join("LOCK");
        let holder = self.host.disk.read(&path).map_err(|cause| asked(failed(&path, cause)))?;
        let holder = holder.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        Ok(Summary {
            format: FORMAT,
            objects: shards.iter().map(|shard| shard.objects).sum(),
            bytes: shards.iter().map(|shard| shard.bytes).sum(),
            holder: holder.filter(|text| !text.is_empty()),
            shards,
        })
    }

    pub(crate) fn classes(&self) -> Result<Vec<StoredClass>, Error> {
        let read = self.each_shard(|_, connection| {
            let counts = object::count_by_class(connection)?;
            Ok((class::all(connection)?, counts, schema::known(connection)?))
        })?;
        let merged = self.merged(read.iter().map(|(classes, ..)| classes.clone()))?;
        let mut classes = Vec::new();
        for Class { class_no, name, origin, .. } in merged.into_values() {
            let is_it = |no: ClassNo| no.0 == class_no;
            let counts = read.iter().flat_map(|(_, counts, _)| counts);
            let objects = counts.filter(|(no, _)| is_it(*no)).map(|(_, count)| count).sum();
            let schemas = read.iter().flat_map(|(.., schemas)| schemas);
            let mut fingerprints: Vec<_> =
                schemas.filter(|(no, _)| is_it(*no)).map(|(_, print)| *print).collect();
            fingerprints.sort_unstable();
            fingerprints.dedup();
            classes.push(StoredClass { number: class_no, name, origin, objects, fingerprints });
        }
        Ok(classes)
    }

    pub(super) fn merged(
        &self,
        shards: impl IntoIterator<Item = Vec<Class>>,
    ) -> Result<BTreeMap<u32, Class>, Error> {
        lifecycle::merge(shards).map_err(|misfit| {
            Code::StorageCorrupt.error(format!(
                "the shards in {} contradict each other: {misfit:?}; restore all shards from one backup",
                self.folder().display()
            ))
        })
    }

    /// The class called `name`.
    fn class(&self, name: &str) -> Result<Class, Error> {
        let shards = self.each_shard(|_, connection| class::all(connection))?;
        let mut classes = self.merged(shards)?.into_values();
        classes.find(|class| class.name.as_deref() == Some(name)).ok_or_else(|| {
            Code::ClassUnknown.error(format!(
                "{} has no class {name}; list its classes to see which there are",
                self.directory.display()
            ))
        })
    }

    /// One page of a class's objects, in the order of a [`Listing`](crate::Listing).
    pub(crate) fn objects(
        &self,
        class: &str,
        prefix: &str,
        after: Option<&After>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let class_no = ClassNo(self.class(class)?.class_no);
        let limit = limit.min(LIST_PAGE_MAX);
        let pages = self
            .each_shard(|_, connection| object::list(connection, class_no, prefix, after, limit))?;
        let mut merged: Vec<_> = pages.into_iter().flatten().collect();
        merged.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        merged.truncate(limit);
        Ok(merged)
    }

    /// The object of a class with this id, or with this name.
    pub(crate) fn object(&self, class: &str, who: &str) -> Result<Option<StoredObject>, Error> {
        let class = self.class(class)?;
        for id in self.ids(&class, who)? {
            if let Some(found) = self.load(&class, &id)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The ids that an object of a class with this id, or with this name, may have, the likelier first.
    fn ids(&self, class: &Class, who: &str) -> Result<Vec<ObjectId>, Error> {
        let key = ClassKey::new(&self.manifest.id_key, &class.origin);
        let by_id = who.parse().ok().filter(|id| key.owns(id));
        let mut ids: Vec<_> = by_id.into_iter().chain([key.named(who, None)]).collect();
        // In a jurisdiction its id is another one.
        let class_no = ClassNo(class.class_no);
        let named = self.each_shard(|_, connection| object::named(connection, class_no, who))?;
        ids.extend(named.into_iter().flatten().next());
        Ok(ids)
    }

    /// Entries of the history of an object of a class, up to `until`, the newest first. `None`: it is not stored. It may be
    /// one that was brought back to before its birth.
    pub(crate) fn history(
        &self,
        class: &str,
        who: &str,
        until: Option<&Bookmark>,
        limit: usize,
    ) -> Result<Option<Vec<HistoryEntry>>, Error> {
        let class = self.class(class)?;
        for id in self.ids(&class, who)? {
            let (place, connection) = self.shard(self.owner_of(&id))?;
            let read = in_one_moment(&connection, |connection| {
                let Some(here) = history::find(connection, &id)? else { return Ok(None) };
                let until = until.copied().unwrap_or_else(|| here.bookmark());
                if !until.is_of(&id) {
                    let newest = here.bookmark();
                    return Ok(Some(Err((until, Misplaced::Foreign { newest }))));
                }
                let entries = history::entries(connection, &here, &until, limit)?;
                Ok(Some(entries.map_err(|misplaced| (until, misplaced))))
            });
            match read.map_err(|cause| asked(place.error(&cause, "reading from")))? {
                Some(Ok(entries)) => return Ok(Some(entries)),
                Some(Err((until, misplaced))) => return Err(misplaced.error(&until.to_string())),
                None => {}
            }
        }
        Ok(None)
    }

    fn load(&self, class: &Class, id: &ObjectId) -> Result<Option<StoredObject>, Error> {
        let index = self.owner_of(id);
        let (place, connection) = self.shard(index)?;
        let name = class.name.clone().unwrap_or_default();
        in_one_moment(&connection, |connection| load(connection, (index, &name), class, id))
            .map_err(|cause| asked(place.error(&cause, "reading from")))
    }

    /// The shard that owns an id's slot.
    pub(super) fn owner_of(&self, id: &ObjectId) -> u16 {
        let index = u32::from(id.slot()) * u32::from(self.manifest.shards) / u32::from(SLOTS);
        u16::try_from(index).expect("a shard's index is below the number of shards")
    }

    pub(crate) fn verify(&self) -> Result<Verified, Error> {
        verify::verify(self)
    }

    /// Copies the directory.
    pub(crate) fn backup(&self, to: &Path) -> Result<Backup, Error> {
        let mut copier = Copier::begin(&self.host, self.manifest.clone(), to)?;
        while let Some(index) = copier.next() {
            let (place, connection) = self.shard(index)?;
            copier.copy(&place, &connection)?;
        }
        copier.finish()
    }

    /// Copies the directory after all of it has been found whole.
    pub(crate) fn restore(&self, to: &Path) -> Result<Backup, Error> {
        let found = verify::verify_files(self)?;
        if let Some(problem) = found.problems.first() {
            return Err(Code::StorageCorrupt.error(format!(
                "{} is not restored, {} of its parts are wrong: {problem}",
                self.directory.display(),
                found.problems.len()
            )));
        }
        self.backup(to)
    }
}

fn load(
    connection: &Connection,
    (shard, class_name): (u16, &str),
    class: &Class,
    id: &ObjectId,
) -> rusqlite::Result<Option<StoredObject>> {
    let Some((object_no, class_no, stored)) = object::load(connection, id)? else {
        return Ok(None);
    };
    if stored.is_gone() {
        return Ok(None);
    }
    let keys = kv::sizes(connection, object_no, LIST_PAGE_MAX)?;
    let (keys_count, values_bytes) = kv::total(connection, object_no)?;
    let state = match stored.body.as_deref().map(frame::decode) {
        None => Err("no state is stored".to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok((header, bytes))) => Ok(StoredState {
            version: header.state_version,
            fingerprint: header.fingerprint,
            schema: schema::get(connection, class_no, header.fingerprint)?,
            bytes: bytes.to_vec(),
        }),
    };
    let (results, results_count) = result::list(connection, object_no, LIST_PAGE_MAX)?;
    let is_of_class = class_no == ClassNo(class.class_no);
    Ok(Some(StoredObject {
        id: *id,
        name: stored.name,
        class: if is_of_class { class_name.to_owned() } else { format!("class {class_no}") },
        placement: stored.placement,
        shard,
        born: object::born(connection, object_no)?,
        epoch: stored.epoch.0,
        commits: stored.commit_no,
        state,
        keys: keys.into_iter().map(|(key, bytes)| StoredKey { key, bytes }).collect(),
        keys_count,
        values_bytes,
        results: results.into_iter().map(kept).collect(),
        results_count,
        history: history::since(connection, object_no)?,
        alarm: stored.alarm.map(|stored| stored.alarm.view()),
        schedules: schedule::views(stored.schedules.as_ref()).map_err(|error| error.to_string()),
        dead_letters: dead_letter::count_of(connection, object_no)?,
    }))
}

/// What is told of a result.
fn kept(result: Result<KeptResult, String>) -> Result<KeptCall, String> {
    result.map(|KeptResult { key, method, until, .. }| KeptCall { key, method, until })
}

/// Reads several times as if at once.
pub(super) fn in_one_moment<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let moment = connection.unchecked_transaction()?;
    let read = read(connection)?;
    moment.finish()?;
    Ok(read)
}

/// Nobody's call failed.
pub(super) fn asked(error: Error) -> Error {
    error.with_outcome(Outcome::NotStarted)
}
