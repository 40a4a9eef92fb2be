//! Dead letters of an object that is not in memory: one is retried or dropped, in a commit of its own.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::due::{Alarm, DeadLetterId, LetterFate};
use crate::error::{Code, Error};
use crate::history::Cause;
use crate::host::Event;
use crate::object::erased::Told;
use crate::object::slot::gone;
use crate::object::{Object, Slot};
use crate::storage::frame::HEADER_BYTES;
use crate::storage::{AlarmWrite, Fence, Loaded, StoredLetter, WriteSet};

/// What somebody wants done about a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LetterDeed {
    pub(crate) id: DeadLetterId,
    pub(crate) fate: LetterFate,
}

/// The error of a dead letter that is not there.
pub(crate) fn unknown(id: DeadLetterId) -> Error {
    Code::LetterUnknown
        .error(format!("there is no dead letter {id}, or not any more; list those that there are"))
}

/// The error of an alarm that cannot come back.
pub(crate) fn taken(id: DeadLetterId, present: Alarm) -> Error {
    Code::AlarmTaken.error(format!(
        "dead letter {id} was an alarm, and its object has set another since, for {}; \
         retry it when that one has fired, or drop it",
        present.due
    ))
}

/// Does it.
pub(crate) async fn tend_letter<O: Object>(
    slot: &Slot<O>,
    LetterDeed { id, fate }: LetterDeed,
) -> Result<bool, Error> {
    let group = slot.group();
    let shard = group.shard(&slot.id());
    let Loaded { object_no, stored } = shard.load(&slot.id(), group.class_no()).await?;
    let is_its = |letter: &StoredLetter| letter.object_no == object_no;
    let letter = shard.read_letter(id.number)?.filter(is_its).ok_or_else(|| unknown(id))?;
    let stored = stored.filter(|stored| stored.body.is_some()).ok_or_else(|| unknown(id))?;
    let present = stored.alarm.map(|present| present.alarm);
    let alarm = match (fate, present) {
        (LetterFate::Dropped, present) => present,
        (LetterFate::Retried, None) => Some(letter.again(slot.host().clock.wall())),
        (LetterFate::Retried, Some(present)) => return Err(taken(id, present)),
    };
    let fence = Fence::new(shard.next_epoch());
    let body = stored.body.as_deref().and_then(|body| body.get(HEADER_BYTES..));
    let (object, epoch, state) = (slot.id_ref(), fence.epoch.0, body.unwrap_or_default());
    slot.host().report(|| Event::Loaded { object, epoch, commit: stored.commit_no, state });
    let alarm_view = alarm.map(Alarm::view);
    slot.host().report(|| Event::LetterTended { object, alarm: alarm_view });
    let (sender, receiver) = oneshot::channel();
    let commit_no = stored.commit_no + 1;
    let removed = Some(id.number);
    let write =
        AlarmWrite { id: slot.id(), class_no: group.class_no(), alarm, letter: None, removed };
    let place = shard.submit(WriteSet {
        fence: Arc::clone(&fence),
        object_no,
        commit_no,
        birth: None,
        snapshot: None,
        kv: Vec::new(),
        sql: None,
        alarm: Some(Box::new(write)),
        erases: false,
        history: O::CLASS.keeps_history.then_some(Cause::Alarm),
        release: Some(Arc::new(Told::new(sender))),
    });
    slot.host().report(|| Event::Submitted {
        object,
        epoch,
        commit: commit_no,
        call: 0,
        shard: shard.index(),
        place: place.0,
        state,
        kv: &[],
        sql: None,
        alarm: Some(alarm_view),
        erases: false,
        restores: None,
    });
    // It is dropped without a word if the shard closes.
    receiver.await.unwrap_or_else(|_| Err(gone())).map(|()| true)
}
