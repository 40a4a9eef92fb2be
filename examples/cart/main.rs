//! A shop's cart that outlives the shop's crashes: sums in a struct, lines and orders under keys.
//!
//! ```text
//! cart --data DIR add pen 2 150      two pens at 1.50
//! cart --data DIR remove pen
//! cart --data DIR show
//! cart --data DIR checkout 300       for the 3.00 that were shown
//! cart --data DIR order 1
//! ```
//! `--customer NAME` is about another customer's cart.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod objects;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use durable::RuntimeBuilder;
use durable::prelude::*;

use objects::{Cart, CartStub, Contents};

const USAGE: &str = "usage: cart --data DIR [--customer NAME] \
    add SKU PIECES CENTS | remove SKU | show | checkout CENTS | order NUMBER";

type Failure = Box<dyn std::error::Error>;

/// What runs, here and in simulated worlds.
fn shop(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Cart>()
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments).await {
        Ok(text) => println!("{text}"),
        Err(failure) => {
            eprintln!("cart: {failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn run(arguments: &[&str]) -> Result<String, Failure> {
    let ["--data", data, rest @ ..] = arguments else { return Err(USAGE.into()) };
    let (customer, command) = match rest {
        ["--customer", customer, command @ ..] => (*customer, command),
        command => ("me", command),
    };
    let runtime = shop(Runtime::builder(data)).start().await?;
    let done = act(&runtime.get::<Cart>(customer), command).await;
    runtime.shutdown().await?;
    done
}

/// Does what a command says, and gives what to print.
async fn act(cart: &CartStub, command: &[&str]) -> Result<String, Failure> {
    Ok(match command {
        ["add", sku, pieces, cents] => {
            let total = cart.add((*sku).to_owned(), pieces.parse()?, cents.parse()?).await?;
            format!("total {}", money(total))
        }
        ["remove", sku] => format!("total {}", money(cart.remove((*sku).to_owned()).await?)),
        ["show"] => shown(&cart.contents().await?),
        ["checkout", cents] => format!("order {}", cart.check_out(cents.parse()?).await?),
        ["order", number] => match cart.order(number.parse()?).await? {
            Some(order) => shown(&order),
            None => return Err(format!("there is no order {number}").into()),
        },
        _ => return Err(USAGE.into()),
    })
}

fn shown(contents: &Contents) -> String {
    let line = |(sku, line): &(String, objects::Line)| {
        format!("{} x {sku} at {}\n", line.pieces, money(line.cents))
    };
    let lines: String = contents.lines.iter().map(line).collect();
    format!("{lines}total {}", money(contents.total_cents))
}

fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
