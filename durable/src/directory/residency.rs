//! Eviction: objects leave memory when they have been idle, or when another needs the place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
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

/// How long the sweeper sleeps at most, so that it notices the end of its runtime.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// The objects of all classes that are in memory.
pub(crate) struct Residents {
    count: AtomicUsize,
    count_max: usize,
    classes: Mutex<Vec<Arc<Residency>>>,
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
        Arc::new(Residents { count: AtomicUsize::new(0), count_max, classes: Mutex::default() })
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

    /// Evicts objects as they have been idle for long enough, until the runtime is gone.
    pub(crate) async fn sweep_forever(residents: Weak<Residents>, host: Host) {
        loop {
            let Some(alive) = residents.upgrade() else { return };
            let now = host.clock.now();
            // Objects that came while all others were busy.
            let surplus = alive.count.load(Ordering::Relaxed).saturating_sub(alive.count_max);
            for _ in 0..surplus {
                if !alive.make_place(now) {
                    break;
                }
            }
            let mut next = now + SWEEP_INTERVAL_MAX;
            for class in alive.classes() {
                next = next.min(now + class.idle.max(SWEEP_STEP));
                for _ in 0..LOOKS_IN_A_SWEEP {
                    if !class.evict_one(now, class.idle, LOOKS_IN_A_SWEEP) {
                        break;
                    }
                }
                if let Some(front) = class.queue.lock().front() {
                    next = next.min((front + class.idle).max(now + SWEEP_STEP));
                }
            }
            drop(alive);
            host.clock.sleep_until(next).await;
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
        queue.push((weak, incarnation), now);
        drop(queue);
        if let Some(residents) = self.residents.upgrade()
            && residents.count.fetch_add(1, Ordering::Relaxed) >= residents.count_max
        {
            residents.make_place(now);
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
