//! The order of the calls that a connection brings: each waits for those of its stub before it, until they are at their objects.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The stubs whose calls a connection brings.
#[derive(Default)]
pub(super) struct Order {
    /// By the numbers that the client gives them: the last call's place.
    last: HashMap<u64, oneshot::Receiver<()>>,
    /// With so many, those are forgotten whose calls are all at their objects.
    crowd: usize,
}

/// A call's place behind the one before it. When it is dropped the next one has its turn.
pub(super) struct Place {
    /// `None`: there was none before it.
    before: Option<oneshot::Receiver<()>>,
    _left: oneshot::Sender<()>,
}

/// A place as a request carries it.
#[derive(Clone)]
pub(super) struct Placed(Arc<Mutex<Option<Place>>>);

impl Order {
    /// Fewer stubs than these are not worth being looked through.
    const CROWD_MIN: usize = 64;

    /// The place of the next call of a stub.
    pub(super) fn place(&mut self, stub: u64) -> Placed {
        if self.last.len() >= self.crowd.max(Self::CROWD_MIN) {
            let is_waited_for = |last: &mut oneshot::Receiver<()>| {
                last.try_recv() == Err(oneshot::error::TryRecvError::Empty)
            };
            self.last.retain(|_, last| is_waited_for(last));
            self.crowd = 2 * self.last.len();
        }
        let (left, is_left) = oneshot::channel();
        let before = self.last.insert(stub, is_left);
        Placed(Arc::new(Mutex::new(Some(Place { before, _left: left }))))
    }
}

impl Placed {
    /// The place, for whoever asks first.
    pub(super) fn take(&self) -> Option<Place> {
        self.0.lock().take()
    }
}

impl Place {
    /// Ends when the call before it is at its object, or is not to get there.
    pub(super) async fn comes(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = before.await;
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
        let mut next = |stub| order.place(stub).take().expect("nobody else has it");
        let (mut first, mut second, mut other) = (next(1), next(1), next(2));
        assert!(first.comes().now_or_never().is_some() && other.comes().now_or_never().is_some());
        let mut waits = Box::pin(second.comes());
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
