//! Places among the calls that may be under way, in a runtime and in a class of it, and who waits for one.
//!
//! Nobody who waits is overtaken, and a place that is given back wakes one of them. A call that comes while there is room for
//! twice as many pays nothing for that: only those that take up the second half of the room carry the bell that tells
//! who waits. Whenever all places are taken, half of them carry it, so there is always one more ring to come.
//!
//! Every call takes a place and gives it back, on whatever thread: a count of their own keeps threads from waiting for each
//! other's. Many places stand in rows, and a thread looks into the next one only if there is no room in its own.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::kernel::admission;

/// Places of a row for which there are rows.
const ROW_MIN: usize = 64;

/// So many places.
#[derive(Debug)]
pub(crate) struct Places {
    rows: Box<[Arc<Row>]>,
    bell: Arc<Bell>,
}

/// Some of the places. The owners of it, but for [`Places`], *are* those that are taken. Alone in its lines of the cache.
#[derive(Debug)]
#[repr(align(128))]
struct Row {
    max: usize,
}

thread_local! {
    /// Which row this thread looks into first.
    static FIRST: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
}

/// That of the next thread.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Who waits for a place.
#[derive(Debug)]
struct Bell {
    rows: Box<[Weak<Row>]>,
    /// How many wait, for those who look without the lock.
    waiting: AtomicUsize,
    seats: Mutex<VecDeque<Arc<Seat>>>,
}

/// Where somebody waits.
#[derive(Debug, Default)]
struct Seat(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    /// `None`: it has not been looked for the place yet.
    waker: Option<Waker>,
    /// `None`: it was not given yet, or was taken.
    place: Option<Place>,
}

impl Places {
    /// `threads`: how many of them take places beside each other.
    pub(crate) fn new(max: usize, threads: usize) -> Self {
        let count = (max / ROW_MIN).clamp(1, threads.next_power_of_two());
        let room = |row| max / count + usize::from(row < max % count);
        let rows: Box<[_]> = (0..count).map(|row| Arc::new(Row { max: room(row) })).collect();
        let (waiting, seats) = (AtomicUsize::new(0), Mutex::default());
        let bell = Bell { rows: rows.iter().map(Arc::downgrade).collect(), waiting, seats };
        Places { rows, bell: Arc::new(bell) }
    }

    pub(crate) fn max(&self) -> usize {
        self.rows.iter().map(|row| row.max).sum()
    }

    fn taken(&self) -> usize {
        self.rows.iter().map(|row| Arc::strong_count(row) - 1).sum()
    }

    /// Takes one, if nobody waits for it.
    ///
    /// # Errors
    /// How many are taken, if that is all or somebody waits for the next.
    pub(crate) fn take(&self) -> Result<Place, usize> {
        if self.bell.waiting.load(Ordering::Acquire) > 0 {
            return Err(self.taken());
        }
        let (ahead, first) = self.rows.split_at(FIRST.get() % self.rows.len());
        let free = first.iter().chain(ahead).find_map(|row| {
            let taken = Arc::strong_count(row) - 1;
            admission::enter(taken, row.max).ok()?;
            Some(self.bell.place(Arc::clone(row), taken))
        });
        free.ok_or_else(|| self.taken())
    }

    /// Waits for one, behind all who wait already.
    pub(crate) fn wait(&self) -> Waiting {
        let seat = Arc::new(Seat::default());
        let mut seats = self.bell.seats.lock();
        seats.push_back(Arc::clone(&seat));
        self.bell.waiting.store(seats.len(), Ordering::SeqCst);
        drop(seats);
        self.bell.ring();
        Waiting { seat, bell: Arc::clone(&self.bell) }
    }
}

impl Bell {
    /// A place of a row of which so many were taken.
    fn place(self: &Arc<Self>, row: Arc<Row>, taken: usize) -> Place {
        let rings = 2 * (taken + 1) >= row.max;
        Place { row: Some(row), bell: rings.then(|| Arc::clone(self)) }
    }

    /// A row in which there is room. `None`: there is none, or nobody takes places any more.
    fn with_room(&self) -> Option<Arc<Row>> {
        let mut rows = self.rows.iter().filter_map(Weak::upgrade);
        // Without that of whose places they are, and this one.
        rows.find(|row| admission::enter(Arc::strong_count(row).saturating_sub(2), row.max).is_ok())
    }

    /// Gives the places that are free to those who wait, in their order.
    fn ring(self: &Arc<Self>) {
        // Pairs with whoever has just begun to wait: one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut woken = Vec::new();
        let mut seats = self.seats.lock();
        while !seats.is_empty() {
            let Some(row) = self.with_room() else { break };
            let Some(seat) = seats.pop_front() else { break };
            let mut waits = seat.0.lock();
            // Whoever has waited may be the only one to tell the next.
            let all = row.max;
            waits.place = Some(self.place(row, all));
            woken.extend(waits.waker.take());
        }
        self.waiting.store(seats.len(), Ordering::SeqCst);
        drop(seats);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Somebody who waits for a place.
#[must_use = "it waits only while it is polled"]
pub(crate) struct Waiting {
    seat: Arc<Seat>,
    bell: Arc<Bell>,
}

impl Future for Waiting {
    type Output = Place;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Place> {
        let mut waits = self.seat.0.lock();
        match waits.place.take() {
            Some(place) => Poll::Ready(place),
            None => {
                waits.waker = Some(task.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting {
    /// A place that was given and not taken goes to the next one.
    fn drop(&mut self) {
        let mut seats = self.bell.seats.lock();
        seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        self.bell.waiting.store(seats.len(), Ordering::SeqCst);
        drop(seats);
        let place = self.seat.0.lock().place.take();
        drop(place);
    }
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None`: it is being given back.
    row: Option<Arc<Row>>,
    /// `None`: others tell who waits.
    bell: Option<Arc<Bell>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(bell) = self.bell.take() else { return };
        self.row = None;
        bell.ring();
    }
}

/// What a call takes up that is under way.
#[derive(Debug)]
pub(crate) struct Permit {
    _runtime: Place,
    /// `None`: its class has no bound of its own.
    _class: Option<Place>,
}

impl Permit {
    pub(crate) fn new(runtime: Place, class: Option<Place>) -> Self {
        Permit { _runtime: runtime, _class: class }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(waiting: &mut Waiting) -> Poll<Place> {
        Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Whichever places are given back first, with a bell or without: what is free goes to those who wait, in their order.
    #[test]
    fn places_go_to_those_who_wait_in_their_order_and_to_nobody_before_them() {
        let orders =
            [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 3, 2, 5, 4], [2, 5, 0, 4, 1, 3]];
        for order in orders {
            let places = Places::new(order.len(), 4);
            let mut taken: Vec<_> = order.iter().map(|_| places.take().ok()).collect();
            assert_eq!(places.take().expect_err("all are taken"), order.len());
            let mut waiting: Vec<_> = (0..4).map(|_| places.wait()).collect();
            let mut got = Vec::new();
            for index in order {
                taken[index] = None;
                while let Some(Poll::Ready(place)) = waiting.get_mut(got.len()).map(poll) {
                    got.push(place);
                }
                let behind = waiting.iter_mut().skip(got.len());
                assert!(behind.map(poll).all(|polled| polled.is_pending()), "{order:?}");
                assert!(got.len() == 4 || places.take().is_err(), "others wait");
            }
            assert_eq!(got.len(), 4, "{order:?}");
            let rest: Vec<_> = (0..6).map_while(|_| places.take().ok()).collect();
            assert_eq!(rest.len(), 2, "and what is left goes to whoever comes");
        }
    }

    /// Whichever row has room: all of its places are there for everyone, and none is given twice.
    #[test]
    fn places_of_all_rows_are_taken_and_go_to_those_who_wait() {
        const ALL: usize = 4 * ROW_MIN + 3;
        for last in 0..4 {
            let places = Places::new(ALL, 4);
            assert_eq!((places.rows.len(), places.max()), (4, ALL));
            let mut taken: Vec<_> = (0..ALL).map_while(|_| places.take().ok()).collect();
            assert_eq!(taken.len(), ALL);
            assert_eq!(places.take().expect_err("all are taken"), ALL);
            let mut waiting: Vec<_> = (0..ALL).map(|_| places.wait()).collect();
            let row_of = |place: &Place| {
                let own = place.row.as_ref().expect("it is taken");
                places.rows.iter().position(|row| Arc::ptr_eq(row, own)).expect("one of them")
            };
            taken.sort_by_key(|place| (row_of(place) + last) % 4);
            let mut got = Vec::new();
            for place in taken {
                drop(place);
                while let Some(Poll::Ready(place)) = waiting.get_mut(got.len()).map(poll) {
                    got.push(place);
                }
                let next = waiting.get_mut(got.len() + 1).map(poll);
                assert!(next.is_none_or(|polled| polled.is_pending()), "nobody is overtaken");
            }
            assert_eq!(got.len(), ALL, "each has one");
            assert_eq!(places.take().expect_err("all are taken"), ALL);
            drop(got);
            assert_eq!(places.taken(), 0);
        }
    }

    #[test]
    fn whoever_no_longer_waits_holds_nobody_up() {
        let places = Places::new(1, 4);
        let place = places.take().expect("there is room");
        let (first, mut second, third) = (places.wait(), places.wait(), places.wait());
        drop(first);
        drop(place);
        let Poll::Ready(place) = poll(&mut second) else { panic!("it was first") };
        drop(third);
        drop(place);
        let place = places.take().expect("nobody waits");
        let given = places.wait();
        drop(place);
        drop(given);
        assert!(places.take().is_ok(), "what was given and not taken is free");
    }
}
