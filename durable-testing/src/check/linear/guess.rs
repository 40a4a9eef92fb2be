//! What may have gone wrong: the smallest changes of a history that would make it linearizable.

use super::Model;
use super::explain::made;
use super::ops::{Ops, Required};
use super::search::{Found, search};
use super::table::Table;
use crate::history::Outcome;

/// How many calls are tried for each suspicion, the latest ones first.
const CALLS_TRIED: usize = 32;

/// How many configurations each try may cost, if a whole search may not cost less.
const STATES_MAX: usize = 20_000;

/// Sentences that begin with "if". Each is one change with which everything until the culprit's
/// answer has an order.
///
/// # Errors
/// Why the model has no answer.
pub(super) fn guesses<M: Model>(
    table: &mut Table<'_, M>,
    ops: &Ops,
    culprit: Required,
    states_max: usize,
) -> Result<Vec<String>, String> {
    let ops = ops.until(culprit.ended);
    let states_max = states_max.min(STATES_MAX);
    let mut guesses = Vec::new();
    let had_effect = refused(table, culprit.ended);
    let had_effect = had_effect.map(|(call, began)| (call, ops.with_optional(call, began)));
    let had_effect: Vec<_> = had_effect.collect();
    if let Some(call) = first_that_helps(table, had_effect, states_max)? {
        let made = made(table, call);
        guesses.push(format!("if this one had had an effect, which said that it had none: {made}"));
    }
    let twice = writes(&ops).map(|(call, began)| (call, ops.with_optional(call, began)));
    let twice: Vec<_> = twice.collect();
    if let Some(call) = first_that_helps(table, twice, states_max)? {
        guesses.push(format!("if this one had happened twice: {}", made(table, call)));
    }
    if culprit.is_read {
        let stale = vec![(culprit.call, ops.with_began(culprit.call, 0))];
        if first_that_helps(table, stale, states_max)?.is_some() {
            guesses.push("if it had been answered from an older state".to_owned());
        }
    }
    let is_answered = |call: &usize| *call != culprit.call && ops.is_required(*call);
    let lost = writes(&ops).map(|(call, _)| call).filter(is_answered);
    let lost: Vec<_> = lost.map(|call| (call, ops.without(call))).collect();
    if let Some(call) = first_that_helps(table, lost, states_max)? {
        guesses.push(format!("if this one had been lost: {}", made(table, call)));
    }
    Ok(guesses)
}

/// The first of the calls whose change makes an order possible.
fn first_that_helps<M: Model>(
    table: &mut Table<'_, M>,
    changes: Vec<(usize, Ops)>,
    states_max: usize,
) -> Result<Option<usize>, String> {
    for (call, ops) in changes {
        if let Found::Order(_) = search(table, &ops, states_max)? {
            return Ok(Some(call));
        }
    }
    Ok(None)
}

/// The latest calls before that event that said that they had no effect and could have had one, and
/// when they began.
fn refused<M: Model>(table: &Table<'_, M>, event: u32) -> impl Iterator<Item = (usize, u32)> {
    let calls = table.calls.iter().enumerate().rev();
    let refused = calls.filter(move |(_, call)| {
        let is_refused = matches!(call.outcome, Outcome::NotDone(_));
        is_refused && !call.is_read && call.began() < event
    });
    refused.map(|(index, call)| (index, call.began())).take(CALLS_TRIED)
}

/// The latest calls that may have had an effect, and when they began.
fn writes(ops: &Ops) -> impl Iterator<Item = (usize, u32)> {
    let required = ops.required.iter().filter(|op| !op.is_read).map(|op| (op.call, op.began));
    let optional = ops.optional.iter().map(|op| (op.call, op.began));
    let mut writes: Vec<_> = required.chain(optional).collect();
    writes.sort_by_key(|(_, began)| std::cmp::Reverse(*began));
    writes.into_iter().take(CALLS_TRIED)
}
