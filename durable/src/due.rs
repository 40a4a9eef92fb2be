//! Alarms and what became of those that failed, as plain data.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Code, Error};
use crate::id::ObjectId;
use crate::limits::{ALARM_DELAY, ALARM_RETRIES};
use crate::metadata::Metadata;
use crate::send::SendId;
use crate::time::WallMs;

/// What `#[alarm]` is told of the alarm that it runs for.
///
/// ```
/// use durable::AlarmInfo;
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Reminder { rung: u64 }
///
/// #[durable_object(name = "doc.Reminder")]
/// impl Reminder {
///     pub fn set(&mut self, cx: &mut Context<'_, Self>, at: u64) { cx.alarm().set(durable::WallMs(at)); }
///
///     #[alarm]
///     async fn ring(&mut self, cx: &mut Context<'_, Self>, info: AlarmInfo) {
///         assert!(info.scheduled_at <= cx.now());
///         self.rung += 1;
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlarmInfo {
    /// What the alarm was set to. A retry has the time of the first try.
    pub scheduled_at: WallMs,
    /// How many runs of the handler for this alarm have failed; 0 for the first.
    pub retry_count: u32,
}

/// The alarm of an object, as one sees it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlarmView {
    /// When it fires, at the earliest.
    pub due: WallMs,
    /// What it was set to; before `due` if a run of its handler has failed.
    pub scheduled_at: WallMs,
    /// How many runs of its handler have failed.
    pub retry_count: u32,
}

impl AlarmView {
    /// One that was set to `at`, and has not failed.
    pub fn at(at: WallMs) -> Self {
        AlarmView { due: at, scheduled_at: at, retry_count: 0 }
    }
}

/// An alarm that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// When it fires, at the earliest.
    pub(crate) due: WallMs,
    /// What it was set to.
    pub(crate) scheduled: WallMs,
    /// Runs of its handler that failed.
    pub(crate) retries: u32,
}

impl Alarm {
    /// One that a turn has set.
    pub(crate) fn at(due: WallMs) -> Self {
        Alarm { due, scheduled: due, retries: 0 }
    }

    pub(crate) fn info(self) -> AlarmInfo {
        AlarmInfo { scheduled_at: self.scheduled, retry_count: self.retries }
    }

    pub(crate) fn view(self) -> AlarmView {
        let Alarm { due, scheduled, retries } = self;
        AlarmView { due, scheduled_at: scheduled, retry_count: retries }
    }
}

/// How the alarms of a class are run. `#[durable_object]` writes it; a program only reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlarmSpec {
    /// How often a run that failed is followed by another, before the alarm becomes a dead letter.
    pub retries: u32,
    /// How long after the first failure the next run is; each later time it is twice as long.
    pub delay: Duration,
    /// How long a run may take. `None`: as the runtime says.
    pub limit: Option<Duration>,
}

impl AlarmSpec {
    #[doc(hidden)]
    pub const fn new() -> Self {
        AlarmSpec { retries: ALARM_RETRIES, delay: ALARM_DELAY, limit: None }
    }

    #[doc(hidden)]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    #[doc(hidden)]
    pub const fn delay_ms(mut self, delay_ms: u64) -> Self {
        self.delay = Duration::from_millis(delay_ms);
        self
    }

    #[doc(hidden)]
    pub const fn limit_ms(mut self, limit_ms: u64) -> Self {
        self.limit = Some(Duration::from_millis(limit_ms));
        self
    }
}

/// Names a dead letter in its data directory. Never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterId {
    pub(crate) shard: u16,
    pub(crate) number: i64,
}

impl fmt::Display for DeadLetterId {
    /// The shard and the number in it, such as `0-17`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.shard, self.number)
    }
}

impl FromStr for DeadLetterId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('-');
        let id = parts.and_then(|(shard, number)| {
            Some(DeadLetterId { shard: shard.parse().ok()?, number: number.parse().ok()? })
        });
        id.filter(|id| id.number > 0).ok_or_else(|| {
            Code::LetterUnknown.error(format!(
                "`{}` names no dead letter; list them, they have names such as `0-17`",
                text.escape_debug()
            ))
        })
    }
}

/// What has used up its retries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What retrying and dropping it take.
    pub id: DeadLetterId,
    /// The stored name of the object's class; the class's number if it was deleted.
    pub class: String,
    /// The object.
    pub object: ObjectId,
    /// The object's name. `None`: only its id is known.
    pub name: Option<String>,
    /// What it was.
    pub kind: DeadLetterKind,
    /// The name of the schedule. `None`: it was none.
    pub schedule: Option<String>,
    /// What the send was called. `None`: it was none.
    pub send: Option<SendId>,
    /// The method that the schedule or the send calls. `None`: it was neither.
    pub method: Option<String>,
    /// What the last run failed with.
    pub error: String,
    /// When the last run failed.
    pub at: WallMs,
    /// How many runs there were.
    pub attempts: u32,
    /// What the alarm was set to, the time that the schedule ran for, or when the send was to leave.
    pub scheduled_at: WallMs,
    /// What travels with the send, also with one that is retried. Empty: nothing does, or it was none. `Err`: why it cannot be
    /// used, in words for people; then the letter can be dropped, and not retried.
    pub metadata: Result<Metadata, String>,
}

/// What has used up its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterKind {
    /// An object's alarm.
    Alarm,
    /// A run of an object's schedule, which goes on.
    Schedule,
    /// A send to an object.
    Send,
}

impl fmt::Display for DeadLetterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeadLetterKind::Alarm => "alarm",
            DeadLetterKind::Schedule => "schedule",
            DeadLetterKind::Send => "send",
        })
    }
}

/// What becomes of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterFate {
    /// It is what it was before, from its first try on.
    Retried,
    /// Nothing.
    Dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_dead_letter_leads_back_to_it() {
        let id = DeadLetterId { shard: 3, number: 17 };
        assert_eq!(id.to_string(), "3-17");
        assert_eq!("3-17".parse::<DeadLetterId>().expect("its own name"), id);
        for wrong in ["", "3", "3-", "-17", "3-0", "3--1", "70000-1", "a-b"] {
            let error = wrong.parse::<DeadLetterId>().expect_err(wrong);
            assert_eq!(error.code(), "letter.unknown");
        }
    }
}
