//! Waiting for the commits of an activation, whatever becomes of them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::object::{Object, Slot};
use crate::storage::{Fence, Release};

/// Waits until every commit of the activation is stored or has failed.
pub(crate) async fn settled<O: Object>(slot: &Slot<O>, fence: &Arc<Fence>) {
    let shard = slot.group().shard(&slot.id());
    if shard.durable() >= fence.submitted() {
        return;
    }
    let (sender, receiver) = oneshot::channel();
    shard.release_after(fence, Arc::new(Settled(Mutex::new(Some(sender)))));
    // It is dropped without a word if the shard closes; nothing can be started then.
    let _ = receiver.await;
}

/// Tells that the commits before it are settled, whatever became of them.
struct Settled(Mutex<Option<oneshot::Sender<()>>>);

impl Release for Settled {
    fn release(&self, _: Result<(), &Error>) {
        if let Some(sender) = self.0.lock().take() {
            // Whoever no longer waits does not need to be told.
            let _ = sender.send(());
        }
    }
}
