//! Going back in time: moments of one object, bringing it back, copying what it was, and what its commits did.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::oneshot;

use crate::directory::ClassGroup;
use crate::error::{Code, Error};
use crate::history::{Bookmark, Diff, FieldDiff, HistoryEntry, KeyDiff};
use crate::host::{Entropy, Host};
use crate::id::{IntoKey, ObjectId, Placement};
use crate::kv::{Framed, KvKey};
use crate::limits::{HISTORY_SWEEP_EVERY, LIST_PAGE_MAX};
use crate::object::Object;
use crate::object::errand::Errand;
use crate::object::gone;
use crate::object::past::never_was;
use crate::object::stored::open_frame;
use crate::registry::Shared;
use crate::runtime::Runtime;
use crate::state::{SchemaFault, Schemas, StateValue};
use crate::storage::compare;
use crate::storage::history::Whole;
use crate::time::WallMs;

/// The past of objects whose class says `#[durable_object(history)]`. All of it waits for what the object has handed over
/// before, and none of it wakes the object.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Note { text: String }
///
/// #[durable_object(name = "doc.Note", history)]
/// impl Note {
///     pub fn write(&mut self, text: String) { self.text = text; }
///     pub fn read(&self) -> String { self.text.clone() }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// let runtime = Runtime::builder(dir.path()).register::<Note>().start().await?;
/// let note = runtime.get::<Note>("plan");
/// note.write("a good idea".into()).await?;
/// let good = runtime.bookmark(note.id()?).await?;
/// note.write("what was I thinking".into()).await?;
///
/// let undo = runtime.restore_to(note.id()?, &good).await?;
/// assert_eq!(note.read().await?, "a good idea");
/// runtime.restore_to(note.id()?, &undo).await?;
/// assert_eq!(note.read().await?, "what was I thinking");
///
/// runtime.fork::<Note>(note.id()?, &good, "plan-b").await?;
/// assert_eq!(runtime.get::<Note>("plan-b").read().await?, "a good idea");
/// # runtime.shutdown().await
/// # }
/// ```
impl Runtime {
    /// The newest moment of an object, and everything that it has handed over before is part of it. Of an object that is not
    /// stored: the one before its first commit, at which it does not exist.
    ///
    /// # Errors
    /// `id.foreign`; `history.off` if its class keeps none; `storage.*`, `runtime.closed`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn bookmark(&self, id: ObjectId) -> Result<Bookmark, Error> {
        let group = self.with_history(&id)?;
        let shard = group.shard_of(&id);
        shard.settle().await?;
        let here = shard.here(id).await?;
        Ok(here.map_or_else(|| Bookmark::new(&id, (0, 0)), |here| here.bookmark()))
    }

    /// The newest moment of an object that was stored at this time of day, or before. Clocks jump; the times are those that
    /// the commits were stored at.
    ///
    /// # Errors
    /// `history.pruned` if that is not kept any more, which says how far back it goes; `history.torn`, `history.newer`;
    /// those of [`bookmark`](Self::bookmark).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn bookmark_at(&self, id: ObjectId, time: WallMs) -> Result<Bookmark, Error> {
        let group = self.with_history(&id)?;
        let shard = group.shard_of(&id);
        shard.settle().await?;
        match shard.at_time(id, time).await? {
            Some(found) => found.map_err(|misplaced| misplaced.error(&format!("{time}"))),
            None => Ok(Bookmark::new(&id, (0, 0))),
        }
    }

    /// Brings an object back to a moment of it: its struct, its KV and its database are what they were, all in one commit.
    /// Gives the moment before, to which it can be brought back in turn: that undoes it. If it is that moment already,
    /// nothing is done.
    ///
    /// It is a new commit, so the history stays and goes on. It happens when no turn of the object runs; calls that wait are
    /// served by what is there then. An object that cannot start can be brought back, too. No other object is touched: what
    /// it has told others stays told, and its alarm stays as it is.
    ///
    /// A state that was written by older code is read as any such state is. At the moment before its first commit an object
    /// does not exist: it is not listed then, has no alarm, and the next call starts it anew, but its history is kept.
    /// [`delete`](Self::delete) takes that away as well.
    ///
    /// # Errors
    /// `bookmark.foreign` if it is another object's, or no moment of this one that can be gone back to; `history.pruned`,
    /// `history.torn`, `history.newer`, and then nothing was changed; those of [`bookmark`](Self::bookmark).
    ///
    /// # Cancel safety
    /// It goes on if the future is dropped after it was polled.
    pub async fn restore_to(&self, id: ObjectId, to: &Bookmark) -> Result<Bookmark, Error> {
        let group = self.with_history(&id)?;
        let (answer, answered) = oneshot::channel();
        let errand = Errand::Restore { to: *to, answer };
        Arc::clone(group).send(id, (None, None), errand);
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Makes a new object of what another one of its class was at a moment: struct, KV and database. It has no past of its
    /// own before that. It is in the jurisdiction of the object that it is made of. Gives its id.
    ///
    /// It has no parent, and no children: those of the object stay with the object, and `cx.child` of the new one makes new
    /// ones. A [`StubRef`](crate::StubRef) in its state leads to where it led.
    ///
    /// All of the object is held in memory meanwhile.
    ///
    /// # Errors
    /// `object.exists` if there is an object of that name; `name.too_long`; `id.foreign` if it is not one of class `C`; those of
    /// [`restore_to`](Self::restore_to); also
    /// `bookmark.foreign` for a moment at which the object does not exist.
    ///
    /// # Cancel safety
    /// It goes on if the future is dropped after what is to be copied was read.
    pub async fn fork<C: Object>(
        &self,
        id: ObjectId,
        at: &Bookmark,
        new: impl IntoKey<C::Key>,
    ) -> Result<ObjectId, Error> {
        let new: Arc<str> = new.name().into();
        let group = self.with_history(&id)?;
        if group.name() != C::CLASS.name {
            return Err(Code::IdForeign.error(format!(
                "{id} is the id of an object of class {}, not of {}; fork it as one of its own class",
                group.name(),
                C::CLASS.name
            )));
        }
        let shard = group.shard_of(&id);
        shard.settle().await?;
        let nothing = || {
            Code::BookmarkForeign.error(format!(
                "at {at} the object does not exist, so nothing can be made of it; take a later moment"
            ))
        };
        let (here, whole) = match shard.whole_at(id, *at).await? {
            Some(found) => found.map_err(|misplaced| misplaced.error(&at.to_string()))?,
            None if *at == Bookmark::new(&id, (0, 0)) => return Err(nothing()),
            None => return Err(never_was(at)),
        };
        if whole.body.is_empty() {
            return Err(nothing());
        }
        let placement: Placement = here.stored.placement;
        let fork = group.named(&new, placement.jurisdiction.as_deref())?;
        let (answer, answered) = oneshot::channel();
        let errand = Errand::Fork { whole: Box::new(whole), answer };
        Arc::clone(group).send(fork, (Some(new), Some(Arc::new(placement))), errand);
        answered.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(fork)
    }

    /// What the commits of an object did, the newest first: at most `limit` entries, 1 to 1,000. `until`: only up to this
    /// moment; for the next page, [`before`](HistoryEntry::before) of the last entry. A page that is shorter than the limit
    /// is the last.
    ///
    /// # Errors
    /// `config.invalid` for a limit out of range; `bookmark.foreign`; `history.torn`, `history.newer`; those of
    /// [`bookmark`](Self::bookmark).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn history(
        &self,
        id: ObjectId,
        until: Option<&Bookmark>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, Error> {
        let group = self.with_history(&id)?;
        check_limit(limit)?;
        if let Some(until) = until.filter(|until| !until.is_of(&id)) {
            return Err(never_was(until));
        }
        let shard = group.shard_of(&id);
        shard.settle().await?;
        match shard.entries(id, until.copied(), limit).await? {
            Some(found) => found.map_err(|misplaced| {
                misplaced.error(&until.map_or_else(|| "the newest".to_owned(), ToString::to_string))
            }),
            None => Ok(Vec::new()),
        }
    }

    /// How an object differs between two moments: fields of its struct by their names, keys, and tables with how many rows
    /// they lost and gained. Either may be the earlier one.
    ///
    /// All of both moments is held in memory meanwhile.
    ///
    /// # Errors
    /// Those of [`restore_to`](Self::restore_to), for both; `state.torn`, `state.newer`, `state.undecodable`, `schema.missing`,
    /// `schema.torn` if a struct cannot be shown; `storage.corrupt`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn diff(
        &self,
        id: ObjectId,
        before: &Bookmark,
        after: &Bookmark,
    ) -> Result<Diff, Error> {
        let group = self.with_history(&id)?;
        let shard = group.shard_of(&id);
        shard.settle().await?;
        let mut both = Vec::new();
        for moment in [before, after] {
            both.push(match shard.whole_at(id, *moment).await? {
                Some(found) => found.map_err(|misplaced| misplaced.error(&moment.to_string()))?.1,
                None if *moment == Bookmark::new(&id, (0, 0)) => Whole::default(),
                None => return Err(never_was(moment)),
            });
        }
        differing(&both[0], &both[1], group.schemas(), self.entropy())
    }

    /// The class of an object, if it keeps history.
    fn with_history(&self, id: &ObjectId) -> Result<&Arc<dyn ClassGroup>, Error> {
        let group = self.owner(id)?;
        if group.keeps_history() {
            return Ok(group);
        }
        Err(Code::HistoryOff.error(format!(
            "class {} keeps no history; say `#[durable_object(…, history)]`, and it does from then on",
            group.name()
        )))
    }
}

fn differing(
    before: &Whole,
    after: &Whole,
    schemas: &Schemas,
    entropy: &Arc<dyn Entropy>,
) -> Result<Diff, Error> {
    let fields = fields(&values_of(&before.body, schemas)?, &values_of(&after.body, schemas)?);
    let size = |value: Option<&Framed>| value.map(|value| value.len() as u64);
    let keys: BTreeSet<_> = before.kv.keys().chain(after.kv.keys()).collect();
    let keys = keys.into_iter().filter(|key| before.kv.get(*key) != after.kv.get(*key));
    let key = |key: &KvKey| {
        let (before, after) = (size(before.kv.get(key)), size(after.kv.get(key)));
        KeyDiff { key: key.clone(), before, after }
    };
    let keys = keys.map(key).collect();
    Ok(Diff { fields, keys, tables: compare(&before.pages, &after.pages, entropy)? })
}

/// Values of a struct, each with its place.
type Values = Vec<(String, String)>;

/// The values of a stored struct. Empty: there is no object.
fn values_of(body: &[u8], schemas: &Schemas) -> Result<Values, Error> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let (header, payload) = open_frame(body)?;
    let print = header.fingerprint;
    let shape = schemas.get(print).map_err(|fault| match fault {
        SchemaFault::Missing => Code::SchemaMissing.error(format!(
            "the state was written with schema {:016x}, which is not stored; run the code that wrote it",
            print.0
        )),
        SchemaFault::Torn(damage) => Code::SchemaTorn.error(format!(
            "the state was written with schema {:016x}, which is damaged: {damage}; run the code that wrote it",
            print.0
        )),
    })?;
    StateValue::read(shape, payload).map(|value| value.leaves()).map_err(|damage| {
        Code::StateUndecodable.error(format!(
            "the state is not what its schema says: {damage}; the bytes were left as they are, take another moment"
        ))
    })
}

fn fields(before: &Values, after: &Values) -> Vec<FieldDiff> {
    let by_path = |values: &Values| values.iter().cloned().collect::<BTreeMap<_, _>>();
    let (one, other) = (by_path(before), by_path(after));
    let is_new = |(path, _): &&(String, String)| !one.contains_key(path);
    let paths = before.iter().chain(after.iter().filter(is_new)).map(|(path, _)| path);
    let field = |path: &String| {
        let (before, after) = (one.get(path).cloned(), other.get(path).cloned());
        (before != after).then(|| FieldDiff { path: path.clone(), before, after })
    };
    paths.filter_map(field).collect()
}

/// Takes away what is too old, or too much, of the past of objects that do not commit, until the runtime is gone. Sleeps
/// until something falls due, and for good while nothing is kept.
pub(crate) async fn shorten_forever(shared: Weak<Shared>, host: Host) {
    loop {
        let Some(alive) = shared.upgrade() else { return };
        let bell = Arc::clone(alive.store.bell());
        let sweeps: Vec<_> = alive.store.shards().iter().map(|shard| shard.sweep()).collect();
        drop(alive);
        let mut next: Option<WallMs> = None;
        for sweep in sweeps {
            let due = match sweep.await {
                Ok(due) => due,
                Err(error) if error.is(Code::RuntimeClosed) => return,
                // It is tried again.
                Err(_) => Some(WallMs(0)),
            };
            next = next.into_iter().chain(due).min();
        }
        let rung = bell.notified();
        let Some(next) = next else {
            rung.await;
            continue;
        };
        let left = Duration::from_millis(next.0.saturating_sub(host.clock.wall().0));
        let at = host.clock.now() + left.max(HISTORY_SWEEP_EVERY);
        select(pin!(rung), host.clock.sleep_until(at)).await;
    }
}

/// Refuses a page that is too long.
pub(crate) fn check_limit(limit: usize) -> Result<(), Error> {
    if (1..=LIST_PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Code::ConfigInvalid.error(format!(
        "a page of {limit} entries was asked for, allowed are 1 to {LIST_PAGE_MAX}; ask for several pages"
    )))
}
