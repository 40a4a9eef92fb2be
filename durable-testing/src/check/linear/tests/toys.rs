//! Objects to be checked, and a way to write histories down.

use super::super::{Explained, Model, Step, Verdict, check};
use crate::history::{CallIndex, History, Invoked, Outcome, Recorded};

/// How many configurations the tests allow.
pub(super) const STATES_MAX: usize = 100_000;

/// `set(n)` answers nothing, `get()` answers the number.
pub(super) struct Register;

/// `add(n)` and `get()` answer the sum.
pub(super) struct Counter;

/// `push(n)` answers nothing, `pop()` answers the oldest number or 255.
pub(super) struct Queue;

impl Model for Register {
    type State = u8;

    fn initial(&self) -> u8 {
        0
    }

    fn step(&self, state: &u8, call: &Recorded) -> Result<Step<u8>, String> {
        match call.method.as_str() {
            "set" => Ok(Step { state: call.args[0], reply: vec![] }),
            "get" => Ok(Step { state: *state, reply: vec![*state] }),
            other => Err(format!("no `{other}`")),
        }
    }
}

impl Model for Counter {
    type State = u8;

    fn initial(&self) -> u8 {
        0
    }

    fn step(&self, state: &u8, call: &Recorded) -> Result<Step<u8>, String> {
        let state = state.wrapping_add(call.args.first().copied().unwrap_or(0));
        Ok(Step { state, reply: vec![state] })
    }

    fn show_args(&self, call: &Recorded) -> String {
        call.args.first().map_or_else(String::new, u8::to_string)
    }

    fn show_reply(&self, _call: &Recorded, reply: &[u8]) -> String {
        reply[0].to_string()
    }
}

impl Model for Queue {
    type State = Vec<u8>;

    fn initial(&self) -> Vec<u8> {
        Vec::new()
    }

    fn step(&self, state: &Vec<u8>, call: &Recorded) -> Result<Step<Vec<u8>>, String> {
        let mut state = state.clone();
        if call.method == "push" {
            state.push(call.args[0]);
            return Ok(Step { state, reply: vec![] });
        }
        let popped = if state.is_empty() { 255 } else { state.remove(0) };
        Ok(Step { state, reply: vec![popped] })
    }
}

pub(super) fn invoked(client: u64, method: &str, args: &[u8]) -> Invoked {
    Invoked {
        client,
        object: "toys.Toy(a)".to_owned(),
        class: "toys.Toy",
        method: method.to_owned(),
        is_read: method == "get",
        args: args.to_vec(),
    }
}

/// A history that is told event by event. Every event has a step of its own.
#[derive(Clone, Default)]
pub(super) struct Story {
    pub(super) history: History,
    step: u64,
}

impl Story {
    /// A client makes a call.
    pub(super) fn call(&mut self, client: u64, method: &str, args: &[u8]) -> CallIndex {
        self.step += 1;
        self.history.invoke(self.step, invoked(client, method, args))
    }

    pub(super) fn ends(&mut self, call: CallIndex, outcome: Outcome) {
        self.step += 1;
        self.history.answer(self.step, call, outcome);
    }

    pub(super) fn ok(&mut self, call: CallIndex, reply: &[u8]) {
        self.ends(call, Outcome::Ok(reply.to_vec()));
    }

    pub(super) fn not_done(&mut self, call: CallIndex) {
        self.ends(call, Outcome::NotDone("refused".to_owned()));
    }

    pub(super) fn unknown(&mut self, call: CallIndex) {
        self.ends(call, Outcome::Unknown("crashed".to_owned()));
    }

    /// A call that is answered before anything else happens.
    pub(super) fn whole(&mut self, client: u64, method: &str, args: &[u8], reply: &[u8]) {
        let call = self.call(client, method, args);
        self.ok(call, reply);
    }

    pub(super) fn check<M: Model>(&self, model: &M) -> Verdict {
        check(&self.history.calls().iter().collect::<Vec<_>>(), model, STATES_MAX)
    }

    #[track_caller]
    pub(super) fn is_fine<M: Model>(&self, model: &M) {
        let verdict = self.check(model);
        assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
    }

    #[track_caller]
    pub(super) fn violation<M: Model>(&self, model: &M) -> Explained {
        match self.check(model) {
            Verdict::Violation(explained) => *explained,
            verdict => panic!("no violation but {verdict:?}"),
        }
    }
}
