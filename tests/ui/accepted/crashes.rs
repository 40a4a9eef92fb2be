//! What a class says of crashes, and of runs of its schedules without an `#[alarm]`.
#![allow(missing_docs, missing_debug_implementations)]
use std::time::Duration;

use durable::Object;
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Frail;

#[durable_object(name = "crashes.Frail", crashes = 1, crash_period = "10s")]
impl Frail {
    pub fn look(&self) {}
}

#[derive(Default, DurableState)]
pub struct Plain;

#[durable_object(name = "crashes.Plain", alarm_retries = 1, alarm_delay = "1s")]
impl Plain {
    pub fn look(&self) {}
}

/// What the macros have made of it.
pub(crate) fn check() {
    let frail = <Frail as Object>::CLASS;
    assert_eq!((frail.crashes, frail.crash_period), (Some(1), Some(Duration::from_secs(10))));
    let plain = <Plain as Object>::CLASS;
    assert_eq!((plain.crashes, plain.crash_period), (None, None));
    assert!(plain.alarm.is_none());
    assert_eq!((plain.schedules.retries, plain.schedules.delay), (1, Duration::from_secs(1)));
    assert_eq!(frail.schedules.retries, durable::limits::ALARM_RETRIES);
}
