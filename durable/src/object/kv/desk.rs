//! What reads of a turn look at, in this order: what the turn itself has written, what its
//! activation has handed over and is not durable yet, what is stored.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};

use crate::error::{Error, Outcome};
use crate::host::{Event, Host};
use crate::id::ObjectId;
use crate::kernel::merge::{self, Merged, Part};
use crate::kernel::overlay::Overlay;
use crate::kernel::range::{KeyRange, Order};
use crate::kv::{Framed, KvChange, KvKey};
use crate::limits::KV_PAGE_ROWS_MAX;
use crate::storage::{CommitSeq, Fence, KvAsk, KvRows, ObjectNo, Shard};

/// An object's KV as its activation knows it.
pub(crate) struct LiveKv {
    shard: Arc<Shard>,
    object_no: ObjectNo,
    fence: Arc<Fence>,
    /// What was handed over and is not known to be durable. Reads beside each other share it.
    overlay: Mutex<Overlay<KvKey, Framed>>,
    /// Whether any commit of the object was ever handed over; if not, there is nothing to read.
    is_born: bool,
}

impl LiveKv {
    pub(crate) fn new(
        shard: &Arc<Shard>,
        object_no: ObjectNo,
        fence: &Arc<Fence>,
        is_born: bool,
    ) -> Self {
        let (shard, fence) = (Arc::clone(shard), Arc::clone(fence));
        LiveKv { shard, object_no, fence, overlay: Mutex::default(), is_born }
    }

    /// A commit with these changes was handed over.
    pub(crate) fn on_submit(&mut self, place: CommitSeq, changes: Vec<KvChange>) {
        self.is_born = true;
        if !changes.is_empty() {
            let changes = changes.into_iter().map(|change| (change.key, change.value));
            self.overlay.get_mut().on_submit(place.0, changes);
        }
    }

    /// Lets go of what is durable by now.
    pub(crate) fn settle(&mut self) {
        if !self.overlay.get_mut().is_empty() {
            drop(self.overlay());
        }
    }

    /// The changes that storage may not have yet. What is read of storage after this call has all others.
    fn overlay(&self) -> MutexGuard<'_, Overlay<KvKey, Framed>> {
        let mut overlay = self.overlay.lock();
        let durable = self.shard.durable();
        // The watermark passes failed commits, too; a turn that runs meanwhile goes on seeing one state.
        if self.fence.broken().is_none() {
            overlay.on_durable(durable.0);
        }
        overlay
    }

    /// Where the object is stored. The last: whether anything of it may be.
    pub(crate) fn place(&self) -> (&Arc<Shard>, ObjectNo, &Arc<Fence>, bool) {
        (&self.shard, self.object_no, &self.fence, self.is_born)
    }

    async fn read(&self, ask: KvAsk) -> Result<KvRows, Error> {
        let read = self.shard.read_kv(self.object_no, ask).await;
        read.map_err(|error| error.with_outcome(Outcome::RolledBack))
    }

    /// The rows of those of `keys` that are there, in no order.
    async fn find(
        &self,
        keys: Vec<KvKey>,
        ask: fn(Vec<KvKey>) -> KvAsk,
    ) -> Result<Vec<(KvKey, Framed)>, Error> {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        {
            let overlay = self.overlay();
            for key in keys {
                match overlay.get(&key) {
                    Some(Some(value)) => found.push((key, value)),
                    Some(None) => {}
                    None => unknown.push(key),
                }
            }
        }
        if self.is_born && !unknown.is_empty() {
            found.append(&mut self.read(ask(unknown)).await?.rows);
        }
        Ok(found)
    }

    async fn page(
        &self,
        range: &KeyRange,
        order: Order,
        rows_max: usize,
    ) -> Result<Merged<KvKey, Framed>, Error> {
        let (rows, is_last) = self.overlay().part(range, order, KV_PAGE_ROWS_MAX);
        let changes = Part { rows, is_last };
        let stored = if self.is_born {
            self.read(KvAsk::Page { range: range.clone(), order, rows_max }).await?
        } else {
            Part { rows: Vec::new(), is_last: true }
        };
        Ok(merge::lay_over(stored, changes, order))
    }
}

/// What lies below a turn's own writes.
#[derive(Clone, Copy)]
pub(crate) enum Base<'a> {
    /// Nothing: the object begins.
    Nothing,
    /// An activation.
    Live(&'a LiveKv),
    /// The rows of a class that is run alone.
    Rows(&'a BTreeMap<KvKey, Framed>),
}

/// What a turn may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Write.
    Write,
    /// Only read: it takes `&self`.
    Read,
    /// Only read: it makes the object.
    Init,
}

/// Whom reads are reported to.
#[derive(Clone, Copy)]
pub(crate) struct Witness<'a> {
    pub(crate) host: &'a Host,
    pub(crate) object: &'a ObjectId,
    /// 0 in a hook.
    pub(crate) call: u64,
}

/// A turn's view of its object's KV.
pub(crate) struct Desk<'a> {
    base: Base<'a>,
    pub(crate) turn: Turn,
    /// What the turn has done to each key. `None` takes the key away.
    changes: Mutex<BTreeMap<KvKey, Option<Framed>>>,
    /// `None`: there is no runtime.
    witness: Option<Witness<'a>>,
    /// Why a read failed. Empty: none has.
    fault: OnceLock<Error>,
}

/// What a turn leaves of its dealings with the KV.
#[derive(Debug)]
pub(crate) struct KvDealt {
    /// What it has changed, in the order of keys.
    pub(crate) changes: Vec<KvChange>,
    /// Why a read failed: the turn cannot be kept then, even if the method did without. `None`: none has.
    pub(crate) fault: Option<Error>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(base: Base<'a>, turn: Turn, witness: Option<Witness<'a>>) -> Self {
        Desk { base, turn, changes: Mutex::default(), witness, fault: OnceLock::new() }
    }

    pub(crate) fn has_dealt(&mut self) -> bool {
        !self.changes.get_mut().is_empty() || self.fault.get().is_some()
    }

    pub(crate) fn take_dealt(&mut self) -> KvDealt {
        let changes = std::mem::take(self.changes.get_mut()).into_iter();
        let changes = changes.map(|(key, value)| KvChange { key, value }).collect();
        KvDealt { changes, fault: self.fault.take() }
    }

    /// What the turn has done so far, for a savepoint to go back to.
    pub(crate) fn changes(&self) -> BTreeMap<KvKey, Option<Framed>> {
        self.changes.lock().clone()
    }

    /// Takes back what the turn has done since it had done this.
    pub(crate) fn reset(&self, changes: BTreeMap<KvKey, Option<Framed>>) {
        *self.changes.lock() = changes;
    }

    fn noted<T>(&self, read: Result<T, Error>) -> Result<T, Error> {
        read.inspect_err(|error| drop(self.fault.set(error.clone())))
    }

    pub(crate) fn write(&self, changes: impl IntoIterator<Item = (KvKey, Option<Framed>)>) {
        self.changes.lock().extend(changes);
    }

    /// Takes those of `keys` away that are there: `stored` if the turn itself has not changed them since. Gives how many.
    pub(crate) fn remove(&self, keys: &[KvKey], stored: &[KvKey]) -> usize {
        let mut changes = self.changes.lock();
        let mut removed = 0;
        for key in keys {
            let is_there = match changes.get(key) {
                Some(change) => change.is_some(),
                None => stored.contains(key),
            };
            if is_there {
                changes.insert(key.clone(), None);
                removed += 1;
            }
        }
        removed
    }

    /// The turn's first change inside of a range.
    pub(crate) fn next_change(
        &self,
        range: &KeyRange,
        order: Order,
    ) -> Option<(KvKey, Option<Framed>)> {
        if range.is_empty() {
            return None;
        }
        let changes = self.changes.lock();
        let mut within = changes.range::<[u8], _>(bounds(range));
        let next = match order {
            Order::Rising => within.next(),
            Order::Falling => within.next_back(),
        };
        next.map(|(key, value)| (key.clone(), value.clone()))
    }

    /// The values of those of `keys` that are there, in the order of keys. `keys`: sorted, each once.
    pub(crate) async fn values(&self, keys: Vec<KvKey>) -> Result<Vec<(KvKey, Framed)>, Error> {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        {
            let changes = self.changes.lock();
            for key in keys {
                match changes.get(&key) {
                    Some(Some(value)) => found.push((key, Arc::clone(value))),
                    Some(None) => {}
                    None => unknown.push(key),
                }
            }
        }
        if !unknown.is_empty() {
            let asked = self.witness.filter(|witness| witness.host.director.is_some());
            let asked = asked.map(|_| unknown.clone());
            let below = self.below(unknown, KvAsk::Values).await?;
            for key in asked.iter().flatten() {
                let value = below.iter().find(|(found, _)| found == key);
                self.report(key, value.map(|(_, value)| &**value));
            }
            found.extend(below);
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Ok(found)
    }

    /// Those of `keys` that are below the turn's own writes.
    pub(crate) async fn stored(&self, keys: &[KvKey]) -> Result<Vec<KvKey>, Error> {
        let unknown: Vec<_> = {
            let changes = self.changes.lock();
            keys.iter().filter(|key| !changes.contains_key(*key)).cloned().collect()
        };
        if unknown.is_empty() {
            return Ok(unknown);
        }
        let found = self.below(unknown, KvAsk::Keys).await?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    async fn below(
        &self,
        keys: Vec<KvKey>,
        ask: fn(Vec<KvKey>) -> KvAsk,
    ) -> Result<Vec<(KvKey, Framed)>, Error> {
        match self.base {
            Base::Nothing => Ok(Vec::new()),
            Base::Live(live) => self.noted(live.find(keys, ask).await),
            Base::Rows(rows) => {
                let found = |key| Some((rows.get(&key).map(Arc::clone)?, key));
                Ok(keys.into_iter().filter_map(found).map(|(value, key)| (key, value)).collect())
            }
        }
    }

    /// The rows with which a range begins, without the turn's own writes.
    pub(crate) async fn page(
        &self,
        range: &KeyRange,
        order: Order,
        rows_max: usize,
    ) -> Result<Merged<KvKey, Framed>, Error> {
        let merged = match self.base {
            Base::Nothing => Merged { rows: Default::default(), resume: None },
            Base::Live(live) => self.noted(live.page(range, order, rows_max).await)?,
            Base::Rows(rows) => {
                let within = rows.range::<[u8], _>(bounds(range));
                let within = within.map(|(key, value)| (key.clone(), Arc::clone(value)));
                let rows = match order {
                    Order::Rising => within.collect(),
                    Order::Falling => within.rev().collect(),
                };
                Merged { rows, resume: None }
            }
        };
        merged.rows.iter().for_each(|(key, value)| self.report(key, Some(value)));
        Ok(merged)
    }

    fn report(&self, key: &KvKey, value: Option<&[u8]>) {
        if let (Some(Witness { host, object, call }), Base::Live(_)) = (self.witness, self.base) {
            host.report(|| Event::KvRead { object, call, key, value });
        }
    }
}

/// A range that is not empty, as maps take it.
fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(range.start.borrow()), end)
}
