//! Which faults a test wants, and how many of each.

use std::ops::Range;
use std::time::Duration;

/// How many clock jumps a seed may have.
const CLOCK_JUMPS: Range<u32> = 0..3;

/// Calls of a test that does not say how many it makes.
const CALLS: u32 = 100;

/// A kind of fault that a test asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hazard {
    /// The process ends. Nothing of the disk is lost.
    Crashes,
    /// The power is cut: what was not synced is lost, or torn.
    PowerCuts,
    /// All idle objects are evicted.
    Evictions,
    /// The runtime is shut down and started again.
    Restarts,
    /// A read, a write or the sync of a file fails, or the disk is full for a while.
    DiskErrors,
    /// Syncs take up to two seconds longer.
    SlowDisk,
    /// Storage lanes take up to a second longer.
    SlowLanes,
    /// The wall clock jumps forward or back.
    ClockJumps,
    /// Syncs say that they succeeded and make nothing durable.
    LyingSyncs,
    /// The sync of a directory fails.
    DirSyncErrors,
    /// SQLite reads zeros instead of what is there.
    ShortReads,
    /// The connection of a socket breaks, or lets nothing through any more.
    NetFaults,
}

/// The faults from which every seed of a test gets a plan of its own.
///
/// Not every seed has every kind of fault: each kind takes part in about half of the seeds, drawn
/// for each kind and each seed alone, because faults of one kind can hide what those of another
/// would show. How many of a kind a seed that has it gets is drawn from the kind's range, evenly; a
/// range that begins above zero makes the kind take part in every seed.
///
/// ```
/// use std::time::Duration;
///
/// use durable_testing::Faults;
///
/// // Whatever an object must survive, with more power cuts than usual.
/// let faults = Faults::all().power_cuts(1..6).clock_jumps(Duration::from_secs(3_600));
/// // Only crashes, at least one in every seed.
/// let crashes = Faults::none().crashes(1..4);
/// assert_ne!(faults, crashes);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "faults do nothing until a world is given them"]
pub struct Faults {
    /// By hazard, in the order of [`Hazard::ALL`].
    wanted: [Wanted; Hazard::ALL.len()],
    /// The largest jump of the clock, forward or back.
    pub(super) clock_jump_max: Duration,
    /// About how many calls there will be while things go wrong.
    calls: u32,
}

/// How much of a hazard is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// How many faults a seed gets that has it. Empty: none ever.
    pub(super) counts: Range<u32>,
    /// It takes part in `weight` of `weight + 1` seeds.
    pub(super) weight: u32,
}

impl Hazard {
    /// All of them, in the order in which plans are drawn.
    pub const ALL: [Hazard; 12] = [
        Hazard::Crashes,
        Hazard::PowerCuts,
        Hazard::Evictions,
        Hazard::Restarts,
        Hazard::DiskErrors,
        Hazard::SlowDisk,
        Hazard::SlowLanes,
        Hazard::ClockJumps,
        Hazard::LyingSyncs,
        Hazard::DirSyncErrors,
        Hazard::ShortReads,
        Hazard::NetFaults,
    ];

    /// Its name, which is that of the method of [`Faults`] that asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Hazard::Crashes => "crashes",
            Hazard::PowerCuts => "power_cuts",
            Hazard::Evictions => "evictions",
            Hazard::Restarts => "restarts",
            Hazard::DiskErrors => "disk_errors",
            Hazard::SlowDisk => "slow_disk",
            Hazard::SlowLanes => "slow_lanes",
            Hazard::ClockJumps => "clock_jumps",
            Hazard::LyingSyncs => "lying_syncs",
            Hazard::DirSyncErrors => "dir_sync_errors",
            Hazard::ShortReads => "short_reads",
            Hazard::NetFaults => "net_faults",
        }
    }
}

impl Faults {
    /// None at all. Add what is wanted.
    pub fn none() -> Faults {
        let nothing = || Wanted { counts: 0..0, weight: 1 };
        let wanted = Hazard::ALL.map(|_| nothing());
        Faults { wanted, clock_jump_max: Duration::ZERO, calls: CALLS }
    }

    /// Everything that an object survives by what `durable` promises: crashes, power cuts,
    /// evictions, restarts, disk errors, failing syncs of directories, a slow disk, slow lanes, and
    /// clock jumps of up to a minute.
    ///
    /// Not among them are lying syncs and short reads, which no storage survives.
    pub fn all() -> Faults {
        Faults::none()
            .crashes(0..4)
            .power_cuts(0..4)
            .evictions(0..4)
            .restarts(0..3)
            .disk_errors(0..4)
            .dir_sync_errors(0..3)
            .slow_disk(0..4)
            .slow_lanes(0..4)
            .clock_jumps(Duration::from_secs(60))
    }

    /// How often the process ends; nothing of the disk is lost.
    pub fn crashes(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::Crashes, counts)
    }

    /// How often the power is cut. What was not synced is lost, in half of the cuts in parts and in
    /// no order.
    pub fn power_cuts(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::PowerCuts, counts)
    }

    /// How often all idle objects are evicted.
    pub fn evictions(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::Evictions, counts)
    }

    /// How often the runtime is shut down properly and started again.
    pub fn restarts(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::Restarts, counts)
    }

    /// How often the disk fails: a read, a write or a sync gives an error, or there is no space for
    /// a few writes in a row. Every seed prefers other errors.
    pub fn disk_errors(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::DiskErrors, counts)
    }

    /// How often the disk is slow for a few syncs in a row, by up to two seconds each.
    pub fn slow_disk(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::SlowDisk, counts)
    }

    /// How often storage lanes are slow, by up to a second.
    pub fn slow_lanes(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::SlowLanes, counts)
    }

    /// Lets the wall clock jump up to twice in a seed, forward or back, mostly by far less than
    /// `largest`. Zero: never. Counted in whole milliseconds.
    pub fn clock_jumps(self, largest: Duration) -> Faults {
        let counts = if largest.as_millis() == 0 { 0..0 } else { CLOCK_JUMPS };
        Faults { clock_jump_max: largest, ..self }.with(Hazard::ClockJumps, counts)
    }

    /// How often the connection of a socket breaks, or lets nothing through any more without saying so.
    pub fn net_faults(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::NetFaults, counts)
    }

    /// How often syncs lie: they say that they succeeded and make nothing durable. No storage
    /// survives that and a power cut; it is meant for tests that must fail.
    pub fn lying_syncs(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::LyingSyncs, counts)
    }

    /// How often the sync of a directory fails. SQLite pays no attention to that after it has
    /// created a log; a power cut may then take the log away.
    pub fn dir_sync_errors(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::DirSyncErrors, counts)
    }

    /// How often SQLite reads zeros instead of what is in a file. It takes a log that reads like
    /// that for a shorter one, so that what was acknowledged can be lost.
    pub fn short_reads(self, counts: Range<u32>) -> Faults {
        self.with(Hazard::ShortReads, counts)
    }

    /// In how many seeds a hazard takes part: in `weight` of every `weight + 1`. It is 1 for all of
    /// them unless it is set.
    ///
    /// It adds nothing to a hazard that is not asked for, and takes nothing from one of which every
    /// seed must have some.
    pub fn weight(mut self, hazard: Hazard, weight: u32) -> Faults {
        self.wanted[hazard as usize].weight = weight;
        self
    }

    /// Says about how many calls the test makes while things go wrong, so that faults come neither all at its beginning
    /// nor after its end. 100 unless it is said.
    pub fn during(mut self, calls: u32) -> Faults {
        self.calls = calls.max(1);
        self
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.into()
    }

    fn with(mut self, hazard: Hazard, counts: Range<u32>) -> Faults {
        self.wanted[hazard as usize].counts = counts;
        self
    }

    pub(super) fn wanted(&self, hazard: Hazard) -> &Wanted {
        &self.wanted[hazard as usize]
    }
}
