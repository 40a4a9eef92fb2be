//! What durable commits did to alarms, until whoever fires alarms has heard of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::numbers::ObjectNo;
use super::write_set::AlarmWrite;
use crate::kernel::alarm::{Alarmed, Notice, Place};
use crate::limits::ALARM_NOTICES_MAX;

/// The notices of one shard. The writer lane puts them in before it tells anybody of their commits.
#[derive(Default)]
pub(super) struct Notices(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Nobody listens: nothing is kept.
    is_heard: bool,
    /// In the order of commits.
    notices: Vec<(i64, Notice)>,
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
    /// Nothing of the object is left.
    pub(super) erases: bool,
}

/// What has come since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By object number, in the order of commits.
    pub(crate) notices: Vec<(i64, Notice)>,
    /// Some are missing: what is stored is to be read anew. They are of commits before this was asked.
    pub(crate) has_lost: bool,
}

impl Notices {
    /// A commit is durable.
    pub(super) fn tell(&self, Committed { object_no, commit_no, alarm, erases }: Committed<'_>) {
        let object_no = object_no.0;
        let notice = match alarm {
            _ if erases => Notice::Cleared,
            None => return,
            Some(write) => write.alarm.map_or(Notice::Cleared, |alarm| {
                Notice::Set(Alarmed {
                    place: Place { due: alarm.due, object_no },
                    set_by: commit_no,
                    class_no: write.class_no.0,
                    id: write.id,
                })
            }),
        };
        let mut waiting = self.lock();
        if !waiting.is_heard {
            return;
        }
        if waiting.notices.len() >= ALARM_NOTICES_MAX {
            waiting.notices.clear();
            waiting.has_lost = true;
        }
        waiting.notices.push((object_no, notice));
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
            has_lost: std::mem::take(&mut waiting.has_lost),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
