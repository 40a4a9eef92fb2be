//! Fires alarms and schedules, and delivers sends: one task and one timer for all of a runtime.
//!
//! What fires when is the calendars' to say; this carries it out. It hears from the shards what durable commits did to
//! alarms, so nothing fires before the commit that set it is durable, and from the objects what became of those it fired.

mod face;
mod sends;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

pub(crate) use self::sends::Leaving;
use crate::directory::ClassGroup;
use crate::error::Error;
use crate::host::{BoxFuture, Host};
use crate::kernel::alarm::{Alarmed, Calendar, Fired, Kind, Notice, Pace, Place};
use crate::limits::{
    ALARM_HOLD, ALARM_LOOK, ALARM_ROWS_MAX, ALARM_WINDOW_MAX, ALARMS_IN_FLIGHT_MAX,
};
use crate::object::{Firing, Rung};
use crate::registry::{Registry, Shared};
use crate::storage::Store;
use crate::time::{MonoNs, WallMs};

/// In the order of their numbers.
const KINDS: [Kind; 3] = [Kind::Alarm, Kind::Schedule, Kind::Send];

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
    /// Of its calendar.
    index: usize,
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
    /// By number.
    groups: BTreeMap<u32, Known>,
    host: Host,
    ends: Arc<Ends>,
    /// Of each shard, one for alarms, one for schedules and one for sends.
    calendars: Vec<Page>,
    pace: Pace,
    in_flight: usize,
    sends_in_flight: usize,
    leaving: Arc<Leaving>,
    /// Classes whose alarms wait because nobody can run them; each is warned about once.
    unknown: BTreeSet<u32>,
    /// The next time that something is to be done. `None`: nothing is.
    sleep: Option<(MonoNs, BoxFuture<'static, ()>)>,
    /// The runtime has closed, or is gone.
    has_ended: bool,
}

impl Drop for Alarms {
    /// A tokio runtime that goes drops this in the middle of its work.
    fn drop(&mut self) {
        if !self.has_ended {
            self.leaving.cut_off();
        }
    }
}

/// A class that is registered.
struct Known {
    group: Weak<dyn ClassGroup>,
    /// Its objects have alarms.
    has_alarms: bool,
}

impl Known {
    fn serves(&self, kind: Kind) -> bool {
        kind != Kind::Alarm || self.has_alarms
    }
}

/// What of one shard is fired next.
struct Page {
    shard: usize,
    kind: Kind,
    calendar: Calendar,
    /// No read before this: one has failed.
    read_from: MonoNs,
}

type Rows = Result<(Vec<Alarmed>, bool), Error>;

/// What the task does next.
enum Step {
    /// Read an index.
    Read(usize, BoxFuture<'static, Rows>),
    End,
}

impl Alarms {
    /// Starts the task.
    pub(crate) fn start(registry: &Arc<Registry>) {
        let (shared, groups) = (registry.shared(), registry.groups());
        let shards = shared.store.shards();
        shards.iter().for_each(|shard| shard.listen_to_alarms());
        let known = |group: &Arc<dyn ClassGroup>| {
            let known = Known { group: Arc::downgrade(group), has_alarms: group.has_alarms() };
            (group.class_no().0, known)
        };
        let pages = shards.iter().enumerate().flat_map(|(shard, stored)| {
            KINDS.map(|kind| {
                let mut calendar = Calendar::new(ALARM_WINDOW_MAX);
                if !stored.has_alarms(kind) {
                    // None is stored, and of what comes there are notices.
                    calendar.on_read(&[], true, |_| true);
                }
                Page { shard, kind, calendar, read_from: MonoNs(0) }
            })
        });
        let host = shared.host.clone();
        let alarms = Alarms {
            shared: Arc::downgrade(shared),
            groups: groups.iter().map(known).collect(),
            ends: Arc::clone(&shared.alarm_ends),
            calendars: pages.collect(),
            pace: Pace::new(shared.config.alarms_per_second, host.clock.now()),
            in_flight: 0,
            sends_in_flight: 0,
            leaving: Arc::clone(&shared.leaving),
            unknown: BTreeSet::new(),
            sleep: None,
            has_ended: false,
            host: host.clone(),
        };
        host.tasks.spawn(Box::pin(alarms.run()));
    }

    async fn run(mut self) {
        loop {
            let step = poll_fn(|task| self.poll(task.waker()).map_or(Poll::Pending, Poll::Ready));
            match step.await {
                Step::End => {
                    self.has_ended = true;
                    return;
                }
                Step::Read(index, read) => {
                    let rows = read.await;
                    self.on_read(index, rows);
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
            self.fire_sends(&shared.store, wall);
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
        for (pages, stored) in self.calendars.chunks_mut(KINDS.len()).zip(store.shards()) {
            let heard = stored.take_notices(waker);
            for (kind, object_no, notice) in heard.notices {
                if let Notice::Set(Alarmed { class_no, .. }) = notice
                    && !self.groups.contains_key(&class_no)
                {
                    // It stood behind one of another class, and waits until its own is registered.
                    continue;
                }
                pages[kind as usize].calendar.on_notice(object_no, notice);
            }
            for target in &heard.released {
                pages[Kind::Send as usize].calendar.release(target, wall);
            }
            for page in pages {
                if heard.has_lost {
                    page.calendar.restart();
                }
                page.calendar.look(wall);
            }
        }
        for End { index, object_no, fired } in self.ends.take(waker) {
            match self.calendars[index].kind {
                Kind::Send => self.sends_in_flight -= 1,
                Kind::Alarm | Kind::Schedule => self.in_flight -= 1,
            }
            self.calendars[index].calendar.on_fired(object_no, fired, wall);
        }
    }

    /// Fires what is due, as much as may be. Gives when there may be more, if that is what keeps the rest.
    fn fire(&mut self, now: MonoNs, wall: WallMs) -> Option<MonoNs> {
        while self.in_flight < ALARMS_IN_FLIGHT_MAX {
            let first = |(index, page): (usize, &Page)| Some((page.calendar.wakes_at()?, index));
            let pages = self.calendars.iter().enumerate();
            let pages = pages.filter(|(_, page)| page.kind != Kind::Send);
            let (_, index) = pages.filter_map(first).min()?;
            let is_due = self.calendars[index].calendar.wakes_at().is_some_and(|at| at <= wall);
            if !is_due {
                return None;
            }
            if let Err(again) = self.pace.take(now) {
                return Some(again);
            }
            let page = &mut self.calendars[index];
            let (kind, alarmed) = (page.kind, page.calendar.fire(wall)?);
            let known = self.groups.get(&alarmed.class_no).expect("only known classes wait");
            // Without it the runtime is gone, and this task is about to be.
            let group = known.group.upgrade()?;
            let (ends, object_no) = (Arc::clone(&self.ends), alarmed.place.object_no);
            self.in_flight += 1;
            let told = move |rung| ends.push(End { index, object_no, fired: fired(&rung) });
            let firing = Firing::new(kind, Some((object_no, alarmed.set_by)), told);
            group.fire(alarmed.id, firing);
        }
        None
    }

    fn next_read(&self, store: &Store, now: MonoNs) -> Option<Step> {
        for (index, page) in self.calendars.iter().enumerate() {
            let stored = &store.shards()[page.shard];
            if page.read_from > now || stored.stopped().is_some() {
                continue;
            }
            if let Some(after) = page.calendar.wants_read() {
                let read = stored.read_alarms(page.kind, after, ALARM_ROWS_MAX);
                return Some(Step::Read(index, Box::pin(read)));
            }
        }
        None
    }

    fn on_read(&mut self, index: usize, rows: Rows) {
        let Page { shard, kind, calendar, read_from } = &mut self.calendars[index];
        let is_known =
            |class_no: u32| self.groups.get(&class_no).is_some_and(|known| known.serves(*kind));
        match rows {
            Ok((rows, is_last)) => {
                for Alarmed { class_no, place: Place { object_no, .. }, .. } in &rows {
                    if !is_known(*class_no) && self.unknown.insert(*class_no) {
                        tracing::warn!(
                            class_no,
                            object_no,
                            "alarms of a class wait that is not registered, or has no `#[alarm]`; register it"
                        );
                    }
                }
                calendar.on_read(&rows, is_last, is_known);
            }
            Err(error) => {
                tracing::warn!(%error, shard, "the alarms cannot be read; they are read again");
                *read_from = self.host.clock.now() + ALARM_HOLD * 10;
            }
        }
    }

    /// When something is to be done next, as far as is known. `None`: when somebody says so.
    fn wakes_at(&self, now: MonoNs, wall: WallMs, refused_until: Option<MonoNs>) -> Option<MonoNs> {
        let mut next = refused_until;
        for page in &self.calendars {
            let reads_at = Some(page.read_from).filter(|at| *at > now);
            let due = page.calendar.wakes_at().filter(|due| *due > wall).map(|due| {
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
        Rung::Again { .. } | Rung::Void | Rung::Postponed(_) => Fired::Postponed,
    }
}
