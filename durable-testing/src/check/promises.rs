//! What is promised of every object, checked on every run without anybody asking for it.
//!
//! It believes nobody: what the runtime reports is compared with the disk's syncs, with the stored rows, and with what was
//! reported earlier. Of P9, whether what is
//! quarantined should be, runs no turn, and is told only to those who call it.

mod activations;
mod alarms;
mod answers;
mod bounds;
mod order;
mod pages;
mod results;
mod rows;
mod schedules;
mod sends;
mod wards;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;

use durable::host::{Event, TurnEnd};
use durable::{AlarmView, Code, Durability, Error, ObjectId, Outcome, ScheduleView, WallMs};

use self::alarms::Seen;
use self::answers::{judge, replied, was_true};
use self::bounds::Bounds;
pub(crate) use self::pages::Done;
use self::results::Results;
use self::sends::Sends;
use self::wards::Wards;
use self::watch::Watch;
use crate::chance::hash;
use crate::failure::Failure;
use crate::view::States;

type Verdict = Result<(), Failure>;

/// All that is known of a world's objects and calls.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    objects: BTreeMap<ObjectId, Watch>,
    calls: BTreeMap<u64, Call>,
    /// By shard and place in its order.
    submitted: BTreeMap<(u16, u64), Submitted>,
    /// Which object is in which epoch of which shard.
    epochs: BTreeMap<(u16, u64), ObjectId>,
    /// Calls of each stub that were sent and have not begun, in order.
    waiting: BTreeMap<u64, Vec<u64>>,
    /// Syncs of each shard's files that succeeded.
    syncs: BTreeMap<u16, u64>,
    /// The disk was told to fail, so that its errors are no news.
    may_disk_fail: bool,
    /// A shard of the node takes nothing more.
    has_stopped: bool,
    /// The world's wall clock.
    wall: WallMs,
    /// Calls on their way that nobody waits for.
    sends: Sends,
    /// What is kept for calls that are made again.
    results: Results,
    /// Objects that crash or do not start.
    wards: Wards,
    /// Objects and classes that take only so much.
    bounds: Bounds,
    /// The node is asked to end, so that it turns calls away that come from now on, and cuts off at this time what has not
    /// ended, in nanoseconds. `None`: it is not.
    cuts_at: Option<u64>,
    /// That time has come.
    is_cutting: bool,
    states: States,
    /// Objects that have a parent, with it.
    owners: BTreeMap<ObjectId, ObjectId>,
    /// Relaxed calls whose answers tell what may never have been stored, since this was last asked.
    loosened: Vec<u64>,
}

#[derive(Debug)]
struct Submitted {
    object: ObjectId,
    commit: u64,
    epoch: u64,
    /// The call whose turn it is; 0: a hook's.
    call: u64,
    /// Syncs of the shard when it was handed over.
    syncs: u64,
    /// Nothing of the object, and of all below it, is left.
    erases: bool,
}

#[derive(Debug)]
struct Call {
    object: ObjectId,
    /// The object and epoch of the turn that makes it, and the newest commit that the turn may have seen. `None`: no turn
    /// makes it.
    from: Option<(ObjectId, u64, u64)>,
    stub: u64,
    method: &'static str,
    /// Its answer does not wait for the disk.
    is_relaxed: bool,
    /// It waits for room where there is none. `None`: it does not; else whether a turn makes it.
    waits_inside: Option<bool>,
    /// The node was asked to end before it was sent.
    is_late: bool,
    has_begun: bool,
    /// Its caller was answered, or has gone, or the node crashed.
    is_over: bool,
    ended: Option<Ended>,
    /// The commit that it made; 0: none.
    commit: u64,
    /// That commit is durable.
    is_durable: bool,
    /// What it was told has happened. `None`: it has no error.
    told: Option<Outcome>,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    how: TurnEnd,
    epoch: u64,
    /// Hash of the state that it left.
    state: u64,
    /// Digest of what it did under keys and in its database.
    rows: u64,
    has_changed: bool,
    /// The newest commit that it may have seen.
    seen: u64,
}

/// One stored row, as it was found on the disk.
pub(crate) struct Stored {
    pub(crate) object: ObjectId,
    /// What its rows hang on; never given twice.
    pub(crate) object_no: i64,
    pub(crate) commit: u64,
    pub(crate) state: Vec<u8>,
    /// What is stored under its keys.
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its alarm. `None`: none is set.
    pub(crate) alarm: Option<AlarmView>,
    /// Its schedules. `Err`: why they cannot be read.
    pub(crate) schedules: Result<Vec<ScheduleView>, String>,
    /// The pages of its database. `Err`: why they cannot be put together.
    pub(crate) pages: Result<BTreeMap<u32, Vec<u8>>, String>,
}

impl Call {
    /// The newest commit that its turn made or may have seen.
    fn sees(&self) -> u64 {
        self.ended.map_or(0, |ended| ended.seen).max(self.commit)
    }

    /// Whether it was answered before what it saw was known to be durable.
    fn may_be_lost(&self, objects: &BTreeMap<ObjectId, Watch>) -> bool {
        self.is_relaxed
            && self.ended.is_some_and(|ended| {
                !objects
                    .get(&self.object)
                    .is_some_and(|watch| watch.is_durable(ended.epoch, self.sees()))
            })
    }
}

fn broken(promise: &'static str, text: String) -> Verdict {
    Err(Failure::promise(promise, text))
}

impl Promises {
    /// What is durable.
    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    /// The objects that are in memory.
    pub(crate) fn resident(&self) -> Vec<ObjectId> {
        let resident = self.objects.iter().filter(|(_, watch)| watch.is_resident());
        resident.map(|(id, _)| *id).collect()
    }

    pub(crate) fn disk_may_fail(&mut self, may: bool) {
        self.may_disk_fail = may;
    }

    pub(crate) fn stopping(&mut self, cuts_at: u64) {
        self.cuts_at = Some(cuts_at);
    }

    /// A file was synced.
    pub(crate) fn synced(&mut self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(shard) = name.get(..3).and_then(|digits| digits.parse().ok()) {
            *self.syncs.entry(shard).or_default() += 1;
        }
    }

    /// Relaxed calls that were answered, and of which nobody can tell whether they have happened.
    pub(crate) fn take_loosened(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.loosened)
    }

    /// Nothing of the node's memory is left.
    pub(crate) fn crashed(&mut self) {
        self.objects.values_mut().for_each(Watch::crashed);
        self.wards.node_crashed();
        self.bounds.crashed();
        self.sends.crashed();
        for (number, call) in &mut self.calls {
            if !call.is_over || call.is_relaxed {
                self.loosened.extend(call.may_be_lost(&self.objects).then_some(*number));
            }
            call.is_over = true;
        }
        self.waiting.clear();
        self.submitted.clear();
        self.epochs.clear();
        (self.cuts_at, self.is_cutting, self.has_stopped) = (None, false, false);
    }

    /// The runtime reports something. `wall`: the world's wall clock; `now_ns`: since the world began.
    pub(crate) fn saw(&mut self, event: &Event<'_>, wall: WallMs, now_ns: u64) -> Verdict {
        self.wall = wall;
        self.is_cutting = self.cuts_at.is_some_and(|at| now_ns >= at);
        self.wards.saw(now_ns, event)?;
        self.bounds.saw(now_ns, event)?;
        match *event {
            Event::Sent { .. } => {
                self.sent(event);
                Ok(())
            }
            Event::Queued { call, waiting, waiting_max, .. } => {
                if waiting > waiting_max {
                    return broken(
                        "P11",
                        format!("{waiting} calls wait at one object, the limit is {waiting_max}"),
                    );
                }
                self.arrives(call)
            }
            Event::TurnBegan { object, epoch, call, method, state } => {
                self.begins_in_order(object, call)?;
                self.watch(object).turn_began(epoch, call, method.access, state)
            }
            Event::KvRead { object, call, key, value } => {
                let watch = self.watch(object);
                watch.rows.read(&watch.label, call, key, value)
            }
            Event::TurnEnded { object, call, ended, state, kv, sql, .. } => {
                let watch = self.watch(object);
                watch.alarms.turn_ended(call, ended);
                watch.schedules.turn_ended(call, ended);
                self.turn_ended(object, call, ended, (state, Done { kv, sql }))
            }
            Event::Submitted { .. } => self.submitted(event),
            Event::Repeated { .. } => self.repeated(event),
            Event::Skipped { call, .. } => {
                self.leave_queue(call);
                Ok(())
            }
            Event::Stored { shard } => {
                self.batch_stored(shard);
                Ok(())
            }
            Event::Settled { shard, place, is_durable } => self.settled(shard, place, is_durable),
            Event::Answered { call, outcome } => self.answered(call, outcome.map(|_| ())),
            Event::Abandoned { call } => {
                self.leave_queue(call);
                self.end(call);
                Ok(())
            }
            Event::ScheduleDealt { .. } | Event::ScheduleFires { .. } => self.saw_schedule(event),
            Event::SendPut { .. }
            | Event::SendArrives { .. }
            | Event::SendRecalled { .. }
            | Event::SendLeaves { .. }
            | Event::SendTended { .. } => self.saw_send(event),
            _ => self.saw_activation(event),
        }
    }

    /// A shard has stored a batch, or has tried to. What it took of what was handed over is not known; it may be all.
    fn batch_stored(&mut self, shard: u16) {
        let taken = self.submitted.range((shard, 0)..=(shard, u64::MAX));
        for object in taken.map(|(_, submitted)| submitted.object).collect::<Vec<_>>() {
            self.watch(&object).batch_stored();
        }
    }

    /// Whether an object, or one above it without which it does not run, may be one that is quarantined.
    fn may_be_shut(&self, object: &ObjectId) -> bool {
        let mut above = std::iter::successors(Some(object), |id| self.owners.get(*id));
        above.any(|id| self.wards.may_be_shut(id))
    }

    /// All objects that one owns, however deep.
    fn below(&self, object: &ObjectId) -> Vec<ObjectId> {
        let is_below = |child: &ObjectId| {
            let above = std::iter::successors(self.owners.get(child), |id| self.owners.get(*id));
            above.into_iter().any(|id| id == object)
        };
        self.owners.keys().filter(|child| is_below(child)).copied().collect()
    }

    fn watch(&mut self, object: &ObjectId) -> &mut Watch {
        self.objects.entry(*object).or_default()
    }

    fn sent(&mut self, event: &Event<'_>) {
        let Event::Sent { object, call, stub, method, durability, from, .. } = *event else {
            return;
        };
        let Event::Sent { within, is_patient, .. } = *event else { return };
        let is_inside = within.is_some() || from.is_some();
        let caller = from.and_then(|from| Some((*self.epochs.get(&from)?, from.1)));
        let from = caller.map(|(object, epoch)| (object, epoch, self.watch(&object).commit()));
        let sent = Call {
            object: *object,
            from,
            stub,
            method: method.name,
            is_relaxed: durability == Durability::Relaxed,
            waits_inside: is_patient.then_some(is_inside),
            is_late: self.cuts_at.is_some(),
            has_begun: false,
            is_over: false,
            ended: None,
            commit: 0,
            is_durable: false,
            told: None,
        };
        self.calls.insert(call, sent);
        self.waiting.entry(stub).or_default().push(call);
    }

    /// P4: a call that a turn made is at its object only when all that the turn saw is durable.
    fn arrives(&self, call: u64) -> Verdict {
        let known = self.calls.get(&call);
        let Some(Call { from: Some((caller, epoch, seen)), method, .. }) = known else {
            return Ok(());
        };
        let Some(watch) = self.objects.get(caller) else { return Ok(()) };
        if watch.is_durable(*epoch, *seen) {
            return Ok(());
        }
        broken(
            "P4",
            format!(
                "{} calls `{method}` (#{call}) while its commit {seen}, which it has seen, is not durable",
                watch.label
            ),
        )
    }

    fn turn_ended(
        &mut self,
        object: &ObjectId,
        call: u64,
        how: TurnEnd,
        (state, done): (&[u8], Done<'_>),
    ) -> Verdict {
        let watch = self.objects.entry(*object).or_default();
        let is_changed = !watch.is_state(state) || !done.is_nothing();
        let has_changed = how != TurnEnd::Panicked && is_changed;
        if watch.turn_ended(call) && has_changed {
            return broken("P2", format!("read #{call} of {} changed the state", watch.label));
        }
        let (epoch, seen) = (watch.epoch(), watch.commit());
        let (state, rows) = (hash(state), done.digest());
        let ended = Ended { how, epoch, state, rows, has_changed, seen };
        if let Some(call) = self.calls.get_mut(&call) {
            call.ended = Some(ended);
        }
        Ok(())
    }

    fn submitted(&mut self, event: &Event<'_>) -> Verdict {
        let Event::Submitted { object, epoch, commit, call, shard, place, state, kv, sql, .. } =
            *event
        else {
            return Ok(());
        };
        let Event::Submitted { alarm, schedules, result, erases, restores, .. } = *event else {
            return Ok(());
        };
        let rows = Done { kv, sql }.digest();
        let syncs = self.syncs.get(&shard).copied().unwrap_or_default();
        let submitted = Submitted { object: *object, commit, epoch, call, syncs, erases };
        let below = if erases { self.below(object) } else { Vec::new() };
        for child in &below {
            self.watch(child).above_erases((epoch, commit));
            self.wards.above_erases(child);
            self.results.erased(*child);
        }
        if erases {
            self.results.erased(*object);
        }
        self.submitted.insert((shard, place), submitted);
        self.sends.submitted(event, &below);
        self.epochs.insert((shard, epoch), *object);
        let watch = self.objects.entry(*object).or_default();
        let number = call;
        if let Some(call) = self.calls.get_mut(&call) {
            let how = if erases { TurnEnd::Erased } else { TurnEnd::Kept };
            let kept = call.ended.filter(|ended| ended.how == how);
            let is_other = |kept: Ended| kept.state != hash(state) || kept.rows != rows;
            if kept.is_none_or(|kept| !erases && is_other(kept)) {
                let text = format!(
                    "{} stores what its call `{}` did not leave behind and keep",
                    watch.label, call.method
                );
                return broken("P2", text);
            }
            call.commit = commit;
        }
        self.states.prepare(object, commit, epoch, state);
        if erases {
            return watch.submitted(epoch, commit, None);
        }
        if let Some(view) = result {
            self.results.submitted((&watch.label, *object), (epoch, commit), view)?;
        }
        let seen = Seen { label: &watch.label, stored: watch.stored(), wall: self.wall };
        watch.alarms.submitted(seen, (commit, number), alarm)?;
        watch.schedules.submitted(seen, (commit, number, restores.is_some()), schedules)?;
        watch.rows.submitted(commit, kv);
        watch.pages.submitted(commit, sql);
        watch.submitted(epoch, commit, Some(state))?;
        restores.map_or(Ok(()), |to| watch.is_back_at(to, commit))
    }

    fn settled(&mut self, shard: u16, place: u64, is_durable: bool) -> Verdict {
        let Some(submitted) = self.submitted.remove(&(shard, place)) else {
            let text = format!(
                "place {place} of shard {shard} is settled twice, or was never handed over"
            );
            return broken("P1", text);
        };
        let Submitted { object, commit, epoch, call, syncs, erases } = submitted;
        self.sends.settled((object, epoch, commit), is_durable);
        self.results.settled(object, (epoch, commit), is_durable);
        let below = if erases { self.below(&object) } else { Vec::new() };
        // An erasure of what is not there has nothing to sync.
        let is_idle = erases && self.watch(&object).is_new() && below.is_empty();
        for child in below {
            self.watch(&child).above_erased((epoch, commit), is_durable);
            if is_durable {
                self.states.load(&child, &[]);
            }
        }
        let watch = self.objects.entry(object).or_default();
        watch.settled(epoch, commit, is_durable);
        if !is_durable {
            let is_lost = |known: &Call| {
                known.object == object
                    && known.ended.is_some_and(|ended| ended.epoch == epoch)
                    && known.sees() >= commit
            };
            let lost = self.calls.iter().filter(|(_, known)| known.is_relaxed && is_lost(known));
            self.loosened.extend(lost.map(|(number, _)| *number));
            return Ok(());
        }
        if let Some(known) = self.calls.get_mut(&call) {
            known.is_durable = true;
            was_true(&watch.label, call, known)?;
        }
        self.states.commit(&object, commit, epoch);
        if !is_idle && self.syncs.get(&shard).copied().unwrap_or_default() == syncs {
            let text = format!(
                "commit {commit} of {} is called durable, but nothing was synced since it was handed over",
                watch.label
            );
            return broken("P1", text);
        }
        Ok(())
    }

    fn answered(&mut self, call: u64, outcome: Result<(), &Error>) -> Verdict {
        self.leave_queue(call);
        self.end(call);
        if let Some(known) = self.calls.get_mut(&call) {
            known.told = outcome.err().map(Error::outcome);
        }
        let Some(known) = self.calls.get(&call) else { return Ok(()) };
        let may_be_shut = self.may_be_shut(&known.object);
        let watch = self.objects.entry(known.object).or_default();
        let name = format_args!("call #{call} of {}.{}", watch.label, known.method);
        if let Err(error) = outcome
            && error.is(Code::ObjectQuarantined)
            && !may_be_shut
        {
            return broken(
                "P9",
                format!("{name} is refused, and the object was never shut in: {error}"),
            );
        }
        let error = match outcome {
            Ok(()) => return replied(name, known, watch),
            Err(error) => error,
        };
        // One that waits for room is not taken yet, and a node that ends need not take it.
        let is_ending = known.waits_inside.is_some() && self.cuts_at.is_some();
        judge(name, known, watch, error, (self.may_disk_fail, self.is_cutting || is_ending))
    }

    fn end(&mut self, call: u64) {
        if let Some(call) = self.calls.get_mut(&call) {
            call.is_over = true;
        }
    }

    /// P8: a node that was asked to end has answered every call that it had before.
    pub(crate) fn drained(&self) -> Verdict {
        let left = self.calls.iter().find(|(_, call)| !call.is_over && !call.is_late);
        let Some((number, call)) = left else { return Ok(()) };
        let label = self.objects.get(&call.object).map_or("an object", |watch| &watch.label);
        broken(
            "P8",
            format!(
                "the node has shut down, and call #{number} of {label}.{} has no answer",
                call.method
            ),
        )
    }

    /// The rows on the disk, while nobody writes.
    pub(crate) fn audit(&mut self, stored: &[Stored]) -> Verdict {
        let found: BTreeMap<_, _> = stored.iter().map(|row| (row.object, row)).collect();
        for (object, watch) in &mut self.objects {
            let stored = found.get(object).map_or(0, |row| row.commit);
            watch.found(stored);
            let last = (stored > 0 || !watch.may_be_erased()).then_some(stored);
            self.sends.found(*object, last);
            let row = found.get(object).map(|row| (row.commit, row.state.as_slice()));
            self.states.found(object, row);
            self.results.found(*object, last);
            match found.get(object) {
                Some(row) => {
                    watch.holds(row.commit, &row.state, "on the disk")?;
                    watch.rows.compare(&watch.label, row)?;
                    watch.pages.compare(&watch.label, row)?;
                    watch.alarms.compare(&watch.label, row)?;
                    watch.schedules.compare(&watch.label, row)?;
                }
                None => watch.holds_nothing()?,
            }
        }
        Ok(())
    }
}
