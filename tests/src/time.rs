//! Times of tests and of the methods that they call.

use std::time::Duration;

/// So many milliseconds.
pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits, as a method of a user's may: in virtual time where the clock is paused or simulated.
#[allow(clippy::disallowed_methods, reason = "the clock of the test's runtime")]
pub async fn pause(time: u64) {
    tokio::time::sleep(ms(time)).await;
}
