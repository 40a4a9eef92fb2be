//! A stage for one machine: children that start, stop and fail as they are told, and a record of what was done to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A permanent task.
pub(super) fn c(name: &str) -> ChildSpec {
    ChildSpec::new(name, ChildKind::Task)
}

pub(super) fn with(mut spec: ChildSpec, change: impl FnOnce(&mut ChildSpec)) -> ChildSpec {
    change(&mut spec);
    spec
}

pub(super) fn transient(name: &str) -> ChildSpec {
    with(c(name), |child| child.restart = Restart::Transient)
}

pub(super) fn temporary(name: &str) -> ChildSpec {
    with(c(name), |child| child.restart = Restart::Temporary)
}

pub(super) fn significant(spec: ChildSpec) -> ChildSpec {
    with(spec, |child| child.significant = true)
}

/// Three restarts in a second.
pub(super) fn spec<const N: usize>(strategy: Strategy, children: [ChildSpec; N]) -> SupervisorSpec {
    let mut spec = SupervisorSpec::new("top", strategy);
    (spec.intensity, spec.period, spec.children) = (3, SECOND, children.into());
    spec
}

pub(super) struct Stage {
    pub(super) machine: Machine,
    pub(super) now: MonoNs,
    log: Vec<String>,
    names: BTreeMap<ChildKey, String>,
    runs: BTreeMap<String, Incarnation>,
    timers: Vec<(MonoNs, Timer)>,
    /// How often children fail to start before they do.
    pub(super) failing: BTreeMap<String, u32>,
    /// They start when they are told to.
    pub(super) slow: BTreeSet<String>,
    /// They end only when they are killed.
    pub(super) deaf: BTreeSet<String>,
    /// How children end that are asked to; `Shutdown` unless it is said.
    pub(super) last_words: BTreeMap<String, ExitReason>,
    pub(super) decisions: Vec<Decision>,
    answers: Vec<String>,
    pub(super) ended: Option<Exit>,
}

impl Stage {
    /// Not started.
    pub(super) fn of(spec: &SupervisorSpec) -> Self {
        spec.check().expect("the spec is sound");
        Stage {
            machine: Machine::new(spec, "top"),
            now: MonoNs(1),
            log: Vec::new(),
            names: BTreeMap::new(),
            runs: BTreeMap::new(),
            timers: Vec::new(),
            failing: BTreeMap::new(),
            slow: BTreeSet::new(),
            deaf: BTreeSet::new(),
            last_words: BTreeMap::new(),
            decisions: Vec::new(),
            answers: Vec::new(),
            ended: None,
        }
    }

    /// Started, with an empty record.
    pub(super) fn up(spec: &SupervisorSpec) -> Self {
        let mut stage = Stage::of(spec);
        stage.take(Event::Start);
        stage.done();
        stage
    }

    pub(super) fn take(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let given = Given { now: self.now, chance: 0 };
            for effect in self.machine.on(event, given) {
                let is_answer = matches!(effect, Effect::Answer(..));
                assert!(self.ended.is_none() || is_answer, "{effect:?} comes after the end");
                events.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        for (key, child) in self.machine.children() {
            self.names.entry(key).or_insert_with(|| child.spec.name.clone());
        }
        match effect {
            Effect::Start { child, incarnation } => {
                let name = self.names[&child].clone();
                self.log.push(format!("+{name}"));
                let fails = self.failing.get_mut(&name).filter(|fails| **fails > 0);
                if let Some(fails) = fails {
                    *fails -= 1;
                    return Some(Event::Exited(incarnation, ExitReason::Error.into()));
                }
                let is_slow = self.slow.contains(&name);
                assert!(self.runs.insert(name, incarnation).is_none(), "there are two runs");
                (!is_slow).then_some(Event::Started(incarnation))
            }
            Effect::Stop { child, incarnation } => {
                let name = self.names[&child].clone();
                self.log.push(format!("-{name}"));
                if self.deaf.contains(&name) {
                    return None;
                }
                self.runs.remove(&name);
                let reason = self.last_words.get(&name).copied().unwrap_or(ExitReason::Shutdown);
                Some(Event::Exited(incarnation, reason.into()))
            }
            Effect::Kill { child, incarnation } => {
                let name = self.names[&child].clone();
                self.log.push(format!("!{name}"));
                self.runs.remove(&name);
                Some(Event::Exited(incarnation, ExitReason::Killed.into()))
            }
            Effect::Timer { at, timer } => {
                self.timers.push((at, timer));
                None
            }
            Effect::Answer(_, answer) => {
                self.answers.push(match answer {
                    Ok(name) => format!("ok {name}").trim_end().to_owned(),
                    Err(error) => error.code().to_owned(),
                });
                None
            }
            Effect::Tell(decision) => {
                self.decisions.push(decision);
                None
            }
            Effect::End(exit) => {
                assert!(self.runs.is_empty(), "{:?} outlive their supervisor", self.runs);
                self.ended = Some(exit);
                None
            }
            Effect::Add { .. } | Effect::Remove(_) | Effect::Up => None,
        }
    }

    /// A child ends by itself.
    pub(super) fn exit(&mut self, name: &str, reason: ExitReason) {
        let incarnation = self.runs.remove(name).expect("the child runs");
        self.take(Event::Exited(incarnation, reason.into()));
    }

    pub(super) fn crash(&mut self, name: &str) {
        self.exit(name, ExitReason::Error);
    }

    /// A slow child has started.
    pub(super) fn ready(&mut self, name: &str) {
        let incarnation = self.runs[name];
        self.take(Event::Started(incarnation));
    }

    /// Time passes, and what is due comes.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(index) = (0..self.timers.len())
            .filter(|index| self.timers[*index].0 <= end)
            .min_by_key(|index| self.timers[*index].0)
        {
            let (at, timer) = self.timers.remove(index);
            self.now = self.now.max(at);
            self.take(Event::Timer(timer));
        }
        self.now = end;
    }

    /// Asks, and gives the answers that there are then.
    pub(super) fn ask(&mut self, request: Request) -> String {
        self.take(Event::Ask(Asker(1), request));
        self.answers()
    }

    pub(super) fn answers(&mut self) -> String {
        std::mem::take(&mut self.answers).join(" ")
    }

    pub(super) fn start_child(&mut self, spec: ChildSpec) -> String {
        self.ask(Request::Start(spec))
    }

    pub(super) fn terminate(&mut self, name: &str) -> String {
        self.ask(Request::Terminate(name.into()))
    }

    pub(super) fn restart_child(&mut self, name: &str) -> String {
        self.ask(Request::Restart(name.into()))
    }

    pub(super) fn delete(&mut self, name: &str) -> String {
        self.ask(Request::Delete(name.into()))
    }

    /// What was done to children since this was last asked: `+a` started, `-a` asked to end, `!a` killed.
    pub(super) fn done(&mut self) -> String {
        std::mem::take(&mut self.log).join(" ")
    }

    /// Each child with where it is.
    pub(super) fn which(&self) -> String {
        let one = |(_, child): (ChildKey, &Child)| {
            let state = match child.state {
                ChildState::Stopped => "down",
                ChildState::Starting(_) => "starting",
                ChildState::Running(_) => "up",
                ChildState::Stopping { .. } => "stopping",
                ChildState::Gone(..) => "gone",
                ChildState::Restarting { .. } => "restarting",
            };
            format!("{}:{state}", child.spec.name)
        };
        self.machine.children().map(one).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn reason(&self) -> Option<ExitReason> {
        self.ended.as_ref().map(|exit| exit.reason)
    }
}
