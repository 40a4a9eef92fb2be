//! The class: the leaderboard of one game, in tables.

use durable::prelude::*;

/// Players that a search finds at most.
const FOUND_MAX: u32 = 100;

/// A player's place on a board.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Place {
    /// From 1. Players with equal points have equal ranks, and the next rank is that much higher.
    pub(crate) rank: u32,
    pub(crate) player: String,
    pub(crate) points: i64,
}

/// The board of one game, named by the game. All that it knows is in its tables, which the numbered
/// files of `migrations` make: each is applied once to every board, also to those of earlier releases.
#[derive(Debug, Default, DurableState)]
pub(crate) struct Board {}

#[durable_object(name = "game.Board", migrations = "leaderboard/migrations")]
impl Board {
    /// Keeps the best of a player's scores. Returns whether this one is the best so far; a score that
    /// comes again changes nothing.
    pub fn score(
        &mut self,
        cx: &mut Context<'_, Self>,
        player: String,
        points: i64,
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO scores (player, points) VALUES (?, ?)
            ON CONFLICT (player) DO UPDATE SET points = excluded.points
            WHERE excluded.points > points";
        let (before, after) = (self.points(cx, &player)?, points);
        cx.sql().exec(sql, (player, points))?;
        Ok(before.is_none_or(|before| before < after))
    }

    /// The best `count` players, and all who are level with the last of them; equals by name.
    pub fn top(&self, cx: &Context<'_, Self>, count: u32) -> Result<Vec<Place>, Error> {
        let Some(last) = count.checked_sub(1) else { return Ok(Vec::new()) };
        // The index gives the points of the last place, and then only the rows down to them.
        let sql = "SELECT rank() OVER (ORDER BY points DESC) AS rank, player, points FROM scores
            WHERE points >= coalesce(
                (SELECT points FROM scores ORDER BY points DESC LIMIT 1 OFFSET ?),
                (SELECT min(points) FROM scores))
            ORDER BY points DESC, player";
        cx.sql().query(sql, [last])?.all()
    }

    /// A player's place; `None`: the player has no score.
    pub fn place(&self, cx: &Context<'_, Self>, player: String) -> Result<Option<Place>, Error> {
        let sql = "SELECT
                (SELECT count(*) + 1 FROM scores better WHERE better.points > own.points) AS rank,
                player, points
            FROM scores own WHERE player = ?";
        cx.sql().query(sql, [player])?.optional()
    }

    /// Players one of whose names begins with `text`, by name.
    pub fn find(&self, cx: &Context<'_, Self>, text: String) -> Result<Vec<String>, Error> {
        // In quotes it is words to look for, whatever signs of the query language are in it.
        let wanted = format!("\"{}\" *", text.replace('"', "\"\""));
        let sql = "SELECT player FROM names WHERE names MATCH ? ORDER BY player LIMIT ?";
        cx.sql().query(sql, (wanted, FOUND_MAX))?.all()
    }

    fn points(&self, cx: &Context<'_, Self>, player: &str) -> Result<Option<i64>, Error> {
        cx.sql().query("SELECT points FROM scores WHERE player = ?", [player])?.optional()
    }
}
