//! When a schedule runs: once, at equal distances, or by the calendar of a time zone.
//!
//! It counts and looks nothing up on the machine: the rules of all time zones are part of the program, so that the same
//! program gives the same times everywhere, also in a simulation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Outcome};
use crate::limits::{ALARM_AHEAD_MAX, CRON_BYTES_MAX, SCHEDULE_EVERY_MIN, SCHEDULE_PREVIEW_MAX};
use crate::time::WallMs;

/// The times at which a schedule runs.
///
/// A cron expression has five fields, or six with the seconds in front: `minute hour day-of-month month day-of-week`, with
/// `*`, lists, ranges, steps, names (`MON`, `JAN`), `L` (last), `W` (nearest weekday), `#` (nth weekday of the month), and
/// the short forms `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. If neither day field is `*`, a day that fits one
/// of them will do, as in every cron.
///
/// Where clocks are set forward, an expression of a fixed time (one number for its minutes and one for its hours, and one for
/// its seconds if it has them) whose time is left out runs at the first moment after the gap; every other is an interval, and
/// runs at none of the times that are left out. Where clocks are set back, a fixed time runs once, at the first of the two
/// moments, and an interval runs in both hours.
///
/// ```
/// use durable::{When, WallMs};
///
/// let mondays = When::cron("0 9 * * MON", "Europe/Berlin")?;
/// let noon = WallMs(1_767_268_800_000); // 2026-01-01T12:00:00Z, a Thursday
/// let [first, second] = mondays.next(noon, 2)[..] else { unreachable!() };
/// assert_eq!(first, WallMs(1_767_600_000_000)); // 2026-01-05T08:00:00Z
/// assert_eq!(second.0 - first.0, 7 * 86_400_000);
/// let wrong = When::cron("0 25 * * MON", "Europe/Berlin").unwrap_err();
/// assert!(wrong.message().contains("`25`"));
/// # Ok::<(), durable::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Rule", into = "Rule")]
pub struct When {
    rule: Rule,
    /// `None`: it goes by no calendar.
    calendar: Option<Arc<Calendar>>,
}

/// What is stored of it. A variant keeps its place for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Rule {
    Once(WallMs),
    Every {
        period_ms: u64,
        /// `None`: a period after it is set.
        first: Option<WallMs>,
    },
    Cron {
        expression: String,
        zone: String,
    },
}

struct Calendar {
    cron: Cron,
    zone: TimeZone,
}

impl When {
    /// Once. `at`: milliseconds since the Unix epoch; a time that is past is at once.
    pub fn once(at: WallMs) -> Self {
        When { rule: Rule::Once(at), calendar: None }
    }

    /// Every `period`, the first time a period after it is set. Parts of a millisecond count as whole ones.
    ///
    /// # Errors
    /// `schedule.malformed` if `period` is shorter than [`SCHEDULE_EVERY_MIN`](crate::limits::SCHEDULE_EVERY_MIN), or
    /// longer than a hundred years.
    pub fn every(period: Duration) -> Result<Self, Error> {
        if !(SCHEDULE_EVERY_MIN..=ALARM_AHEAD_MAX).contains(&period) {
            return Err(malformed(format!(
                "a schedule is to run every {period:?}, possible are {SCHEDULE_EVERY_MIN:?} to {ALARM_AHEAD_MAX:?}; \
                 choose a period between them"
            )));
        }
        let period_ms = u64::try_from(period.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Ok(When { rule: Rule::Every { period_ms, first: None }, calendar: None })
    }

    /// By a cron expression, read in a time zone. `zone`: a name such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// `schedule.malformed`, which names the field and its place, or if no time ever fits; `zone.unknown`.
    pub fn cron(expression: &str, zone: &str) -> Result<Self, Error> {
        if expression.len() > CRON_BYTES_MAX {
            return Err(malformed(format!(
                "a cron expression has {} bytes, the limit is {CRON_BYTES_MAX}; shorten it, or use several schedules",
                expression.len()
            )));
        }
        let parser = parser();
        let cron = read(&parser, expression).ok_or_else(|| misread(&parser, expression))?;
        let Ok(found) = jiff::tz::db().get(zone) else {
            return Err(Code::ZoneUnknown
                .error(format!(
                    "there is no time zone `{}`; use a name of the tz database such as Europe/Berlin",
                    zone.escape_debug()
                ))
                .with_outcome(Outcome::NotStarted));
        };
        let rule = Rule::Cron { expression: expression.to_owned(), zone: zone.to_owned() };
        let calendar = Some(Arc::new(Calendar { cron, zone: found }));
        let when = When { rule, calendar };
        if when.after(WallMs(0)).is_none() {
            return Err(malformed(format!(
                "no day ever fits the cron expression `{expression}`; mend its day or its month"
            )));
        }
        Ok(when)
    }

    /// The next times after `after`, at most `count` of them, and never more than
    /// [`SCHEDULE_PREVIEW_MAX`](crate::limits::SCHEDULE_PREVIEW_MAX). Fewer: there are no more.
    pub fn next(&self, after: WallMs, count: usize) -> Vec<WallMs> {
        let set = self.clone().set_at(after);
        std::iter::successors(set.after(after), |last| set.after(*last))
            .take(count.min(SCHEDULE_PREVIEW_MAX))
            .collect()
    }

    /// As it is from the moment on in which it is set.
    pub(crate) fn set_at(mut self, now: WallMs) -> Self {
        if let Rule::Every { period_ms, first: first @ None } = &mut self.rule {
            *first = Some(WallMs(now.0.saturating_add(*period_ms)));
        }
        self
    }

    /// The first time of one that was set `now`. `None`: there is none.
    pub(crate) fn first(&self, now: WallMs) -> Option<WallMs> {
        match self.rule {
            Rule::Once(at) => Some(at),
            _ => self.after(now),
        }
    }

    /// The first time after `after`. `None`: there is none.
    pub(crate) fn after(&self, after: WallMs) -> Option<WallMs> {
        let next = match &self.rule {
            Rule::Once(at) => Some(*at).filter(|at| *at > after),
            Rule::Every { period_ms, first } => {
                let first = first.unwrap_or(WallMs(after.0.saturating_add(*period_ms)));
                match after.0.checked_sub(first.0) {
                    None => Some(first),
                    Some(since) => {
                        let next = (since / period_ms).checked_add(1)?.checked_mul(*period_ms)?;
                        first.0.checked_add(next).map(WallMs)
                    }
                }
            }
            Rule::Cron { .. } => {
                let Calendar { cron, zone } = &**self.calendar();
                let next = cron.find_next_occurrence(&second(after, zone)?, false).ok()?;
                wall(&next)
            }
        };
        next.filter(|next| *next <= WallMs::MAX)
    }

    /// The last time up to `until`; `from` if there is none between them, which is one of its times.
    pub(crate) fn last(&self, from: WallMs, until: WallMs) -> WallMs {
        self.last_but(from, until, 0)
    }

    /// The time that has so many after it up to `until`; `from` if there are fewer between them, which is one of its times.
    pub(crate) fn last_but(&self, from: WallMs, until: WallMs, later: u32) -> WallMs {
        let found = match &self.rule {
            Rule::Once(_) => None,
            Rule::Every { period_ms, .. } => {
                let periods = until.0.saturating_sub(from.0) / period_ms;
                Some(WallMs(from.0 + periods.saturating_sub(later.into()) * period_ms))
            }
            Rule::Cron { .. } => self.last_by_calendar(from, until, later),
        };
        found.map_or(from, |found| found.max(from))
    }

    fn last_by_calendar(&self, from: WallMs, until: WallMs, later: u32) -> Option<WallMs> {
        let Calendar { cron, zone } = &**self.calendar();
        let mut found = cron.find_previous_occurrence(&second(until, zone)?, true).ok()?;
        for _ in 0..later {
            if wall(&found)? <= from {
                break;
            }
            found = cron.find_previous_occurrence(&found, false).ok()?;
        }
        wall(&found)
    }

    /// Whether it runs at most once.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self.rule, Rule::Once(_))
    }

    fn calendar(&self) -> &Arc<Calendar> {
        self.calendar.as_ref().expect("an expression was read when it was made")
    }
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Eq for When {}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "When({self})")
    }
}

impl fmt::Display for When {
    /// Such as `once at 17 ms`, `every 30s` and `0 9 * * MON in Europe/Berlin`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Once(at) => write!(f, "once at {at}"),
            Rule::Every { period_ms, .. } => {
                write!(f, "every {:?}", Duration::from_millis(*period_ms))
            }
            Rule::Cron { expression, zone } => write!(f, "{expression} in {zone}"),
        }
    }
}

impl TryFrom<Rule> for When {
    type Error = Error;

    fn try_from(rule: Rule) -> Result<Self, Error> {
        match rule {
            Rule::Cron { expression, zone } => When::cron(&expression, &zone),
            Rule::Every { period_ms: 0, .. } => Err(malformed("a period is 0 ms; it is damaged")),
            rule => Ok(When { rule, calendar: None }),
        }
    }
}

impl From<When> for Rule {
    fn from(when: When) -> Rule {
        when.rule
    }
}

fn malformed(text: impl Into<String>) -> Error {
    Code::ScheduleMalformed.error(text).with_outcome(Outcome::NotStarted)
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

/// An expression that is well formed. A field that no time of day or month fits, such as a lone comma, is not: a time for it
/// would be looked for second by second until the end of the calendar.
fn read(parser: &CronParser, expression: &str) -> Option<Cron> {
    let cron = parser.parse(expression).ok()?;
    let fields = &cron.pattern;
    let times = [&fields.seconds, &fields.minutes, &fields.hours, &fields.months];
    let is_met = times.iter().all(|field| !field.values().is_empty());
    is_met.then_some(cron)
}

/// The second that holds a moment, in a zone. `None`: it is past the end of the calendar.
fn second(at: WallMs, zone: &TimeZone) -> Option<Zoned> {
    let seconds = i64::try_from(at.0 / 1_000).ok()?;
    Some(Timestamp::from_second(seconds).ok()?.to_zoned(zone.clone()))
}

fn wall(at: &Zoned) -> Option<WallMs> {
    u64::try_from(at.timestamp().as_millisecond()).ok().map(WallMs)
}

/// The fields of an expression, and what each takes.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31 or L"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT"),
];

/// Says which field of an expression is wrong, and where it stands.
fn misread(parser: &CronParser, expression: &str) -> Error {
    let shown = expression.escape_debug();
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if expression.trim_start().starts_with('@') {
        return malformed(format!(
            "`{shown}` is no short form of a cron expression; write @hourly, @daily, @weekly, @monthly, @yearly, or its fields"
        ));
    }
    if !matches!(fields.len(), 5 | 6) {
        return malformed(format!(
            "the cron expression `{shown}` has {} fields, it needs 5, or 6 with seconds: minute, hour, day of month, \
             month, day of week; add or remove fields",
            fields.len()
        ));
    }
    let names = &FIELDS[FIELDS.len() - fields.len()..];
    for (number, field) in fields.iter().enumerate() {
        let mut alone = vec!["*"; fields.len()];
        alone[number] = field;
        if read(parser, &alone.join(" ")).is_none() {
            let (name, takes) = names[number];
            // The slice is a part of the text.
            let place = field.as_ptr().addr() - expression.as_ptr().addr();
            let place = expression[..place].chars().count() + 1;
            return malformed(format!(
                "field {} ({name}) of the cron expression `{shown}`, at character {place}, is `{}`; it takes {takes}, `*`, \
                 lists, ranges and steps",
                number + 1,
                field.escape_debug()
            ));
        }
    }
    malformed(format!("the cron expression `{shown}` cannot be read; mend it"))
}

#[cfg(test)]
#[path = "when/tests.rs"]
mod tests;
