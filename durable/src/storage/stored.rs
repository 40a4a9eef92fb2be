//! What is read of stored objects.

use std::sync::Arc;

use super::numbers::{Epoch, ObjectNo};
use super::rows::frame;
use crate::id::{Lineage, ObjectId, Placement};
use crate::kernel::merge::Part;
use crate::kernel::range::{KeyRange, Order};
use crate::kv::{Framed, KvKey};
use crate::storage::rows::alarm::StoredAlarm;
use crate::storage::rows::schedule::StoredSchedules;

/// What is known of an object that is about to become active.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Its number; a new one, and kept by nobody else, if the object is not stored.
    pub(crate) object_no: ObjectNo,
    /// `None`: the object is not stored.
    pub(crate) stored: Option<StoredObject>,
}

/// What is stored of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredObject {
    /// `None`: it never became known.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) placement: Placement,
    /// Epoch of the activation that committed last; 0 without a body.
    pub(crate) epoch: Epoch,
    /// Commits so far; 0 without a body.
    pub(crate) commit_no: u64,
    /// The state's [frame](super::frame), not looked into. `None`: the object has rows, but no
    /// state.
    pub(crate) body: Option<Arc<[u8]>>,
    /// `None`: no alarm is set.
    pub(crate) alarm: Option<StoredAlarm>,
    /// `None`: it has no parent.
    pub(crate) lineage: Option<Lineage>,
    /// `None`: no schedule is set.
    pub(crate) schedules: Option<StoredSchedules>,
}

impl StoredObject {
    /// Whether it was brought back to before its birth: it does not exist, and only its past is stored.
    pub(crate) fn is_gone(&self) -> bool {
        self.body.as_deref().is_some_and(frame::is_gone)
    }
}

/// A place in a listing: everything up to this object has been listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// `None`: a nameless object; these come first.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) id: ObjectId,
}

/// One stored object in a listing. Listings are ordered by name, bytewise, nameless objects first,
/// then by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) id: ObjectId,
    pub(crate) placement: Placement,
}

/// What is asked of an object's KV.
#[derive(Clone, Debug)]
pub(crate) enum KvAsk {
    /// The values of these keys.
    Values(Vec<KvKey>),
    /// Which of these keys are stored; without their values.
    Keys(Vec<KvKey>),
    /// The rows with which a range begins, in this order, at most so many.
    Page { range: KeyRange, order: Order, rows_max: usize },
}

/// Rows of an object's KV.
pub(crate) type KvRows = Part<(KvKey, Framed)>;
