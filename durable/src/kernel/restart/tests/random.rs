//! The machine does what the model of OTP does, whatever happens in whatever order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::*;
use super::model::{self, Around, Message, Model, Pid, Spec};

const SEQUENCES: u64 = 120_000;

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).expect("small")]
    }
}

const REASONS: [ExitReason; 5] = [
    ExitReason::Normal,
    ExitReason::Shutdown,
    ExitReason::Error,
    ExitReason::Killed,
    ExitReason::Meltdown,
];

/// What comes of each start and stop, for both: by its number.
struct Script {
    fails_per_mille: u64,
    seed: u64,
    count: u64,
    /// Nobody ends meanwhile.
    is_calm: bool,
    log: Vec<String>,
}

impl Script {
    fn next(&mut self) -> (bool, Option<(usize, ExitReason)>) {
        self.count += 1;
        let mut dice = Dice(self.seed ^ self.count.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..3 {
            dice.roll(2);
        }
        let fails = dice.roll(1_000) < self.fails_per_mille;
        let who = (dice.roll(8) == 0).then(|| (dice.roll(64) as usize, dice.pick(&REASONS)));
        (!fails, who.filter(|_| !self.is_calm))
    }
}

impl Around for Script {
    fn start(&mut self, id: &str) -> (bool, Option<(usize, ExitReason)>) {
        let (is_started, who) = self.next();
        self.log.push(format!("start {id} {is_started}"));
        (is_started, who)
    }

    fn stop(&mut self, id: &str, is_kill: bool) -> Option<(usize, ExitReason)> {
        self.log.push(format!("{} {id}", if is_kill { "kill" } else { "stop" }));
        self.next().1
    }

    fn answer(&mut self, answer: &str) {
        self.log.push(format!("answer {answer}"));
    }
}

/// The machine with the same around it.
struct Driver {
    machine: Machine,
    script: Script,
    /// What the model calls the children.
    ids: BTreeMap<ChildKey, String>,
    dynamic: u64,
    now: MonoNs,
    ended: Option<ExitReason>,
}

impl Driver {
    fn take(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let given = Given { now: self.now, chance: 7 };
            for effect in self.machine.on(event, given) {
                self.carry_out(effect, &mut events);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, events: &mut VecDeque<Event>) {
        match effect {
            Effect::Add { child, .. } => {
                let name = self.machine.children().find(|(key, _)| *key == child);
                let name = name.map_or_else(String::new, |(_, child)| child.spec.name.clone());
                let is_dynamic = self.machine.strategy == Strategy::Dynamic;
                self.dynamic += u64::from(is_dynamic);
                let id = if is_dynamic { format!("d{}", self.dynamic) } else { name };
                self.ids.insert(child, id);
            }
            Effect::Start { child, incarnation } => {
                let id = self.ids[&child].clone();
                let (is_started, who) = self.script.start(&id);
                self.meanwhile(who, events);
                events.push_back(if is_started {
                    Event::Started(incarnation)
                } else {
                    Event::Exited(incarnation, ExitReason::Error.into())
                });
            }
            Effect::Stop { child, incarnation } => {
                let who = self.script.stop(&self.ids[&child].clone(), false);
                self.meanwhile(who, events);
                events.push_back(Event::Exited(incarnation, ExitReason::Shutdown.into()));
            }
            Effect::Kill { child, incarnation } => {
                let who = self.script.stop(&self.ids[&child].clone(), true);
                self.meanwhile(who, events);
                events.push_back(Event::Exited(incarnation, ExitReason::Killed.into()));
            }
            Effect::Answer(_, Ok(name)) => {
                let is_named = !name.is_empty();
                let dynamic = self.machine.strategy == Strategy::Dynamic;
                let name = if dynamic { format!("d{}", self.dynamic) } else { name };
                self.script.answer(&if is_named { format!("ok {name}") } else { "ok".into() });
            }
            Effect::Answer(_, Err(error)) => self.script.answer(error.code()),
            Effect::End(exit) => self.ended = Some(exit.reason),
            // A child is killed long before, and no restart waits.
            Effect::Timer { .. } | Effect::Tell(_) | Effect::Up => {}
            Effect::Remove(child) => drop(self.ids.remove(&child)),
        }
    }

    /// The children that the model has, too, while it does something: not one that is being brought.
    fn meanwhile(&mut self, who: Option<(usize, ExitReason)>, events: &mut VecDeque<Event>) {
        let Some((place, reason)) = who else { return };
        let known: Vec<_> = self.machine.children().filter(|(_, child)| !is_new(child)).collect();
        if known.is_empty() {
            return;
        }
        if let ChildState::Running(incarnation) = known[place % known.len()].1.state {
            events.push_back(Event::Exited(incarnation, reason.into()));
        }
    }

    fn which(&self) -> Vec<(String, &'static str)> {
        let one = |(key, child): (ChildKey, &Child)| {
            let state = match child.state {
                ChildState::Stopped => "undefined",
                ChildState::Running(_) => "running",
                ChildState::Restarting { .. } => "restarting",
                _ => "between",
            };
            (self.ids[&key].clone(), state)
        };
        self.machine.children().map(one).collect()
    }
}

/// Whether a child is being started for somebody who has brought it.
fn is_new(child: &Child) -> bool {
    child.spec.name.starts_with('n')
        && child.restarts == 0
        && child.last_exit.is_none()
        && matches!(child.state, ChildState::Starting(_))
}

fn which(model: &Model) -> Vec<(String, &'static str)> {
    let one = |child: &model::Child| {
        let state = match child.pid {
            Pid::Undefined => "undefined",
            Pid::Restarting => "restarting",
            Pid::Some(_) => "running",
        };
        (child.spec.id.clone(), state)
    };
    model.children.iter().map(one).collect()
}

fn draw_child(dice: &mut Dice, name: String, auto: AutoShutdown) -> ChildSpec {
    let mut child = ChildSpec::new(name, ChildKind::Task);
    child.restart = dice.pick(&[Restart::Permanent, Restart::Transient, Restart::Temporary]);
    child.shutdown =
        dice.pick(&[Shutdown::Kill, Shutdown::Time(Duration::from_secs(9)), Shutdown::Infinity]);
    child.significant =
        child.restart != Restart::Permanent && auto != AutoShutdown::Never && dice.roll(2) == 0;
    child
}

fn plain(child: &ChildSpec) -> Spec {
    let ChildSpec { name, restart, shutdown, significant, .. } = child.clone();
    Spec { id: name, restart, shutdown, is_significant: significant }
}

fn draw_spec(dice: &mut Dice) -> SupervisorSpec {
    let strategies =
        [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne, Strategy::Dynamic];
    let mut spec = SupervisorSpec::new("top", dice.pick(&strategies));
    spec.intensity = dice.pick(&[0, 1, 2, 3, 9]);
    spec.period = Duration::from_secs(2);
    spec.auto_shutdown = dice.pick(&[
        AutoShutdown::Never,
        AutoShutdown::AnySignificant,
        AutoShutdown::AllSignificant,
    ]);
    let count = if spec.strategy == Strategy::Dynamic { 0 } else { dice.roll(5) };
    spec.children_max = 6;
    let auto = spec.auto_shutdown;
    spec.children = (0..count).map(|n| draw_child(dice, format!("c{n}"), auto)).collect();
    spec
}

/// One thing that happens to both.
fn step(dice: &mut Dice, driver: &mut Driver, model: &mut Model, around: &mut Script, fresh: u64) {
    let names: Vec<_> = which(model).into_iter().map(|(id, _)| id).collect();
    let name = match names.len() {
        0 => "c0".to_owned(),
        count => names[dice.roll(count as u64) as usize].clone(),
    };
    // The machine's own name of a dynamic child.
    let key = driver.ids.iter().find(|(_, id)| **id == name).map(|(key, _)| *key);
    let own = driver.machine.children().find(|(other, _)| Some(*other) == key);
    let own = own.map_or(name.clone(), |(_, child)| child.spec.name.clone());
    let ask = |request| Event::Ask(Asker(1), request);
    match dice.roll(20) {
        0..=10 => {
            let reason = dice.pick(&REASONS);
            let running = model.children.iter().find(|child| child.spec.id == name);
            let Some(Pid::Some(pid)) = running.map(|child| child.pid) else { return };
            model.mailbox.push_back(Message::Exit(pid, reason));
            model.run(around);
            let child = driver.machine.children().find(|(other, _)| Some(*other) == key);
            let child = child.expect("both have the child").1;
            let ChildState::Running(incarnation) = child.state else {
                panic!("{name} runs in the model and is {:?}", child.state)
            };
            driver.take(Event::Exited(incarnation, reason.into()));
        }
        11 | 12 => {
            model.mailbox.push_back(Message::Terminate(name));
            model.run(around);
            driver.take(ask(Request::Terminate(own)));
        }
        13 | 14 => {
            model.mailbox.push_back(Message::Restart(name));
            model.run(around);
            driver.take(ask(Request::Restart(own)));
        }
        15 => {
            model.mailbox.push_back(Message::Delete(name));
            model.run(around);
            driver.take(ask(Request::Delete(own)));
        }
        16..=18 => {
            let is_known = dice.roll(3) == 0 && model.strategy != Strategy::Dynamic;
            let name = if is_known { name } else { format!("n{fresh}") };
            let child = draw_child(dice, name, model.auto_shutdown);
            model.mailbox.push_back(Message::Start(plain(&child)));
            model.run(around);
            driver.take(ask(Request::Start(child)));
        }
        _ => {
            if dice.roll(4) == 0 {
                (around.is_calm, driver.script.is_calm) = (true, true);
                model.mailbox.push_back(Message::Stop);
                model.run(around);
                driver.take(Event::Stop);
            }
        }
    }
}

fn run(seed: u64, met: &mut BTreeMap<&'static str, u64>) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..4 {
        dice.roll(2);
    }
    let spec = draw_spec(&mut dice);
    spec.check().expect("only sound specs are drawn");
    let is_calm = spec.strategy == Strategy::Dynamic;
    let fails_per_mille = dice.pick(&[0, 100, 400]);
    let script = || Script { fails_per_mille, seed, count: 0, is_calm, log: Vec::new() };
    let machine = Machine::new(&spec, "top");
    let ids = machine.children().map(|(key, child)| (key, child.spec.name.clone())).collect();
    let mut driver =
        Driver { machine, script: script(), ids, dynamic: 0, now: MonoNs(0), ended: None };
    let one = |child: &ChildSpec| model::Child { spec: plain(child), pid: Pid::Undefined };
    let mut model = Model {
        strategy: spec.strategy,
        auto_shutdown: spec.auto_shutdown,
        intensity: spec.intensity as usize,
        period_ns: 2_000_000_000,
        children_max: spec.children_max,
        children: spec.children.iter().map(one).collect(),
        restarts: Vec::new(),
        now_ns: 0,
        mailbox: VecDeque::new(),
        pids: 0,
        dynamic: 0,
        ended: None,
    };
    let mut around = script();
    model.init(&mut around);
    driver.take(Event::Start);
    for fresh in 0..4 + dice.roll(12) {
        assert_eq!(driver.script.log, around.log, "seed {seed}: {spec:?}");
        assert_eq!(driver.ended, model.ended, "seed {seed}: {:?}", around.log);
        if model.ended.is_some() {
            break;
        }
        assert_eq!(driver.which(), which(&model), "seed {seed}: {:?}", around.log);
        let passes_ns =
            dice.pick(&[0, 0, 500_000_000, 1_000_000_000, 2_000_000_000, 2_000_000_001]);
        model.now_ns += passes_ns;
        driver.now = MonoNs(model.now_ns);
        step(&mut dice, &mut driver, &mut model, &mut around, fresh);
    }
    assert_eq!(driver.script.log, around.log, "seed {seed}: {spec:?}");
    assert_eq!(driver.ended, model.ended, "seed {seed}: {:?}", around.log);
    let end = match model.ended {
        None => "runs",
        Some(ExitReason::Meltdown) => "meltdown",
        Some(ExitReason::Shutdown) => "shutdown",
        Some(_) => "failed start",
    };
    *met.entry(end).or_default() += 1;
}

#[test]
fn the_machine_does_what_the_model_of_otp_does() {
    let mut met = BTreeMap::new();
    for seed in 1..=SEQUENCES {
        run(seed, &mut met);
    }
    for end in ["runs", "meltdown", "shutdown", "failed start"] {
        assert!(met[end] > SEQUENCES / 200, "hardly any sequence ends with `{end}`: {met:?}");
    }
}
