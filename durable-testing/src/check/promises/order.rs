//! P5: calls of one stub begin in the order in which they were made, and each once.

use durable::ObjectId;

use super::{Call, Promises, Verdict, broken};

impl Promises {
    pub(super) fn leave_queue(&mut self, call: u64) {
        let Some(Call { stub, .. }) = self.calls.get(&call) else { return };
        if let Some(waiting) = self.waiting.get_mut(stub) {
            waiting.retain(|waiting| *waiting != call);
        }
    }

    /// P5: no call of the stub that was sent earlier still waits. And a call begins once.
    pub(super) fn begins_in_order(&mut self, object: &ObjectId, call: u64) -> Verdict {
        let Some(known) = self.calls.get_mut(&call) else { return Ok(()) };
        let label = self.objects.get(object).map_or("", |watch| watch.label.as_str());
        if std::mem::replace(&mut known.has_begun, true) {
            return broken("P2", format!("call #{call} of {label}.{} began twice", known.method));
        }
        self.is_next(object, call)
    }

    /// P5: as [`begins_in_order`](Self::begins_in_order), of a call whose turn need not begin.
    pub(super) fn is_next(&mut self, object: &ObjectId, call: u64) -> Verdict {
        let Some(Call { stub, method, .. }) = self.calls.get(&call) else { return Ok(()) };
        let (stub, method) = (*stub, *method);
        let label = self.objects.get(object).map_or("", |watch| watch.label.as_str());
        let earlier = self.waiting.get(&stub).and_then(|waiting| waiting.first().copied());
        if let Some(earlier) = earlier.filter(|earlier| *earlier != call) {
            return broken(
                "P5",
                format!(
                    "call #{call} of {label}.{method} began before call #{earlier}, \
                     which was sent through the same stub before it"
                ),
            );
        }
        self.leave_queue(call);
        Ok(())
    }
}
