//! The children of one object in memory: who may come, who has to go, and what a crash of one means for the others.
//!
//! What follows on an end is decided by the [machine](super::restart) of supervisors; this keeps who is which of its
//! children, and lets a child be in service without being in memory: it comes when it is called.

use std::collections::{BTreeMap, VecDeque};

use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::restart::{
    Asker, ChildKey, ChildKind, ChildSpec, Decision, Effect, Event, Exit, ExitReason, Given,
    Incarnation, Machine, Request, Restart, Shutdown, SupervisorSpec, Timer,
};
use crate::limits::CHILD_OBJECT_SHUTDOWN;
use crate::time::MonoNs;

/// What is to be done, in the order in which it is said.
#[derive(Debug)]
pub(crate) enum Deed {
    /// The child may come into memory, as this run.
    Grant(ObjectId, u64),
    /// It may not.
    Refuse(ObjectId, Error),
    /// Ask the child to leave memory after the turn that runs; tell when it has.
    Evict(ObjectId),
    /// End the child at its next await; tell when it has left.
    Cut(ObjectId),
    /// Tell when the time has come.
    Timer { at: MonoNs, timer: Timer },
    /// Tell whoever wants to know. `is_loud`: it follows from a crash, and not from children that come and go.
    Tell { decision: Decision, is_loud: bool },
    /// A child has crashed, and is restarted.
    Exited(ChildEnd),
    /// There were too many restarts: the parent fails.
    Melt(Exit),
}

/// A child that has crashed.
#[derive(Clone, Debug)]
pub(crate) struct ChildEnd {
    pub(crate) id: ObjectId,
    pub(crate) run: u64,
    pub(crate) exit: Exit,
    /// Restarts within the period, with the one that follows.
    pub(crate) restarts: u32,
}

/// Of one activation of the parent.
#[derive(Debug)]
pub(crate) struct Family {
    machine: Machine,
    kids: BTreeMap<ObjectId, Kid>,
    by_key: BTreeMap<ChildKey, ObjectId>,
    by_name: BTreeMap<String, ObjectId>,
    /// Who want to come and may not yet, in the order in which they asked.
    waiting: VecDeque<ObjectId>,
    asked: BTreeMap<Asker, Asked>,
    askers: u64,
    /// Whoever is to go is cut, because the parent cannot wait.
    is_hard: bool,
    /// A child has crashed, and all that has been decided since follows from it.
    is_loud: bool,
    /// The child that was asked to go because the parent is to.
    leaving: Option<ObjectId>,
    /// A crash of which it is not known yet how often there were restarts.
    crashed: Option<(ObjectId, u64, Exit)>,
    has_ended: bool,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Start(ObjectId),
    /// Nobody needs the answer.
    Other,
}

/// A child in service.
#[derive(Debug)]
struct Kid {
    name: String,
    /// `None`: the machine was not asked, or has not heard it.
    key: Option<ChildKey>,
    was_asked: bool,
    /// `None`: it may not be in memory.
    run: Option<Incarnation>,
    /// It is in memory.
    is_here: bool,
    is_stopping: bool,
}

impl Family {
    /// Of a parent that has none of its children. `path`: what it is called.
    pub(crate) fn new(
        spec: &SupervisorSpec,
        path: &str,
        given: Given,
        deeds: &mut Vec<Deed>,
    ) -> Self {
        let mut family = Family {
            machine: Machine::new(spec, path),
            kids: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_name: BTreeMap::new(),
            waiting: VecDeque::new(),
            asked: BTreeMap::new(),
            askers: 0,
            is_hard: false,
            is_loud: false,
            leaving: None,
            crashed: None,
            has_ended: false,
        };
        family.hear(Event::Start, given, deeds);
        family
    }

    /// A child wants to come into memory. It is granted, refused, or waits. `name`: one of its own among all children.
    pub(crate) fn want(
        &mut self,
        (id, name): (ObjectId, &str),
        given: Given,
        deeds: &mut Vec<Deed>,
    ) {
        self.kids.entry(id).or_insert_with(|| Kid {
            name: name.to_owned(),
            key: None,
            was_asked: false,
            run: None,
            is_here: false,
            is_stopping: false,
        });
        self.by_name.insert(name.to_owned(), id);
        self.waiting.push_back(id);
        self.let_in(given, deeds);
    }

    /// A child has left memory. `exit`: how it has crashed. `None`: it has not.
    pub(crate) fn left(
        &mut self,
        id: ObjectId,
        exit: Option<Exit>,
        given: Given,
        deeds: &mut Vec<Deed>,
    ) {
        let Some(kid) = self.kids.get_mut(&id) else { return };
        kid.is_here = false;
        let Some(run) = kid.run.take() else { return };
        let was_stopping = std::mem::take(&mut kid.is_stopping);
        let name = kid.name.clone();
        let is_crash = exit.is_some();
        self.is_loud |= is_crash && !was_stopping;
        let usual = if was_stopping { ExitReason::Shutdown } else { ExitReason::Normal };
        let exit = exit.unwrap_or_else(|| usual.into());
        self.hear(Event::Exited(run, exit), given, deeds);
        self.leaving = self.leaving.filter(|leaving| *leaving != id);
        if !is_crash && !was_stopping {
            self.ask(Request::Delete(name), Asked::Other, given, deeds);
        }
        self.let_in(given, deeds);
    }

    /// The parent is to leave memory: asks the child to go that came last, if nobody is asked already. The machine hears of
    /// it when the child has gone, as of one that is idle: until then others may come, whom the child's turn may wait for.
    pub(crate) fn send_last_away(&mut self, _: Given, deeds: &mut Vec<Deed>) {
        if self.leaving.is_some() || self.has_ended {
            return;
        }
        let here = self.kids.iter().filter(|(_, kid)| kid.is_here);
        let Some((id, _)) = here.max_by_key(|(_, kid)| kid.key) else { return };
        self.leaving = Some(*id);
        deeds.push(Deed::Evict(*id));
    }

    /// The parent ends. Its children go in reverse order, those that are here cut one after the other; none comes any more.
    pub(crate) fn end(&mut self, given: Given, deeds: &mut Vec<Deed>) {
        let was_hard = std::mem::replace(&mut self.is_hard, true);
        self.waiting.clear();
        if !was_hard {
            let stopping = self.kids.iter().filter(|(_, kid)| kid.is_here && kid.is_stopping);
            deeds.extend(stopping.map(|(id, _)| Deed::Cut(*id)));
        }
        self.hear(Event::Stop, given, deeds);
    }

    /// A time has come.
    pub(crate) fn on_timer(&mut self, timer: Timer, given: Given, deeds: &mut Vec<Deed>) {
        self.hear(Event::Timer(timer), given, deeds);
        self.let_in(given, deeds);
    }

    /// Whether it is over: no child is in memory, and none will be.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn ask(&mut self, request: Request, asked: Asked, given: Given, deeds: &mut Vec<Deed>) {
        self.askers += 1;
        let asker = Asker(self.askers);
        self.asked.insert(asker, asked);
        self.hear(Event::Ask(asker, request), given, deeds);
    }

    /// Lets in who waits and may come.
    fn let_in(&mut self, given: Given, deeds: &mut Vec<Deed>) {
        for id in std::mem::take(&mut self.waiting) {
            let kid = self.kids.get_mut(&id);
            let Some(kid) = kid.filter(|_| !self.has_ended) else { continue };
            if kid.key.is_none() && !kid.was_asked {
                kid.was_asked = true;
                let mut spec = ChildSpec::new(kid.name.clone(), ChildKind::Owned);
                (spec.restart, spec.shutdown) =
                    (Restart::Transient, Shutdown::Time(CHILD_OBJECT_SHUTDOWN));
                self.ask(Request::Start(spec), Asked::Start(id), given, deeds);
            }
            let Some(kid) = self.kids.get_mut(&id) else { continue };
            match kid.run {
                Some(run) if !kid.is_here && !kid.is_stopping => {
                    kid.is_here = true;
                    deeds.push(Deed::Grant(id, run.0));
                }
                _ => self.waiting.push_back(id),
            }
        }
    }

    /// Tells the machine, and carries out what needs nobody else.
    fn hear(&mut self, event: Event, given: Given, deeds: &mut Vec<Deed>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.machine.on(event, given) {
                events.extend(self.carry_out(effect, deeds));
            }
        }
        // What comes next is a coming and going again.
        self.is_loud &= !self.machine.is_at_rest();
    }

    /// Gives what the machine is to hear at once.
    fn carry_out(&mut self, effect: Effect, deeds: &mut Vec<Deed>) -> Option<Event> {
        match effect {
            Effect::Add { child, asker } => {
                if let Some(Asked::Start(id)) = self.asked.get(&asker) {
                    let kid = self.kids.get_mut(id).expect("whoever asks is kept");
                    kid.key = Some(child);
                    self.by_key.insert(child, *id);
                }
                None
            }
            Effect::Remove(child) => {
                self.forget(child);
                None
            }
            Effect::Start { child, incarnation } => {
                self.kid(child)?.run = Some(incarnation);
                Some(Event::Started(incarnation))
            }
            Effect::Stop { child, incarnation } => {
                let (id, is_hard) = (*self.by_key.get(&child)?, self.is_hard);
                let kid = self.kid(child)?;
                kid.is_stopping = kid.is_here;
                if !kid.is_here {
                    kid.run = None;
                    return Some(Event::Exited(incarnation, ExitReason::Shutdown.into()));
                }
                deeds.push(if is_hard { Deed::Cut(id) } else { Deed::Evict(id) });
                None
            }
            Effect::Kill { child, .. } => {
                deeds.push(Deed::Cut(*self.by_key.get(&child)?));
                None
            }
            Effect::Timer { at, timer } => {
                // Who goes with a parent that serves meanwhile can always end its turn.
                if self.is_loud && !self.is_hard {
                    deeds.push(Deed::Timer { at, timer });
                }
                None
            }
            Effect::Answer(asker, answer) => {
                let asked = self.asked.remove(&asker);
                if let (Some(Asked::Start(id)), Err(error)) = (asked, answer) {
                    self.kids.remove(&id);
                    deeds.push(Deed::Refuse(id, error));
                }
                None
            }
            Effect::Tell(decision) => {
                self.told(&decision, deeds);
                deeds.push(Deed::Tell { decision, is_loud: self.is_loud });
                None
            }
            Effect::Up => None,
            Effect::End(exit) => {
                self.has_ended = true;
                if exit.reason == ExitReason::Meltdown {
                    self.is_hard = true;
                }
                None
            }
        }
    }

    /// Finds in what was decided that the parent is to hear of.
    fn told(&mut self, decision: &Decision, deeds: &mut Vec<Deed>) {
        match decision {
            Decision::ChildExited { child, incarnation, exit } if exit.reason.is_abnormal() => {
                let id = self.by_name.get(child).copied();
                self.crashed = id.map(|id| (id, *incarnation, exit.clone()));
            }
            Decision::Restarting { restarts, .. } => {
                if let Some((id, run, exit)) = self.crashed.take() {
                    deeds.push(Deed::Exited(ChildEnd { id, run, exit, restarts: *restarts }));
                }
            }
            Decision::Meltdown { child, restarts, intensity, period } => {
                let text = format!(
                    "{restarts} restarts of its children within {period:?}, the limit is {intensity}, \
                     the last one of {child}"
                );
                deeds.push(Deed::Melt(Exit::new(ExitReason::Meltdown, text)));
            }
            _ => {}
        }
    }

    fn kid(&mut self, key: ChildKey) -> Option<&mut Kid> {
        self.kids.get_mut(self.by_key.get(&key)?)
    }

    fn forget(&mut self, key: ChildKey) {
        let Some(id) = self.by_key.remove(&key) else { return };
        let is_wanted = self.waiting.contains(&id);
        if let Some(kid) = self.kids.get_mut(&id) {
            (kid.key, kid.run, kid.was_asked) = (None, None, false);
            if !is_wanted {
                let name = self.kids.remove(&id).map(|kid| kid.name);
                name.and_then(|name| self.by_name.remove(&name));
            }
        }
    }
}

#[cfg(test)]
mod tests;
