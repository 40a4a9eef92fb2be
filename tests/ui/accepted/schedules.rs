//! Every form in which a schedule is set, in methods of every kind.
#![allow(missing_docs, missing_debug_implementations)]
use std::time::Duration;

use durable::prelude::*;
use durable::{Misfire, Overlap, WallMs, When};

#[derive(Default, DurableState)]
pub struct Plan {
    renewed: u64,
}

#[durable_object(name = "schedules.Plan")]
impl Plan {
    pub fn set(&mut self, cx: &mut Context<'_, Self>, when: u64) -> Result<(), Error> {
        cx.schedule("once").once(WallMs(when)).call(cx.me().renew(1));
        cx.schedule("every").every(Duration::from_secs(30)).call(cx.me().renew_later(2));
        cx.schedule("cron").cron("0 9 * * MON", "Europe/Berlin").call(cx.me().renewed());
        let when = When::cron("@daily", "UTC")?;
        cx.schedule("on")
            .on(when)
            .misfire(Misfire::All(3))
            .overlap(Overlap::Queue)
            .jitter(Duration::from_secs(5))
            .call(cx.me().fallible());
        self.renewed = cx.schedules().len() as u64;
        Ok(())
    }

    pub async fn set_later(&mut self, cx: &mut Context<'_, Self>) {
        let me = cx.me();
        cx.schedule("own").every(Duration::from_secs(1)).call(me.set_later());
        cx.schedule("own").cancel();
    }

    pub fn see(&self, cx: &Context<'_, Self>) -> Option<u64> {
        cx.schedule("cron").get().map(|view| view.next(10).len() as u64)
    }

    pub fn renew(&mut self, by: u64) {
        self.renewed += by;
    }

    pub async fn renew_later(&mut self, by: u64) {
        self.renewed += by;
    }

    pub fn fallible(&mut self) -> Result<u64, String> {
        Err("no".to_owned())
    }

    pub fn renewed(&self) -> u64 {
        self.renewed
    }
}
