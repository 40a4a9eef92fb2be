//! Fires alarms: one task and one timer for all alarms of a runtime.
//!
//! What fires when is the calendars' to say; this carries it out. It hears from the shards what durable commits did to
//! alarms, so nothing fires before the commit that set it is durable, and from the objects what became of those it fired.

mod face;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use crate::directory::ClassGroup;
use crate::error::Error;
use crate::host::{BoxFuture, Host};
use crate::kernel::alarm::{Alarmed, Calendar, Fired, Pace, Place};
use crate::limits::{
    ALARM_HOLD, ALARM_LOOK, ALARM_ROWS_MAX, ALARM_WINDOW_MAX, ALARMS_IN_FLIGHT_MAX,
};
use crate::object::{Firing, Rung};
use crate::registry::{Registry, Shared};
use crate::storage::Store;
use crate::time::{MonoNs, WallMs};

/// What objects tell of the alarms that were fired at them, and the bell of the task that hears it.
#[derive(Default)]
pub(crate) struct Ends(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// At most as many as may be in flight.
    ends: Vec<End>,
    /// `None`: the task was woken already.
    waker: Option<Waker>,
}

/// What became of an alarm that was fired.
struct End {
    shard: usize,
    object_no: i64,
    fired: Fired,
}

impl Ends {
    fn push(&self, end: End) {
        self.0.lock().ends.push(end);
        self.ring();
    }

    /// Wakes the task: something has come, or the runtime goes.
    pub(crate) fn ring(&self) {
        let waker = self.0.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take(&self, waker: &Waker) -> Vec<End> {
        let mut waiting = self.0.lock();
        waiting.waker = Some(waker.clone());
        std::mem::take(&mut waiting.ends)
    }
}

/// Fires the alarms of one runtime.
pub(crate) struct Alarms {
    /// Gone when the runtime is. It is never what keeps the runtime: its last owner closes the store, and is to be the
    /// program.
    shared: Weak<Shared>,
    /// Those whose objects have alarms, by number.
    groups: BTreeMap<u32, Weak<dyn ClassGroup>>,
    host: Host,
    ends: Arc<Ends>,
    /// Of each shard.
    calendars: Vec<Shard>,
    pace: Pace,
    in_flight: usize,
    /// Classes whose alarms wait because nobody can run them; each is warned about once.
    unknown: BTreeSet<u32>,
    /// The next time that something is to be done. `None`: nothing is.
    sleep: Option<(MonoNs, BoxFuture<'static, ()>)>,
}

struct Shard {
    calendar: Calendar,
    /// No read before this: one has failed.
    read_from: MonoNs,
}

type Rows = Result<(Vec<Alarmed>, bool), Error>;

/// What the task does next.
enum Step {
    /// Read the index of a shard.
    Read(usize, BoxFuture<'static, Rows>),
    End,
}

impl Alarms {
    /// Starts the task, if there is anything for it to do.
    pub(crate) fn start(registry: &Arc<Registry>) {
        let (shared, groups) = (registry.shared(), registry.groups());
        let shards = shared.store.shards();
        let is_wanted = groups.iter().any(|group| group.has_alarms())
            || shards.iter().any(|shard| shard.has_alarms());
        if !is_wanted {
            return;
        }
        shards.iter().for_each(|shard| shard.listen_to_alarms());
        let calendar =
            |_| Shard { calendar: Calendar::new(ALARM_WINDOW_MAX), read_from: MonoNs(0) };
        let host = shared.host.clone();
        let ringing = groups.iter().filter(|group| group.has_alarms());
        let alarms = Alarms {
            shared: Arc::downgrade(shared),
            groups: ringing.map(|group| (group.class_no().0, Arc::downgrade(group))).collect(),
            ends: Arc::clone(&shared.alarm_ends),
            calendars: shards.iter().map(calendar).collect(),
            pace: Pace::new(shared.config.alarms_per_second, host.clock.now()),
            in_flight: 0,
            unknown: BTreeSet::new(),
            sleep: None,
            host: host.clone(),
        };
        host.tasks.spawn(Box::pin(alarms.run()));
    }

    async fn run(mut self) {
        loop {
            let step = poll_fn(|task| self.poll(task.waker()).map_or(Poll::Pending, Poll::Ready));
            match step.await {
                Step::End => return,
                Step::Read(shard, read) => {
                    let rows = read.await;
                    self.on_read(shard, rows);
                }
            }
        }
    }

    /// Does what is to be done. `None`: it sleeps.
    fn poll(&mut self, waker: &Waker) -> Option<Step> {
        loop {
            // A runtime that closes lets those end that were fired, and fires no more.
            let shared = self.shared.upgrade().filter(|shared| !shared.is_closed_to(false));
            let Some(shared) = shared else { return Some(Step::End) };
            let (now, wall) = (self.host.clock.now(), self.host.clock.wall());
            self.hear(&shared.store, waker, wall);
            let refused_until = self.fire(now, wall);
            if let Some(read) = self.next_read(&shared.store, now) {
                return Some(read);
            }
            drop(shared);
            let wakes_at = self.wakes_at(now, wall, refused_until)?;
            if self.sleep.as_ref().is_none_or(|(at, _)| *at != wakes_at) {
                self.sleep = Some((wakes_at, self.host.clock.sleep_until(wakes_at)));
            }
            let (_, sleep) = self.sleep.as_mut().expect("it was just set");
            let mut task = std::task::Context::from_waker(waker);
            if sleep.as_mut().poll(&mut task).is_pending() {
                return None;
            }
            self.sleep = None;
        }
    }

    /// Takes in what has happened.
    fn hear(&mut self, store: &Store, waker: &Waker, wall: WallMs) {
        for (shard, stored) in self.calendars.iter_mut().zip(store.shards()) {
            let heard = stored.take_notices(waker);
            for (object_no, notice) in heard.notices {
                shard.calendar.on_notice(object_no, notice);
            }
            if heard.has_lost {
                shard.calendar.restart();
            }
            shard.calendar.look(wall);
        }
        for End { shard, object_no, fired } in self.ends.take(waker) {
            self.in_flight -= 1;
            self.calendars[shard].calendar.on_fired(object_no, fired, wall);
        }
    }

    /// Fires what is due, as much as may be. Gives when there may be more, if that is what keeps the rest.
    fn fire(&mut self, now: MonoNs, wall: WallMs) -> Option<MonoNs> {
        while self.in_flight < ALARMS_IN_FLIGHT_MAX {
            let first = |(index, shard): (usize, &Shard)| Some((shard.calendar.wakes_at()?, index));
            let (_, index) = self.calendars.iter().enumerate().filter_map(first).min()?;
            let is_due = self.calendars[index].calendar.wakes_at().is_some_and(|at| at <= wall);
            if !is_due {
                return None;
            }
            if let Err(again) = self.pace.take(now) {
                return Some(again);
            }
            let alarmed = self.calendars[index].calendar.fire(wall)?;
            let group = self.groups.get(&alarmed.class_no).expect("only known classes wait");
            // Without it the runtime is gone, and this task is about to be.
            let group = group.upgrade()?;
            let (ends, object_no) = (Arc::clone(&self.ends), alarmed.place.object_no);
            self.in_flight += 1;
            let told = move |rung| ends.push(End { shard: index, object_no, fired: fired(&rung) });
            let firing = Firing::new(Some((object_no, alarmed.set_by)), told);
            group.fire(alarmed.id, firing);
        }
        None
    }

    fn next_read(&self, store: &Store, now: MonoNs) -> Option<Step> {
        for (index, (shard, stored)) in self.calendars.iter().zip(store.shards()).enumerate() {
            if shard.read_from > now || stored.stopped().is_some() {
                continue;
            }
            if let Some(after) = shard.calendar.wants_read() {
                let read = stored.read_alarms(after, ALARM_ROWS_MAX);
                return Some(Step::Read(index, Box::pin(read)));
            }
        }
        None
    }

    fn on_read(&mut self, index: usize, rows: Rows) {
        let known = &self.groups;
        let shard = &mut self.calendars[index];
        match rows {
            Ok((rows, is_last)) => {
                for Alarmed { class_no, place: Place { object_no, .. }, .. } in &rows {
                    if !known.contains_key(class_no) && self.unknown.insert(*class_no) {
                        tracing::warn!(
                            class_no,
                            object_no,
                            "alarms of a class wait that is not registered, or has no `#[alarm]`; register it"
                        );
                    }
                }
                shard.calendar.on_read(&rows, is_last, |class_no| known.contains_key(&class_no));
            }
            Err(error) => {
                tracing::warn!(%error, shard = index, "the alarms cannot be read; they are read again");
                shard.read_from = self.host.clock.now() + ALARM_HOLD * 10;
            }
        }
    }

    /// When something is to be done next, as far as is known. `None`: when somebody says so.
    fn wakes_at(&self, now: MonoNs, wall: WallMs, refused_until: Option<MonoNs>) -> Option<MonoNs> {
        let mut next = refused_until;
        for shard in &self.calendars {
            let reads_at = Some(shard.read_from).filter(|at| *at > now);
            let due = shard.calendar.wakes_at().filter(|due| *due > wall).map(|due| {
                let wait = std::time::Duration::from_millis(due.0 - wall.0);
                // The clock may be set forward while it sleeps.
                now + wait.min(ALARM_LOOK)
            });
            next = next.into_iter().chain(reads_at).chain(due).min();
        }
        next
    }
}

fn fired(rung: &Rung) -> Fired {
    match rung {
        Rung::Done | Rung::Failed(_) => Fired::Settled,
        Rung::Void | Rung::Postponed(_) => Fired::Postponed,
    }
}
