//! What SQLite's errors mean for a turn, in words for people.

use rusqlite::ffi;

use super::database::SqlFailure;
use super::gate::Seen;
use super::pages::Pages;
use crate::error::{Code, Error, Outcome};
use crate::limits::{
    SQL_ARGUMENTS_MAX, SQL_COLUMNS_MAX, SQL_COMPOUND_MAX, SQL_DEPTH_MAX, SQL_PAGE_BYTES,
    SQL_PAGES_MAX, SQL_PARAMETERS_MAX, SQL_PATTERN_BYTES_MAX, SQL_VALUE_BYTES_MAX,
};

/// Why a statement did not run.
#[derive(Debug)]
pub(super) enum Trouble {
    Sqlite(rusqlite::Error),
    /// It was not let through to SQLite, or what SQLite gave was not taken.
    Ours(Error),
    /// Something before it failed.
    Failed(SqlFailure),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Sqlite(error)
    }
}

impl From<SqlFailure> for Trouble {
    fn from(failure: SqlFailure) -> Self {
        Trouble::Failed(failure)
    }
}

/// Limits that SQLite names by the beginning of what it says.
const LIMITS: [(&str, usize); 7] = [
    ("too many columns", SQL_COLUMNS_MAX),
    ("too many SQL variables", SQL_PARAMETERS_MAX),
    ("variable number must be", SQL_PARAMETERS_MAX),
    ("too many terms in compound SELECT", SQL_COMPOUND_MAX),
    ("Expression tree is too large", SQL_DEPTH_MAX),
    ("too many arguments on function", SQL_ARGUMENTS_MAX),
    ("LIKE or GLOB pattern too complex", SQL_PATTERN_BYTES_MAX),
];

/// What a trouble means for the turn.
pub(super) fn failure(trouble: Trouble, pages: &Pages, seen: Seen) -> SqlFailure {
    // What could not be read is the cause of whatever SQLite makes of it.
    if let Some(fault) = pages.take_fault() {
        return SqlFailure::fatal(fault.with_outcome(Outcome::RolledBack));
    }
    let cause = match trouble {
        Trouble::Ours(error) => return SqlFailure { error, is_fatal: false },
        Trouble::Failed(failure) => return failure,
        Trouble::Sqlite(cause) => cause,
    };
    let (code, text) = match &cause {
        rusqlite::Error::SqlInputError { error, msg, offset, .. } => {
            (error.extended_code, format!("{msg} at byte {offset} of the SQL"))
        }
        rusqlite::Error::SqliteFailure(error, text) => {
            (error.extended_code, text.clone().unwrap_or_else(|| error.to_string()))
        }
        rusqlite::Error::MultipleStatement => {
            let text = "the SQL has several statements; run them one by one, or with `exec_batch`";
            return SqlFailure { error: Code::SqlInvalid.error(text), is_fatal: false };
        }
        other => (ffi::SQLITE_ERROR, other.to_string()),
    };
    if let Some(refusal) = seen.refusal {
        return SqlFailure { error: Code::SqlDenied.error(refusal), is_fatal: false };
    }
    let (error, is_fatal) = told(code, &text);
    SqlFailure { error, is_fatal }
}

/// The error, and whether the turn cannot be kept.
fn told(code: i32, text: &str) -> (Error, bool) {
    match code & 0xff {
        ffi::SQLITE_CONSTRAINT => {
            let error = Code::SqlConstraint.error(format!(
                "{text}; write what the constraint allows, or say `ON CONFLICT` what is to be done"
            ));
            (error, false)
        }
        ffi::SQLITE_TOOBIG => (too_large(text, SQL_VALUE_BYTES_MAX), false),
        ffi::SQLITE_READONLY => (read_only(text), false),
        ffi::SQLITE_FULL => {
            let bytes = u64::from(SQL_PAGES_MAX) * SQL_PAGE_BYTES as u64;
            let error = Code::SqlFull.error(format!(
                "the object's database would have more than {bytes} bytes, the limit; spread it over several objects"
            ));
            (error, true)
        }
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => {
            let error = Code::StorageCorrupt.error(format!(
                "the object's database is damaged: {text}; the bytes were left as they are, restore them from a copy"
            ));
            (error.with_outcome(Outcome::RolledBack), true)
        }
        ffi::SQLITE_AUTH => (
            Code::SqlDenied
                .error(format!("{text}; an object's SQL may not do this, say it in another way")),
            false,
        ),
        ffi::SQLITE_ERROR | ffi::SQLITE_MISMATCH | ffi::SQLITE_RANGE | ffi::SQLITE_SCHEMA => {
            (invalid(text), false)
        }
        // No memory, an interrupt, a failed read: SQLite may have undone more than the statement.
        _ => (rolled_back(Some(Code::SqlInvalid.error(text))), true),
    }
}

fn invalid(text: &str) -> Error {
    if text.starts_with("cannot VACUUM") {
        return Code::SqlDenied.error(
            "VACUUM may not be used in an object's SQL; an object's database needs none, do without it",
        );
    }
    match LIMITS.iter().find(|(start, _)| text.starts_with(start)) {
        Some((_, limit)) => too_large(text, *limit),
        None if text.ends_with("is too big") => too_large(text, SQL_VALUE_BYTES_MAX),
        None => Code::SqlInvalid.error(format!("{text}; mend the SQL")),
    }
}

fn too_large(text: &str, limit: usize) -> Error {
    Code::SqlTooLarge.error(format!("{text}, the limit is {limit}; ask for less in one piece"))
}

fn read_only(text: &str) -> Error {
    Code::SqlReadOnly.error(format!(
        "{text}: a turn that takes `&self` may only read; let the method take `&mut self`"
    ))
}

/// The transaction is gone, whoever noticed.
pub(super) fn rolled_back(cause: Option<Error>) -> Error {
    let cause = cause.map_or_else(
        || "a statement asked for it".to_owned(),
        |cause| cause.message().trim_end_matches("; mend the SQL").to_owned(),
    );
    Code::SqlRolledBack.error(format!(
        "the database has undone everything that the turn did to it: {cause}; mend the cause and call again"
    ))
}

/// Whether SQL has no statement in it: only blanks, comments and semicolons.
pub(super) fn is_blank(sql: &str) -> bool {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ';');
        let (comment, end) = match rest.get(..2) {
            Some("--") => (&rest[2..], "\n"),
            Some("/*") => (&rest[2..], "*/"),
            _ => return rest.is_empty(),
        };
        rest = comment.split_once(end).map_or("", |(_, after)| after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_without_a_statement_is_known() {
        for (sql, blank) in [
            ("", true),
            (" ;\n;", true),
            ("-- nothing", true),
            ("/* nothing */ ; -- more", true),
            ("/* open", true),
            ("SELECT 1", false),
            ("-- first\nSELECT 1", false),
            ("/**/é", false),
        ] {
            assert_eq!(is_blank(sql), blank, "{sql:?}");
        }
    }
}
