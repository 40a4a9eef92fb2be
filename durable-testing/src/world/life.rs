//! One life of the node: from a start to a crash or a shutdown. What belongs to a life that is over does nothing more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::host::SimLane;
use crate::chance::Stream;
use crate::disk::SimDisk;

pub(crate) struct Life {
    /// From 1.
    pub(crate) number: u64,
    /// When it began, in the world's time.
    pub(crate) began_ns: u64,
    pub(crate) disk: SimDisk,
    is_over: AtomicBool,
    /// How much later than usual its lanes step.
    lane_delay_ns: AtomicU64,
    /// How much later the next step of any lane comes, once.
    next_delay_ns: AtomicU64,
    lanes: Mutex<Vec<Weak<SimLane>>>,
    /// Which callers run turns themselves.
    lends: Mutex<Stream>,
}

impl Life {
    pub(crate) fn new(seed: u64, number: u64, began_ns: u64, disk: SimDisk) -> Arc<Self> {
        Arc::new(Life {
            number,
            began_ns,
            disk,
            is_over: AtomicBool::new(false),
            lane_delay_ns: AtomicU64::new(0),
            next_delay_ns: AtomicU64::new(0),
            lanes: Mutex::default(),
            lends: Mutex::new(Stream::new(seed, 10_000 + number)),
        })
    }

    /// Whether what it does can still be seen. A node whose disk has died is dead, although nobody has noticed.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_over.load(Ordering::Acquire) && self.disk.is_alive()
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether a caller runs the next turn of an object that is idle: one of two does.
    pub(super) fn lends(&self) -> bool {
        self.is_alive() && self.lends.lock().below(2) == 0
    }

    pub(super) fn lane_delay_ns(&self) -> u64 {
        self.lane_delay_ns.load(Ordering::Acquire) + self.next_delay_ns.swap(0, Ordering::AcqRel)
    }

    pub(crate) fn slow_lanes(&self, delay_ns: u64) {
        self.lane_delay_ns.store(delay_ns, Ordering::Release);
    }

    pub(crate) fn delay_next_step(&self, delay_ns: u64) {
        self.next_delay_ns.fetch_add(delay_ns, Ordering::AcqRel);
    }

    pub(super) fn keep(&self, lane: &Arc<SimLane>) {
        self.lanes.lock().push(Arc::downgrade(lane));
    }

    /// Drops what its lanes hold, connections included.
    pub(super) fn discard_lanes(&self) {
        let lanes = std::mem::take(&mut *self.lanes.lock());
        for lane in lanes.iter().filter_map(Weak::upgrade) {
            lane.discard();
        }
    }
}
