//! What durable commits did to alarms, until whoever fires alarms has heard of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::numbers::{ClassNo, ObjectNo};
use super::rows::outbox::SendNotice;
use super::write_set::{AlarmWrite, ScheduleWrite};
use crate::id::ObjectId;
use crate::kernel::alarm::{Alarmed, Kind, Notice, Place};
use crate::limits::ALARM_NOTICES_MAX;
use crate::time::WallMs;

/// The notices of one shard. The writer lane puts them in before it tells anybody of their commits.
#[derive(Default)]
pub(super) struct Notices(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Nobody listens: nothing is kept.
    is_heard: bool,
    /// In the order of commits.
    notices: Vec<(Kind, i64, Notice)>,
    /// Objects that may run again.
    released: Vec<ObjectId>,
    /// There were more than are kept.
    has_lost: bool,
    /// `None`: the listener was woken already.
    waker: Option<Waker>,
}

/// A commit, as far as alarms go.
pub(super) struct Committed<'a> {
    pub(super) object_no: ObjectNo,
    pub(super) commit_no: u64,
    /// What it did to its object's alarm. `None`: nothing.
    pub(super) alarm: Option<&'a AlarmWrite>,
    /// What it did to its schedules. `None`: nothing.
    pub(super) schedules: Option<&'a ScheduleWrite>,
    /// Nothing of the object is left.
    pub(super) erases: bool,
}

/// What has come since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By object number, in the order of commits.
    pub(crate) notices: Vec<(Kind, i64, Notice)>,
    /// Objects that may run again, as far as sends to them wait here.
    pub(crate) released: Vec<ObjectId>,
    /// Some are missing: what is stored is to be read anew. They are of commits before this was asked.
    pub(crate) has_lost: bool,
}

impl Notices {
    /// A commit is durable.
    pub(super) fn tell(&self, committed: Committed<'_>) {
        let Committed { object_no, commit_no, alarm, schedules, erases } = committed;
        let notice = |due: Option<WallMs>, id: &ObjectId, class_no: ClassNo| match due {
            Some(due) if !erases => Notice::Set(Alarmed {
                place: Place { due, object_no: object_no.0 },
                set_by: commit_no,
                class_no: class_no.0,
                id: *id,
            }),
            _ => Notice::Cleared,
        };
        let gone = erases.then_some(Notice::Cleared);
        let alarm = alarm
            .map(|write| notice(write.alarm.map(|alarm| alarm.due), &write.id, write.class_no));
        let schedules = schedules
            .map(|write| notice(write.row.as_ref().map(|row| row.due), &write.id, write.class_no));
        for (kind, notice) in [(Kind::Alarm, alarm.or(gone)), (Kind::Schedule, schedules.or(gone))]
        {
            if let Some(notice) = notice {
                self.push(kind, object_no, notice);
            }
        }
    }

    /// What is stored is told once more.
    pub(super) fn remind(&self, kind: Kind, found: Alarmed) {
        self.push(kind, ObjectNo(found.place.object_no), Notice::Set(found));
    }

    /// What waits in the outbox has changed.
    pub(super) fn tell_sends(&self, told: Vec<SendNotice>) {
        for (send_no, notice) in told {
            self.push(Kind::Send, ObjectNo(send_no), notice);
        }
    }

    /// An object may run again that sends of this shard may wait for.
    pub(super) fn release(&self, id: ObjectId) {
        self.put(|waiting| {
            if waiting.released.len() >= ALARM_NOTICES_MAX {
                waiting.released.clear();
                waiting.has_lost = true;
            }
            waiting.released.push(id);
        });
    }

    fn push(&self, kind: Kind, object_no: ObjectNo, notice: Notice) {
        self.put(|waiting| {
            if waiting.notices.len() >= ALARM_NOTICES_MAX {
                waiting.notices.clear();
                waiting.has_lost = true;
            }
            waiting.notices.push((kind, object_no.0, notice));
        });
    }

    fn put(&self, put: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        if !waiting.is_heard {
            return;
        }
        put(&mut waiting);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Somebody listens from here on.
    pub(super) fn listen(&self) {
        self.lock().is_heard = true;
    }

    /// Takes what has come. `waker`: woken when more does.
    pub(super) fn take(&self, waker: &Waker) -> Heard {
        let mut waiting = self.lock();
        waiting.waker = Some(waker.clone());
        Heard {
            notices: std::mem::take(&mut waiting.notices),
            released: std::mem::take(&mut waiting.released),
            has_lost: std::mem::take(&mut waiting.has_lost),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
