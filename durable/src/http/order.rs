//! The order of the calls that a connection brings: each waits for those of its stub before it, until they are at their objects.

use std::collections::HashMap;

use tokio::sync::oneshot;

/// The stubs whose calls a connection brings.
#[derive(Default)]
pub(super) struct Order {
    /// By the numbers that the client gives them: the last call's place.
    last: HashMap<u64, Turn>,
    /// With so many, those are forgotten whose calls are all at their objects.
    crowd: usize,
}

/// A call's place behind the one before it. When it is dropped the next one has its turn, or waits for what this one waited for.
pub(super) struct Place {
    /// `None`: there was none before it, or it has come.
    before: Option<Turn>,
    /// `None`: it is dropped.
    after: Option<oneshot::Sender<Option<Turn>>>,
}

/// What a call waits for: the one before it, which says what it waited for itself if it has left its place too early.
struct Turn(oneshot::Receiver<Option<Turn>>);

impl Order {
    /// Fewer stubs than these are not worth being looked through.
    const CROWD_MIN: usize = 64;

    /// The place of the next call of a stub.
    pub(super) fn place(&mut self, stub: u64) -> Place {
        if self.last.len() >= self.crowd.max(Self::CROWD_MIN) {
            self.last.retain(|_, last| last.is_to_come());
            self.crowd = 2 * self.last.len();
        }
        let (after, turn) = oneshot::channel();
        let before = self.last.insert(stub, Turn(turn));
        Place { before, after: Some(after) }
    }
}

impl Place {
    /// Ends when the call before it is at its object, or is not to get there.
    pub(super) async fn comes(&mut self) {
        while let Some(Turn(turn)) = &mut self.before {
            self.before = turn.await.ok().flatten();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let after = self.after.take().expect("it is dropped once");
        // There may be none behind it.
        let _ = after.send(self.before.take());
    }
}

impl Turn {
    /// Whether it has not come.
    fn is_to_come(&mut self) -> bool {
        loop {
            match self.0.try_recv() {
                Ok(Some(before)) => *self = before,
                Err(oneshot::error::TryRecvError::Empty) => return true,
                Ok(None) | Err(oneshot::error::TryRecvError::Closed) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_call_waits_for_the_one_before_it_of_its_stub() {
        let mut order = Order::default();
        let mut next = |stub| order.place(stub);
        let (mut first, mut second, mut other) = (next(1), next(1), next(2));
        assert!(first.comes().now_or_never().is_some() && other.comes().now_or_never().is_some());
        let mut waits = Box::pin(second.comes());
        assert!((&mut waits).now_or_never().is_none());
        drop(first);
        assert!(waits.now_or_never().is_some());
    }

    #[test]
    fn one_that_leaves_its_place_lets_nobody_past_those_before_it() {
        let mut order = Order::default();
        let mut next = || order.place(1);
        let (first, second, third, mut fourth) = (next(), next(), next(), next());
        drop((third, second));
        let mut waits = Box::pin(fourth.comes());
        assert!((&mut waits).now_or_never().is_none());
        drop(first);
        assert!(waits.now_or_never().is_some());
    }

    #[test]
    fn stubs_whose_calls_are_over_are_forgotten() {
        let mut order = Order::default();
        let _held = order.place(u64::MAX);
        for stub in 0..10_000 {
            drop(order.place(stub));
        }
        assert!(order.last.len() <= 2 * Order::CROWD_MIN, "{}", order.last.len());
        assert!(order.last.contains_key(&u64::MAX));
    }
}
