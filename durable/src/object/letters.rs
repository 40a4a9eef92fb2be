//! Dead letters of an object that is not in memory: one is retried or dropped, in a commit of its own.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::due::{Alarm, DeadLetterId, LetterFate};
use crate::error::{Code, Error};
use crate::history::Cause;
use crate::host::Event;
use crate::kernel::schedule::replaced;
use crate::limits::SCHEDULES_MAX;
use crate::object::erased::Told;
use crate::object::schedule::{schedules_full, schedules_unreadable};
use crate::object::slot::gone;
use crate::object::{Object, Slot};
use crate::schedule::Schedule;
use crate::storage::frame::HEADER_BYTES;
use crate::storage::schedule::Unreadable;
use crate::storage::{
    Again, AlarmWrite, Fence, Loaded, ScheduleWrite, StoredLetter, StoredObject, WriteSet, schedule,
};

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

/// The error of a letter that does not say what travels with it.
pub(crate) fn unreadable(id: DeadLetterId, unreadable: &Unreadable) -> Error {
    match unreadable {
        Unreadable::Newer(text) => Code::LetterNewer.error(format!(
            "what travels with dead letter {id} was written by newer code: {text}; run the release that wrote it"
        )),
        Unreadable::Damaged(text) => Code::LetterTorn.error(format!(
            "what travels with dead letter {id} is damaged: {text}; the bytes were left as they are, \
             send the call anew and drop the letter"
        )),
    }
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
    let tended = Tended::new(slot, (id, fate), &stored, &letter)?;
    let fence = Fence::new(shard.next_epoch());
    let body = stored.body.as_deref().and_then(|body| body.get(HEADER_BYTES..));
    let (object, epoch, state) = (slot.id_ref(), fence.epoch.0, body.unwrap_or_default());
    slot.host().report(|| Event::Loaded { object, epoch, commit: stored.commit_no, state });
    tended.report(slot);
    let (sender, receiver) = oneshot::channel();
    let commit_no = stored.commit_no + 1;
    let removed = Some(id.number);
    let (id, class_no) = (slot.id(), group.class_no());
    let alarm = tended
        .alarm
        .map(|alarm| Box::new(AlarmWrite { id, class_no, alarm, letter: None, removed }));
    let schedules = tended.schedules.as_deref().map(|all| {
        let row = schedule::encode(all);
        Box::new(ScheduleWrite { id, class_no, row, letter: None, removed })
    });
    let place = shard.submit(WriteSet {
        fence: Arc::clone(&fence),
        object_no,
        commit_no,
        birth: None,
        snapshot: None,
        kv: Vec::new(),
        sql: None,
        alarm,
        schedules,
        sends: None,
        result: None,
        erases: false,
        history: O::CLASS.keeps_history.then_some(Cause::Alarm),
        release: Some(Arc::new(Told::new(sender))),
    });
    let views = tended.schedules.map(|all| all.iter().map(Schedule::view).collect::<Vec<_>>());
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
        alarm: tended.alarm.map(|alarm| alarm.map(Alarm::view)),
        schedules: views.as_deref(),
        sends: None,
        result: None,
        erases: false,
        restores: None,
    });
    // It is dropped without a word if the shard closes.
    receiver.await.unwrap_or_else(|_| Err(gone())).map(|()| true)
}

/// What a dead letter that is tended makes of its object's alarm, or of its schedules.
struct Tended {
    /// `None`: it is as it was.
    alarm: Option<Option<Alarm>>,
    /// `None`: they are as they were.
    schedules: Option<Vec<Schedule>>,
    /// The schedule that it has become. `None`: none.
    again: Option<Schedule>,
}

impl Tended {
    fn new<O: Object>(
        slot: &Slot<O>,
        (id, fate): (DeadLetterId, LetterFate),
        stored: &StoredObject,
        letter: &StoredLetter,
    ) -> Result<Self, Error> {
        let present = stored.alarm.map(|present| present.alarm);
        let of_alarm = |alarm| Tended { alarm: Some(alarm), schedules: None, again: None };
        let again = match fate {
            LetterFate::Dropped => return Ok(of_alarm(present)),
            LetterFate::Retried => letter
                .again(id.shard, slot.host().clock.wall())
                .map_err(|error| unreadable(id, &error))?,
        };
        match (again, present) {
            (Again::Alarm(alarm), None) => Ok(of_alarm(Some(alarm))),
            (Again::Alarm(_), Some(present)) => Err(taken(id, present)),
            (Again::Schedule(again), _) => {
                let body = stored.schedules.as_ref().map(|stored| schedule::decode(&stored.body));
                let all = body.unwrap_or(Ok(Vec::new()));
                let all = all.map_err(|error| schedules_unreadable(&error))?;
                if all.len() >= SCHEDULES_MAX {
                    return Err(schedules_full(id, all.len()));
                }
                let schedules = Some(replaced(&all, &again.name, Some(again.clone())));
                Ok(Tended { alarm: None, schedules, again: Some(again) })
            }
        }
    }

    fn report<O: Object>(&self, slot: &Slot<O>) {
        let object = slot.id_ref();
        if let Some(alarm) = self.alarm {
            let alarm = alarm.map(Alarm::view);
            slot.host().report(|| Event::LetterTended { object, alarm });
        }
        if let Some(again) = &self.again {
            let (name, view) = (again.name.as_str(), again.view());
            let schedule = Some(Some(&view));
            slot.host().report(|| Event::ScheduleDealt { object, call: 0, name, schedule });
        }
    }
}
