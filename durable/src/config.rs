//! The settings of one runtime, checked before anything starts.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::history::History;
use crate::interceptor::Interceptors;
use crate::limits;
use crate::quarantine::{BreakerRule, CrashBudget};

/// Settings of a runtime, from its builder.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) idle: Duration,
    pub(crate) resident_objects_max: usize,
    pub(crate) inbox_calls_max: usize,
    pub(crate) in_flight_calls_max: usize,
    pub(crate) class_in_flight_calls_max: usize,
    pub(crate) alarm_limit: Duration,
    pub(crate) turn_limit: Duration,
    pub(crate) alarms_per_second: u32,
    /// `None`: as the data directory says, or the default for a new one.
    pub(crate) shards: Option<u16>,
    pub(crate) log_pages: u32,
    pub(crate) history: History,
    pub(crate) results_keep: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) crashes: CrashBudget,
    pub(crate) breaker: BreakerRule,
    /// Of calls that are made or run in the runtime.
    pub(crate) interceptors: Interceptors,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            idle: limits::IDLE,
            resident_objects_max: limits::RESIDENT_OBJECTS_MAX,
            inbox_calls_max: limits::INBOX_CALLS_MAX,
            in_flight_calls_max: limits::IN_FLIGHT_CALLS_MAX,
            class_in_flight_calls_max: limits::CLASS_IN_FLIGHT_CALLS_MAX,
            alarm_limit: limits::ALARM_LIMIT,
            turn_limit: limits::TURN_LIMIT,
            alarms_per_second: limits::ALARMS_PER_SECOND,
            shards: None,
            log_pages: limits::CHECKPOINT_PAGES,
            history: History::default(),
            results_keep: limits::RESULTS_KEEP,
            shutdown_deadline: limits::SHUTDOWN_DEADLINE,
            crashes: CrashBudget::default(),
            breaker: BreakerRule {
                share_percent: limits::BREAKER_SHARE_PERCENT,
                objects_min: limits::BREAKER_OBJECTS_MIN,
                window: limits::BREAKER_WINDOW,
            },
            interceptors: Interceptors::default(),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let counts = [
            ("resident_max", self.resident_objects_max, usize::MAX),
            ("inbox_max", self.inbox_calls_max, limits::IN_FLIGHT_CALLS_MAX),
            ("in_flight_max", self.in_flight_calls_max, limits::IN_FLIGHT_CALLS_MAX),
            ("class_in_flight_max", self.class_in_flight_calls_max, limits::IN_FLIGHT_CALLS_MAX),
            (
                "alarms_per_second",
                self.alarms_per_second as usize,
                limits::ALARMS_PER_SECOND_MAX as usize,
            ),
            ("crashes", self.crashes.crashes as usize, limits::CRASHES_MAX_MAX as usize),
            ("breaker.share_percent", self.breaker.share_percent as usize, 100),
            ("breaker.objects_min", self.breaker.objects_min, usize::MAX),
            ("log_pages", self.log_pages as usize, limits::CHECKPOINT_PAGES_MAX as usize),
            ("shards", self.shards.unwrap_or(limits::SHARDS).into(), limits::SLOTS.into()),
        ];
        for (setting, value, max) in counts {
            if value == 0 || value > max {
                return Err(Code::ConfigInvalid.error(format!(
                    "{setting} is {value}, allowed are 1 to {max}; set it within that range"
                )));
            }
        }
        let (bytes, max) = (self.history.bytes_per_object, limits::HISTORY_BYTES_PER_OBJECT_MAX);
        if bytes == 0 || bytes > max {
            return Err(Code::ConfigInvalid.error(format!(
                "history.bytes_per_object is {bytes}, allowed are 1 to {max}; set it within that range"
            )));
        }
        let (keep, max) = (self.results_keep, limits::RESULTS_KEEP_MAX);
        if keep < Duration::from_millis(1) || keep > max {
            return Err(Code::ConfigInvalid.error(format!(
                "keep_results is {keep:?}, allowed are 1 ms to {max:?}; set it within that range"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_named_with_both_numbers() {
        let config = Config { inbox_calls_max: 0, ..Config::default() };
        let error = config.check().expect_err("zero is out of range");
        assert_eq!(error.code(), "config.invalid");
        assert!(error.message().contains("inbox_max is 0, allowed are 1 to"), "{error}");
        assert!(Config::default().check().is_ok());
        let config = Config { results_keep: Duration::ZERO, ..Config::default() };
        let error = config.check().expect_err("nothing would be kept");
        assert!(error.message().contains("keep_results is 0ns, allowed are 1 ms to"), "{error}");
    }
}
