//! OTP's supervisor, plainly: one process that does one thing at a time and takes its messages in order.
//!
//! Written from what OTP documents and does, without a look at the machine; slow, synchronous, without time-outs.

use std::collections::VecDeque;

use super::super::{AutoShutdown, ExitReason, Restart, Shutdown, Strategy};

/// What is around the supervisor. Anything may happen while it starts or stops a child.
pub(super) trait Around {
    /// Starts a child; whether it does, and who ends meanwhile.
    fn start(&mut self, id: &str) -> (bool, Option<(usize, ExitReason)>);
    /// Stops a child, or kills it; who ends meanwhile.
    fn stop(&mut self, id: &str, is_kill: bool) -> Option<(usize, ExitReason)>;
    fn answer(&mut self, answer: &str);
}

#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) restart: Restart,
    pub(super) shutdown: Shutdown,
    pub(super) is_significant: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pid {
    Undefined,
    Restarting,
    /// A process, by number.
    Some(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) spec: Spec,
    pub(super) pid: Pid,
}

#[derive(Debug)]
pub(super) enum Message {
    Exit(u64, ExitReason),
    TryAgain(String),
    Start(Spec),
    Terminate(String),
    Restart(String),
    Delete(String),
    Stop,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) strategy: Strategy,
    pub(super) auto_shutdown: AutoShutdown,
    pub(super) intensity: usize,
    pub(super) period_ns: u64,
    pub(super) children_max: usize,
    pub(super) children: Vec<Child>,
    pub(super) restarts: Vec<u64>,
    pub(super) now_ns: u64,
    pub(super) mailbox: VecDeque<Message>,
    pub(super) pids: u64,
    pub(super) dynamic: u64,
    /// How it has ended.
    pub(super) ended: Option<ExitReason>,
}

impl Model {
    /// Starts all children; otherwise stops those that have started, and ends.
    pub(super) fn init(&mut self, around: &mut dyn Around) {
        for place in 0..self.children.len() {
            let id = self.children[place].spec.id.clone();
            match self.do_start(&id, around) {
                Some(pid) => self.children[place].pid = pid,
                None => {
                    self.terminate_all(around);
                    self.ended = Some(ExitReason::Error);
                    return;
                }
            }
        }
        self.run(around);
    }

    /// Takes messages until there are none.
    pub(super) fn run(&mut self, around: &mut dyn Around) {
        while self.ended.is_none() {
            let Some(message) = self.mailbox.pop_front() else { return };
            match message {
                Message::Exit(pid, reason) => self.on_exit(pid, reason, around),
                Message::TryAgain(id) => {
                    if let Some(place) = self.find(&id)
                        && self.children[place].pid == Pid::Restarting
                    {
                        self.restart(&id, around);
                    }
                }
                Message::Start(spec) => self.on_start(spec, around),
                Message::Terminate(id) => match self.find(&id) {
                    None => around.answer("child.unknown"),
                    Some(place) => {
                        self.terminate(place, around);
                        if self.is_forgotten(place) {
                            self.children.remove(place);
                        }
                        around.answer("ok");
                    }
                },
                Message::Restart(id) => match self.stopped(&id) {
                    Err(code) => around.answer(code),
                    Ok(place) => match self.do_start(&id, around) {
                        Some(pid) => {
                            self.children[place].pid = pid;
                            around.answer(&format!("ok {id}"));
                        }
                        None => around.answer("child.unstartable"),
                    },
                },
                Message::Delete(id) => match self.stopped(&id) {
                    Err(code) => around.answer(code),
                    Ok(place) => {
                        self.children.remove(place);
                        around.answer("ok");
                    }
                },
                Message::Stop => {
                    self.terminate_all(around);
                    self.ended = Some(ExitReason::Shutdown);
                }
            }
        }
    }

    fn find(&self, id: &str) -> Option<usize> {
        self.children.iter().position(|child| child.spec.id == id)
    }

    fn stopped(&self, id: &str) -> Result<usize, &'static str> {
        if self.strategy == Strategy::Dynamic {
            return Err("child.dynamic");
        }
        let place = self.find(id).ok_or("child.unknown")?;
        match self.children[place].pid {
            Pid::Undefined => Ok(place),
            Pid::Restarting => Err("child.restarting"),
            Pid::Some(_) => Err("child.running"),
        }
    }

    fn is_forgotten(&self, place: usize) -> bool {
        self.strategy == Strategy::Dynamic
            || self.children[place].spec.restart == Restart::Temporary
    }

    /// Somebody else ends, while this supervisor does something.
    fn meanwhile(&mut self, who: Option<(usize, ExitReason)>) {
        let Some((place, reason)) = who else { return };
        if self.children.is_empty() {
            return;
        }
        let place = place % self.children.len();
        if let Pid::Some(pid) = self.children[place].pid
            && !self.has_ended(pid)
        {
            self.mailbox.push_back(Message::Exit(pid, reason));
        }
    }

    pub(super) fn has_ended(&self, pid: u64) -> bool {
        let is_it = |message: &Message| matches!(message, Message::Exit(of, _) if *of == pid);
        self.mailbox.iter().any(is_it)
    }

    fn do_start(&mut self, id: &str, around: &mut dyn Around) -> Option<Pid> {
        let (is_started, who) = around.start(id);
        self.meanwhile(who);
        self.pids += 1;
        is_started.then_some(Pid::Some(self.pids))
    }

    /// Leaves the child without a process, whatever it had. The notice of an end that is not read yet is dropped.
    fn terminate(&mut self, place: usize, around: &mut dyn Around) {
        let pid = std::mem::replace(&mut self.children[place].pid, Pid::Undefined);
        let Pid::Some(pid) = pid else { return };
        if self.has_ended(pid) {
            self.mailbox.retain(|message| !matches!(message, Message::Exit(of, _) if *of == pid));
            return;
        }
        let Spec { id, shutdown, .. } = self.children[place].spec.clone();
        let who = around.stop(&id, shutdown == Shutdown::Kill);
        self.meanwhile(who);
    }

    fn terminate_from(&mut self, first: usize, around: &mut dyn Around) {
        for place in (first..self.children.len()).rev() {
            self.terminate(place, around);
            if self.children[place].spec.restart == Restart::Temporary {
                self.children.remove(place);
            }
        }
    }

    fn terminate_all(&mut self, around: &mut dyn Around) {
        self.terminate_from(0, around);
        while let Some(message) = self.mailbox.pop_front() {
            if !matches!(message, Message::Exit(..) | Message::TryAgain(_) | Message::Stop) {
                around.answer("supervisor.stopped");
            }
        }
    }

    fn on_start(&mut self, mut spec: Spec, around: &mut dyn Around) {
        if self.strategy != Strategy::Dynamic && self.find(&spec.id).is_some() {
            return around.answer("child.duplicate");
        }
        if self.children.len() >= self.children_max {
            return around.answer("supervisor.full");
        }
        if self.strategy == Strategy::Dynamic {
            self.dynamic += 1;
            spec.id = format!("d{}", self.dynamic);
        }
        let id = spec.id.clone();
        match self.do_start(&id, around) {
            Some(pid) => {
                self.children.push(Child { spec, pid });
                around.answer(&format!("ok {id}"));
            }
            None => around.answer("child.unstartable"),
        }
    }

    fn on_exit(&mut self, pid: u64, reason: ExitReason, around: &mut dyn Around) {
        let found = self.children.iter().position(|child| child.pid == Pid::Some(pid));
        let Some(place) = found else { return };
        let Spec { id, restart, is_significant, .. } = self.children[place].spec.clone();
        let is_normal = matches!(reason, ExitReason::Normal | ExitReason::Shutdown);
        match restart {
            Restart::Permanent => return self.restart(&id, around),
            Restart::Transient if !is_normal => return self.restart(&id, around),
            _ => {}
        }
        self.children[place].pid = Pid::Undefined;
        if self.is_forgotten(place) {
            self.children.remove(place);
        }
        if !is_significant {
            return;
        }
        let is_left = |child: &Child| child.spec.is_significant && child.pid != Pid::Undefined;
        let is_over = match self.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !self.children.iter().any(is_left),
        };
        if is_over {
            self.terminate_all(around);
            self.ended = Some(ExitReason::Shutdown);
        }
    }

    /// Counts a restart, and makes it if it is not one too many.
    fn restart(&mut self, id: &str, around: &mut dyn Around) {
        let (now, period) = (self.now_ns, self.period_ns);
        self.restarts.retain(|then| now <= then + period);
        self.restarts.push(now);
        let place = self.find(id).expect("whoever is restarted has a spec");
        if self.restarts.len() > self.intensity {
            self.children[place].pid = Pid::Undefined;
            self.terminate_all(around);
            self.ended = Some(ExitReason::Meltdown);
            return;
        }
        let first = match self.strategy {
            Strategy::OneForAll => 0,
            Strategy::RestForOne => place,
            Strategy::OneForOne | Strategy::Dynamic => {
                self.children[place].pid = Pid::Restarting;
                match self.do_start(id, around) {
                    Some(pid) => self.children[place].pid = pid,
                    None => self.mailbox.push_back(Message::TryAgain(id.to_owned())),
                }
                return;
            }
        };
        self.children[place].pid = Pid::Undefined;
        self.terminate_from(first, around);
        for place in first..self.children.len() {
            let id = self.children[place].spec.id.clone();
            match self.do_start(&id, around) {
                Some(pid) => self.children[place].pid = pid,
                None => {
                    self.children[place].pid = Pid::Restarting;
                    self.mailbox.push_back(Message::TryAgain(id));
                    return;
                }
            }
        }
    }
}
