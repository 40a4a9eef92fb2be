//! Leaderboards in simulated worlds.

use std::collections::BTreeMap;

use super::*;
use board::Place;
use durable_testing::prelude::*;

const PLAYERS: [&str; 6] =
    ["ada lovelace", "alan turing", "bob", "cyd", "grace hopper", "o'brien \"ob\" *"];

/// What a board does, without a database.
#[derive(Default)]
struct Plain(BTreeMap<String, i64>);

impl Plain {
    fn score(&mut self, player: &str, points: i64) -> bool {
        let best = self.0.entry(player.to_owned()).or_insert(i64::MIN);
        let is_best = points > *best;
        *best = points.max(*best);
        is_best
    }

    fn all(&self) -> Vec<Place> {
        let rank = |points| 1 + self.0.values().filter(|other| **other > points).count() as u32;
        let place = |(player, &points): (&String, &i64)| Place {
            rank: rank(points),
            player: player.clone(),
            points,
        };
        let mut places: Vec<_> = self.0.iter().map(place).collect();
        places.sort_by_key(|place| (place.rank, place.player.clone()));
        places
    }

    fn find(&self, text: &str) -> Vec<String> {
        let has = |player: &&String| player.split(' ').any(|name| name.starts_with(text));
        self.0.keys().filter(has).cloned().collect()
    }
}

#[durable_testing::test(runtime = games, seeds = 50)]
async fn a_board_is_what_a_plain_map_says(sim: Sim) -> TestResult {
    let board = sim.get::<Board>("chess");
    let played = sim.clients(1, async |client| -> TestResult {
        let mut plain = Plain::default();
        for _ in 0..30 {
            let player = *client.pick(&PLAYERS);
            match client.int(0..8) {
                0 => {
                    // With ties: the model's ranks say who is still among them.
                    let count = client.int(0..8) as u32;
                    let mut wanted = plain.all();
                    wanted.retain(|place| place.rank <= count);
                    assert_eq!(board.top(count).await?, wanted, "the best {count}");
                }
                1 => {
                    let wanted = plain.all().into_iter().find(|place| place.player == player);
                    assert_eq!(board.place(player.to_owned()).await?, wanted, "{player}");
                }
                2 => {
                    let text = *client.pick(&["a", "al", "hop", "ada", "turin", "zoe"]);
                    assert_eq!(board.find(text.to_owned()).await?, plain.find(text), "{text}");
                }
                3 => drop(sim.evict(&board).await?),
                4 => sim.power_cut().await,
                _ => {
                    let points = client.int(0..5) as i64 - 2;
                    let is_best = board.score(player.to_owned(), points).await?;
                    assert_eq!(is_best, plain.score(player, points), "{points} of {player}");
                }
            }
        }
        Ok(())
    });
    played.await.into_iter().collect()
}

#[durable_testing::test(runtime = games, seeds = 60)]
async fn no_score_is_lost(sim: Sim) -> TestResult {
    let boards = ["chess", "go"].map(|game| sim.get::<Board>(game));
    sim.faults(Faults::all().power_cuts(1..3));
    sim.clients(3, async |client| {
        for _ in 0..6 {
            let (board, player) = (client.pick(&boards), (*client.pick(&PLAYERS)).to_owned());
            match client.int(0..4) {
                0 => drop(board.top(3).await),
                1 => drop(board.place(player).await),
                _ => drop(board.score(player, client.int(0..9) as i64).await),
            }
        }
    })
    .await;
    sim.heal().await?;
    for board in &boards {
        // The index of names is kept by a trigger, in the commit of the score.
        let mut players: Vec<_> = board.top(99).await?.into_iter().map(|p| p.player).collect();
        players.sort();
        for player in &players {
            assert!(board.find(player.clone()).await?.contains(player), "{player} is not found");
        }
    }
    sim.check_history(&boards)?;
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

#[durable_testing::test(runtime = games, crash_everywhere)]
async fn lines_that_are_read_again_after_a_crash_count_once(sim: Sim) -> TestResult {
    let lines = "chess ada lovelace 3\nchess bob 3\n\nchess  ada lovelace 2\n";
    let mut runs = 1;
    while let Err(failure) = read(&sim.client(), lines.as_bytes()).await {
        runs += 1;
        assert!(runs <= 2, "one crash cuts one run short, not another: {failure}");
    }
    sim.heal().await?;
    let board = sim.get::<Board>("chess");
    let place = |player: &str| Place { rank: 1, player: player.to_owned(), points: 3 };
    assert_eq!(board.top(1).await?, [place("ada lovelace"), place("bob")]);
    sim.check_history([&board])
}

#[test]
fn a_line_is_a_game_a_player_and_points() {
    assert_eq!(parse(" go  ada  lovelace -7 "), Some(("go", "ada lovelace".to_owned(), -7)));
    for line in ["", "go", "go 7", "go ada", "go ada 1.5", "go ada 99999999999999999999"] {
        assert_eq!(parse(line), None, "{line}");
    }
}
