//! Every call of a test: what its caller saw of it, and what is known of its turn.

use std::collections::BTreeMap;

use durable::caller::{Request, Who, WhoKey};
use durable::host::Event;
use durable::{Access, Error, ObjectId, Outcome, WallMs};

use crate::history::{self, CallIndex, History, Invoked, Recorded};

/// All calls, those that objects make of each other included.
#[derive(Default)]
pub(crate) struct Ledger {
    history: History,
    /// By place in the history.
    known: Vec<Known>,
    /// By number.
    turned: BTreeMap<u64, Turned>,
    /// Calls between objects that are under way, by number.
    inside: BTreeMap<u64, CallIndex>,
    numbers: u64,
    stubs: u64,
}

/// What the world knows of a call beside what its caller saw.
struct Known {
    /// What the runtime's reports call it.
    number: u64,
    who: Who,
}

/// What is known of the turn of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turned {
    /// The call's number in the runtime's reports.
    pub(crate) number: u64,
    /// The time that the turn was told. `None`: it did not ask.
    pub(crate) now: Option<WallMs>,
    /// Whether it asked for randomness.
    pub(crate) has_drawn: bool,
    /// Whether it ran to its end; if not, it has changed nothing.
    pub(crate) has_ended: bool,
    /// It did not run, because the result of an earlier one is kept under its idempotency key.
    pub(crate) is_repeat: bool,
}

impl Ledger {
    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn next_stub(&mut self) -> u64 {
        self.stubs += 1;
        self.stubs
    }

    /// A call from outside sets out. Gives its number as well.
    pub(crate) fn begin(&mut self, step: u64, request: &Request) -> (CallIndex, u64) {
        let number = self.next_number();
        let index = self.history.invoke(
            step,
            Invoked {
                client: request.stub,
                object: label(request.class, &request.who.key),
                class: request.class,
                method: request.method.name.to_owned(),
                is_read: request.method.access == Access::Read,
                args: request.args.clone(),
            },
        );
        self.known.push(Known { number, who: request.who.clone() });
        (index, number)
    }

    /// Its caller has its answer.
    pub(crate) fn answer(&mut self, step: u64, index: CallIndex, answer: Result<&[u8], &Error>) {
        let outcome = match answer {
            Ok(reply) => history::Outcome::Ok(reply.to_vec()),
            Err(error) => match error.outcome() {
                Outcome::NotStarted | Outcome::RolledBack => {
                    history::Outcome::NotDone(error.to_string())
                }
                Outcome::Committed | Outcome::Unknown => {
                    history::Outcome::Unknown(error.to_string())
                }
            },
        };
        self.close(step, index, outcome);
    }

    pub(crate) fn close(&mut self, step: u64, index: CallIndex, outcome: history::Outcome) {
        self.history.answer(step, index, outcome);
    }

    pub(crate) fn call(&self, index: CallIndex) -> &Recorded {
        self.history.call(index)
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, step: u64, event: &Event<'_>) {
        match *event {
            Event::Sent { object, class, call, method, args: Some(args), .. } => {
                let key = WhoKey::Id(*object);
                let index = self.history.invoke(
                    step,
                    Invoked {
                        client: 0,
                        object: label(class, &key),
                        class,
                        method: method.name.to_owned(),
                        is_read: method.access == Access::Read,
                        args: args.to_vec(),
                    },
                );
                self.known.push(Known { number: call, who: Who { key, placement: None } });
                self.inside.insert(call, index);
            }
            Event::Answered { call, outcome } => {
                if let Some(index) = self.inside.remove(&call) {
                    self.answer(step, index, outcome);
                }
            }
            Event::Abandoned { call } => {
                if let Some(index) = self.inside.remove(&call) {
                    let why = "its caller did not wait".to_owned();
                    self.close(step, index, history::Outcome::Unknown(why));
                }
            }
            Event::TurnEnded { call, .. } => self.turned.entry(call).or_default().has_ended = true,
            Event::Repeated { call, .. } => self.turned.entry(call).or_default().is_repeat = true,
            Event::TurnTold { call, now } => self.turned.entry(call).or_default().now = Some(now),
            Event::TurnDrew { call } => self.turned.entry(call).or_default().has_drawn = true,
            _ => {}
        }
    }

    /// Calls that were answered before what they changed or saw was stored, and it may never have been.
    pub(crate) fn loosen(&mut self, numbers: &[u64]) {
        for (place, known) in self.known.iter().enumerate() {
            if numbers.contains(&known.number) {
                self.history.loosen(place);
            }
        }
    }

    /// The node is gone, and with it the callers inside of it.
    pub(crate) fn crashed(&mut self, step: u64) {
        for (_, index) in std::mem::take(&mut self.inside) {
            let why = "its caller crashed".to_owned();
            self.close(step, index, history::Outcome::Unknown(why));
        }
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Calls whose callers still wait.
    pub(crate) fn pending(&self) -> Vec<String> {
        let pending = |call: &&Recorded| call.outcome == history::Outcome::Pending;
        let waiting = self.history.calls().iter().filter(pending);
        waiting.map(|call| format!("{}.{}", call.object, call.method)).collect()
    }

    /// The calls to one object of a class, with what is known of their turns. `id_of`: who an object is.
    pub(crate) fn calls_to(
        &self,
        class: &str,
        object: ObjectId,
        id_of: impl Fn(&Who) -> Option<ObjectId>,
    ) -> Vec<(Recorded, Turned)> {
        let all = self.history.calls().iter().zip(&self.known);
        // Who an object is takes a keyed hash, and the same few are called all the time.
        let mut ids = BTreeMap::new();
        let wanted = all.filter(|(call, known)| {
            let id = || id_of(&known.who);
            call.class == class && *ids.entry(&call.object).or_insert_with(id) == Some(object)
        });
        let turned = |number| {
            let turned = self.turned.get(&number).copied().unwrap_or_default();
            Turned { number, ..turned }
        };
        wanted.map(|(call, known)| (call.clone(), turned(known.number))).collect()
    }
}

/// An object as errors call it.
fn label(class: &str, key: &WhoKey) -> String {
    match key {
        WhoKey::Name(name) => format!("{class}({})", name.escape_debug()),
        WhoKey::Id(id) => format!("{class}({id})"),
    }
}
