//! What an object keeps in tables: `cx.sql()`.

mod decode;
mod desk;
mod rows;

pub(crate) use self::desk::{Below, Fate, LiveSql, Seat, SqlDealt, SqlDesk};
pub use self::rows::{SqlExecuted, SqlRow, SqlRows};

use std::fmt;

use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::object::kv::Owner;
use crate::sql::SqlParams;
use crate::storage::{Answer, Ask, Asked};

/// The private database of an object, as a turn sees it.
///
/// It is SQLite: tables, indexes, triggers, views, foreign keys (on), JSON, FTS5, R\*Tree, mathematical functions. It is
/// opened when a turn first uses it. What a turn does to it is part of the turn: it is kept together with the struct and
/// the KV when the method returns, and undone together with them if it returns `Err` or panics. So there is no `BEGIN`
/// and no `COMMIT`; to try something inside of a turn, use [`Context::savepoint`](crate::Context::savepoint). A turn that
/// takes `&self` may only read.
///
/// Calls run at once, on the thread that runs the turn, and hold it for as long as SQLite takes. Rows come back all
/// together, 32 MiB of them at most. `random()`, `datetime('now')` and their like give the turn's randomness and time.
///
/// A setting that a `PRAGMA` changes lasts until the turn ends. Names that begin with `durable_` are reserved.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Board {}
///
/// #[durable_object(name = "doc.Board")]
/// impl Board {
///     pub fn score(&mut self, cx: &mut Context<'_, Self>, player: String, points: i64) -> Result<(), Error> {
///         cx.sql().exec("CREATE TABLE IF NOT EXISTS scores (player TEXT PRIMARY KEY, points INTEGER) STRICT", ())?;
///         cx.sql().exec(
///             "INSERT INTO scores VALUES (?, ?) ON CONFLICT DO UPDATE SET points = points + excluded.points",
///             (player, points),
///         )?;
///         Ok(())
///     }
///
///     pub fn best(&self, cx: &Context<'_, Self>, count: u32) -> Result<Vec<(String, i64)>, Error> {
///         cx.sql().query("SELECT player, points FROM scores ORDER BY points DESC LIMIT ?", [count])?.all()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// let runtime = Runtime::builder(dir.path()).register::<Board>().start().await?;
/// let board = runtime.get::<Board>("chess");
/// for (player, points) in [("ada", 2), ("bob", 1), ("ada", 3)] {
///     board.score(player.into(), points).await?;
/// }
/// assert_eq!(board.best(2).await?, [("ada".to_owned(), 5), ("bob".to_owned(), 1)]);
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// Cloudflare Durable Objects, the SQL API. Ours has integers of 64 bits, named parameters and rows as types; a turn that
/// fails takes back its SQL; a cursor does not stay open. Rows read are those that a statement gave or stepped over in a
/// full scan, rows written those that it and its triggers changed; rows of indexes are not counted.
#[derive(Clone, Copy)]
pub struct Sql<'c> {
    desk: &'c SqlDesk<'c>,
    owner: &'c dyn Owner,
}

impl<'c> Sql<'c> {
    pub(crate) fn new(desk: &'c SqlDesk<'c>, owner: &'c dyn Owner) -> Self {
        Sql { desk, owner }
    }

    /// Runs one statement; the rows that it gives are thrown away.
    ///
    /// # Errors
    /// `sql.read_only` if it writes in a turn that takes `&self`, and for everything in `#[init]`; `sql.denied`,
    /// `sql.invalid`, `sql.misbound`, `sql.too_large`, `sql.constraint`: the statement has done nothing then, and the turn
    /// goes on. `sql.full`, `sql.rolled_back`, `storage.*`: the turn fails, also if the method does without.
    pub fn exec(self, sql: &str, params: impl SqlParams) -> Result<SqlExecuted, Error> {
        self.run(sql, params, false).map(|answer| SqlExecuted::new(&answer))
    }

    /// Runs one statement and gives its rows.
    ///
    /// # Errors
    /// As [`exec`](Self::exec), and `sql.undecodable` for a text that is not UTF-8.
    pub fn query(self, sql: &str, params: impl SqlParams) -> Result<SqlRows, Error> {
        self.run(sql, params, true).map(|answer| SqlRows::new(answer, self.owner.label()))
    }

    /// Runs one statement and gives the one row that it must give, as [`SqlRows::one`] does.
    ///
    /// # Errors
    /// As [`query`](Self::query) and [`SqlRows::one`].
    pub fn query_one<T: DeserializeOwned>(
        self,
        sql: &str,
        params: impl SqlParams,
    ) -> Result<T, Error> {
        self.query(sql, params)?.one()
    }

    /// Runs several statements, without parameters, one after another. Rows that they give are thrown away. If one
    /// fails, those before it have been done, and the turn goes on: return the error to undo them.
    ///
    /// # Errors
    /// As [`exec`](Self::exec).
    pub fn exec_batch(self, sql: &str) -> Result<SqlExecuted, Error> {
        let may_write = self.desk.may_write();
        // Some may have written before one failed.
        if may_write {
            self.desk.wrote();
        }
        let ran =
            self.desk.with(self.owner, |database, around| database.run_all(around, sql, may_write));
        ran.map(|answer| SqlExecuted::new(&answer)).map_err(|error| self.told(error))
    }

    /// How large the database is, in bytes: its pages that hold something.
    ///
    /// # Errors
    /// `storage.*` if it cannot be read.
    pub fn database_size(self) -> Result<u64, Error> {
        let size = self.desk.with(self.owner, |database, _| (database.size(), Asked::default()));
        size.map_err(|error| self.told(error))
    }

    fn run(self, sql: &str, params: impl SqlParams, wants_rows: bool) -> Result<Answer, Error> {
        let may_write = self.desk.may_write();
        let params = params.into_bound();
        let ran = self.desk.with(self.owner, |database, around| {
            database.run(around, Ask { sql, params, may_write, wants_rows })
        });
        if ran.as_ref().is_ok_and(|answer| answer.is_write) {
            self.desk.wrote();
        }
        ran.map_err(|error| self.told(error))
    }

    fn told(self, error: Error) -> Error {
        error.with_object(self.owner.label())
    }
}

impl fmt::Debug for Sql<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sql").field("object", &self.owner.label()).finish_non_exhaustive()
    }
}
