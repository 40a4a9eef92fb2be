//! How fast members may do something: a few times at once, and then once in a while.

use std::collections::BTreeMap;

/// How often at once.
const BURST: u64 = 5;

/// How long it takes until one more is free.
const EACH_MS: u64 = 1_000;

/// When everyone will have all of them free again, in milliseconds since 1970. Who is not there has.
#[derive(Debug, Default)]
pub(crate) struct Paces(BTreeMap<String, u64>);

impl Paces {
    /// Takes one. `Err`: there is none, and one will be free in so many milliseconds.
    pub(crate) fn take(&mut self, name: &str, now_ms: u64) -> Result<(), u64> {
        self.0.retain(|_, free_ms| *free_ms > now_ms);
        let all_ms = BURST * EACH_MS;
        // A clock that was set back lets nobody wait longer than for all of them.
        let free_ms = self.0.get(name).map_or(now_ms, |free_ms| (*free_ms).min(now_ms + all_ms));
        let taken_ms = free_ms + EACH_MS;
        if taken_ms > now_ms + all_ms {
            return Err(taken_ms - now_ms - all_ms);
        }
        self.0.insert(name.to_owned(), taken_ms);
        Ok(())
    }
}
