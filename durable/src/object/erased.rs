//! Erasing an object: everything that hangs on it, and everything that it owns, in one commit.
//!
//! An activation that erases its object ends, and the next one finds nothing stored and begins anew. From outside an object
//! is erased by an activation that does nothing else, so that one that cannot start can be erased, too.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::host::Event;
use crate::object::live::birth_of;
use crate::object::slot::gone;
use crate::object::{Object, Slot};
use crate::storage::frame::HEADER_BYTES;
use crate::storage::{Fence, Loaded, ObjectNo, Release, SendWrite, WriteSet};

/// What is erased, by which commit.
pub(crate) struct Erased {
    pub(crate) object_no: ObjectNo,
    pub(crate) commit_no: u64,
    /// What the same turn did about sends, which is none of the object's any more.
    pub(crate) sends: SendWrite,
}

/// Hands an erasure to the shard.
pub(crate) fn submit<O: Object>(
    slot: &Slot<O>,
    fence: &Arc<Fence>,
    Erased { object_no, commit_no, sends }: Erased,
    (call, release): (u64, Option<Arc<dyn Release>>),
) {
    let shard = slot.group().shard(&slot.id());
    let sends_view = sends.view();
    let place = shard.submit(WriteSet {
        fence: Arc::clone(fence),
        object_no,
        commit_no,
        // It says below whom everything goes.
        birth: Some(Box::new(birth_of(slot))),
        snapshot: None,
        kv: Vec::new(),
        sql: None,
        alarm: None,
        schedules: None,
        sends: (!sends.is_empty()).then(|| Box::new(sends)),
        result: None,
        erases: true,
        history: None,
        release,
    });
    slot.host().report(|| Event::Submitted {
        object: slot.id_ref(),
        epoch: fence.epoch.0,
        commit: commit_no,
        call,
        shard: shard.index(),
        place: place.0,
        state: &[],
        kv: &[],
        sql: None,
        alarm: None,
        schedules: None,
        sends: sends_view.as_ref(),
        result: None,
        erases: true,
        restores: None,
    });
}

/// Erases what is stored of an object that is not in memory, whatever it is. Gives whether there was anything.
pub(crate) async fn erase_stored<O: Object>(slot: &Slot<O>) -> Result<bool, Error> {
    let group = slot.group();
    let shard = group.shard(&slot.id());
    let Loaded { object_no, stored } = shard.load(&slot.id(), group.class_no()).await?;
    // One that was never stored may own some that are.
    if stored.is_none() && !shard.has_kin(slot.id()).await? {
        return Ok(false);
    }
    let fence = Fence::new(shard.next_epoch());
    let body = stored.as_ref().and_then(|stored| stored.body.as_deref());
    let state = body.and_then(|body| body.get(HEADER_BYTES..)).unwrap_or_default();
    let commit = stored.as_ref().map_or(0, |stored| stored.commit_no);
    let (object, epoch) = (slot.id_ref(), fence.epoch.0);
    slot.host().report(|| Event::Loaded { object, epoch, commit, state });
    let (sender, receiver) = oneshot::channel();
    let told = Arc::new(Told::new(sender));
    let erased = Erased { object_no, commit_no: commit + 1, sends: SendWrite::default() };
    submit(slot, &fence, erased, (0, Some(told)));
    // It is dropped without a word if the shard closes.
    receiver.await.unwrap_or_else(|_| Err(gone()))?;
    slot.tell_erased();
    Ok(true)
}

/// Tells what became of a commit.
pub(super) struct Told(Mutex<Option<oneshot::Sender<Result<(), Error>>>>);

impl Told {
    pub(super) fn new(sender: oneshot::Sender<Result<(), Error>>) -> Self {
        Told(Mutex::new(Some(sender)))
    }
}

impl Release for Told {
    fn release(&self, durable: Result<(), &Error>) {
        if let Some(sender) = self.0.lock().take() {
            // Whoever no longer waits does not need to be told.
            let _ = sender.send(durable.map_err(Clone::clone));
        }
    }
}
