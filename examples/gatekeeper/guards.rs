//! Who stands at every door: one lets only owners in, one counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durable::{IncomingCall, Interceptor, OutgoingCall, Refusal, TurnOutcome, TurnReport};

/// Says who makes the calls of a client. What a service knows of whoever is signed in belongs here, and not into arguments.
pub(crate) struct SignedIn(pub(crate) String);

impl Interceptor for SignedIn {
    fn on_call(&self, call: &mut OutgoingCall<'_>) -> Result<(), Refusal> {
        Ok(call.set("principal", &self.0)?)
    }
}

/// Lets a principal do everything with the safe of that name, and anybody put something into any.
pub(crate) struct OwnersOnly;

impl Interceptor for OwnersOnly {
    fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
        let principal = call.metadata().get("principal");
        let principal = principal.ok_or_else(|| Refusal::new("nobody is signed in; sign in"))?;
        if call.method() == "put" || call.name() == Some(principal) {
            return Ok(());
        }
        Err(Refusal::new(format!("the safe is not of `{principal}`; ask its owner")))
    }
}

/// What was counted of one method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Turns that have ended.
    pub(crate) turns: u64,
    /// Calls that somebody further in has turned away.
    pub(crate) refused: u64,
    /// The time of all.
    pub(crate) took: Duration,
}

/// Counts turns by method. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<BTreeMap<String, Count>>>);

impl Metrics {
    /// What was counted, by class and method.
    pub(crate) fn all(&self) -> BTreeMap<String, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Interceptor for Metrics {
    fn on_turn_end(&self, call: &IncomingCall<'_>, report: &TurnReport) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(format!("{}.{}", call.class(), call.method())).or_default();
        match report.outcome {
            TurnOutcome::Refused => count.refused += 1,
            _ => count.turns += 1,
        }
        count.took += report.took;
    }
}
