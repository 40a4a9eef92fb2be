//! Every form that the handler of an alarm may have.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    clippy::non_minimal_cfg
)]
use std::time::Duration;

use durable::prelude::*;
use durable::{AlarmInfo, Object, WallMs};

#[derive(Default, DurableState)]
pub struct Plain;

#[durable_object(name = "alarms.Plain")]
impl Plain {
    pub fn set(&mut self, cx: &mut Context<'_, Self>) {
        cx.alarm().set(WallMs(1));
        cx.alarm().set_after(Duration::from_secs(1));
        cx.alarm().cancel();
    }

    pub fn get(&self, cx: &Context<'_, Self>) -> Option<u64> {
        cx.alarm().get().map(|alarm| alarm.due.0)
    }

    #[alarm]
    fn ring(&mut self) {}
}

#[derive(Default, DurableState)]
pub struct Told;

#[durable_object(
    name = "alarms.Told",
    alarm_retries = 0,
    alarm_delay = "500ms",
    alarm_limit = "1m"
)]
impl Told {
    #[cfg(any())]
    #[alarm]
    fn never(&mut self) {}

    #[cfg(all())]
    #[alarm]
    fn ring(&mut self, info: AlarmInfo) -> Result<(), String> {
        if info.retry_count == 0 { Err("once more".to_owned()) } else { Ok(()) }
    }
}

#[derive(Default, DurableState)]
pub struct Waiting;

#[durable_object(name = "alarms.Waiting")]
impl Waiting {
    #[alarm]
    async fn ring(
        &mut self,
        cx: &mut Context<'_, Self>,
        info: durable::AlarmInfo,
    ) -> Result<(), Error> {
        cx.alarm().set(info.scheduled_at);
        cx.get::<Plain>("x").get().await.map(drop)
    }
}

/// What the macros have made of it.
pub(crate) fn check() {
    let plain = <Plain as Object>::CLASS.alarm.expect("it has a handler");
    assert_eq!((plain.retries, plain.delay, plain.limit), (6, Duration::from_secs(2), None));
    let told = <Told as Object>::CLASS.alarm.expect("it has a handler");
    assert_eq!((told.retries, told.delay), (0, Duration::from_millis(500)));
    assert_eq!(told.limit, Some(Duration::from_secs(60)));
    assert!(<Waiting as Object>::CLASS.alarm.is_some());
}
