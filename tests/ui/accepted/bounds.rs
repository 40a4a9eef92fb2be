//! What a class says of how many calls may come.
#![allow(missing_docs, missing_debug_implementations)]
use std::time::Duration;

use durable::Object;
use durable::prelude::*;

#[derive(Default, DurableState)]
pub struct Door;

#[durable_object(name = "bounds.Door", rate = "100/s", burst = 20, in_flight = 10_000)]
impl Door {
    pub fn knock(&self) {}
}

#[derive(Default, DurableState)]
pub struct Gate;

#[durable_object(name = "bounds.Gate", rate = "5/500ms")]
impl Gate {
    pub fn knock(&self) {}
}

#[derive(Default, DurableState)]
pub struct Open;

#[durable_object(name = "bounds.Open")]
impl Open {
    pub fn knock(&self) {}
}

/// What the macros have made of it.
pub(crate) fn check() {
    let door = <Door as Object>::CLASS;
    let rate = door.rate.expect("it has one");
    assert_eq!((rate.calls, rate.period, rate.burst), (100, Duration::from_secs(1), 20));
    assert_eq!(door.in_flight, Some(10_000));
    let rate = <Gate as Object>::CLASS.rate.expect("it has one");
    assert_eq!((rate.calls, rate.period, rate.burst), (5, Duration::from_millis(500), 5));
    let open = <Open as Object>::CLASS;
    assert_eq!((open.rate, open.in_flight), (None, None));
}
