//! Safes that only their owners open: `gatekeeper DIR ada put ring`, `gatekeeper DIR eve take-from ada`.
//!
//! Who calls travels with the call and is looked at before any turn begins, so the methods know nothing of it. What a safe
//! hands on, it hands on in the name of whoever has called it.
#![allow(clippy::print_stdout)]

mod guards;
#[cfg(test)]
mod tests;

use durable::RuntimeBuilder;
use durable::prelude::*;

use guards::{Metrics, OwnersOnly, SignedIn};

/// Keeps things.
#[derive(Default, DurableState)]
struct Safe {
    things: Vec<String>,
}

#[durable_object(name = "example.Safe")]
impl Safe {
    /// Puts something in, whoever it is.
    pub fn put(&mut self, thing: String) -> usize {
        self.things.push(thing);
        self.things.len()
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.things)
    }

    /// What is in it.
    pub fn things(&self) -> Vec<String> {
        self.things.clone()
    }

    /// Hands everything on to another safe.
    pub fn give(&mut self, cx: &mut Context<'_, Self>, to: String) -> usize {
        let other = cx.get::<Safe>(&to);
        let given = self.things.drain(..).map(|thing| cx.send(other.put(thing)));
        given.count()
    }
}

/// What runs, here and in simulated worlds.
fn safes(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Safe>().intercept(OwnersOnly)
}

/// Does what the words ask for, in the name of `who`.
async fn obey(client: &Client, who: &str, words: &[&str]) -> Result<String, Error> {
    let client = client.clone().with_interceptor(SignedIn(who.to_owned()));
    let own = client.get::<Safe>(who);
    Ok(match words {
        ["put", thing] => format!("{} things", own.put((*thing).to_owned()).await?),
        ["give", to] => format!("{} things given", own.give((*to).to_owned()).await?),
        ["take-from", other] => client.get::<Safe>(*other).take().await?.join(", "),
        _ => own.things().await?.join(", "),
    })
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [dir, who, ref words @ ..] = words[..] else {
        println!("gatekeeper DIR NAME [put THING | give NAME | take-from NAME]");
        return Ok(());
    };
    // Whoever counts stands outside, and so sees what is turned away, too.
    let metrics = Metrics::default();
    let runtime = safes(Runtime::builder(dir).intercept(metrics.clone())).start().await?;
    match obey(&runtime.client(), who, words).await {
        Ok(said) => println!("{said}"),
        Err(error) => println!("{error}"),
    }
    runtime.shutdown().await?;
    for (method, count) in metrics.all() {
        println!("{method}: {} turns, {} refused, {:?}", count.turns, count.refused, count.took);
    }
    Ok(())
}
