//! A room, and the players that belong to it.

use std::collections::BTreeMap;

use durable::ChildExit;
use durable::prelude::*;

/// One player of one room: the same name in another room is another player.
#[derive(Default, DurableState)]
pub(crate) struct Player {
    points: u64,
    /// The last round that was played; a round that is asked for again is not played twice.
    round: u64,
}

#[durable_object(name = "example.Player", visibility = "pub(crate)")]
impl Player {
    /// Plays a round, and gives the points. Some stumble, and nobody here cares: the room will see it.
    pub fn play(&mut self, cx: &mut Context<'_, Self>, round: u64) -> u64 {
        if round > self.round {
            self.round = round;
            self.points += round;
            let is_clumsy = cx.name() == Some("bob");
            assert!(!is_clumsy || !round.is_multiple_of(5), "{:?} stumbles", cx.name());
        }
        self.points
    }

    pub fn points(&self) -> u64 {
        self.points
    }
}

/// Who sits in a room, how far the game is, and who fell how often.
#[derive(Default, DurableState)]
pub(crate) struct Room {
    seats: Vec<String>,
    round: u64,
    falls: BTreeMap<String, u64>,
}

/// A player who stumbles is alone in it; one who stumbles all the time takes the room along.
#[durable_object(
    name = "example.Room",
    visibility = "pub(crate)",
    children = "one_for_one",
    intensity = 100,
    period = "1s"
)]
impl Room {
    pub fn sit(&mut self, name: String) {
        if !self.seats.contains(&name) {
            self.seats.push(name);
        }
    }

    /// Everybody plays one round. A player who stumbles has not played it.
    pub async fn play(&mut self, cx: &mut Context<'_, Self>) -> u64 {
        self.round += 1;
        for name in &self.seats {
            if let Err(error) = cx.child::<Player>(name).play(self.round).await
                && !error.is(durable::Code::CallPanicked)
            {
                // The round is played again when somebody asks for it.
                self.round -= 1;
                break;
            }
        }
        self.round
    }

    /// Everybody's points.
    pub async fn points(&self, cx: &Context<'_, Self>) -> Result<BTreeMap<String, u64>, Error> {
        let mut points = BTreeMap::new();
        for name in &self.seats {
            points.insert(name.clone(), cx.child::<Player>(name).points().await?);
        }
        Ok(points)
    }

    pub fn falls(&self) -> BTreeMap<String, u64> {
        self.falls.clone()
    }

    /// The game is over: nothing is left of the room, and of its players.
    pub fn close(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    #[on_child_exit]
    fn saw(&mut self, exit: ChildExit) {
        *self.falls.entry(exit.name.unwrap_or_default()).or_default() += 1;
    }
}
