//! P13, checked on every run: a call that would wait for itself is refused, and no other call is.
//!
//! It asks in another way than the runtime does: whether everybody could end if, from here on, nobody called anything. Turns
//! that wait for nothing end first, then those that wait for them, and so on; a call that is left over waits for itself. What a
//! call has before it that is no call, and calls whose callers have left and that still stand in a queue, may be in the way
//! of others or not: neither answer is wrong then.

use std::collections::{BTreeMap, BTreeSet};

use durable::host::Event;
use durable::{Access, ObjectId};

use crate::failure::Failure;

type Verdict = Result<(), Failure>;

/// The turns and calls of a node that are not over.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// By number, those that somebody waits for.
    calls: BTreeMap<u64, Call>,
    /// Calls that stand in the queue of each object, in order; also those that nobody waits for any more.
    queues: BTreeMap<ObjectId, Vec<Queued>>,
    /// The turns that run at each object, by their calls.
    running: BTreeMap<ObjectId, BTreeMap<u64, Access>>,
    /// A hook called something, and hooks have no numbers: whoever waits for one waits for somebody unknown.
    is_blind: bool,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    access: Access,
    is_reentrant: bool,
    method: &'static str,
    /// The turn that makes it, by its call. `None`: no turn does.
    within: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    call: u64,
    access: Access,
    /// Something that is no call stands before it.
    is_held: bool,
}

/// What is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It is in the way.
    Counts,
    /// It is not.
    IsNothing,
}

fn broken(text: String) -> Verdict {
    Err(Failure::promise("P13", text))
}

impl Waits {
    /// Nothing of the node's memory is left.
    pub(crate) fn crashed(&mut self) {
        *self = Waits::default();
    }

    /// The runtime reports something.
    pub(crate) fn saw(&mut self, event: &Event<'_>) -> Verdict {
        match *event {
            Event::Sent { call, method, within, .. } => {
                self.is_blind |= within == Some(0);
                let (access, method, is_reentrant) =
                    (method.access, method.name, method.is_reentrant);
                self.calls.insert(call, Call { access, is_reentrant, method, within });
            }
            Event::Queued { object, call, overtakes, is_held, .. } => {
                let Some(Call { access, .. }) = self.calls.get(&call).copied() else {
                    return Ok(());
                };
                return self.queued(object, Queued { call, access, is_held }, overtakes);
            }
            Event::Circular { object, call, is_held } => {
                return self.refused(object, call, is_held);
            }
            Event::Held { object } => {
                let queue = self.queues.get_mut(object).into_iter().flatten();
                queue.for_each(|queued| queued.is_held = true);
            }
            Event::TurnBegan { object, call, method, .. } => {
                self.began(object, call, method.access)
            }
            Event::TurnEnded { object, call, .. } => {
                if let Some(turns) = self.running.get_mut(object) {
                    turns.remove(&call);
                }
            }
            Event::Gone { object, .. } => drop(self.running.remove(object)),
            Event::Answered { call, .. } | Event::Abandoned { call } => {
                self.calls.remove(&call);
            }
            _ => {}
        }
        Ok(())
    }

    fn queued(&mut self, object: &ObjectId, queued: Queued, overtakes: bool) -> Verdict {
        let Some(known) = self.calls.get(&queued.call).copied() else { return Ok(()) };
        let (may_overtake, call) = (self.may_overtake(object, known), queued.call);
        let queue = self.queues.entry(*object).or_default();
        queue.insert(if overtakes { 0 } else { queue.len() }, queued);
        let name = format_args!("call #{call} of {object}.{}", known.method);
        if overtakes && !may_overtake {
            return broken(format!("{name} goes before all others, and may not"));
        }
        let is_blind = known.within.is_none_or(|turn| turn == 0) || self.is_blind;
        if is_blind || self.can_end(call, Doubt::IsNothing) {
            return Ok(());
        }
        broken(format!("{name} waits for itself"))
    }

    fn refused(&mut self, object: &ObjectId, call: u64, is_held: bool) -> Verdict {
        let Some(known) = self.calls.get(&call).copied() else { return Ok(()) };
        if self.is_blind {
            return Ok(());
        }
        let queued = Queued { call, access: known.access, is_held };
        self.queues.entry(*object).or_default().push(queued);
        let can_end = self.can_end(call, Doubt::Counts);
        let may_overtake = self.may_overtake(object, known);
        self.queues.entry(*object).or_default().pop();
        if can_end {
            return broken(format!(
                "call #{call} of {object}.{} is refused, and would not have waited for itself",
                known.method
            ));
        }
        if !may_overtake {
            return Ok(());
        }
        broken(format!("call #{call} of {object}.{} may be called back, and is not", known.method))
    }

    /// Whether it may begin before others that wait.
    fn may_overtake(&self, object: &ObjectId, call: Call) -> bool {
        let mut running = self.running.get(object).into_iter().flat_map(BTreeMap::values);
        call.is_reentrant && running.all(|access| *access == Access::Read)
    }

    fn began(&mut self, object: &ObjectId, call: u64, access: Access) {
        if let Some(queue) = self.queues.get_mut(object)
            && let Some(place) = queue.iter().position(|queued| queued.call == call)
        {
            // Those before it were passed over: their callers had left, or their time.
            queue.drain(..=place);
        }
        self.running.entry(*object).or_default().insert(call, access);
    }

    /// Whether a call would end if nobody called anything from here on.
    fn can_end(&self, call: u64, doubt: Doubt) -> bool {
        // Calls that can end, and with them their turns.
        let mut ended = BTreeSet::new();
        loop {
            let before = ended.len();
            let queued = self.queues.values().flatten().map(|queued| queued.call);
            let running = self.running.values().flat_map(|turns| turns.keys().copied());
            for number in queued.chain(running) {
                if !ended.contains(&number) && self.ends_next(number, &ended, doubt) {
                    ended.insert(number);
                }
            }
            if ended.contains(&call) || ended.len() == before {
                return ended.contains(&call);
            }
        }
    }

    /// Whether a call can end once those that have `ended` have.
    fn ends_next(&self, number: u64, ended: &BTreeSet<u64>, doubt: Doubt) -> bool {
        let is_there = |queue: &&Vec<Queued>| queue.iter().any(|queued| queued.call == number);
        if let Some((object, queue)) = self.queues.iter().find(|(_, queue)| is_there(queue)) {
            let ahead = queue.iter().take_while(|queued| queued.call != number);
            let own = queue[ahead.clone().count()];
            let is_counted =
                |queued: &&Queued| doubt == Doubt::Counts || self.calls.contains_key(&queued.call);
            let mut writes =
                ahead.filter(is_counted).filter(|queued| queued.access == Access::Write);
            let is_held = own.is_held && doubt == Doubt::Counts;
            let is_alone =
                own.access == Access::Write || is_held || writes.clone().next().is_some();
            let running = self.running.get(object).into_iter().flatten();
            let mut awaited = running.filter(|(_, access)| is_alone || **access == Access::Write);
            return awaited.all(|(turn, _)| ended.contains(turn))
                && writes.all(|queued| ended.contains(&queued.call));
        }
        // Its turn runs. What that has called and what neither waits nor runs waits for the disk only.
        let mut made = self.calls.iter().filter(|(_, call)| call.within == Some(number));
        made.all(|(call, _)| ended.contains(call) || !self.is_known(*call))
    }

    /// Whether a call stands in a queue, or its turn runs.
    fn is_known(&self, call: u64) -> bool {
        let mut queued = self.queues.values().flatten();
        queued.any(|queued| queued.call == call)
            || self.running.values().any(|turns| turns.contains_key(&call))
    }
}
