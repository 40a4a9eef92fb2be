//! The objects of a class that have failed lately: who may start, who must rest, who is quarantined.
//!
//! Nobody else pays for them: a call to an object in memory does not come by here, and a start looks at one number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::directory::Group;
use crate::error::{Code, Error};
use crate::host::Event;
use crate::id::{Lineage, ObjectId};
use crate::kernel::breaker::{Breaker, Share};
use crate::kernel::quarantine::{Admission, Moment, Verdict, Ward};
use crate::kernel::restart::Decision;
use crate::limits::{PROBATION, QUARANTINE_DELAY, QUARANTINE_REASON_BYTES_MAX};
use crate::object::{Object, Slot};
use crate::quarantine::{BreakerRule, CrashBudget, Sentence};
use crate::storage::{Chore, FoundQuarantine, StoredQuarantine};
use crate::time::{MonoNs, WallMs};

/// The objects of one class that have failed lately.
pub(crate) struct Wards {
    budget: CrashBudget,
    /// As many as there are.
    count: AtomicUsize,
    wards: Mutex<Known>,
}

struct Known {
    wards: BTreeMap<ObjectId, Ward>,
    /// Of those that have a parent, who is above them. No more than there are wards.
    above: BTreeMap<ObjectId, Lineage>,
    /// When each was touched, oldest first, so that those that nothing need be known of are found.
    touched: VecDeque<(MonoNs, ObjectId)>,
    breaker: Breaker,
}

/// Why an activation has ended, or has not begun, that was not asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The object's own code, which may go well the next time.
    Crash,
    /// What is stored of it, which does not mend itself.
    Unloadable,
    /// The system's: it says nothing of the object.
    System,
}

impl Fault {
    /// That of an object that did not start.
    pub(crate) fn of_start(error: &Error) -> Self {
        let code = error.code();
        let noun = code.split('.').next().unwrap_or(code);
        match noun {
            // A statement of its hook may have asked for it.
            "sql" if error.is(Code::SqlRolledBack) => Fault::Crash,
            "state" | "schema" | "sql" => Fault::Unloadable,
            "storage" if error.is(Code::StorageCorrupt) => Fault::Unloadable,
            "storage" | "runtime" => Fault::System,
            _ => Fault::Crash,
        }
    }
}

/// Why a stored quarantine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetOut {
    /// A call that was let through went well.
    Trial,
    /// Somebody has released the object, or what it failed with is gone.
    Release,
    /// The object runs; only what is stored may say otherwise.
    Stale,
}

/// Whether an activation may start, and what callers are told if not.
pub(super) enum Gate {
    Go,
    /// It may when this time has come.
    Rest(MonoNs),
    /// It may for one call; the others are told this.
    Trial(Sentence),
    Refuse(Sentence),
    /// What is stored of its quarantine cannot be read, for this reason.
    Unreadable(String),
}

impl Known {
    fn forget(&mut self, id: &ObjectId) -> Option<Ward> {
        self.above.remove(id);
        self.wards.remove(id)
    }
}

impl Wards {
    /// `stored`: those that are quarantined. `code`: what the class is now.
    pub(super) fn new(
        (budget, rule): (CrashBudget, BreakerRule),
        stored: Vec<FoundQuarantine>,
        code: u64,
    ) -> Self {
        let (mut wards, mut above) = (BTreeMap::new(), BTreeMap::new());
        for found in stored {
            let (id, lineage, ward) = match found {
                Ok(StoredQuarantine { id, sentence, code: failed_in, lineage, .. }) => {
                    (id, lineage, Ward::stored(budget, sentence, failed_in != code))
                }
                Err(damaged) => {
                    let Some(id) = damaged.id else { continue };
                    (id, damaged.lineage, Ward::unreadable(budget, damaged.what))
                }
            };
            wards.insert(id, ward);
            above.extend(lineage.map(|lineage| (id, lineage)));
        }
        let count = AtomicUsize::new(wards.len());
        let (touched, breaker) = (VecDeque::new(), Breaker::new(rule));
        let known = Known { wards, above, touched, breaker };
        Wards { budget, count, wards: Mutex::new(known) }
    }

    /// An activation is to start.
    pub(super) fn admit(&self, id: &ObjectId, (now, wall): (MonoNs, WallMs)) -> Gate {
        if self.count.load(Ordering::Acquire) == 0 {
            return Gate::Go;
        }
        self.with(now, |known| {
            let Some(ward) = known.wards.get_mut(id) else { return Gate::Go };
            let sentence = |ward: &Ward| ward.sentence().expect("it is shut in").clone();
            match ward.admit(now, wall) {
                Admission::Go => Gate::Go,
                Admission::Rest(until) => Gate::Rest(until),
                Admission::Trial => Gate::Trial(sentence(ward)),
                Admission::Refuse => Gate::Refuse(sentence(ward)),
                Admission::Unreadable => {
                    Gate::Unreadable(ward.damage().expect("it is unreadable").to_owned())
                }
            }
        })
    }

    /// Does something with all of them, and forgets those that nothing need be known of any more.
    fn with<T>(&self, now: MonoNs, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.wards.lock();
        while let Some((touched, id)) = known.touched.front().copied() {
            match known.wards.get(&id).map(|ward| ward.is_over(now)) {
                Some(true) => drop(known.forget(&id)),
                Some(false) if now - touched <= self.budget.period.max(PROBATION) => break,
                // It was touched again, or is quarantined, and then waits for somebody.
                Some(false) | None => {}
            }
            known.touched.pop_front();
        }
        let done = act(&mut known);
        self.count.store(known.wards.len(), Ordering::Release);
        done
    }

    /// An object has failed, while so many were in memory. Gives how much of the class has, if that is too much.
    fn on_fault(
        &self,
        (id, fault, lineage): (ObjectId, Fault, Option<&Lineage>),
        in_memory: usize,
        at: Moment,
        reason: &str,
    ) -> (Verdict, Option<Share>) {
        self.with(at.now, |known| {
            let ward = known.wards.entry(id).or_insert_with(|| Ward::new(self.budget));
            known.touched.push_back((at.now, id));
            known.above.extend(lineage.map(|lineage| (id, lineage.clone())));
            let verdict = match fault {
                Fault::Unloadable => ward.on_unloadable(at, reason),
                Fault::Crash | Fault::System => ward.on_crash(at, reason),
            };
            (verdict, known.breaker.on_failure(id, in_memory, at.now))
        })
    }

    fn change<T>(&self, id: &ObjectId, now: MonoNs, act: impl FnOnce(&mut Ward) -> T) -> Option<T> {
        self.with(now, |known| {
            known.touched.push_back((now, *id));
            known.wards.get_mut(id).map(act)
        })
    }

    /// How many are quarantined.
    pub(crate) fn quarantined(&self) -> usize {
        let known = self.wards.lock();
        known.wards.values().filter(|ward| ward.is_shut()).count()
    }
}

impl<O: Object> Group<O> {
    fn moment(&self) -> Moment {
        let mut chance = [0; 8];
        self.host().entropy.fill(&mut chance);
        let clock = &self.host().clock;
        Moment { now: clock.now(), wall: clock.wall(), chance: u64::from_le_bytes(chance) }
    }

    /// Whether any of the class's objects has failed lately, or is quarantined.
    pub(crate) fn knows_of_faults(&self) -> bool {
        self.wards().count.load(Ordering::Acquire) > 0
    }

    /// Tells of a decision about one of its objects.
    fn tell(&self, decision: &Decision) {
        self.service().tell_of_class(O::CLASS.name, decision);
    }

    /// Whether an activation of `slot` may start.
    pub(super) fn gate(&self, slot: &Slot<O>) -> Gate {
        let clock = &self.host().clock;
        if !self.knows_of_faults() {
            return Gate::Go;
        }
        self.wards().admit(slot.id_ref(), (clock.now(), clock.wall()))
    }

    /// Starts an activation of `slot`, if it may. Calls queue in it meanwhile.
    pub(crate) fn start(&self, slot: &Arc<Slot<O>>) {
        self.enter(slot);
        let refusal = |sentence: &Sentence| sentence.error(&slot.label(), self.host().clock.wall());
        let in_trial = |mut sentence: Sentence| {
            let soon_ms = u64::try_from(QUARANTINE_DELAY.as_millis()).expect("a delay is short");
            sentence.retry_at = WallMs(self.host().clock.wall().0.saturating_add(soon_ms));
            refusal(&sentence)
        };
        match self.gate(slot) {
            Gate::Go => self.spawn(slot),
            Gate::Rest(until) => self.rest(slot, until),
            Gate::Trial(sentence) => {
                let refusal = in_trial(sentence);
                if slot.begin_trial(&refusal) {
                    let object = slot.id_ref();
                    self.host().report(|| Event::QuarantineTried { object });
                    self.tell(&Decision::TrialStarted {
                        object: slot.label(),
                        id: slot.id(),
                        incarnation: slot.incarnation(),
                    });
                    return self.spawn(slot);
                }
                self.undecided(slot);
                self.refuse(slot, &refusal);
            }
            Gate::Refuse(sentence) => self.refuse(slot, &refusal(&sentence)),
            Gate::Unreadable(what) => {
                let label = slot.label();
                let text = format!(
                    "what is stored of the quarantine of {label} cannot be read: {what}; \
                     it does not run until somebody releases it"
                );
                self.refuse(slot, &Code::StorageCorrupt.error(text).with_object(label));
            }
        }
    }

    /// Whoever waits for it is told. What is done to it from outside is done all the same.
    fn refuse(&self, slot: &Arc<Slot<O>>, error: &Error) {
        if slot.refuse_calls(error) {
            self.spawn(slot);
        } else {
            slot.turn_away(error);
        }
    }

    /// An activation has crashed, or did not start. It is stored when this ends, if the object is quarantined for it.
    pub(crate) async fn on_fault(self: &Arc<Self>, slot: &Slot<O>, fault: Fault, reason: &str) {
        if fault == Fault::System {
            return self.undecided(slot);
        }
        let reason = shortened(reason);
        let whose = (slot.id(), fault, slot.lineage());
        let (verdict, share) =
            self.wards().on_fault(whose, self.in_memory(), self.moment(), reason);
        let object = slot.id_ref();
        self.count_fault();
        let is_quarantined = matches!(verdict, Verdict::Quarantine(_));
        let CrashBudget { crashes, period } = self.wards().budget;
        self.host().report(|| Event::Crashed { object, is_quarantined, crashes, period });
        if let Some(share) = share {
            self.fail(share, reason);
        }
        let Verdict::Quarantine(sentence) = verdict else { return };
        let (label, failed_trials) = (slot.label(), sentence.failed_trials);
        slot.refuse_from_here(sentence.error(&label, self.host().clock.wall()));
        let retry_at = sentence.retry_at;
        self.tell(&Decision::Quarantined {
            object: label.clone(),
            id: slot.id(),
            incarnation: slot.incarnation(),
            reason: reason.to_owned(),
            failed_trials,
            retry_at,
        });
        let stored = StoredQuarantine {
            id: slot.id(),
            class_no: self.class_no(),
            name: slot.name().map(str::to_owned),
            jurisdiction: slot
                .placement()
                .and_then(|wishes| wishes.jurisdiction.as_deref())
                .map(str::to_owned),
            sentence,
            code: self.code(),
            lineage: slot.lineage().cloned(),
        };
        match self.shard(&slot.id()).tend_quarantine(Chore::Put(stored)).await {
            Ok(()) => self.host().report(|| Event::Quarantined { object, retry_at, failed_trials }),
            Err(error) => {
                tracing::warn!(object = label, %error, "a quarantine is not stored; it stands until the process ends");
            }
        }
    }

    /// The call that was let through has ended well.
    pub(crate) fn on_passed(&self, slot: &Slot<O>) {
        let now = self.host().clock.now();
        if self.wards().change(slot.id_ref(), now, |ward| ward.on_passed(now)) == Some(true) {
            self.tell(&Decision::TrialPassed {
                object: slot.label(),
                id: slot.id(),
                incarnation: slot.incarnation(),
            });
            // Whoever no longer waits for it does not keep it from being stored.
            drop(self.let_out(slot.id(), LetOut::Trial));
        }
    }

    /// The call that was let through, if there was one, has shown nothing.
    pub(crate) fn undecided(&self, slot: &Slot<O>) {
        if self.knows_of_faults() {
            self.wards().change(slot.id_ref(), self.host().clock.now(), Ward::on_undecided);
        }
    }

    /// An object that is quarantined is as if it had never failed. Whether it was quarantined.
    pub(crate) fn forgive(&self, id: &ObjectId) -> bool {
        if !self.knows_of_faults() {
            return false;
        }
        self.wards().with(self.host().clock.now(), |known| {
            let is_shut = known.wards.get(id).is_some_and(Ward::is_shut);
            if is_shut {
                known.forget(id);
            }
            is_shut
        })
    }

    /// Nothing is left of an object, nor of those below it: whatever is born with these ids has never failed. Whether it
    /// was known to have.
    pub(crate) fn on_erased(&self, id: &ObjectId) -> bool {
        let forget = |known: &mut Known| known.forget(id).map(|_| *id).into_iter().collect();
        let had_failed = self.forget_erased(forget);
        for group in self.groups() {
            group.forget_below(id);
        }
        had_failed
    }

    /// Nothing is left of an object that those may have been below who are of this class.
    pub(super) fn forget_those_below(&self, ancestor: &ObjectId) {
        let is_below =
            |lineage: &Lineage| lineage.ancestors().iter().any(|above| above.id == *ancestor);
        self.forget_erased(|known| {
            let below = known.above.iter().filter(|(_, lineage)| is_below(lineage));
            let below: Vec<_> = below.map(|(id, _)| *id).collect();
            below.iter().for_each(|id| drop(known.forget(id)));
            below
        });
    }

    /// Whether there were any.
    fn forget_erased(&self, forget: impl FnOnce(&mut Known) -> Vec<ObjectId>) -> bool {
        if !self.knows_of_faults() {
            return false;
        }
        let forgotten = self.wards().with(self.host().clock.now(), forget);
        for object in &forgotten {
            self.host().report(|| Event::QuarantineEnded { object, is_trial: false });
            // It may be in memory for a trial that nothing hangs on any more.
            if let Some(slot) = self.directory().find(object) {
                slot.end_trial();
            }
        }
        !forgotten.is_empty()
    }

    /// Lets the next call through. Whether the object is quarantined.
    pub(crate) fn retry_quarantined(&self, id: &ObjectId) -> bool {
        let now = self.host().clock.now();
        self.wards().change(id, now, Ward::retry) == Some(true)
    }

    /// Takes the stored quarantine away; an alarm or schedule that waited fires, and sends that waited come.
    pub(crate) fn let_out(
        &self,
        id: ObjectId,
        why: LetOut,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static + use<O> {
        if why != LetOut::Stale {
            let is_trial = why == LetOut::Trial;
            self.host().report(|| Event::QuarantineEnded { object: &id, is_trial });
        }
        if why == LetOut::Release {
            let place = self.directory().find(&id);
            let nobody = || format!("{}({id})", O::CLASS.name);
            let object = place.map_or_else(nobody, |slot| slot.label());
            self.tell(&Decision::Released { object, id });
        }
        let shard = self.shard(&id);
        let removed = shard.tend_quarantine(Chore::Remove(id));
        if let Err(error) = shard.remind(id) {
            tracing::debug!(%error, "an alarm is fired when its hold has passed");
        }
        self.store().shards().iter().for_each(|shard| shard.release_sends(id));
        removed
    }
}

/// As much of a reason as is kept.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(QUARANTINE_REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
