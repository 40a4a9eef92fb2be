//! Bringing an object back to a former moment, or making it of what another object was: an [errand](super::errand), and
//! the object's next commit.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::{Code, Error};
use crate::history::{Bookmark, Cause};
use crate::host::Event;
use crate::kv::{Framed, KvChange};
use crate::object::erased::Told;
use crate::object::live::birth_of;
use crate::object::slot::gone;
use crate::object::{Object, Slot};
use crate::sql::SqlChange;
use crate::storage::frame::{HEADER_BYTES, is_gone};
use crate::storage::history::{Here, Restoring, Whole};
use crate::storage::{AlarmWrite, Birth, Fence, ObjectNo, ScheduleWrite, SqlWrite, WriteSet};

/// Brings an object back to a moment. Gives the moment before.
pub(super) async fn restore<O: Object>(slot: &Slot<O>, to: Bookmark) -> Result<Bookmark, Error> {
    let (id, shard) = (slot.id(), slot.group().shard(&slot.id()));
    let birth = Bookmark::new(&id, (0, 0));
    let (here, restoring) = match shard.restoring(id, to).await? {
        Some(found) => found.map_err(|misplaced| misplaced.error(&to.to_string()))?,
        // What does not exist is what it was before its birth.
        None if to == birth => return Ok(birth),
        None => return Err(never_was(&to)),
    };
    let undo = here.bookmark();
    if undo == to {
        return Ok(undo);
    }
    slot.learn(here.stored.name.as_ref(), Some(&Arc::new(here.stored.placement.clone())));
    slot.learn_lineage(here.stored.lineage.as_ref());
    let Restoring { snapshot, kv, sql } = restoring;
    let now = here.stored.body.clone().unwrap_or_default();
    let state = snapshot.clone().unwrap_or_else(|| now.clone());
    let (cause, restores) = (Cause::Restore, Some(to.commit()));
    let commit = Commit { after: Some(here), birth: None, snapshot, kv, sql, cause, restores };
    commit.store(slot, (&now, &state)).await?;
    Ok(undo)
}

/// The error of a moment of another object, or of one that is not stored.
pub(crate) fn never_was(bookmark: &Bookmark) -> Error {
    Code::BookmarkForeign.error(format!(
        "{bookmark} is no moment of the object, or the object is not stored; take one that its history gives"
    ))
}

/// Makes an object of what another one was.
pub(super) async fn fork<O: Object>(slot: &Slot<O>, whole: Whole) -> Result<(), Error> {
    let after = slot.group().shard(&slot.id()).here(slot.id()).await?;
    // One that was brought back to before its birth is not there, and its commits go on being counted.
    if after.as_ref().is_some_and(|here| !here.stored.is_gone()) {
        return Err(Code::ObjectExists.error(
            "an object is to be made of another one's past, and there is one already; \
             choose another name, or delete the object",
        ));
    }
    let Whole { body, kv, pages } = whole;
    let kv = kv.into_iter().map(|(key, value)| KvChange { key, value: Some(value) }).collect();
    let count = pages.last_key_value().map_or(0, |(number, _)| *number);
    let pages: Vec<_> = pages.into_iter().collect();
    let change = SqlChange { page_count: count, pages: pages.clone() };
    let sql = (count > 0).then_some((SqlWrite::Fold { count, pages }, change));
    let now = after.as_ref().and_then(|here| here.stored.body.clone());
    let birth = Some(Box::new(birth_of(slot)));
    let (snapshot, cause) = (Some(Arc::clone(&body)), Cause::Fork);
    let commit = Commit { after, birth, snapshot, kv, sql, cause, restores: None };
    commit.store(slot, (&now.unwrap_or_else(|| Arc::clone(&body)), &body)).await
}

/// A commit of no turn.
struct Commit {
    /// What is stored. `None`: nothing.
    after: Option<Here>,
    birth: Option<Box<Birth>>,
    snapshot: Option<Framed>,
    kv: Vec<KvChange>,
    sql: Option<(SqlWrite, SqlChange)>,
    cause: Cause,
    /// The commit whose moment it brings back. `None`: it brings none back.
    restores: Option<u64>,
}

impl Commit {
    /// Hands it to the shard, and waits until it is durable. `now` and `then`: the stored frame, before it and after it.
    async fn store<O: Object>(
        self,
        slot: &Slot<O>,
        (now, then): (&[u8], &[u8]),
    ) -> Result<(), Error> {
        let Commit { after, birth, snapshot, kv, sql, cause, restores } = self;
        let shard = slot.group().shard(&slot.id());
        let fence = Fence::new(shard.next_epoch());
        let (object, epoch) = (slot.id_ref(), fence.epoch.0);
        let (object_no, commit): (ObjectNo, u64) = match &after {
            Some(here) => (here.object_no, here.stored.commit_no),
            None => (shard.new_object_no(), 0),
        };
        let state = now.get(HEADER_BYTES..).unwrap_or_default();
        slot.host().report(|| Event::Loaded { object, epoch, commit, state });
        let (sql, change) = sql.map(|(write, change)| (Box::new(write), change)).unzip();
        // What does not exist is not woken.
        let goes = snapshot.as_deref().is_some_and(is_gone);
        let woken = after.as_ref().filter(|_| goes).map(|here| &here.stored);
        let loses_alarm = woken.is_some_and(|stored| stored.alarm.is_some());
        let loses_schedules = woken.is_some_and(|stored| stored.schedules.is_some());
        let (id, class_no) = (slot.id(), slot.group().class_no());
        let alarm = || AlarmWrite { id, class_no, alarm: None, letter: None, removed: None };
        let schedules = || ScheduleWrite { id, class_no, row: None, letter: None, removed: None };
        let (sender, receiver) = oneshot::channel();
        let place = shard.submit(WriteSet {
            fence,
            object_no,
            commit_no: commit + 1,
            birth,
            snapshot,
            kv: kv.clone(),
            sql,
            alarm: loses_alarm.then(|| Box::new(alarm())),
            schedules: loses_schedules.then(|| Box::new(schedules())),
            sends: None,
            result: None,
            erases: false,
            history: O::CLASS.keeps_history.then_some(cause),
            release: Some(Arc::new(Told::new(sender))),
        });
        slot.host().report(|| Event::Submitted {
            object,
            epoch,
            commit: commit + 1,
            call: 0,
            shard: shard.index(),
            place: place.0,
            state: then.get(HEADER_BYTES..).unwrap_or_default(),
            kv: &kv,
            sql: change.as_ref(),
            alarm: loses_alarm.then_some(None),
            schedules: loses_schedules.then_some(&[]),
            sends: None,
            result: None,
            erases: false,
            restores,
        });
        // It is dropped without a word if the shard closes.
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }
}
