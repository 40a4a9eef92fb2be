//! Eviction: objects leave memory when they have been idle, or when another needs the place.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use crate::host::Host;
use crate::kernel::residency::{IdleQueue, Use};
use crate::object::Resident;
use crate::time::MonoNs;

/// Records looked at to make one place. Busy objects are passed over; if all are busy, the cap gives way.
const LOOKS_FOR_A_PLACE: usize = 32;

/// Records looked at in one sweep, before other tasks get their turn.
const LOOKS_IN_A_SWEEP: usize = 1_024;

/// How much later than due an idle object may leave: one wake of the sweeper serves all that fall due together.
const SWEEP_STEP: Duration = Duration::from_millis(50);

/// One activation of an object.
type Incarnated = (Weak<dyn Resident>, u64);

/// Records for each object in memory above which those of objects that have left are dropped, and as many more.
const RECORDS_PER_OBJECT: usize = 2;
const RECORDS_SPARE: usize = 1_024;

/// How often the sweeper looks for a place while there are more objects than places, and all of them are busy.
const SURPLUS_INTERVAL: Duration = Duration::from_secs(1);

/// The objects of all classes that are in memory.
pub(crate) struct Residents {
    count: AtomicUsize,
    count_max: usize,
    classes: Mutex<Vec<Arc<Residency>>>,
    bell: Arc<Bell>,
}

/// Wakes the sweeper: an object has come where none was, or the runtime is gone.
#[derive(Default)]
struct Bell {
    is_rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::AcqRel)
            && let Some(waker) = self.waker.lock().take()
        {
            waker.wake();
        }
    }

    fn poll(&self, task: &TaskContext<'_>) -> Poll<()> {
        *self.waker.lock() = Some(task.waker().clone());
        if self.is_rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Residents {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

/// The objects of one class that are in memory.
pub(crate) struct Residency {
    residents: Weak<Residents>,
    idle: Duration,
    count: AtomicUsize,
    queue: Mutex<IdleQueue<Incarnated>>,
}

impl Residents {
    pub(crate) fn new(count_max: usize) -> Arc<Self> {
        let (count, classes, bell) = (AtomicUsize::new(0), Mutex::default(), Arc::default());
        Arc::new(Residents { count, count_max, classes, bell })
    }

    pub(crate) fn add_class(self: &Arc<Self>, idle: Duration) -> Arc<Residency> {
        let residency = Arc::new(Residency {
            residents: Arc::downgrade(self),
            idle,
            count: AtomicUsize::new(0),
            queue: Mutex::new(IdleQueue::new()),
        });
        self.classes.lock().push(Arc::clone(&residency));
        residency
    }

    fn classes(&self) -> Vec<Arc<Residency>> {
        self.classes.lock().clone()
    }

    /// Evicts the least recently used idle object of any class. Whether there was one.
    fn make_place(&self, now: MonoNs) -> bool {
        // Each front is read once: others move them, and an order that changes while it is sorted is none.
        let front =
            |class: Arc<Residency>| class.queue.lock().front().map(|front| (front, class.clone()));
        let mut classes: Vec<_> = self.classes().into_iter().filter_map(front).collect();
        classes.sort_by_key(|(front, _)| *front);
        let evict = |class: &Residency| class.evict_one(now, Duration::ZERO, LOOKS_FOR_A_PLACE);
        classes.iter().any(|(_, class)| evict(class))
    }

    /// Evicts objects as they have been idle for long enough, until the runtime is gone. Sleeps while there are none.
    pub(crate) async fn sweep_forever(residents: Weak<Residents>, host: Host) {
        // When there are too many objects, those that are leaving already must have had the time to.
        let mut relieve_at = None;
        loop {
            let Some(alive) = residents.upgrade() else { return };
            let now = host.clock.now();
            let surplus = alive.count.load(Ordering::Relaxed).saturating_sub(alive.count_max);
            if relieve_at.is_some_and(|at| at <= now) {
                // Objects that came while all others were busy.
                relieve_at = None;
                for _ in 0..surplus {
                    if !alive.make_place(now) {
                        break;
                    }
                }
            }
            relieve_at =
                if surplus > 0 { relieve_at.or(Some(now + SURPLUS_INTERVAL)) } else { None };
            let mut next = relieve_at;
            for class in alive.classes() {
                for _ in 0..LOOKS_IN_A_SWEEP {
                    if !class.evict_one(now, class.idle, LOOKS_IN_A_SWEEP) {
                        break;
                    }
                }
                if let Some(front) = class.queue.lock().front() {
                    let due = (front + class.idle).max(now + SWEEP_STEP);
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
            }
            let bell = Arc::clone(&alive.bell);
            drop(alive);
            let mut sleep = next.map(|next| host.clock.sleep_until(next));
            poll_fn(|task| {
                let slept = sleep.as_mut().map(|sleep| sleep.as_mut().poll(task));
                if slept.is_some_and(|slept| slept.is_ready()) {
                    Poll::Ready(())
                } else {
                    bell.poll(task)
                }
            })
            .await;
        }
    }
}

impl Residency {
    /// An activation of `object` starts.
    pub(crate) fn enter<R: Resident + 'static>(
        &self,
        object: &Arc<R>,
        incarnation: u64,
        now: MonoNs,
    ) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let weak = Arc::downgrade(object);
        let mut queue = self.queue.lock();
        // An object that comes and goes leaves a record each time; the live ones are at most as many as the objects.
        if queue.len() > RECORDS_PER_OBJECT * self.count() + RECORDS_SPARE {
            queue.retain(|object| current_use(object) != Use::Gone);
        }
        let is_first = queue.front().is_none();
        queue.push((weak, incarnation), now);
        drop(queue);
        let Some(residents) = self.residents.upgrade() else { return };
        if is_first {
            residents.bell.ring();
        }
        if residents.count.fetch_add(1, Ordering::Relaxed) >= residents.count_max {
            residents.make_place(now);
            residents.bell.ring();
        }
    }

    /// An activation has left memory.
    pub(crate) fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        if let Some(residents) = self.residents.upgrade() {
            residents.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Objects of the class that are in memory.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Evicts the object that has been idle longest, if it has been for `idle`. Whether it did.
    fn evict_one(&self, now: MonoNs, idle: Duration, looks_max: usize) -> bool {
        let chosen = self.queue.lock().pop_idle(now, idle, looks_max, current_use);
        let Some((weak, incarnation)) = chosen else { return false };
        let is_evicted = weak.upgrade().is_some_and(|object| object.evict_if_idle());
        if !is_evicted {
            // It was used since it was chosen.
            self.queue.lock().push((weak, incarnation), now);
        }
        is_evicted
    }
}

fn current_use((object, incarnation): &Incarnated) -> Use {
    object.upgrade().map_or(Use::Gone, |object| object.current_use(*incarnation))
}
