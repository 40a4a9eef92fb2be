//! A person's reminders: what is to be told when, and what was not shown yet.

use durable::prelude::*;
use durable::{Misfire, WallMs};

/// The book of one person.
#[derive(Debug, Default, DurableState)]
pub(crate) struct Book {
    /// Those that have fallen due and were not shown, the oldest first.
    waiting: Vec<Told>,
    /// How many have ever fallen due.
    told: u64,
}

/// A reminder that has fallen due.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Told {
    /// Counts on, so that it can be said which were shown.
    pub(crate) number: u64,
    pub(crate) text: String,
}

/// A reminder that will come.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Planned {
    pub(crate) text: String,
    /// Such as `0 9 * * MON in Europe/Berlin`.
    pub(crate) when: String,
    /// The next times, in milliseconds since 1970.
    pub(crate) next: Vec<u64>,
}

#[durable_object(name = "reminders.Book", visibility = "pub(crate)")]
impl Book {
    /// Reminds once, after so many milliseconds. A reminder of the same text is replaced.
    pub fn remind_in(&mut self, cx: &mut Context<'_, Self>, ms: u64, text: String) {
        let at = WallMs(cx.now().0.saturating_add(ms));
        cx.schedule(&text).once(at).call(cx.me().tell(text.clone()));
    }

    /// Reminds by the calendar. What nobody was there for is told once.
    pub fn remind_by(
        &mut self,
        cx: &mut Context<'_, Self>,
        cron: String,
        zone: String,
        text: String,
    ) {
        let planned = cx.schedule(&text).cron(&cron, &zone).misfire(Misfire::Once);
        planned.call(cx.me().tell(text.clone()));
    }

    /// Reminds no more. Gives whether it would have.
    pub fn forget(&mut self, cx: &mut Context<'_, Self>, text: String) -> bool {
        let is_planned = cx.schedule(&text).get().is_some();
        cx.schedule(&text).cancel();
        is_planned
    }

    /// What will come, by text.
    pub fn planned(&self, cx: &Context<'_, Self>, count: u32) -> Vec<Planned> {
        let planned = |view: &durable::ScheduleView| Planned {
            text: view.name.clone(),
            when: view.when.to_string(),
            next: view.next(count as usize).iter().map(|at| at.0).collect(),
        };
        cx.schedules().iter().map(planned).collect()
    }

    /// A reminder falls due: what schedules call.
    pub fn tell(&mut self, text: String) {
        self.told += 1;
        self.waiting.push(Told { number: self.told, text });
    }

    /// What was not shown yet.
    pub fn waiting(&self) -> Vec<Told> {
        self.waiting.clone()
    }

    /// Everything up to this number was shown.
    pub fn shown(&mut self, number: u64) {
        self.waiting.retain(|told| told.number > number);
    }
}
