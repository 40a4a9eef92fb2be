//! Who leaves memory: the objects of one class in the order in which they were last used.
//!
//! The order is kept lazily. A queued record says when its object was idle at the earliest; if the object was used
//! since, the record moves back when it comes to the front. So a call costs nothing here, and the front is exact.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::time::MonoNs;

/// What a resident object says of itself when its record comes to the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It has been idle since then.
    IdleSince(MonoNs),
    /// It runs a turn.
    Busy,
    /// It has left memory.
    Gone,
}

/// The queue of one class. `T` leads to the object; equal times leave in the order in which they were queued.
#[derive(Debug)]
pub(crate) struct IdleQueue<T> {
    records: BinaryHeap<Reverse<Record<T>>>,
    queued: u64,
}

#[derive(Debug)]
struct Record<T> {
    idle_since: MonoNs,
    order: u64,
    object: T,
}

impl<T> IdleQueue<T> {
    pub(crate) fn new() -> Self {
        IdleQueue { records: BinaryHeap::new(), queued: 0 }
    }

    /// Records in the queue, those of objects that have left included.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Drops the records of all objects but those that `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.records.retain(|Reverse(record)| keep(&record.object));
    }

    /// Queues an object that was just used.
    pub(crate) fn push(&mut self, object: T, now: MonoNs) {
        self.queued += 1;
        self.records.push(Reverse(Record { idle_since: now, order: self.queued, object }));
    }

    /// When the front was idle at the earliest; `None` if nothing is queued.
    pub(crate) fn front(&self) -> Option<MonoNs> {
        self.records.peek().map(|Reverse(record)| record.idle_since)
    }

    /// Takes the object that has been idle longest, if it has been idle for `idle`. Looks at no more than `looks_max`
    /// records, so that a queue of busy objects costs a bounded time.
    pub(crate) fn pop_idle(
        &mut self,
        now: MonoNs,
        idle: Duration,
        looks_max: usize,
        current: impl Fn(&T) -> Use,
    ) -> Option<T> {
        for _ in 0..looks_max {
            let Reverse(front) = self.records.peek()?;
            if now - front.idle_since < idle {
                return None;
            }
            let Reverse(record) = self.records.pop().expect("the front was just seen");
            match current(&record.object) {
                Use::Gone => {}
                Use::Busy => self.push(record.object, now),
                Use::IdleSince(since) if since > record.idle_since => {
                    self.push(record.object, since)
                }
                Use::IdleSince(_) => return Some(record.object),
            }
        }
        None
    }
}

impl<T> PartialEq for Record<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.idle_since, self.order) == (other.idle_since, other.order)
    }
}

impl<T> Eq for Record<T> {}

impl<T> PartialOrd for Record<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Record<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.idle_since, self.order).cmp(&(other.idle_since, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn the_least_recently_used_object_leaves_first() {
        let mut queue = IdleQueue::new();
        for (time, name) in [(1, "a"), (2, "b"), (3, "c")] {
            queue.push(name, at(time));
        }
        let uses: BTreeMap<_, _> =
            [("a", Use::IdleSince(at(9))), ("b", Use::IdleSince(at(2))), ("c", Use::Busy)].into();
        let mut pop = |now| queue.pop_idle(now, Duration::ZERO, 100, |name| uses[name]);
        assert_eq!(pop(at(10)), Some("b"));
        assert_eq!(pop(at(10)), Some("a"));
        assert_eq!(pop(at(10)), None, "a busy object stays");
    }

    #[test]
    fn nobody_leaves_before_the_idle_time() {
        let mut queue = IdleQueue::new();
        queue.push("a", at(0));
        let idle = Duration::from_millis(10);
        assert_eq!(queue.pop_idle(at(9), idle, 100, |_| Use::IdleSince(at(0))), None);
        assert_eq!(queue.pop_idle(at(10), idle, 100, |_| Use::IdleSince(at(3))), None);
        assert_eq!(queue.front(), Some(at(3)));
        assert_eq!(queue.pop_idle(at(13), idle, 100, |_| Use::IdleSince(at(3))), Some("a"));
    }

    #[test]
    fn an_object_that_has_left_is_dropped_from_the_queue() {
        let mut queue = IdleQueue::new();
        queue.push("a", at(0));
        assert_eq!(queue.pop_idle(at(50), Duration::ZERO, 100, |_| Use::Gone), None);
        assert_eq!(queue.front(), None);
    }

    #[test]
    fn a_look_is_bounded() {
        let mut queue = IdleQueue::new();
        for _ in 0..100 {
            queue.push("busy", at(0));
        }
        assert_eq!(queue.pop_idle(at(1), Duration::ZERO, 5, |_| Use::Busy), None);
        assert_eq!(queue.len(), 100);
        queue.retain(|_| false);
        assert_eq!(queue.len(), 0);
    }
}
