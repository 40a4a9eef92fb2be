//! A counter that goes on where it was: run it again and again, also after `kill -9`.
#![allow(clippy::print_stdout)]

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

#[tokio::main]
async fn main() -> Result<(), Error> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| "counter-data".into());
    let runtime = Runtime::builder(dir).register::<Counter>().start().await?;
    let visits = runtime.get::<Counter>("visits"); // nothing happened yet
    let value = visits.add(1).await?; // activated, ran, synced to disk, answered
    println!("visit {value}");
    runtime.shutdown().await
}
