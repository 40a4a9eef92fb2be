//! Why a history is not linearizable: the first answer that no order explains, an order of what
//! came before it, and the answers that would have been right.

use std::fmt;

use super::guess::guesses;
use super::ops::{Ops, Required, Wanted};
use super::search::{Deepest, Found, Placed, search};
use super::table::{ReplyId, Table};
use super::{Model, Recorded};
use crate::history::Outcome;

/// How many calls of the order are printed, counted from its end.
const ORDER_SHOWN: usize = 12;

/// How many answers are tried out, and how many that would have been right are printed.
const ANSWERS_TRIED: usize = 32;
const ANSWERS_SHOWN: usize = 6;

/// How many bytes of an argument or a reply are printed.
const BYTES_SHOWN: usize = 16;

/// A violation of linearizability, for people. [`Display`](fmt::Display) tells it in a few lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explained {
    /// The object's label, `bank.Account(ada)`.
    pub object: String,
    /// An order of calls that explains every answer that was given before the one that it cannot
    /// explain, as long as there is one.
    pub order: Vec<Shown>,
    /// The calls that have no place. The first is the one whose answer nothing explains; there are
    /// others only if the search for the first such answer was given up.
    pub unplaced: Vec<Shown>,
    /// What the first of [`unplaced`](Self::unplaced) could have answered, encoded. Empty if
    /// nothing was found that fits.
    pub allowed: Vec<Vec<u8>>,
    /// What would make the history linearizable, in words: a call that happened twice, for example.
    pub guesses: Vec<String>,
    allowed_shown: Vec<String>,
}

/// A call of an [`Explained`] history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shown {
    /// The call.
    pub call: Recorded,
    /// What the model answers to it there, encoded. `None`: it was not asked.
    pub model_reply: Option<Vec<u8>>,
    /// One line about it.
    pub text: String,
}

/// Explains why `ops` have no order.
///
/// # Errors
/// Why the model has no answer.
pub(super) fn explain<M: Model>(
    table: &mut Table<'_, M>,
    ops: &Ops,
    deepest: Deepest,
    states_max: usize,
) -> Result<Explained, String> {
    let Some(culprit) = first_unexplained(table, ops, states_max)? else {
        return without_culprit(table, ops, &deepest);
    };
    // It has an order, because the culprit's answer is the first that has none.
    let before = search(table, &ops.until(culprit.ended - 1), states_max)?;
    let order = match before {
        Found::Order(order) => order,
        Found::None(_) | Found::TooLarge { .. } => deepest.order,
    };
    let allowed = allowed(table, ops, culprit, states_max)?;
    let guesses = guesses(table, ops, culprit, states_max)?;
    let call = table.calls[culprit.call];
    let allowed_shown = allowed.iter().map(|id| table.model.show_reply(call, table.reply(*id)));
    Ok(Explained {
        object: call.object.clone(),
        allowed_shown: allowed_shown.collect(),
        allowed: allowed.iter().map(|id| table.reply(*id).to_vec()).collect(),
        guesses,
        unplaced: vec![unplaced(table, &order, culprit.call)?],
        order: order.iter().map(|placed| shown(table, placed, culprit.ended)).collect(),
    })
}

/// What is known when the search for the first unexplained answer was given up.
fn without_culprit<M: Model>(
    table: &mut Table<'_, M>,
    ops: &Ops,
    deepest: &Deepest,
) -> Result<Explained, String> {
    let is_placed = |call| deepest.order.iter().any(|placed| placed.call == call);
    let mut left: Vec<_> = ops.required.iter().filter(|op| !is_placed(op.call)).collect();
    left.sort_by_key(|op| op.ended);
    let limit = left.first().map_or(0, |op| op.ended);
    left.retain(|op| op.began < limit);
    let unplaced = left.iter().map(|op| unplaced(table, &deepest.order, op.call));
    Ok(Explained {
        unplaced: unplaced.collect::<Result<_, _>>()?,
        object: table.calls.first().map_or_else(String::new, |call| call.object.clone()),
        order: deepest.order.iter().map(|placed| shown(table, placed, u32::MAX)).collect(),
        allowed: Vec::new(),
        allowed_shown: Vec::new(),
        guesses: Vec::new(),
    })
}

/// The call whose answer is the first that no order explains. A history that is cut off in time
/// stays linearizable if it was, so it can be found by halving. `None`: the search was given up.
fn first_unexplained<M: Model>(
    table: &mut Table<'_, M>,
    ops: &Ops,
    states_max: usize,
) -> Result<Option<Required>, String> {
    let mut by_end = ops.required.clone();
    by_end.sort_by_key(|op| op.ended);
    let mut low = 0;
    let mut high = by_end.len() - 1;
    while low < high {
        let middle = low + (high - low) / 2;
        match search(table, &ops.until(by_end[middle].ended), states_max)? {
            Found::None(_) => high = middle,
            Found::Order(_) => low = middle + 1,
            Found::TooLarge { .. } => return Ok(None),
        }
    }
    Ok(Some(by_end[low]))
}

/// The answers with which the call would have been in order, of those that were tried.
fn allowed<M: Model>(
    table: &mut Table<'_, M>,
    ops: &Ops,
    culprit: Required,
    states_max: usize,
) -> Result<Vec<ReplyId>, String> {
    let mut ops = ops.until(culprit.ended);
    ops.want(culprit.call, Wanted::Noted);
    let Found::None(Deepest { noted, .. }) = search(table, &ops, states_max)? else {
        return Ok(Vec::new());
    };
    let mut allowed = Vec::new();
    for reply in noted.into_iter().take(ANSWERS_TRIED) {
        ops.want(culprit.call, Wanted::Is(reply));
        if let Found::Order(_) = search(table, &ops, states_max)? {
            allowed.push(reply);
        }
    }
    Ok(allowed)
}

/// A call that has no place, and what the model answers to it at the place that it was given
/// without its answer, or else at the end.
fn unplaced<M: Model>(
    table: &mut Table<'_, M>,
    order: &[Placed],
    call: usize,
) -> Result<Shown, String> {
    let mut state = table.initial();
    for placed in order.iter().take_while(|placed| placed.call != call) {
        state = table.step(state, table.form(placed.call))?.state;
    }
    let reply = table.step(state, table.form(call))?.reply;
    let recorded = table.calls[call];
    let text = match &recorded.outcome {
        Outcome::Ok(given) => {
            let given = table.model.show_reply(recorded, given);
            format!("{} gave {given}", made(table, call))
        }
        _ => made(table, call),
    };
    Ok(Shown { call: recorded.clone(), model_reply: Some(table.reply(reply).to_vec()), text })
}

/// A call of the order. `now`: the event until which answers are known.
fn shown<M: Model>(table: &Table<'_, M>, placed: &Placed, now: u32) -> Shown {
    let call = table.calls[placed.call];
    let reply = table.reply(placed.reply);
    let reply_shown = table.model.show_reply(call, reply);
    let made = made(table, placed.call);
    let text = match (&call.outcome, call.ended()) {
        _ if !placed.is_optional => format!("{made} gave {reply_shown}"),
        (Outcome::Ok(_), Some(ended)) if ended == now => {
            format!("{made} took effect here, which should have given {reply_shown}")
        }
        (Outcome::Ok(_), _) => format!("{made} took effect here, not answered yet"),
        (Outcome::Unknown(why), _) => {
            format!("{made} took effect here, its outcome being unknown ({why})")
        }
        _ => format!("{made} took effect here, never answered"),
    };
    Shown { call: call.clone(), model_reply: Some(reply.to_vec()), text }
}

/// Who made the call, when, and what it was.
pub(super) fn made<M: Model>(table: &Table<'_, M>, call: usize) -> String {
    let call = table.calls[call];
    let Recorded { client, invoked, method, .. } = call;
    let args = table.model.show_args(call);
    let answered = call.answered.map_or_else(String::new, |step| step.to_string());
    format!("client {client}, steps {invoked}..{answered}: {method}({args})")
}

/// Bytes for people who have no better model.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = String::from("0x");
    for byte in bytes.iter().take(BYTES_SHOWN) {
        text.push_str(&format!("{byte:02x}"));
    }
    if bytes.len() > BYTES_SHOWN {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: no order of its calls explains their answers", self.object)?;
        for call in &self.unplaced {
            writeln!(f, "  {}", call.text)?;
        }
        if !self.allowed_shown.is_empty() {
            let shown = self.allowed_shown.len().min(ANSWERS_SHOWN);
            write!(f, "  allowed: {}", self.allowed_shown[..shown].join(" or "))?;
            let more = self.allowed_shown.len() - shown;
            if more > 0 { writeln!(f, " or {more} others")? } else { writeln!(f)? }
        }
        let hidden = self.order.len().saturating_sub(ORDER_SHOWN);
        match (self.order.len(), hidden) {
            (0, _) => writeln!(f, "  nothing happened before it")?,
            (_, 0) => writeln!(f, "  what came before can have happened in this order:")?,
            (all, _) => writeln!(
                f,
                "  what came before can have happened in this order, of which these are the last \
                 {ORDER_SHOWN} of {all} calls:"
            )?,
        }
        for call in &self.order[hidden..] {
            writeln!(f, "    {}", call.text)?;
        }
        for guess in &self.guesses {
            writeln!(f, "  it would be in order {guess}")?;
        }
        Ok(())
    }
}
