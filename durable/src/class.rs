//! Classes and their methods, as the macro describes them. Plain data.

mod rate;

use std::fmt;
use std::time::Duration;

use crate::due::AlarmSpec;
use crate::error::{Code, Error};
use crate::limits::{
    ALARM_RETRIES_MAX, CLASS_NAME_BYTES_MAX, CRASHES_MAX_MAX, IN_FLIGHT_CALLS_MAX, INTENSITY_MAX,
};
use crate::quarantine::CrashBudget;
use crate::sql::Migration;

pub use self::rate::Rate;

/// What a class says of itself: its name on disk and wire, its state's version, its methods, its settings.
///
/// `#[durable_object]` writes it; a program only reads it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClassSpec {
    /// Identity in storage and on wires, such as `bank.Account`. Never changes once objects are stored.
    pub name: &'static str,
    /// Version of the state's layout; 1 unless the class says otherwise.
    pub version: u32,
    /// The methods that can be called, in source order.
    pub methods: &'static [MethodSpec],
    /// How long an object without calls stays in memory; `None`: as the runtime says.
    pub idle: Option<Duration>,
    /// What answers of calls wait for that do not say it themselves.
    pub durability: Durability,
    /// How its alarms are run. `None`: it has no `#[alarm]`.
    pub alarm: Option<AlarmSpec>,
    /// How runs of its objects' schedules are followed that fail.
    pub schedules: AlarmSpec,
    /// How the tables of its objects came to be, by number. Empty: its methods make them.
    pub migrations: &'static [Migration],
    /// What becomes of its objects' children when one of them crashes.
    pub children: ChildrenSpec,
    /// How often an object may crash within [`crash_period`](Self::crash_period) before it is quarantined. `None`: as the
    /// runtime says.
    pub crashes: Option<u32>,
    /// How long a crash counts. `None`: as the runtime says.
    pub crash_period: Option<Duration>,
    /// How long a turn of a call may run. `None`: as the runtime says.
    pub turn_limit: Option<Duration>,
    /// For how long results of calls with idempotency keys are kept. `None`: as the runtime says.
    pub keep_results: Option<Duration>,
    /// How many calls each of its objects takes in a time. `None`: as many as come.
    pub rate: Option<Rate>,
    /// How many calls of its objects may be under way. `None`: as the runtime says.
    pub in_flight: Option<u32>,
    /// Whether sockets of its objects are closed when those crash.
    pub crash_closes_sockets: bool,
    /// Whether it has `#[on_child_exit]`.
    pub hears_child_exits: bool,
    /// Whether it has `#[on_down]`.
    pub hears_downs: bool,
    /// Whether what commits replace is kept, so that its objects can be brought back to a former moment.
    pub keeps_history: bool,
}

/// What the answer of a call waits for.
///
/// A call says it by [`Call::synced`](crate::Call::synced) or [`Call::relaxed`](crate::Call::relaxed), a class for all
/// of its calls by `durability = "relaxed"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// For the disk: what is answered survives the end of the process and a power cut.
    #[default]
    Synced,
    /// For nothing: an answer may tell of changes that a crash in the next moment undoes. They are stored as all others
    /// are, in order and whole, some milliseconds later.
    Relaxed,
}

/// How an object's children are supervised.
///
/// `#[durable_object(children = "one_for_all", intensity = 3, period = "5s")]` writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildrenSpec {
    /// Which children are restarted when one has crashed.
    pub strategy: ChildStrategy,
    /// How many restarts there may be within a period; with one more the parent itself fails.
    pub intensity: u32,
    /// The period.
    pub period: Duration,
}

/// Which children of an object are restarted when one of them has crashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChildStrategy {
    /// The one that crashed.
    #[default]
    OneForOne,
    /// All that are in memory.
    OneForAll,
    /// The one that crashed and those that came into memory after it.
    RestForOne,
}

impl ChildrenSpec {
    /// As OTP's supervisors have it: one for one, once in five seconds.
    pub const fn new() -> Self {
        let period = Duration::from_secs(5);
        ChildrenSpec { strategy: ChildStrategy::OneForOne, intensity: 1, period }
    }

    #[doc(hidden)]
    pub const fn strategy(mut self, strategy: ChildStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    #[doc(hidden)]
    pub const fn intensity(mut self, intensity: u32) -> Self {
        self.intensity = intensity;
        self
    }

    #[doc(hidden)]
    pub const fn period_ms(mut self, period_ms: u64) -> Self {
        self.period = Duration::from_millis(period_ms);
        self
    }
}

impl Default for ChildrenSpec {
    fn default() -> Self {
        Self::new()
    }
}

impl ClassSpec {
    #[doc(hidden)]
    pub const fn new(name: &'static str, methods: &'static [MethodSpec]) -> Self {
        ClassSpec {
            name,
            version: 1,
            methods,
            idle: None,
            durability: Durability::Synced,
            alarm: None,
            schedules: AlarmSpec::new(),
            migrations: &[],
            keeps_history: false,
            children: ChildrenSpec::new(),
            crashes: None,
            crash_period: None,
            turn_limit: None,
            keep_results: None,
            rate: None,
            in_flight: None,
            crash_closes_sockets: false,
            hears_child_exits: false,
            hears_downs: false,
        }
    }

    #[doc(hidden)]
    pub const fn children(mut self, children: ChildrenSpec) -> Self {
        self.children = children;
        self
    }

    #[doc(hidden)]
    pub const fn crashes(mut self, crashes: u32) -> Self {
        self.crashes = Some(crashes);
        self
    }

    #[doc(hidden)]
    pub const fn crash_period_ms(mut self, period_ms: u64) -> Self {
        self.crash_period = Some(Duration::from_millis(period_ms));
        self
    }

    #[doc(hidden)]
    pub const fn turn_limit_ms(mut self, limit_ms: u64) -> Self {
        self.turn_limit = Some(Duration::from_millis(limit_ms));
        self
    }

    #[doc(hidden)]
    pub const fn keep_results_ms(mut self, keep_ms: u64) -> Self {
        self.keep_results = Some(Duration::from_millis(keep_ms));
        self
    }

    #[doc(hidden)]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    #[doc(hidden)]
    pub const fn in_flight(mut self, calls: u32) -> Self {
        self.in_flight = Some(calls);
        self
    }

    #[doc(hidden)]
    pub const fn crash_closes_sockets(mut self) -> Self {
        self.crash_closes_sockets = true;
        self
    }

    #[doc(hidden)]
    pub const fn hears_child_exits(mut self) -> Self {
        self.hears_child_exits = true;
        self
    }

    #[doc(hidden)]
    pub const fn hears_downs(mut self) -> Self {
        self.hears_downs = true;
        self
    }

    #[doc(hidden)]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    #[doc(hidden)]
    pub const fn idle_ms(mut self, idle_ms: u64) -> Self {
        self.idle = Some(Duration::from_millis(idle_ms));
        self
    }

    #[doc(hidden)]
    pub const fn relaxed(mut self) -> Self {
        self.durability = Durability::Relaxed;
        self
    }

    /// Those of the handlers that were compiled; there is one.
    #[doc(hidden)]
    pub const fn alarms(mut self, alarms: &'static [AlarmSpec]) -> Self {
        self.alarm = alarms.first().copied();
        self
    }

    #[doc(hidden)]
    pub const fn schedules(mut self, schedules: AlarmSpec) -> Self {
        self.schedules = schedules;
        self
    }

    #[doc(hidden)]
    pub const fn history(mut self) -> Self {
        self.keeps_history = true;
        self
    }

    #[doc(hidden)]
    pub const fn migrations(mut self, migrations: &'static [Migration]) -> Self {
        self.migrations = migrations;
        self
    }

    /// How many crashes of one of its objects are too many. `usual`: unless it says so itself.
    pub(crate) fn crash_budget(&self, usual: CrashBudget) -> CrashBudget {
        CrashBudget {
            crashes: self.crashes.unwrap_or(usual.crashes),
            period: self.crash_period.unwrap_or(usual.period),
        }
    }

    /// Checks what the macro cannot be trusted to have checked, because a class can also be written by hand.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let name = self.name;
        if name.is_empty() || name.len() > CLASS_NAME_BYTES_MAX {
            return Err(Code::ClassInvalid.error(format!(
                "class name `{name}` has {} bytes, allowed are 1 to {CLASS_NAME_BYTES_MAX}; choose another name",
                name.len()
            )));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
            return Err(Code::ClassInvalid.error(format!(
                "class name `{name}` contains {bad:?}; use letters, digits, `.`, `_` and `-`"
            )));
        }
        let mut specs = self.alarm.iter().chain([&self.schedules]);
        if let Some(alarm) = specs.find(|spec| spec.retries > ALARM_RETRIES_MAX) {
            return Err(Code::ClassInvalid.error(format!(
                "class {name} wants {} retries of its alarms, allowed are 0 to {ALARM_RETRIES_MAX}; ask for fewer",
                alarm.retries
            )));
        }
        if self.children.intensity > INTENSITY_MAX || self.children.period.is_zero() {
            return Err(Code::ClassInvalid.error(format!(
                "class {name} allows {} restarts of children within {:?}, possible are 0 to {INTENSITY_MAX} \
                 within more than nothing; change it",
                self.children.intensity, self.children.period
            )));
        }
        let CrashBudget { crashes, period } = self.crash_budget(CrashBudget::default());
        if !(1..=CRASHES_MAX_MAX).contains(&crashes) || period.is_zero() {
            return Err(Code::ClassInvalid.error(format!(
                "class {name} lets {crashes} crashes within {period:?} pass, possible are 1 to {CRASHES_MAX_MAX} \
                 within more than nothing; change it"
            )));
        }
        if let Some(rate) = &self.rate {
            rate.check(name)?;
        }
        if let Some(calls) = self.in_flight
            && (calls == 0 || calls as usize > IN_FLIGHT_CALLS_MAX)
        {
            return Err(Code::ClassInvalid.error(format!(
                "class {name} lets {calls} calls be under way, possible are 1 to {IN_FLIGHT_CALLS_MAX}; change it"
            )));
        }
        for (number, migration) in (1_u32..).zip(self.migrations) {
            if migration.number != number {
                return Err(Code::ClassInvalid.error(format!(
                    "class {name} has migration {} where number {number} belongs; number them from 1 without a gap",
                    migration.number
                )));
            }
        }
        Ok(())
    }
}

/// One method that can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodSpec {
    /// Name on the wire: the method's own, or that of `#[rpc(name = "…")]`.
    pub name: &'static str,
    /// Whether a turn of it may change the object.
    pub access: Access,
    /// Whether it may wait inside its turn.
    pub is_async: bool,
    /// How much time its calls have that do not say it. `None`: as much as it takes.
    pub timeout: Option<Duration>,
    /// Whether its calls may overtake writes that wait, where a read that runs waits for them.
    pub is_reentrant: bool,
    /// Whether it gives a stream, which stays in this process.
    pub is_stream: bool,
    /// The types of its arguments, as they are written.
    pub args: &'static str,
    /// The type that it returns, as it is written.
    pub returns: &'static str,
}

impl MethodSpec {
    #[doc(hidden)]
    pub const fn new(name: &'static str, access: Access, is_async: bool) -> Self {
        MethodSpec {
            name,
            access,
            is_async,
            timeout: None,
            is_reentrant: false,
            is_stream: false,
            args: "",
            returns: "()",
        }
    }

    #[doc(hidden)]
    pub const fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout = Some(Duration::from_millis(timeout_ms));
        self
    }

    #[doc(hidden)]
    pub const fn streams(mut self) -> Self {
        self.is_stream = true;
        self
    }

    #[doc(hidden)]
    pub const fn reentrant(mut self) -> Self {
        assert!(matches!(self.access, Access::Read), "only reads run beside each other");
        self.is_reentrant = true;
        self
    }

    #[doc(hidden)]
    pub const fn typed(mut self, args: &'static str, returns: &'static str) -> Self {
        (self.args, self.returns) = (args, returns);
        self
    }
}

/// What a turn may do to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `&self`: it reads, and may overlap with other reads.
    Read,
    /// `&mut self`: it has the object to itself.
    Write,
}

impl fmt::Display for ClassSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
