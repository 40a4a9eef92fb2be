//! Which seeds a test is run with.

use std::env;

use crate::chance::{hash, mix};
use crate::plan::Plan;

/// Replays one world: a seed in hexadecimal and, behind a colon, a plan.
const REPLAY: &str = "DURABLE_SIM";

/// Where seeds begin: a number, a commit's hash, or any other word.
const BASE: &str = "DURABLE_SIM_BASE";

/// How many seeds every test gets, whatever it asks for.
const COUNT: &str = "DURABLE_SIM_SEEDS";

/// One world that is to be run again.
pub(super) struct Replay {
    pub(super) seed: u64,
    /// `None`: its faults are drawn from its seed.
    pub(super) plan: Option<Plan>,
}

/// The world that the environment asks for.
///
/// # Errors
/// What is wrong with the question.
pub(super) fn replay() -> Result<Option<Replay>, String> {
    let Ok(text) = env::var(REPLAY) else { return Ok(None) };
    parse(&text).map(Some).map_err(|why| format!("{REPLAY} is `{text}`: {why}"))
}

/// A world as people write it: its seed in hexadecimal and, behind a colon, its plan.
pub(super) fn parse(text: &str) -> Result<Replay, String> {
    let (seed, plan) = match text.split_once(':') {
        Some((seed, plan)) => (seed, Some(plan)),
        None => (text, None),
    };
    let seed = u64::from_str_radix(seed, 16).map_err(|_| {
        "it must be a seed in hexadecimal, or a seed, a colon and a plan".to_owned()
    })?;
    let plan = plan.map(|plan| plan.parse::<Plan>().map_err(|error| error.to_string()));
    Ok(Replay { seed, plan: plan.transpose()? })
}

/// The seeds of one test. The same in every run, unless the environment says otherwise.
pub(super) struct Seeds {
    base: u64,
    count: u32,
}

impl Seeds {
    pub(super) fn of(name: &str, count: u32) -> Self {
        let chosen = env::var(BASE).map_or(0, |base| hash(base.as_bytes()));
        let count = env::var(COUNT).ok().and_then(|count| count.parse().ok()).unwrap_or(count);
        Seeds { base: hash(name.as_bytes()) ^ chosen, count }
    }

    pub(super) fn base(&self) -> u64 {
        mix(self.base)
    }

    /// The seeds with their numbers, from 0.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        let base = self.base;
        (0..self.count).map(move |number| (number, mix(base.wrapping_add(u64::from(number)))))
    }
}
