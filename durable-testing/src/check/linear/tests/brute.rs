//! Linearizability by its definition: every order of every set of calls is tried.

use super::super::Model;
use crate::history::{Outcome, Recorded};

/// Whether any order of the calls explains their answers. Only for a handful of calls.
pub(super) fn is_linearizable<M: Model>(calls: &[&Recorded], model: &M) -> bool {
    let calls: Vec<_> =
        calls.iter().copied().filter(|c| !matches!(c.outcome, Outcome::NotDone(_))).collect();
    some_order(&calls, &mut Vec::new(), model)
}

/// Whether an order that begins like this is right.
fn some_order<'a, M: Model>(
    calls: &[&'a Recorded],
    order: &mut Vec<&'a Recorded>,
    model: &M,
) -> bool {
    if is_right(calls, order, model) {
        return true;
    }
    for call in calls {
        if order.iter().any(|other| std::ptr::eq(*other, *call)) {
            continue;
        }
        order.push(call);
        let is_found = some_order(calls, order, model);
        order.pop();
        if is_found {
            return true;
        }
    }
    false
}

/// Whether the order has every answered call, keeps to the time of each, and gives all answers.
pub(super) fn is_right<M: Model>(calls: &[&Recorded], order: &[&Recorded], model: &M) -> bool {
    let is_placed = |call: &Recorded| order.iter().any(|other| std::ptr::eq(*other, call));
    if calls.iter().any(|call| matches!(call.outcome, Outcome::Ok(_)) && !is_placed(call)) {
        return false;
    }
    for (index, later) in order.iter().enumerate() {
        let Outcome::Ok(_) = later.outcome else { continue };
        if order[..index].iter().any(|earlier| later.ended() < Some(earlier.began())) {
            return false;
        }
    }
    let mut state = model.initial();
    for call in order {
        let step = model.step(&state, call).expect("the toys know all their calls");
        if matches!(&call.outcome, Outcome::Ok(reply) if *reply != step.reply) {
            return false;
        }
        state = step.state;
    }
    true
}
