//! What a supervisor and its children are to be: the words of a tree, and which of them cannot be meant.
//!
//! It knows nothing of what runs: a tree that passes [`SupervisorSpec::check`] can be started as it is.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::error::{Code, Error};
use crate::limits;

/// Which children a supervisor restarts when one of them has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// The one that ended.
    OneForOne,
    /// All of them: the others are stopped in reverse order, then all are started in order.
    OneForAll,
    /// The one that ended and those that stand behind it.
    RestForOne,
    /// The one that ended. Children come at run time, as many as [`SupervisorSpec::children_max`] says, have no order and
    /// are stopped beside each other.
    Dynamic,
}

/// When a child is started again after it has ended by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// If it ended [abnormally](ExitReason::is_abnormal).
    Transient,
    /// Never, also not when the strategy restarts the others. It is forgotten when it has ended.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shutdown {
    /// It is killed at once.
    Kill,
    /// It is asked to end, and killed when this much time has passed.
    Time(Duration),
    /// It is asked to end, and waited for as long as it takes.
    Infinity,
}

/// Whether a supervisor ends when its significant children have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AutoShutdown {
    /// It does not.
    #[default]
    Never,
    /// When one of them has ended by itself, and is not restarted.
    AnySignificant,
    /// When the last of them has ended by itself, and is not restarted.
    AllSignificant,
}

/// Why a child, or a supervisor, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitReason {
    /// It had no more to do.
    Normal,
    /// It was asked to end; or it is a supervisor that its significant children have ended.
    Shutdown,
    /// It returned an error, or did not start.
    Error,
    /// It panicked.
    Panic,
    /// It was killed.
    Killed,
    /// It is a supervisor that has restarted too often. Always abnormal, so that the supervisor above acts.
    Meltdown,
}

impl ExitReason {
    /// Whether a transient child that ends like this is restarted.
    pub const fn is_abnormal(self) -> bool {
        !matches!(self, ExitReason::Normal | ExitReason::Shutdown)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExitReason::Normal => "normal",
            ExitReason::Shutdown => "shutdown",
            ExitReason::Error => "error",
            ExitReason::Panic => "panic",
            ExitReason::Killed => "killed",
            ExitReason::Meltdown => "meltdown",
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::OneForOne => "one_for_one",
            Strategy::OneForAll => "one_for_all",
            Strategy::RestForOne => "rest_for_one",
            Strategy::Dynamic => "dynamic",
        })
    }
}

/// How long a restart waits: longer each time, with some chance in it, so that many children do not come back at once.
///
/// ```
/// use std::time::Duration;
/// use durable::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1)).jitter_percent(50);
/// assert_eq!(backoff.first, Duration::from_millis(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Backoff {
    /// Before the first restart. Each further one waits twice as long.
    pub first: Duration,
    /// The longest, without the jitter.
    pub max: Duration,
    /// How much of itself each wait may be longer, by chance; 0 to 100.
    pub jitter_percent: u32,
    /// A child that has run for so long begins with the first wait again.
    pub reset_after: Duration,
}

impl Backoff {
    /// From `first` to `max`, up to 25 % longer by chance, and anew when the child has run for twice `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Backoff { first, max, jitter_percent: 25, reset_after: max.saturating_mul(2) }
    }

    /// How much of itself each wait may be longer, by chance; 0 to 100.
    #[must_use]
    pub const fn jitter_percent(mut self, percent: u32) -> Self {
        self.jitter_percent = percent;
        self
    }

    /// A child that has run for so long begins with the first wait again.
    #[must_use]
    pub const fn reset_after(mut self, time: Duration) -> Self {
        self.reset_after = time;
        self
    }

    /// The wait before a restart. `earlier`: restarts before it that count; `chance`: any number.
    pub(crate) fn delay(&self, earlier: u32, chance: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(earlier).unwrap_or(u32::MAX));
        let plain = doubled.min(self.max);
        let jitter_max = plain.as_nanos() * u128::from(self.jitter_percent) / 100;
        let jitter = (u128::from(chance) * (jitter_max + 1)) >> 64;
        plain.saturating_add(Duration::from_nanos(u64::try_from(jitter).unwrap_or(u64::MAX)))
    }
}

/// What a child is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildKind {
    /// An async function of the service.
    Task,
    /// All activations of a class.
    Class,
    /// A supervisor.
    Supervisor(Box<SupervisorSpec>),
    /// An object, below the object that owns it.
    Owned,
}

/// What a child of a supervisor is, and what becomes of it when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildSpec {
    /// Its name, among its supervisor's children. A class group has its class's, a supervisor its own.
    pub name: String,
    /// What it is.
    pub kind: ChildKind,
    /// When it is started again.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Whether its end may end its supervisor. See [`AutoShutdown`].
    pub significant: bool,
    /// How long its restarts wait. `None`: they do not.
    pub backoff: Option<Backoff>,
}

/// What a supervisor is: its strategy, its budget of restarts, and its children in the order in which they start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupervisorSpec {
    /// Its name.
    pub name: String,
    /// Which children it restarts.
    pub strategy: Strategy,
    /// How many restarts it makes within a period; with one more it gives up.
    pub intensity: u32,
    /// The period.
    pub period: Duration,
    /// Whether it ends when its significant children have.
    pub auto_shutdown: AutoShutdown,
    /// How many children it may have at a time.
    pub children_max: usize,
    /// Its children, in the order in which they start.
    pub children: Vec<ChildSpec>,
}

impl ChildSpec {
    /// A child with what holds unless it is said otherwise: permanent; a task is given
    /// [some time](limits::TASK_SHUTDOWN) to stop, everything else as much as it needs.
    pub(crate) fn new(name: impl Into<String>, kind: ChildKind) -> Self {
        let shutdown = match kind {
            ChildKind::Task => Shutdown::Time(limits::TASK_SHUTDOWN),
            ChildKind::Class | ChildKind::Supervisor(_) | ChildKind::Owned => Shutdown::Infinity,
        };
        let (restart, significant, backoff) = (Restart::Permanent, false, None);
        ChildSpec { name: name.into(), kind, restart, shutdown, significant, backoff }
    }

    /// Checks the child alone, as one of the supervisor `parent`, which is called `path`.
    ///
    /// # Errors
    /// `supervisor.invalid`, naming the child and the field.
    pub(crate) fn check(&self, parent: &SupervisorSpec, path: &str) -> Result<(), Error> {
        let wrong = |field: &str, problem: String| {
            invalid(format!("child `{}` of supervisor {path}: {field} {problem}", self.name))
        };
        check_name(&self.name).map_err(|problem| wrong("name", problem))?;
        if let Shutdown::Time(Duration::ZERO) = self.shutdown {
            return Err(wrong("shutdown", "is 0 s; say `Shutdown::Kill` to give no time".into()));
        }
        if self.kind == ChildKind::Class && self.shutdown != Shutdown::Infinity {
            return Err(wrong(
                "shutdown",
                "is bounded, but running turns are let end; leave `Shutdown::Infinity`".into(),
            ));
        }
        if self.significant && self.restart == Restart::Permanent {
            return Err(wrong(
                "significant",
                "needs a child that may end for good; make its restart transient or temporary"
                    .into(),
            ));
        }
        if self.significant && parent.auto_shutdown == AutoShutdown::Never {
            return Err(wrong(
                "significant",
                "means nothing while auto_shutdown is never; set the supervisor's auto_shutdown"
                    .into(),
            ));
        }
        if let Some(backoff) = &self.backoff {
            let Backoff { first, max, jitter_percent, .. } = *backoff;
            if first.is_zero() || first > max {
                return Err(wrong(
                    "backoff",
                    format!(
                        "goes from {first:?} to {max:?}; let it begin above 0 s and not above its end"
                    ),
                ));
            }
            if jitter_percent > 100 {
                let problem = format!(
                    "has a jitter of {jitter_percent} %, at most 100 are possible; lower it"
                );
                return Err(wrong("backoff", problem));
            }
        }
        Ok(())
    }
}

impl SupervisorSpec {
    /// A supervisor without children, with what holds unless it is said otherwise: one restart in five seconds.
    pub(crate) fn new(name: impl Into<String>, strategy: Strategy) -> Self {
        SupervisorSpec {
            name: name.into(),
            strategy,
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            children_max: limits::CHILDREN_MAX,
            children: Vec::new(),
        }
    }

    /// Checks the whole tree below.
    ///
    /// # Errors
    /// `supervisor.invalid`, `child.duplicate`: the first that is wrong, in the order of the tree, naming child and field.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_at(&self.name, 1)
    }

    /// Checks a part of a tree. `path`: what it is called from the top; `depth`: 1 for the top.
    pub(crate) fn check_at(&self, path: &str, depth: usize) -> Result<(), Error> {
        let wrong =
            |field: &str, problem: String| invalid(format!("supervisor {path}: {field} {problem}"));
        check_name(&self.name).map_err(|problem| wrong("name", problem))?;
        if self.period.is_zero() {
            return Err(wrong(
                "period",
                "is 0 s; give the restarts a time to be counted in".into(),
            ));
        }
        if self.intensity > limits::INTENSITY_MAX {
            let (is, max) = (self.intensity, limits::INTENSITY_MAX);
            return Err(wrong(
                "intensity",
                format!("is {is}, at most {max} are counted; lower it"),
            ));
        }
        if self.children_max == 0 || self.children_max > limits::CHILDREN_MAX {
            let (is, max) = (self.children_max, limits::CHILDREN_MAX);
            return Err(wrong(
                "children_max",
                format!("is {is}, allowed are 1 to {max}; set it within"),
            ));
        }
        if self.children.len() > self.children_max {
            let (are, max) = (self.children.len(), self.children_max);
            return Err(wrong(
                "children",
                format!("are {are}, at most {max}; spread them over supervisors"),
            ));
        }
        if self.strategy == Strategy::Dynamic && !self.children.is_empty() {
            let problem =
                "are given, but those of a dynamic supervisor come at run time; start them there";
            return Err(wrong("children", problem.into()));
        }
        if depth > limits::SUPERVISOR_DEPTH_MAX {
            let max = limits::SUPERVISOR_DEPTH_MAX;
            return Err(wrong(
                "depth",
                format!("is {depth}, at most {max}; make the tree flatter"),
            ));
        }
        let mut names = BTreeSet::new();
        for child in &self.children {
            child.check(self, path)?;
            if !names.insert(child.name.as_str()) {
                return Err(Code::ChildDuplicate.error(format!(
                    "supervisor {path} has two children called `{}`; give one of them another name",
                    child.name
                )));
            }
            if let ChildKind::Supervisor(spec) = &child.kind {
                spec.check_at(&format!("{path}/{}", spec.name), depth + 1)?;
            }
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Code::SupervisorInvalid.error(message)
}

/// What is wrong with a name, if anything is. Names stand in paths, logs and errors.
fn check_name(name: &str) -> Result<(), String> {
    let max = limits::CHILD_NAME_BYTES_MAX;
    if name.is_empty() {
        return Err("is empty; give it one".into());
    }
    if name.len() > max {
        return Err(format!("has {} bytes, at most {max}; shorten it", name.len()));
    }
    match name.chars().find(|c| c.is_control() || matches!(c, '/' | '#')) {
        Some(c) => Err(format!("has {c:?}, which paths are made with; leave it out")),
        None => Ok(()),
    }
}
