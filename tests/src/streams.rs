//! Objects that read streams of each other's results, while everything goes wrong that may.

#![allow(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]

use std::time::Duration;

use crate::time::pause;
use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::prelude::*;
use futures_util::{Stream, stream};

/// Gives streams of numbers.
#[derive(Debug, Default, DurableState)]
pub struct Tap {
    /// Streams that were opened by turns that were kept.
    pub opened: u64,
}

/// The numbers from 0 on, one after the other, with so many milliseconds between them.
fn numbers(count: u64, ms: u64) -> impl Stream<Item = u64> + Send + 'static {
    stream::unfold(0, move |at| async move {
        pause(ms).await;
        (at < count).then_some((at, at + 1))
    })
}

#[durable_object(name = "streams.Tap", idle = "15ms", crashes = 1_000)]
impl Tap {
    /// Opens one, and counts it.
    pub fn open(&mut self, count: u64, ms: u64) -> impl Stream<Item = u64> + use<> {
        self.opened += 1;
        numbers(count, ms)
    }

    /// One of a turn that reads.
    pub async fn look(&self, count: u64, ms: u64) -> impl Stream<Item = u64> + use<> {
        pause(ms).await;
        numbers(count, ms)
    }

    /// One that panics before its end.
    pub fn burst(&self, count: u64) -> impl Stream<Item = u64> + use<> {
        stream::unfold(0, move |at| async move {
            assert!(at < count, "asked to");
            Some((at, at + 1))
        })
    }

    /// Opens one, and panics.
    pub fn open_and_panic(&mut self, is_wanted: bool) -> impl Stream<Item = u64> + use<> {
        self.opened += 1;
        assert!(!is_wanted, "asked to");
        numbers(1, 0)
    }

    /// Panics.
    pub fn crash(&self) {
        panic!("asked to")
    }

    /// Streams that were opened.
    pub fn opened(&self) -> u64 {
        self.opened
    }
}

/// Reads them.
#[derive(Debug, Default, DurableState)]
pub struct Cup {
    /// Streams that were whole.
    pub whole: u64,
}

#[durable_object(name = "streams.Cup", idle = "15ms", crashes = 1_000)]
impl Cup {
    /// Reads one to its end. Gives whether it was whole.
    ///
    /// # Errors
    /// What is wrong with one that misses items, and does not say so.
    pub async fn drink(
        &mut self,
        cx: &mut Context<'_, Self>,
        tap: String,
        count: u64,
        ms: u64,
    ) -> Result<bool, String> {
        let tap = cx.get::<Tap>(tap);
        let opened = if ms.is_multiple_of(2) {
            tap.open(count, ms).await
        } else {
            tap.look(count, ms).await
        };
        let Ok(mut items) = opened else { return Ok(false) };
        let mut next = 0;
        while let Some(item) = items.next().await {
            match item {
                Ok(item) if item == next => next += 1,
                Ok(item) => return Err(format!("item {item} comes in the place of {next}")),
                Err(error) if error.code() == "stream.cut" => return Ok(false),
                Err(error) => return Err(error.to_string()),
            }
        }
        if next < count {
            return Err(format!("a stream of {count} ends after {next}, and does not say why"));
        }
        self.whole += 1;
        Ok(true)
    }

    /// Begins to read one, and leaves.
    pub async fn sip(&self, cx: &Context<'_, Self>, tap: String) {
        if let Ok(mut items) = cx.get::<Tap>(tap).look(1_000, 1).await {
            let _ = items.next().await;
        }
    }
}

/// A runtime with both.
pub fn taps(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Tap>().register::<Cup>().shards(2)
}

/// Clients whose objects read streams, under `faults`.
pub async fn pour_and_drink(sim: Sim, faults: Faults) -> TestResult {
    let taps = ["one", "two"];
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..14 {
            let (tap, ms) = ((*client.pick(&taps)).to_owned(), client.int(0..4));
            let cup = client.sim().get::<Cup>(*client.pick(&["a", "b", "c"]));
            let source = client.sim().get::<Tap>(tap.as_str());
            match client.int(0..10) {
                0..=5 => {
                    let drunk = cup.drink(tap, client.int(0..60), ms).await;
                    if let Err(CallError::Rejected(wrong)) = drunk {
                        panic!("{wrong}");
                    }
                }
                6 => drop(cup.sip(tap).await),
                7 => drop(client.sim().evict(&source).await),
                8 => drop(source.crash().await),
                _ => drop(client.sim().evict(&cup).await),
            }
            if client.chance(30) {
                client.sleep(Duration::from_millis(client.int(0..30))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    assert!(sim.get::<Cup>("a").drink("one".to_owned(), 40, 1).await?, "it is whole in peace");
    sim.sometimes("work was spawned", |trace| trace.count("work.began") > 0);
    Ok(())
}
