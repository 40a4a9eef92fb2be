//! Objects that crash and do not start when they are told to.

use std::time::Duration;

use durable::prelude::*;
use durable::{CallError, RuntimeBuilder};

/// Counts, and fails as it is told.
#[derive(Debug, Default, DurableState)]
pub struct Patient {
    /// Turns that were kept.
    pub turns: u64,
    /// Its hook fails.
    pub is_dazed: bool,
    /// Its alarm has rung so often.
    pub rung: u64,
}

#[durable_object(name = "poison.Patient", history)]
impl Patient {
    /// One more.
    pub fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// How many there were.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Crashes in a turn that has changed something.
    pub fn crash(&mut self) {
        self.turns += 1_000;
        panic!("poison");
    }

    /// Crashes in a read.
    pub fn crash_reading(&self) -> u64 {
        panic!("poison, at {}", self.turns)
    }

    /// Refuses, and rolls back.
    pub fn refuse(&mut self) -> Result<(), String> {
        self.turns += 1;
        Err("no".to_owned())
    }

    /// From its next start on it does not start.
    pub fn daze(&mut self) {
        self.is_dazed = true;
    }

    /// Sets its alarm.
    pub fn ring_after(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.alarm().set_after(Duration::from_millis(ms));
    }

    /// How often it has rung.
    pub fn rung(&self) -> u64 {
        self.rung
    }

    #[alarm]
    async fn ring(&mut self, _cx: &mut Context<'_, Self>) {
        self.rung += 1;
    }

    #[on_activate]
    fn wake(&mut self) -> Result<(), String> {
        if self.is_dazed { Err("dazed".to_owned()) } else { Ok(()) }
    }
}

/// Its class.
pub fn ward(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Patient>()
}

/// The code of a failure.
pub fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.map_or_else(|error| error.code(), |_| "ok")
}

/// The code of a failure below the method.
pub fn code_of<T, E>(answer: Result<T, CallError<E>>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(CallError::Rejected(_)) => "rejected",
        Err(CallError::Failed(error)) => error.code(),
    }
}
