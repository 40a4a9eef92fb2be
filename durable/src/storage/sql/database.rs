//! One open database of an object: how it is set up, its transaction, and how a statement runs.

use std::cell::Cell;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::limits::Limit;
use rusqlite::{Batch, CachedStatement, Connection, Statement};

use super::around::{self, Around, Asked};
use super::gate::{Gate, Seen};
use super::statement::{bind, check_text, check_writes, step};
use super::told::{self, Trouble};
use super::{functions, pages::Pages, vfs};
use crate::error::{Code, Error};
use crate::limits::{
    SQL_ARGUMENTS_MAX, SQL_CACHE_KIB, SQL_COLUMNS_MAX, SQL_COMPOUND_MAX, SQL_DEPTH_MAX,
    SQL_PAGE_BYTES, SQL_PAGES_MAX, SQL_PARAMETERS_MAX, SQL_PATTERN_BYTES_MAX, SQL_STATEMENTS_KEPT,
    SQL_STEPS_MAX, SQL_TEXT_BYTES_MAX, SQL_TRIGGER_DEPTH_MAX, SQL_VALUE_BYTES_MAX,
};
use crate::sql::{Bound, SqlValue};

/// An open database.
pub(crate) struct Database {
    connection: Connection,
    gate: Arc<Gate>,
    pages: Arc<Pages>,
    /// SQLite refuses writes.
    is_query_only: bool,
    has_math: Cell<bool>,
    /// A statement changed a setting, which must not outlive the turn.
    is_worn: bool,
}

/// What is asked of a database.
pub(crate) struct Ask<'a> {
    pub(crate) sql: &'a str,
    pub(crate) params: Bound,
    /// Whether the turn may write.
    pub(crate) may_write: bool,
    /// Whether the rows are wanted, or thrown away.
    pub(crate) wants_rows: bool,
}

/// What a statement came to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Names of the result's columns.
    pub(crate) columns: Vec<String>,
    /// The rows' values, one row after another.
    pub(crate) values: Vec<SqlValue>,
    pub(crate) rows_read: u64,
    pub(crate) rows_written: u64,
    pub(crate) last_insert_rowid: i64,
    /// The statement was one that writes.
    pub(crate) is_write: bool,
}

/// Why something failed.
#[derive(Debug)]
pub(crate) struct SqlFailure {
    pub(crate) error: Error,
    /// The turn cannot be kept, whatever its method makes of the error.
    pub(crate) is_fatal: bool,
}

impl SqlFailure {
    pub(crate) fn fatal(error: Error) -> Self {
        SqlFailure { error, is_fatal: true }
    }
}

impl Database {
    /// Opens the database that these pages hold.
    pub(crate) fn open(pages: Arc<Pages>) -> Result<Self, SqlFailure> {
        let opened = (|| {
            let mut connection = vfs::connect(&pages)?;
            configure(&connection)?;
            let gate = Gate::before(&mut connection)?;
            Ok((connection, gate))
        })();
        match opened {
            Ok((connection, gate)) => Ok(Database {
                connection,
                gate,
                pages,
                is_query_only: false,
                has_math: Cell::new(false),
                is_worn: false,
            }),
            Err(cause) => Err(told::failure(Trouble::Sqlite(cause), &pages, Seen::default())),
        }
    }

    /// Whether it must be opened anew for the next turn.
    pub(crate) fn is_worn(&self) -> bool {
        self.is_worn
    }

    /// Begins the turn's transaction.
    pub(crate) fn begin(&mut self) -> Result<(), SqlFailure> {
        self.set_query_only(false)?;
        self.ours("BEGIN")
    }

    /// Commits the turn's transaction. Gives whether it changed anything.
    pub(crate) fn commit(&mut self) -> Result<bool, SqlFailure> {
        self.ours("COMMIT")?;
        assert!(self.connection.is_autocommit(), "a commit ends the transaction");
        Ok(self.pages.keep())
    }

    /// Rolls the turn's transaction back. `false`: the connection cannot be used any more.
    pub(crate) fn roll_back(&mut self) -> bool {
        let is_whole = self.connection.is_autocommit() || self.ours("ROLLBACK").is_ok();
        self.pages.undo();
        is_whole && self.connection.is_autocommit()
    }

    /// Begins, ends or undoes a savepoint.
    pub(crate) fn savepoint(&mut self, step: Savepoint, depth: usize) -> Result<(), SqlFailure> {
        match step {
            Savepoint::Begin => self.ours(&format!("SAVEPOINT durable_{depth}")),
            Savepoint::Keep => self.ours(&format!("RELEASE durable_{depth}")),
            Savepoint::Undo => {
                self.ours(&format!("ROLLBACK TO durable_{depth}"))?;
                self.ours(&format!("RELEASE durable_{depth}"))
            }
        }
    }

    /// Bytes of the pages that hold something.
    pub(crate) fn size(&mut self) -> Result<u64, SqlFailure> {
        let Database { connection, gate, pages, .. } = self;
        let pragma = |name: &str| {
            let asked =
                gate.ours(|| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)));
            let asked = asked.map_err(|cause| told::failure(cause.into(), pages, Seen::default()));
            asked.map(|pages| u64::try_from(pages).unwrap_or(0))
        };
        Ok(pragma("page_count")?.saturating_sub(pragma("freelist_count")?) * SQL_PAGE_BYTES as u64)
    }

    /// Runs one statement to its end.
    pub(crate) fn run(
        &mut self,
        around: &Around,
        ask: Ask<'_>,
    ) -> (Result<Answer, SqlFailure>, Asked) {
        let in_turn = !self.connection.is_autocommit();
        let (ran, asked) = around::within(around, || self.run_one(ask));
        (self.judged(ran, in_turn), asked)
    }

    /// Runs several statements without parameters.
    pub(crate) fn run_all(
        &mut self,
        around: &Around,
        sql: &str,
        may_write: bool,
    ) -> (Result<Answer, SqlFailure>, Asked) {
        let in_turn = !self.connection.is_autocommit();
        let (ran, asked) = around::within(around, || self.run_each(sql, may_write));
        (self.judged(ran, in_turn), asked)
    }

    /// Runs statements of ours, with whatever they may need.
    pub(crate) fn run_ours<T>(
        &mut self,
        around: &Around,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> (Result<T, SqlFailure>, Asked) {
        let Database { connection, gate, pages, .. } = self;
        let (done, asked) = around::within(around, || gate.ours(|| work(connection)));
        let failed = |cause: rusqlite::Error| told::failure(cause.into(), pages, Seen::default());
        (done.map_err(failed), asked)
    }

    fn ours(&mut self, sql: &str) -> Result<(), SqlFailure> {
        let Database { connection, gate, pages, .. } = self;
        // Not among the statements that are kept compiled: one of the object's with the same text would get past the gate.
        let done = gate.ours(|| connection.execute_batch(sql));
        done.map_err(|cause| told::failure(cause.into(), pages, Seen::default()))
    }

    fn judged(
        &mut self,
        ran: Result<Answer, Trouble>,
        in_turn: bool,
    ) -> Result<Answer, SqlFailure> {
        let seen = self.gate.take_seen();
        self.is_worn |= seen.is_setting;
        let was_undone = in_turn && self.connection.is_autocommit();
        let failure = match ran {
            Ok(answer) if !was_undone => return Ok(answer),
            Ok(_) => None,
            Err(trouble) => Some(told::failure(trouble, &self.pages, seen)),
        };
        Err(match failure {
            Some(failure) if failure.is_fatal || !was_undone => failure,
            failure => SqlFailure::fatal(told::rolled_back(failure.map(|failure| failure.error))),
        })
    }

    /// Lets SQLite refuse writes, or take them. It carries the pragma out while it compiles it, so that is done each time.
    fn set_query_only(&mut self, is_query_only: bool) -> Result<(), SqlFailure> {
        if self.is_query_only == is_query_only {
            return Ok(());
        }
        let Database { connection, gate, pages, .. } = self;
        gate.ours(|| connection.pragma_update(None, "query_only", is_query_only))
            .map_err(|cause| told::failure(cause.into(), pages, Seen::default()))?;
        gate.set_read(is_query_only);
        self.is_query_only = is_query_only;
        Ok(())
    }

    fn run_one(&mut self, ask: Ask<'_>) -> Result<Answer, Trouble> {
        let Ask { sql, params, may_write, wants_rows } = ask;
        check_text(sql)?;
        self.set_query_only(!may_write)?;
        let changes = self.connection.total_changes();
        let mut statement = match self.connection.prepare_cached(sql) {
            Err(error) if self.adds_math(&error)? => self.connection.prepare_cached(sql)?,
            other => other?,
        };
        check_writes(&statement, may_write)?;
        bind(&mut statement, params)?;
        let is_write = !statement.readonly();
        let seen = self.gate.peek_seen();
        let answer = self.stepped(&mut statement, &seen, wants_rows);
        if seen.is_pragma || seen.may_rename {
            CachedStatement::discard(statement);
        } else {
            // A large value is not to be held until the next time.
            statement.clear_bindings();
        }
        let mut answer = answer?;
        answer.is_write = is_write;
        answer.rows_written = self.connection.total_changes() - changes;
        answer.last_insert_rowid = self.connection.last_insert_rowid();
        Ok(answer)
    }

    fn run_each(&mut self, sql: &str, may_write: bool) -> Result<Answer, Trouble> {
        check_text(sql)?;
        self.set_query_only(!may_write)?;
        let changes = self.connection.total_changes();
        let mut total = Answer::default();
        let mut batch = Batch::new(&self.connection, sql);
        loop {
            let next = match batch.next() {
                Err(error) if self.adds_math(&error)? => batch.next(),
                other => other,
            };
            let Some(mut statement) = next? else { break };
            check_writes(&statement, may_write)?;
            bind(&mut statement, Bound::Listed(Vec::new()))?;
            total.is_write |= !statement.readonly();
            let seen = self.gate.peek_seen();
            total.rows_read += self.stepped(&mut statement, &seen, false)?.rows_read;
        }
        total.rows_written = self.connection.total_changes() - changes;
        total.last_insert_rowid = self.connection.last_insert_rowid();
        Ok(total)
    }

    /// Adds the mathematical functions, if that is what a statement lacks.
    fn adds_math(&self, error: &rusqlite::Error) -> rusqlite::Result<bool> {
        if self.has_math.get() || !functions::is_math(error) {
            return Ok(false);
        }
        functions::add_math(&self.connection)?;
        self.has_math.set(true);
        Ok(true)
    }

    fn stepped(
        &self,
        statement: &mut Statement<'_>,
        seen: &Seen,
        wants_rows: bool,
    ) -> Result<Answer, Trouble> {
        if seen.may_rename {
            self.without_reserved_names(|| step(statement, wants_rows))
        } else {
            step(statement, wants_rows)
        }
    }

    /// Undoes what `work` did if it leaves a table with a reserved name.
    fn without_reserved_names<T>(
        &self,
        work: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let ours = |sql: &str| self.gate.ours(|| self.connection.execute_batch(sql));
        let reserved = || {
            let sql = "SELECT count(*) FROM sqlite_schema WHERE lower(name) GLOB 'durable[_]*'";
            self.gate.ours(|| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
        };
        let before = reserved()?;
        ours("SAVEPOINT durable_rename")?;
        let done = work();
        if reserved()? > before {
            ours("ROLLBACK TO durable_rename; RELEASE durable_rename")?;
            return Err(Trouble::Ours(Code::SqlDenied.error(
                "a name that begins with `durable_` is reserved; rename the table to another one",
            )));
        }
        ours("RELEASE durable_rename")?;
        done
    }
}

/// What to do about a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Savepoint {
    Begin,
    Keep,
    Undo,
}

/// Sets a new connection up. What is in the file already, its page size, stays.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(SQL_STATEMENTS_KEPT);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // The shard holds the only copy: nothing that could damage its meaning is let through.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let limit = |limit, value: usize| {
        connection.set_limit(limit, i32::try_from(value).expect("limits are small")).map(drop)
    };
    limit(Limit::SQLITE_LIMIT_LENGTH, SQL_VALUE_BYTES_MAX)?;
    limit(Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_TEXT_BYTES_MAX)?;
    limit(Limit::SQLITE_LIMIT_COLUMN, SQL_COLUMNS_MAX)?;
    limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, SQL_DEPTH_MAX)?;
    limit(Limit::SQLITE_LIMIT_COMPOUND_SELECT, SQL_COMPOUND_MAX)?;
    limit(Limit::SQLITE_LIMIT_VDBE_OP, SQL_STEPS_MAX)?;
    limit(Limit::SQLITE_LIMIT_FUNCTION_ARG, SQL_ARGUMENTS_MAX)?;
    limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, SQL_PATTERN_BYTES_MAX)?;
    limit(Limit::SQLITE_LIMIT_VARIABLE_NUMBER, SQL_PARAMETERS_MAX)?;
    limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, SQL_TRIGGER_DEPTH_MAX)?;
    limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.pragma_update(None, "page_size", SQL_PAGE_BYTES as i64)?;
    // Nobody else has the pages, so SQLite need not look whether they have changed.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // What a statement or a savepoint undoes is kept in memory. What the shard has not committed is not there after a
    // crash, so nothing is ever recovered from a journal.
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", "MEMORY", |row| row.get(0))?;
    assert_eq!(journal, "memory", "the journal must not be a file, which the VFS refuses");
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", -i64::from(SQL_CACHE_KIB))?;
    let max: i64 = connection.pragma_update_and_check(
        None,
        "max_page_count",
        i64::from(SQL_PAGES_MAX),
        |row| row.get(0),
    )?;
    assert_eq!(max, i64::from(SQL_PAGES_MAX), "a database has at most so many pages already");
    functions::add_random(connection)
}
