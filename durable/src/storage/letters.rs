//! Dead letters of a data directory that no runtime holds: looked at, retried, dropped.
//!
//! What changes is changed under the directory's lock, so that no runtime has the object in memory, and an alarm that comes
//! back is counted as a commit of its object, as every other alarm is.

use rusqlite::{Connection, TransactionBehavior};

use super::lock;
use super::look::{Look, asked};
use super::rows::dead_letter::{self, Again, StoredLetter};
use super::rows::schedule::Unreadable;
use super::rows::{alarm, class, schedule, snapshot};
use super::sqlite::Role;
use super::store::{check_meta, renew_log, unopened};
use crate::due::{Alarm, DeadLetter, DeadLetterId, LetterFate};
use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::schedule::replaced;
use crate::limits::{LIST_PAGE_MAX, SCHEDULES_MAX};
use crate::schedule::Schedule;
use crate::storage::numbers::ObjectNo;

/// What keeps a dead letter from being retried or dropped.
pub(crate) enum Refusal {
    /// It is not there.
    Unknown,
    /// Its object has set this alarm since.
    Taken(Alarm),
    /// Its object has so many schedules.
    Full(usize),
    /// The object's schedules cannot be used.
    Unreadable(String),
    /// What travels with it cannot be used.
    Torn(Unreadable),
}

impl Look {
    /// One page, in the order of their names.
    pub(crate) fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
    ) -> Result<Vec<DeadLetter>, Error> {
        let classes = self.merged(self.each_shard(|_, connection| class::all(connection))?)?;
        let name = |class_no: u32| {
            let name = classes.get(&class_no).and_then(|class| class.name.clone());
            name.unwrap_or_else(|| format!("class {class_no}"))
        };
        let mut page = Vec::new();
        self.each_shard(|index, connection| {
            let after = match after {
                Some(after) if index < after.shard => return Ok(()),
                Some(after) if index == after.shard => after.number,
                _ => 0,
            };
            let left = LIST_PAGE_MAX - page.len();
            let letters = dead_letter::list(connection, after, left)?;
            page.extend(letters.into_iter().filter_map(|letter| letter.told(index, name)));
            Ok(())
        })?;
        Ok(page)
    }

    /// Retries or drops one. Inner `Err`: nothing was done.
    ///
    /// # Errors
    /// `storage.locked` if a runtime holds the directory; `storage.*`.
    pub(crate) fn tend_letter(
        &self,
        id: DeadLetterId,
        fate: LetterFate,
    ) -> Result<Result<(), Refusal>, Error> {
        let _lock = lock::take(&self.host, &self.directory)?;
        if id.shard >= self.manifest.shards {
            return Ok(Err(Refusal::Unknown));
        }
        let (place, manifest) = (self.place(id.shard), self.directory.join("durable.toml"));
        renew_log(&self.host, &place)?;
        let opened = place.open(Role::Writer);
        let mut connection = opened.map_err(|cause| asked(unopened(&place, &manifest, &cause)))?;
        check_meta(&place, &connection, id.shard, &self.manifest).map_err(asked)?;
        let now = self.host.clock.wall();
        let again = |letter: &StoredLetter| match fate {
            LetterFate::Retried => letter.again(id.shard, now).map(Some),
            LetterFate::Dropped => Ok(None),
        };
        tend(&mut connection, id.number, again)
            .map_err(|cause| asked(place.error(&cause, "writing to")))
    }
}

/// `again`: what a letter becomes. `None`: it is dropped.
fn tend(
    connection: &mut Connection,
    letter_no: i64,
    again: impl Fn(&StoredLetter) -> Result<Option<Again>, Unreadable>,
) -> rusqlite::Result<Result<(), Refusal>> {
    let all = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some(letter) = dead_letter::get(&all, letter_no)? else { return Ok(Err(Refusal::Unknown)) };
    let Some(owner) = &letter.owner else { return Ok(Err(Refusal::Unknown)) };
    let place = (letter.object_no, &owner.id);
    let set = match again(&letter) {
        Err(unreadable) => Err(Refusal::Torn(unreadable)),
        Ok(None) => Ok(()),
        Ok(Some(Again::Alarm(alarm))) => set_alarm(&all, place, alarm)?,
        Ok(Some(Again::Schedule(schedule))) => set_schedule(&all, place, schedule)?,
    };
    if set.is_err() {
        return Ok(set);
    }
    dead_letter::Writes::prepare(&all)?.remove(letter.object_no, letter_no)?;
    all.commit()?;
    Ok(Ok(()))
}

fn set_alarm(
    connection: &Connection,
    (object_no, id): (ObjectNo, &ObjectId),
    alarm: Alarm,
) -> rusqlite::Result<Result<(), Refusal>> {
    if let Some(present) = alarm::of(connection, id)? {
        return Ok(Err(Refusal::Taken(present.alarm)));
    }
    let Some(set_by) = snapshot::count_commit(connection, object_no)? else {
        return Ok(Err(Refusal::Unknown));
    };
    alarm::Writes::prepare(connection)?.set(object_no, alarm, set_by).map(Ok)
}

fn set_schedule(
    connection: &Connection,
    (object_no, id): (ObjectNo, &ObjectId),
    again: Schedule,
) -> rusqlite::Result<Result<(), Refusal>> {
    let stored = schedule::of(connection, id)?;
    let present = match stored.map_or(Ok(Vec::new()), |stored| schedule::decode(&stored.body)) {
        Ok(present) => present,
        Err(error) => return Ok(Err(Refusal::Unreadable(error.to_string()))),
    };
    if present.len() >= SCHEDULES_MAX {
        return Ok(Err(Refusal::Full(present.len())));
    }
    let Some(set_by) = snapshot::count_commit(connection, object_no)? else {
        return Ok(Err(Refusal::Unknown));
    };
    let name = again.name.clone();
    let row = schedule::encode(&replaced(&present, &name, Some(again)));
    schedule::Writes::prepare(connection)?.set(object_no, row.as_ref(), set_by).map(Ok)
}
