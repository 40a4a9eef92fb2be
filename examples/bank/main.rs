//! A bank that can be killed at any moment, and whose books balance at every moment at which they can be looked at.
//!
//! ```text
//! bank --data DIR open ada
//! bank --data DIR pay-in ada 10000
//! bank --data DIR transfer ada bob 2500
//! bank --data DIR balance bob
//! bank --data DIR entries ada
//! bank --data DIR day ada               a day is over: interest
//! bank --data DIR audit
//! bank --data DIR --chaos 10            is killed ten times while it works, and looks at what is left
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]
#![allow(
    clippy::disallowed_methods,
    reason = "it waits on the machine's clock, and starts itself anew"
)]

mod account;
mod books;
mod chaos;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Duration;

use durable::prelude::*;
use durable::{Client, RuntimeBuilder, Supervisor, objects, task};

use account::{Account, HOUSE};
use books::{BOOKS, Books, Counted, Finding};

const USAGE: &str = "usage: bank --data DIR \
    open NAME | pay-in NAME CENTS | transfer FROM TO CENTS | balance NAME | entries NAME | day NAME | audit \
    | --chaos ROUNDS [--seed NUMBER]";

/// How often the program audits itself.
const PAUSE: Duration = Duration::from_millis(20);

type Failure = Box<dyn std::error::Error>;

/// What runs, here and in simulated worlds. Every `pause` there is an audit.
///
/// A bank whose books are wrong is stopped: the auditor fails, again and again, until its supervisor has had enough.
fn bank(builder: RuntimeBuilder, pause: Duration) -> RuntimeBuilder {
    let auditor = task("auditor", move |cx| audit_forever(cx, pause));
    let offices = Supervisor::rest_for_one("offices").child(objects::<Books>());
    let tree =
        Supervisor::one_for_one("bank").child(objects::<Account>()).child(offices.child(auditor));
    builder.supervise(tree)
}

/// Opens the house, and begins an audit whenever none is under way. What cannot be done now, because a disk fails, is done
/// after the pause: only books that are wrong end the task.
async fn audit_forever(cx: TaskContext, pause: Duration) -> Result<(), String> {
    let (house, books) = (cx.get::<Account>(HOUSE), cx.get::<Books>(BOOKS));
    let mut is_open = false;
    loop {
        if let Ok(Some(wrong)) = books.wrong().await {
            return Err(shown(&wrong));
        }
        is_open = is_open || house.open().await.is_ok();
        drop(books.audit().await);
        cx.sleep(pause).await;
    }
}

/// What an audit finds that begins from now on. Everything that was sent before it has come when it is over, because sends
/// of one object to another come in their order, and the audit is sent as well.
async fn audited(client: &Client) -> Result<Finding, Failure> {
    let books = client.get::<Books>(BOOKS);
    let under_way = books.audit().await?;
    loop {
        if let Some(wrong) = books.wrong().await? {
            return Err(shown(&wrong).into());
        }
        match books.last().await? {
            Some(finding) if finding.audit > under_way => return Ok(finding),
            _ => drop(books.audit().await?),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments).await {
        Ok(text) => println!("{text}"),
        Err(failure) => {
            eprintln!("bank: {failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn run(arguments: &[&str]) -> Result<String, Failure> {
    let ["--data", data, command @ ..] = arguments else { return Err(USAGE.into()) };
    match command {
        ["--chaos", rounds] => return chaos::survive(data, rounds.parse()?, 1).await,
        ["--chaos", rounds, "--seed", seed] => {
            return chaos::survive(data, rounds.parse()?, seed.parse()?).await;
        }
        ["--victim", seed] => return chaos::work_until_killed(data, seed.parse()?).await,
        _ => {}
    }
    let runtime = bank(Runtime::builder(*data), PAUSE).start().await?;
    let done = act(&runtime, command).await;
    runtime.shutdown().await?;
    done
}

/// Does what a command says, and gives what to print.
async fn act(runtime: &Runtime, command: &[&str]) -> Result<String, Failure> {
    let account = |name: &str| runtime.get::<Account>(name);
    Ok(match command {
        ["open", name] => {
            account(name).open().await?;
            until_known(runtime, name).await?;
            format!("{name} has an account")
        }
        ["pay-in", name, cents] => {
            format!("balance {}", money(account(name).pay_in(cents.parse()?).await?))
        }
        ["transfer", from, to, cents] => {
            let number = account(from).transfer((*to).to_owned(), cents.parse()?).await?;
            audited(&runtime.client()).await?;
            format!("payment {number}")
        }
        ["balance", name] => format!("balance {}", money(account(name).balance().await?)),
        ["entries", name] => {
            let entries = account(name).entries(0).await?;
            let line = |entry: &account::Entry| {
                format!("{} {} {}", money(entry.cents), entry.what, entry.other)
            };
            entries.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        ["day", name] => {
            runtime.run_alarm(account(name).id()?).await?;
            // The claim comes before the first audit is over, and the interest before the second is.
            audited(&runtime.client()).await?;
            audited(&runtime.client()).await?;
            format!("balance {}", money(account(name).balance().await?))
        }
        ["audit"] => shown(&audited(&runtime.client()).await?),
        _ => return Err(USAGE.into()),
    })
}

/// Waits until every account knows a new one.
async fn until_known(runtime: &Runtime, name: &str) -> Result<(), Failure> {
    let books = runtime.get::<Books>(BOOKS);
    while !books.accounts().await?.contains(name) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    audited(&runtime.client()).await.map(drop)
}

fn shown(finding: &Finding) -> String {
    let Counted { cents, paid_in, in_flight } = finding.counted;
    let verdict =
        if finding.counted.is_sound() { "the books balance" } else { "THE BOOKS ARE WRONG" };
    format!(
        "{verdict}: {} in accounts, {} in flight, {} paid in",
        money(cents),
        money(in_flight),
        money(paid_in)
    )
}

fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
}
