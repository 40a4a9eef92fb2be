//! Games in simulated worlds.

use durable_testing::prelude::*;

use super::game::{Player, Room};
use super::games;

/// The sum of the rounds that somebody has played.
fn sum(rounds: u64, is_clumsy: bool) -> u64 {
    (1..=rounds).filter(|round| !is_clumsy || !round.is_multiple_of(5)).sum()
}

async fn play(sim: Sim) -> TestResult {
    let room = sim.get::<Room>("hall");
    for name in ["ada", "bob"] {
        room.sit(name.to_owned()).await?;
    }
    sim.faults(Faults::all());
    sim.clients(2, async |client| {
        for _ in 0..8 {
            drop(room.play().await);
            if client.chance(20) {
                drop(client.sim().evict(&room).await);
            }
        }
    })
    .await;
    sim.heal().await?;
    let rounds = room.play().await?;
    let points = room.points().await.map_err(|error| TestError::new(error.to_string()))?;
    assert_eq!(points["ada"], sum(rounds, false), "{rounds} rounds");
    assert_eq!(points["bob"], sum(rounds, true), "{rounds} rounds");
    let falls = room.falls().await?;
    assert!(falls.keys().all(|name| name == "bob"), "{falls:?}");
    room.close().await?;
    assert!(sim.list::<Player>()?.page().await?.is_empty(), "they went with their room");
    sim.sometimes("somebody stumbled", |trace| trace.count("end.heard") > 0);
    Ok(())
}

#[test]
fn nobody_gets_points_twice_or_loses_some_whoever_crashes() {
    let simulation = Simulation::new().seeds(30).allow_panics();
    simulation.check(games, async |sim| play(sim).await);
}
