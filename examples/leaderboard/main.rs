//! The leaderboards of games; every game is an object with tables of its own.
//!
//! `leaderboard --data DIR [--top N] [FILE]` reads lines `GAME PLAYER POINTS` from FILE or from its
//! input, where a player may have several names, and prints the best N of every game that it has ever
//! heard of, as `GAME<TAB>RANK<TAB>PLAYER<TAB>POINTS`. It can be killed at any moment and given the same
//! lines again: a score that comes twice counts once.
//!
//! `leaderboard --data DIR --find NAME GAME` prints the players of a game who are called so.
#![allow(clippy::disallowed_methods, reason = "it reads a file of the user")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod board;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::ExitCode;

use durable::prelude::*;
use durable::{Client, RuntimeBuilder};
use futures_util::{TryStreamExt, stream};

use board::Board;

const USAGE: &str =
    "usage: leaderboard --data DIR [--top N] [FILE] | leaderboard --data DIR --find NAME GAME";

/// Players that are printed of every game, if nothing else is said.
const TOP: u32 = 10;

/// Calls under way at once. All that wait share one sync.
const CALLS: usize = 256;

type Failure = Box<dyn std::error::Error>;

/// What runs, here and in simulated worlds.
fn games(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Board>()
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(failure) = run(&arguments).await {
        eprintln!("leaderboard: {failure}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn run(arguments: &[&str]) -> Result<(), Failure> {
    let ["--data", data, rest @ ..] = arguments else { return Err(USAGE.into()) };
    let runtime = games(Runtime::builder(data)).start().await?;
    let done = act(&runtime, rest).await;
    runtime.shutdown().await?;
    done
}

async fn act(runtime: &Runtime, arguments: &[&str]) -> Result<(), Failure> {
    let (top, rest) = match arguments {
        ["--find", name, game] => {
            let found = runtime.get::<Board>(*game).find((*name).to_owned()).await?;
            found.iter().for_each(|player| println!("{player}"));
            return Ok(());
        }
        ["--top", top, rest @ ..] => (top.parse()?, rest),
        rest => (TOP, rest),
    };
    let lines: Box<dyn BufRead> = match rest {
        [] | ["-"] => Box::new(io::stdin().lock()),
        [file] => Box::new(BufReader::new(File::open(file)?)),
        _ => return Err(USAGE.into()),
    };
    read(&runtime.client(), lines).await?;
    print(runtime, top).await
}

/// Stores the score of every line. When it returns all of them are durable.
async fn read(client: &Client, lines: impl BufRead) -> Result<(), Failure> {
    let calls = lines.lines().enumerate().filter_map(|(index, line)| {
        let line = match line {
            Ok(line) if line.trim().is_empty() => return None,
            Ok(line) => line,
            Err(error) => return Some(Err(error.into())),
        };
        Some(match parse(&line) {
            Some((game, player, points)) => {
                Ok(client.get::<Board>(game).score(player, points).into_future())
            }
            None => Err(Failure::from(format!("line {} is not GAME PLAYER POINTS", index + 1))),
        })
    });
    let calls =
        stream::iter(calls).map_ok(|call| async { call.await.map(drop).map_err(Failure::from) });
    calls.try_buffer_unordered(CALLS).try_for_each(|()| async { Ok(()) }).await
}

/// A line's game, player and points: what is between the first word and the last is the player.
fn parse(line: &str) -> Option<(&str, String, i64)> {
    let (game, rest) = line.trim().split_once(char::is_whitespace)?;
    let (player, points) = rest.trim_start().rsplit_once(char::is_whitespace)?;
    let player: Vec<_> = player.split_whitespace().collect();
    (!player.is_empty()).then_some((game, player.join(" "), points.parse().ok()?))
}

/// Prints the best of every game, by the games' names.
async fn print(runtime: &Runtime, top: u32) -> Result<(), Failure> {
    let mut page = runtime.list::<Board>().page().await?;
    while let Some(last) = page.last().cloned() {
        for game in &page {
            let places = runtime.get_by_id::<Board>(game.id())?.top(top).await?;
            for place in places {
                let game = game.name().unwrap_or_default();
                println!("{game}\t{}\t{}\t{}", place.rank, place.player, place.points);
            }
        }
        page = runtime.list::<Board>().after(&last).page().await?;
    }
    Ok(())
}
