//! A room and its players: `game_room DIR ROUNDS`, again and again, also after `kill -9`.
//!
//! Players belong to their room: they come and go with it, the room sees who crashes, and closing it leaves nothing of any
//! of them.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

mod game;
#[cfg(test)]
mod tests;

use durable::RuntimeBuilder;
use durable::prelude::*;

use game::{Player, Room};

/// The classes, here and in simulated worlds.
fn games(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Room>().register::<Player>()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| "game-data".to_owned());
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let runtime = games(Runtime::builder(dir)).start().await?;
    let room = runtime.get::<Room>("hall");
    for name in ["ada", "bob", "cyd"] {
        room.sit(name.to_owned()).await?;
    }
    while room.play().await? < rounds {}
    for (name, points) in room.points().await? {
        println!("{name} has {points} points");
    }
    println!("falls: {:?}", room.falls().await?);
    runtime.shutdown().await?;
    Ok(())
}
