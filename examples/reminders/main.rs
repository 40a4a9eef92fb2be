//! Reminders that come, also after `kill -9`: `reminders DIR`, and then a line for each wish.
//!
//! ```text
//! in 90 drink tea
//! cron 0 9 * * MON Europe/Berlin weekly meeting
//! list
//! forget weekly meeting
//! ```
//!
//! The wishes are schedules of an object. What falls due is kept in it until it was shown, so a crash in between shows it
//! again and never loses it.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for a terminal")]

mod book;
#[cfg(test)]
mod tests;

use std::time::Duration;

use durable::prelude::*;
use durable::{RuntimeBuilder, Supervisor, objects, task};

use book::{Book, BookStub};

const PAUSE: Duration = Duration::from_millis(20);

/// What runs, here and in simulated worlds.
fn reminders(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Book>()
}

/// The program's own: it shows what has fallen due.
fn with_bell(builder: RuntimeBuilder) -> RuntimeBuilder {
    let tree = Supervisor::one_for_one("reminders");
    builder.supervise(tree.child(objects::<Book>()).child(task("bell", ring)))
}

/// Shows what has fallen due, and says so to the book.
async fn ring(cx: TaskContext) -> Result<(), Error> {
    let book = cx.get::<Book>("me");
    loop {
        for told in book.waiting().await? {
            println!("reminder: {}", told.text);
            book.shown(told.number).await?;
        }
        cx.sleep(PAUSE).await;
    }
}

/// Does what a line asks for, and says what came of it.
async fn obey(book: &BookStub, line: &str) -> Result<String, Error> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["in", seconds, ref text @ ..] if seconds.parse::<f64>().is_ok() && !text.is_empty() => {
            let seconds: f64 = seconds.parse().unwrap_or_default();
            book.remind_in((seconds.max(0.0) * 1_000.0) as u64, text.join(" ")).await?;
            Ok(format!("will remind: {}", text.join(" ")))
        }
        ["cron", minute, hour, day, month, weekday, zone, ref text @ ..] if !text.is_empty() => {
            let cron = [minute, hour, day, month, weekday].join(" ");
            book.remind_by(cron, zone.to_owned(), text.join(" ")).await?;
            Ok(format!("will remind: {}", text.join(" ")))
        }
        ["list"] => {
            let planned = book.planned(3).await?;
            let line = |planned: &book::Planned| {
                let next: Vec<_> = planned.next.iter().map(u64::to_string).collect();
                format!("{}: {}; next {}", planned.text, planned.when, next.join(", "))
            };
            let lines: Vec<_> = planned.iter().map(line).collect();
            Ok(format!("{} planned\n{}", lines.len(), lines.join("\n")).trim_end().to_owned())
        }
        ["forget", ref text @ ..] if !text.is_empty() => {
            let was = book.forget(text.join(" ")).await?;
            Ok(if was { "forgotten".to_owned() } else { "there is no such reminder".to_owned() })
        }
        _ => Ok("say: in SECONDS TEXT, cron M H D M W ZONE TEXT, list, or forget TEXT".to_owned()),
    }
}

/// The next line of what is typed. `None`: there are no more.
async fn next_line() -> Option<String> {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
    read.await.ok()??.ok()
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| "reminders-data".into());
    let runtime = with_bell(reminders(Runtime::builder(dir))).start().await?;
    let book = runtime.get::<Book>("me");
    println!("{} planned", book.planned(1).await?.len());
    while let Some(line) = next_line().await {
        match obey(&book, &line).await {
            Ok(said) => println!("{said}"),
            Err(error) => println!("{error}"),
        }
    }
    runtime.shutdown().await
}
