//! Waiting for the commits of an activation, whatever becomes of them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::class::Durability;
use crate::error::Error;
use crate::kernel::gate::{self, Gate};
use crate::object::{Object, Slot};
use crate::storage::{Fence, Release};

/// Waits until every commit of the activation is stored or has failed. In the latter case also until everybody has heard of it
/// who waited for them: what turns have done about sockets is seen as done until then.
pub(crate) async fn settled<O: Object>(slot: &Slot<O>, fence: &Arc<Fence>) {
    let shard = slot.group().shard(&slot.id());
    let (submitted, durable) = (fence.submitted(), shard.durable());
    let is_broken = fence.broken().is_some();
    if gate::decide(submitted.0, durable.0, is_broken, Durability::Synced) == Gate::Open {
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
