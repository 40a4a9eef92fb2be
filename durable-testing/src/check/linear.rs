//! Linearizability: whether the calls to one object can have happened one at a time, each between
//! the moment it was made and the moment it was answered, and given what they gave.
//!
//! It knows calls and a [`Model`] of the object, nothing of worlds, codecs or faults.
//!
//! # Source
//! Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with the memory of visited
//! configurations that Lowe added in "Testing for Linearizability" (2017). Ours also lets calls of
//! unknown outcome happen late or never, places a read as soon as it fits, and takes equal calls of
//! unknown outcome only in the order in which they were made.

mod bits;
mod explain;
mod guess;
mod intern;
mod ops;
mod search;
mod table;
#[cfg(test)]
mod tests;

use std::hash::Hash;

use serde::Serialize;

pub(crate) use self::explain::bytes;
pub use self::explain::{Explained, Shown};

use self::ops::Ops;
use self::search::{Found, search};
use self::table::Table;
use crate::history::Recorded;

/// How many times the configurations of a search it may take to explain what it found.
const EXPLAINING: usize = 3;

/// What an object should do: its states, and what each call does in each of them.
///
/// It says what happens if calls run one at a time and nothing fails, so it is usually a few lines:
/// ```text
/// impl Model for Counter {
///     type State = u64;
///
///     fn initial(&self) -> u64 {
///         0
///     }
///
///     fn step(&self, state: &u64, call: &Recorded) -> Result<Step<u64>, String> {
///         match call.method.as_str() {
///             "increment" => Ok(Step { state: state + 1, reply: encode(state + 1) }),
///             "value" => Ok(Step { state: *state, reply: encode(*state) }),
///             other => Err(format!("the model has no `{other}`")),
///         }
///     }
/// }
/// ```
pub trait Model {
    /// A state of the object. Equal states must behave alike from there on.
    type State: Clone + Eq + Hash;

    /// The state before the first call.
    fn initial(&self) -> Self::State;

    /// What `call` does in `state`. It may depend on the state, the method and the arguments, and
    /// on nothing else: it is asked once for calls that are alike in those.
    ///
    /// # Errors
    /// Why the call cannot be modelled; the whole history then counts as
    /// [`Verdict::NotModelled`].
    fn step(&self, state: &Self::State, call: &Recorded) -> Result<Step<Self::State>, String>;

    /// The arguments of a call, for people. By default their bytes.
    fn show_args(&self, call: &Recorded) -> String {
        bytes(&call.args)
    }

    /// A reply to a call, for people. By default its bytes.
    fn show_reply(&self, call: &Recorded, reply: &[u8]) -> String {
        let _ = call;
        bytes(reply)
    }
}

/// What one call does to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<S> {
    /// The state after it. A call of a `&self` method must leave the state as it was.
    pub state: S,
    /// What it answers, encoded as the object encodes it.
    pub reply: Vec<u8>,
}

impl<S> Step<S> {
    /// A call that leaves `state` and answers `reply`, which has the type that the method returns.
    ///
    /// # Panics
    /// If the reply's `Serialize` refuses.
    pub fn of<T: Serialize>(state: S, reply: &T) -> Self {
        Step { state, reply: crate::encode(reply) }
    }
}

/// What [`check`] found.
#[derive(Clone, Debug)]
#[must_use = "a violation must be reported"]
pub enum Verdict {
    /// Some order explains what every caller saw.
    Linearizable,
    /// None does.
    Violation(Box<Explained>),
    /// The search was given up.
    TooLarge {
        /// How many configurations it had visited by then.
        states: usize,
    },
    /// The model does not know some call; why.
    NotModelled(String),
}

/// Decides whether `history`, which is all calls to one object, is linearizable.
///
/// A call that was answered must have happened between its beginning and its answer and have given
/// that answer. A call that was not done never happened. Any other may have happened at any time
/// after it was made, or never, whatever it would have answered.
///
/// `states_max`: how many configurations (which calls have happened, and the state that they left)
/// may be visited; a violation that was found is then explained within three times as many.
pub fn check<M: Model>(history: &[&Recorded], model: &M, states_max: usize) -> Verdict {
    let mut table = Table::new(model, history, states_max);
    let ops = Ops::of(history);
    match search(&mut table, &ops, states_max) {
        Err(reason) => Verdict::NotModelled(reason),
        Ok(Found::Order(_)) => Verdict::Linearizable,
        Ok(Found::TooLarge { states }) => Verdict::TooLarge { states },
        Ok(Found::None(deepest)) => {
            table.states_left = states_max.saturating_mul(EXPLAINING);
            match explain::explain(&mut table, &ops, deepest, states_max) {
                Ok(explained) => Verdict::Violation(Box::new(explained)),
                Err(reason) => Verdict::NotModelled(reason),
            }
        }
    }
}
