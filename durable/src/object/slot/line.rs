//! Calls that wait for room: they stand in line, and move up into the inbox in the order in which they came.
//!
//! What the first of them needs decides who moves them. Room in the inbox is made by the activation, which looks whenever it
//! looks for work. A place among the calls that are under way, or the time of the object's rate, is waited for by a
//! task that attends the line; there is one of them for an object at most, so whatever becomes free wakes one task, and
//! objects that wait for the same places get them in turn. Nothing bounds a line but the callers that wait in it: a call whose
//! caller has left is forgotten.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::shed::Overdue;
use super::{Slot, State};
use crate::host::Event;
use crate::kernel::admission;
use crate::kernel::pace::Pace;
use crate::kernel::rate::Bucket;
use crate::kernel::sweep::Sweep;
use crate::object::slot::incarnation::Incarnation;
use crate::object::{Object, PendingCall, Permit};
use crate::time::MonoNs;

/// What is kept of an object to which more comes than to others. Most have none.
pub(super) struct Crowd<O: Object> {
    /// What is left of its rate. `None`: its class has none, or nothing was taken of it.
    pub(super) bucket: Option<Bucket>,
    /// Calls that wait for room, in the order in which they came.
    line: VecDeque<Arc<PendingCall<O>>>,
    /// With how many in line it is looked for those whose callers have left.
    swept_at: usize,
    /// A task waits for what the first in line needs.
    is_attended: bool,
    /// How fast calls are served while many wait.
    pub(super) pace: Pace,
    /// When its inbox is looked through for calls that nobody waits for.
    pub(super) sweep: Sweep,
}

/// How long a line may get before it is looked for calls whose callers have left.
const SWEPT_AT: usize = 64;

/// What the first in line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Room in the inbox.
    Room,
    /// A place among the calls that are under way.
    Place,
    /// The time that the object's rate lets it come at.
    Time(MonoNs),
}

/// What has moved up: each call's number, and how many then wait in the inbox. Empty if nobody watches.
type Moved = Vec<(u64, usize)>;

impl<O: Object> State<O> {
    pub(super) fn crowd(&mut self) -> &mut Crowd<O> {
        self.crowd.get_or_insert_with(|| {
            let (bucket, line, swept_at, is_attended) = (None, VecDeque::new(), SWEPT_AT, false);
            let (pace, sweep) = (Pace::default(), Sweep::default());
            Box::new(Crowd { bucket, line, swept_at, is_attended, pace, sweep })
        })
    }

    /// Whether calls wait for room.
    pub(super) fn has_line(&self) -> bool {
        self.crowd.as_ref().is_some_and(|crowd| !crowd.line.is_empty())
    }

    /// Whether calls wait for room that only an activation makes.
    pub(super) fn has_unattended_line(&self) -> bool {
        self.crowd.as_ref().is_some_and(|crowd| !crowd.line.is_empty() && !crowd.is_attended)
    }

    /// How many calls wait for room.
    pub(super) fn line(&self) -> usize {
        self.crowd.as_ref().map_or(0, |crowd| crowd.line.len())
    }

    /// Nobody waits for room any more. Gives those who did.
    pub(super) fn take_line(&mut self) -> VecDeque<Arc<PendingCall<O>>> {
        self.crowd.as_mut().map(|crowd| std::mem::take(&mut crowd.line)).unwrap_or_default()
    }
}

impl<O: Object> Crowd<O> {
    fn push(&mut self, call: &Arc<PendingCall<O>>) {
        if self.line.len() >= self.swept_at {
            self.line.retain(|call| call.is_waiting());
            self.swept_at = SWEPT_AT.max(2 * self.line.len());
        }
        self.line.push_back(Arc::clone(call));
    }
}

impl<O: Object> Slot<O> {
    /// A call comes that waits for room, if there is none, behind those that do.
    pub(super) fn line_up(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<O>>,
        call: &Arc<PendingCall<O>>,
    ) {
        state.crowd().push(call);
        self.settle_line(state, None);
    }

    /// Moves those up for whom there is room, and sees to it that somebody waits for what the next one needs. `permit`: a place
    /// that was waited for.
    pub(super) fn settle_line(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<O>>,
        permit: Option<Permit>,
    ) {
        let mut overdue = Overdue::new();
        let (has_moved, moved, need) = self.move_up(&mut state, permit, &mut overdue);
        let need = need.filter(|need| *need != Need::Room);
        let is_new = need.is_some() && !std::mem::replace(&mut state.crowd().is_attended, true);
        self.leave_line(state, has_moved, moved);
        if let Some(need) = need.filter(|_| is_new) {
            self.attend(need);
        }
    }

    fn leave_line(
        self: &Arc<Self>,
        state: MutexGuard<'_, State<O>>,
        has_moved: bool,
        moved: Moved,
    ) {
        if has_moved {
            self.wake(state);
        } else {
            drop(state);
        }
        for (call, waiting) in moved {
            self.report_queued(call, (false, false), (waiting, self.group.inbox_calls_max()));
        }
    }

    /// Gives whether anybody has moved, and what the first who has not needs.
    fn move_up(
        &self,
        state: &mut State<O>,
        mut permit: Option<Permit>,
        overdue: &mut Overdue<O>,
    ) -> (bool, Moved, Option<Need>) {
        let (mut has_moved, mut moved) = (false, Moved::new());
        let is_watched = self.host().director.is_some();
        loop {
            let Some(first) = state.crowd().line.front() else { return (has_moved, moved, None) };
            let is_overdue =
                first.deadline().is_some_and(|deadline| deadline <= self.host().clock.now());
            if is_overdue || !first.is_waiting() {
                let (object, call) = (&self.id, first.number());
                self.host().report(|| Event::Skipped { object, call });
                overdue.extend(state.crowd().line.pop_front());
                continue;
            }
            let given = match self.make_room(state, &mut permit) {
                Ok(given) => given,
                Err(need) => return (has_moved, moved, Some(need)),
            };
            let call = state.crowd().line.pop_front().expect("it was seen");
            if call.give(given) {
                has_moved = true;
                state.inbox.push_back(Arc::clone(&call));
                moved.extend(is_watched.then(|| (call.number(), state.inbox.len())));
            }
        }
    }

    /// Makes room for one more call, if there is any.
    fn make_room(&self, state: &mut State<O>, permit: &mut Option<Permit>) -> Result<Permit, Need> {
        let inbox_max = self.group.inbox_calls_max();
        admission::enter(state.inbox.len(), inbox_max).map_err(|_| Need::Room)?;
        let given = match permit.take() {
            Some(permit) => permit,
            None => self.group.permit().map_err(|_| Need::Place)?,
        };
        self.take_of_rate(state).map_err(Need::Time)?;
        Ok(given)
    }

    /// Waits for what the first in line needs, until none is there or it is the activation that makes room.
    fn attend(self: &Arc<Self>, need: Need) {
        let Some(number) = self.group.has_line(self) else { return self.on_abandon() };
        let slot = Arc::clone(self);
        self.host().tasks.spawn(Box::pin(async move {
            let mut need = Some(need);
            while let Some(what) = need {
                let permit = match what {
                    Need::Room => None,
                    Need::Place => Some(slot.group.wait_for_permit().await),
                    Need::Time(at) => {
                        slot.host().clock.sleep_until(at).await;
                        None
                    }
                };
                need = slot.attended(permit);
            }
            slot.group.has_no_line(number);
        }));
    }

    /// What the first in line has needed is there. Gives what the next one needs that is to be waited for.
    fn attended(self: &Arc<Self>, permit: Option<Permit>) -> Option<Need> {
        let mut overdue = Overdue::new();
        let mut state = self.state.lock();
        let (has_moved, moved, need) = self.move_up(&mut state, permit, &mut overdue);
        let need = need.filter(|need| *need != Need::Room);
        state.crowd().is_attended = need.is_some();
        self.leave_line(state, has_moved, moved);
        need
    }
}
