//! What is done to an object before it is loaded, from outside of its turns.
//!
//! An activation does it that does nothing else first, so no turn runs meanwhile, every earlier commit is settled, and an
//! object that cannot start is reached, too. Calls that wait are served by what is there then.

use tokio::sync::oneshot;

use crate::directory::LetOut;
use crate::error::Error;
use crate::history::Bookmark;
use crate::object::erased::erase_stored;
use crate::object::letters::{LetterDeed, tend_letter};
use crate::object::past::{fork, restore};
use crate::object::{Object, Slot};
use crate::storage::history::Whole;

/// What is to be done, and who is told.
pub(crate) enum Errand {
    /// Leave nothing of it. Gives whether there was anything.
    Erase { answer: oneshot::Sender<Result<bool, Error>> },
    /// Retry or drop a dead letter of it.
    Letter { deed: LetterDeed, answer: oneshot::Sender<Result<bool, Error>> },
    /// Bring it back to this moment. Gives the moment before, which undoes it.
    Restore { to: Bookmark, answer: oneshot::Sender<Result<Bookmark, Error>> },
    /// Make it of this. Nothing may be there.
    Fork { whole: Box<Whole>, answer: oneshot::Sender<Result<(), Error>> },
}

/// Does them in order. All who want the object erased, one behind the other, are told the same.
pub(crate) async fn run_all<O: Object>(slot: &Slot<O>, errands: Vec<Errand>) {
    let mut erased: Option<Result<bool, Error>> = None;
    // Whoever no longer waits does not need to be told.
    for errand in errands {
        match errand {
            Errand::Erase { answer } => {
                let done = match erased {
                    Some(done) => done,
                    None => {
                        let done = erase_stored(slot).await;
                        if done.is_ok() { forget(slot).await.and(done) } else { done }
                    }
                };
                let _ = answer.send(done.clone());
                erased = Some(done);
                continue;
            }
            Errand::Letter { deed, answer } => {
                let _ = answer.send(tend_letter(slot, deed).await);
            }
            Errand::Restore { to, answer } => {
                let restored = restore(slot, to).await;
                let restored =
                    if restored.is_ok() { let_out(slot, restored).await } else { restored };
                let _ = answer.send(restored.map_err(|error| error.with_object(slot.label())));
            }
            Errand::Fork { whole, answer } => {
                let forked = fork(slot, *whole).await;
                let _ = answer.send(forked.map_err(|error| error.with_object(slot.label())));
            }
        }
        erased = None;
    }
}

/// Nothing is left of the object, and so it has never failed.
pub(super) async fn forget<O: Object>(slot: &Slot<O>) -> Result<(), Error> {
    if !slot.group().on_erased(slot.id_ref()) {
        return Ok(());
    }
    slot.accept_calls();
    // Its quarantine went in the same commit, if there was a commit.
    slot.group().let_out(slot.id(), LetOut::Stale).await
}

/// What the object was quarantined for is gone.
async fn let_out<O: Object, T>(slot: &Slot<O>, done: Result<T, Error>) -> Result<T, Error> {
    let group = slot.group();
    if !group.forgive(slot.id_ref()) {
        return done;
    }
    slot.accept_calls();
    group.let_out(slot.id(), LetOut::Release).await.and(done)
}
