//! The numbered changes of a class's tables: which of them a database has had, and applying the others.

use rusqlite::{Connection, OptionalExtension, params};

use super::around::{Around, Asked};
use super::database::{Database, SqlFailure};
use crate::error::{Code, Error};
use crate::sql::Migration;

const TABLE: &str = "CREATE TABLE durable_migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

/// A migration that was applied.
struct Applied {
    number: u32,
    name: String,
    checksum: u32,
}

/// Applies those of `migrations` that the database has not had, in a transaction of their own.
pub(crate) fn migrate(
    database: &mut Database,
    around: &Around,
    migrations: &[Migration],
) -> (Result<(), SqlFailure>, Asked) {
    let mut asked = Asked::default();
    let done = (|| {
        let applied = ours(database, around, &mut asked, applied)?;
        let applied = applied.unwrap_or_default();
        check(&applied, migrations).map_err(SqlFailure::fatal)?;
        let missing = &migrations[applied.len()..];
        if missing.is_empty() {
            return Ok(());
        }
        database.begin()?;
        if applied.is_empty() {
            ours(database, around, &mut asked, |connection| connection.execute(TABLE, []))?;
        }
        for migration in missing {
            let (ran, now) = database.run_all(around, migration.sql, true);
            asked = asked.and(now);
            ran.map_err(|failure| SqlFailure::fatal(failed(migration, &failure.error)))?;
            ours(database, around, &mut asked, |connection| record(connection, migration, around))?;
        }
        database.commit().map(drop).map_err(|failure| {
            let last = missing.last().expect("one was applied");
            SqlFailure::fatal(failed(last, &failure.error))
        })
    })();
    if done.is_err() {
        database.roll_back();
    }
    (done, asked)
}

fn ours<T>(
    database: &mut Database,
    around: &Around,
    asked: &mut Asked,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, SqlFailure> {
    let (done, now) = database.run_ours(around, work);
    *asked = asked.and(now);
    done
}

/// Those that were applied, by number. `None`: there is no record of any.
fn applied(connection: &Connection) -> rusqlite::Result<Option<Vec<Applied>>> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'durable_migrations'";
    if connection.query_row(sql, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let mut select = connection
        .prepare("SELECT number, name, checksum FROM durable_migrations ORDER BY number")?;
    let rows = select.query_map([], |row| {
        Ok(Applied { number: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? })
    })?;
    rows.collect::<Result<_, _>>().map(Some)
}

/// Whether those that were applied are the first of `migrations`, as they are.
fn check(applied: &[Applied], migrations: &[Migration]) -> Result<(), Error> {
    if let Some(newer) = applied.get(migrations.len()) {
        let known = migrations.len();
        return Err(Code::SqlNewer.error(format!(
            "the object's database has migration {} `{}`, this code has {known}; run the release that has it",
            newer.number, newer.name
        )));
    }
    for (applied, migration) in applied.iter().zip(migrations) {
        let computed = checksum(migration);
        if (applied.number, applied.checksum) != (migration.number, computed) {
            return Err(Code::SqlChanged.error(format!(
                "migration {} `{}` was applied with checksum {:08x}, this code has `{}` with checksum {computed:08x}; \
                 put its text back and write a new migration",
                applied.number, applied.name, applied.checksum, migration.name
            )));
        }
    }
    Ok(())
}

fn record(connection: &Connection, migration: &Migration, around: &Around) -> rusqlite::Result<()> {
    let applied_at = i64::try_from(around.now.unwrap_or_default().0).unwrap_or(i64::MAX);
    let row = params![migration.number, migration.name, checksum(migration), applied_at];
    let sql = "INSERT INTO durable_migrations (number, name, checksum, applied_at)
        VALUES (?1, ?2, ?3, ?4)";
    connection.execute(sql, row).map(drop)
}

/// CRC-32C of the text, whatever ends its lines.
fn checksum(migration: &Migration) -> u32 {
    let lines = migration.sql.lines();
    lines.fold(0, |crc, line| {
        crc32c::crc32c_append(crc32c::crc32c_append(crc, line.as_bytes()), b"\n")
    })
}

fn failed(migration: &Migration, cause: &Error) -> Error {
    let codes = [Code::StorageFailed, Code::StorageFull, Code::StorageSyncFailed];
    if codes.iter().any(|code| cause.is(*code)) {
        // The disk has failed, and not the migration.
        return cause.clone();
    }
    Code::SqlUnmigrated.error(format!(
        "migration {} `{}` failed: {}: {}; mend it, nothing of it was kept",
        migration.number,
        migration.name,
        cause.code(),
        cause.message()
    ))
}
