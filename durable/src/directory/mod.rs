//! The activations that run now: which objects of a class are in memory, and how to find them.

mod group;
mod residency;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(crate) use group::{ClassGroup, Group, GroupSpec};
pub(crate) use residency::{Residency, Residents};

use crate::id::ObjectId;
use crate::kernel::activation::Action;
use crate::limits::DIRECTORY_PARTITIONS;
use crate::object::{Object, Slot};

/// The places of one class's objects. Never iterated in an order that could reach behaviour: whoever needs all of them
/// gets them sorted by id.
pub(crate) struct Directory<O: Object> {
    partitions: Vec<Mutex<Places<O>>>,
}

type Places<O> = HashMap<ObjectId, Arc<Slot<O>>, BuildHasherDefault<IdHasher>>;

impl<O: Object> Directory<O> {
    pub(crate) fn new() -> Self {
        Directory { partitions: (0..DIRECTORY_PARTITIONS).map(|_| Mutex::default()).collect() }
    }

    fn partition(&self, id: &ObjectId) -> &Mutex<Places<O>> {
        &self.partitions[usize::from(id.as_bytes()[10]) % DIRECTORY_PARTITIONS]
    }

    /// The place of an object, made by `new` if it is not in memory. Racing callers get the same one.
    pub(crate) fn place(&self, id: ObjectId, new: impl FnOnce() -> Arc<Slot<O>>) -> Arc<Slot<O>> {
        Arc::clone(self.partition(&id).lock().entry(id).or_insert_with(new))
    }

    /// The place of an object that is in memory.
    pub(crate) fn find(&self, id: &ObjectId) -> Option<Arc<Slot<O>>> {
        self.partition(id).lock().get(id).cloned()
    }

    /// Decides what follows the end of an activation, and takes the place out if nothing does. The decision is made
    /// under the directory's lock, so that no caller finds a place that is about to leave.
    pub(crate) fn settle(
        &self,
        id: &ObjectId,
        decide: impl FnOnce() -> (Action, Vec<oneshot::Sender<()>>),
    ) -> Action {
        let mut partition = self.partition(id).lock();
        let (action, waiters) = decide();
        let forgotten = (action == Action::Forget).then(|| partition.remove(id));
        drop(partition);
        drop(forgotten);
        for waiter in waiters {
            // Whoever no longer waits does not need to be told.
            let _ = waiter.send(());
        }
        action
    }

    /// All places, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<Arc<Slot<O>>> {
        let mut places: Vec<_> = Vec::new();
        for partition in &self.partitions {
            places.extend(partition.lock().values().cloned());
        }
        places.sort_by_key(|slot| slot.id());
        places
    }
}

/// Takes eight bytes of an id as its hash: they come from a keyed hash already.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(spread) = bytes.get(2..10) {
            self.0 = u64::from_le_bytes(spread.try_into().expect("eight bytes were taken"));
        }
    }

    /// The length of the byte array, which is the same for every id.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
