//! What goes into a statement and what comes out of it.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Statement, StatementStatus, ToSql};

use super::database::Answer;
use super::told::{self, Trouble};
use crate::error::Code;
use crate::limits::{SQL_RESULT_BYTES_MAX, SQL_TEXT_BYTES_MAX, SQL_VALUE_BYTES_MAX};
use crate::sql::{Bound, SqlValue};

/// Whether there is a statement in it, and not too much of it.
pub(super) fn check_text(sql: &str) -> Result<(), Trouble> {
    if sql.len() > SQL_TEXT_BYTES_MAX {
        return Err(Trouble::Ours(Code::SqlTooLarge.error(format!(
            "the SQL has {} bytes, the limit is {SQL_TEXT_BYTES_MAX}; pass values as parameters, or use several statements",
            sql.len()
        ))));
    }
    if told::is_blank(sql) {
        return Err(Trouble::Ours(
            Code::SqlInvalid.error("the SQL has no statement in it; pass one"),
        ));
    }
    Ok(())
}

/// Whether a turn may run it.
pub(super) fn check_writes(statement: &Statement<'_>, may_write: bool) -> Result<(), Trouble> {
    if may_write || statement.readonly() {
        return Ok(());
    }
    Err(Trouble::Ours(Code::SqlReadOnly.error(
        "a turn that takes `&self` runs SQL that writes, and may only read; let the method take `&mut self`",
    )))
}

/// A value on its way into a statement.
struct Bind<'a>(&'a SqlValue);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            SqlValue::Null => ValueRef::Null,
            SqlValue::Integer(whole) => ValueRef::Integer(*whole),
            SqlValue::Real(real) => ValueRef::Real(*real),
            SqlValue::Text(text) => ValueRef::Text(text.as_bytes()),
            SqlValue::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Gives each parameter its value.
pub(super) fn bind(statement: &mut Statement<'_>, params: Bound) -> Result<(), Trouble> {
    let misbound = |text: String| Err(Trouble::Ours(Code::SqlMisbound.error(text)));
    let wanted = statement.parameter_count();
    let given = match params {
        Bound::Listed(values) => values.into_iter().enumerate().map(|(i, v)| (i + 1, v)).collect(),
        Bound::Named(values) => {
            let mut found = Vec::with_capacity(values.len());
            for (name, value) in values {
                match statement.parameter_index(&name)? {
                    Some(index) => found.push((index, value)),
                    None => {
                        return misbound(format!(
                            "the statement has no parameter `{name}`; write the name with its sign, as in the statement"
                        ));
                    }
                }
            }
            found
        }
    };
    let given: Vec<(usize, SqlValue)> = given;
    if given.len() != wanted {
        return misbound(format!(
            "the statement has {wanted} parameters and {} are given; give one value for each",
            given.len()
        ));
    }
    for (index, value) in given {
        if matches!(value, SqlValue::Real(real) if real.is_nan()) {
            return misbound(format!(
                "parameter {index} is NaN, which a database cannot hold; pass `None` or a number"
            ));
        }
        if value.bytes() > SQL_VALUE_BYTES_MAX {
            return Err(Trouble::Ours(Code::SqlTooLarge.error(format!(
                "parameter {index} has {} bytes, the limit is {SQL_VALUE_BYTES_MAX}; spread it over several rows",
                value.bytes()
            ))));
        }
        statement.raw_bind_parameter(index, Bind(&value))?;
    }
    Ok(())
}

/// Runs a statement to its end.
pub(super) fn step(statement: &mut Statement<'_>, wants_rows: bool) -> Result<Answer, Trouble> {
    let (mut values, mut bytes, mut found) = (Vec::new(), 0, 0_u64);
    let mut columns = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        found += 1;
        if found == 1 {
            // Only now: SQLite compiles a statement anew in its first step if a table has changed.
            columns = names(row.as_ref());
        }
        for column in (0..columns.len()).take_while(|_| wants_rows) {
            let value = value(row.get_ref(column)?, &columns[column])?;
            bytes += size_of::<SqlValue>() + value.bytes();
            values.push(value);
        }
        if bytes > SQL_RESULT_BYTES_MAX {
            return Err(Trouble::Ours(Code::SqlTooLarge.error(format!(
                "the result has {bytes} bytes after {found} rows, the limit is {SQL_RESULT_BYTES_MAX}; \
                 ask for fewer rows, such as with LIMIT"
            ))));
        }
    }
    drop(rows);
    if found == 0 {
        columns = names(statement);
    }
    let stepped = statement.reset_status(StatementStatus::FullscanStep);
    let rows_read = found.max(u64::try_from(stepped).unwrap_or(0));
    Ok(Answer { columns, values, rows_read, ..Answer::default() })
}

fn names(statement: &Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

fn value(value: ValueRef<'_>, column: &str) -> Result<SqlValue, Trouble> {
    Ok(match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(whole) => SqlValue::Integer(whole),
        ValueRef::Real(real) => SqlValue::Real(real),
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => SqlValue::Text(text.to_owned()),
            Err(error) => {
                return Err(Trouble::Ours(Code::SqlUndecodable.error(format!(
                    "a text in column `{column}` is not UTF-8: {error}; select it as a blob: CAST({column} AS BLOB)"
                ))));
            }
        },
    })
}
