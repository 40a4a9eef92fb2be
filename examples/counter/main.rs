//! A counter that goes on where it was: run it again and again, also after `kill -9`.
#![allow(clippy::print_stdout)]

use durable::RuntimeBuilder;
use durable::prelude::*;

/// A number that survives.
#[derive(Default, DurableState)]
struct Counter {
    value: u64,
}

#[durable_object(name = "example.Counter")]
impl Counter {
    /// Adds `by` and returns the new value.
    pub fn add(&mut self, by: u64) -> u64 {
        self.value += by;
        self.value
    }
}

/// What runs, here and in simulated worlds.
fn counter(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Counter>()
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| "counter-data".into());
    let runtime = counter(Runtime::builder(dir)).start().await?;
    let visits = runtime.get::<Counter>("visits"); // nothing happened yet
    let value = visits.add(1).await?; // activated, ran, synced to disk, answered
    println!("visit {value}");
    runtime.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use durable_testing::prelude::*;

    #[durable_testing::test(runtime = counter, crash_everywhere)]
    async fn a_visit_that_was_shown_is_never_shown_again(sim: Sim) -> TestResult {
        let visits = sim.get::<Counter>("visits");
        for _ in 0..3 {
            // A crash costs an answer, and maybe the visit: the history knows which.
            let _ = visits.add(1).await;
        }
        sim.heal().await?;
        let value = visits.add(0).await?;
        assert!((2..=3).contains(&value), "one crash costs at most one visit, {value} are left");
        sim.check_history([&visits])
    }
}
