//! What callers are told: that it is true, that it has a cause, and that it leaves no doubt.

use std::fmt;

use durable::host::TurnEnd;
use durable::{Code, Error, Outcome};

use super::watch::Watch;
use super::{Call, Verdict, broken};

/// Whether a reply may leave.
pub(super) fn replied(name: fmt::Arguments<'_>, call: &Call, watch: &Watch) -> Verdict {
    let Some(ended) = call.ended else {
        return broken("P2", format!("{name} has a reply and no turn of it has ended"));
    };
    if ended.how == TurnEnd::Kept && ended.has_changed && call.commit == 0 {
        let text = format!("{name} changed the state, was answered, and nothing was stored");
        return broken("P1", text);
    }
    let seen = call.sees();
    if call.is_relaxed || watch.is_durable(ended.epoch, seen) {
        return Ok(());
    }
    broken(
        "P4",
        format!("{name} has its reply while commit {seen}, which it has seen, is not durable"),
    )
}

/// Whether an error is the caller's, says the truth, and has a cause.
pub(super) fn judge(
    name: fmt::Arguments<'_>,
    call: &Call,
    watch: &Watch,
    error: &Error,
    (may_disk_fail, is_cutting): (bool, bool),
) -> Verdict {
    if error.outcome() == Outcome::NotStarted && call.has_begun {
        return broken("P8", format!("{name} is said not to have started, and it did: {error}"));
    }
    if error.outcome() == Outcome::RolledBack && call.is_durable {
        return broken(
            "P2",
            format!("{name} is said to be rolled back, and it is stored: {error}"),
        );
    }
    is_certain(name, error, call.is_late || is_cutting || may_disk_fail)?;
    if let Some(is_inside) = call.waits_inside {
        let codes = [Code::ObjectOverloaded, Code::ClassOverloaded, Code::RuntimeOverloaded];
        let is_of_rate = error.is(Code::RateExceeded) && !is_inside;
        if is_of_rate || codes.iter().any(|code| error.is(*code)) {
            return broken("P11", format!("{name} waits for room, and is turned away: {error}"));
        }
    }
    let is_explained = if error.is(Code::CallPanicked) {
        call.ended.is_some_and(|ended| ended.how == TurnEnd::Panicked)
    } else if error.is(Code::CallAborted) {
        // Cut off with its parent, or by its children, or because the time is over.
        watch.has_kin || is_cutting
    } else if error.is(Code::StorageFenced) {
        false
    } else if error.is(Code::ObjectUnstartable) || error.code().starts_with("state.") {
        watch.is_unstartable || call.ended.is_some()
    } else if error.is(Code::RuntimeClosed) {
        // One that came before the end was asked for is served.
        call.is_late || is_cutting || may_disk_fail
    } else if error.code().starts_with("storage.") {
        may_disk_fail || watch.is_unstartable
    } else {
        true
    };
    if is_explained {
        return Ok(());
    }
    broken("P8", format!("{name} failed without a cause of its own: {error}"))
}

/// Whether an error says what happened to the call, as its code may. `may_stop`: the node, or a shard, may have stopped in the
/// middle of it, and only then is there doubt.
fn is_certain(name: fmt::Arguments<'_>, error: &Error, may_stop: bool) -> Verdict {
    let outcome = error.outcome();
    let code = Code::ALL.iter().find(|code| error.is(**code)).expect("every error has a code");
    if !code.outcomes().contains(&outcome) {
        let text = format!("{name} is told {outcome:?}, which no `{code}` is to say: {error}");
        return broken("P2", text);
    }
    if outcome == Outcome::Unknown && !may_stop {
        let text = format!("{name} is not told what happened, and nothing has stopped: {error}");
        return broken("P2", text);
    }
    Ok(())
}

/// Whether a commit may be durable whose call was answered with an error: not, if that said that nothing is kept.
pub(super) fn was_true(label: &str, number: u64, call: &Call) -> Verdict {
    match call.told {
        Some(told @ (Outcome::NotStarted | Outcome::RolledBack)) => broken(
            "P2",
            format!(
                "call #{number} of {label}.{} was told {told:?}, and then it was stored",
                call.method
            ),
        ),
        _ => Ok(()),
    }
}
