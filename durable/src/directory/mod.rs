//! The activations that run now: which objects of a class are in memory, and how to find them.

mod failing;
mod group;
mod relief;
mod residency;
mod wards;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub(crate) use group::{ClassGroup, Group, GroupSpec, Known};
pub(crate) use relief::Relief;
pub(crate) use residency::{Residency, Residents};
pub(crate) use wards::{Fault, LetOut, Wards};

use crate::id::ObjectId;
use crate::limits::DIRECTORY_PARTITIONS;
use crate::object::{Object, Slot};

/// The places of one class's objects. Never iterated in an order that could reach behaviour: whoever needs all of them
/// gets them sorted by id.
///
/// It does not keep the places: a place lives as long as a stub, a call or an activation has a use for it, and leaves
/// when it is dropped. So there is never a second place for an object, and a stub can keep the way to it.
pub(crate) struct Directory<O: Object> {
    partitions: Vec<Mutex<Places<O>>>,
}

type Places<O> = HashMap<ObjectId, Weak<Slot<O>>, BuildHasherDefault<IdHasher>>;

impl<O: Object> Directory<O> {
    pub(crate) fn new() -> Self {
        Directory { partitions: (0..DIRECTORY_PARTITIONS).map(|_| Mutex::default()).collect() }
    }

    fn partition(&self, id: &ObjectId) -> &Mutex<Places<O>> {
        &self.partitions[usize::from(id.as_bytes()[10]) % DIRECTORY_PARTITIONS]
    }

    /// The place of an object, made by `new` if nobody has a use for it yet. Racing callers get the same one.
    pub(crate) fn place(&self, id: ObjectId, new: impl FnOnce() -> Arc<Slot<O>>) -> Arc<Slot<O>> {
        let mut partition = self.partition(&id).lock();
        let entry = partition.entry(id).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let slot = new();
            *entry = Arc::downgrade(&slot);
            slot
        })
    }

    /// The place of an object that somebody has a use for.
    pub(crate) fn find(&self, id: &ObjectId) -> Option<Arc<Slot<O>>> {
        self.partition(id).lock().get(id)?.upgrade()
    }

    /// A place of this object was dropped. Another may have been made since; that one stays.
    pub(crate) fn forget(&self, id: &ObjectId) {
        let mut partition = self.partition(id).lock();
        if partition.get(id).is_some_and(|slot| slot.strong_count() == 0) {
            partition.remove(id);
        }
    }

    /// The places of all objects that are in memory, in the order of their ids.
    pub(crate) fn residents(&self) -> Vec<Arc<Slot<O>>> {
        let mut places: Vec<Arc<Slot<O>>> = Vec::new();
        for partition in &self.partitions {
            places.extend(partition.lock().values().filter_map(Weak::upgrade));
        }
        // Outside of the locks: a place that is dropped here takes them.
        places.retain(|slot| slot.is_resident());
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
