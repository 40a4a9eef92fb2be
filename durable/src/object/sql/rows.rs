//! What a statement gave.

use std::any::type_name;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::decode::{RowDecoder, Why};
use crate::error::{Code, Error};
use crate::sql::SqlValue;
use crate::storage::Answer;

/// What a statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlExecuted {
    /// Rows that it gave, or stepped over in a full scan, whichever is more.
    pub rows_read: u64,
    /// Rows that it and its triggers inserted, updated or deleted.
    pub rows_written: u64,
    /// The row number of the newest insert, this statement's or an earlier one's; 0: there was none.
    pub last_insert_rowid: i64,
}

impl SqlExecuted {
    pub(super) fn new(answer: &Answer) -> Self {
        let Answer { rows_read, rows_written, last_insert_rowid, .. } = *answer;
        SqlExecuted { rows_read, rows_written, last_insert_rowid }
    }
}

/// The rows that a query gave. As an iterator it gives what is left of them, one [`SqlRow`] after another.
///
/// As types they are taken by [`next_as`](Self::next_as), [`one`](Self::one), [`optional`](Self::optional) and
/// [`all`](Self::all): a struct by the names of the columns, a tuple by their places, and a single value if there is one
/// column. A name that stands twice means the last of them.
#[derive(Clone, Debug)]
pub struct SqlRows {
    columns: Arc<[String]>,
    /// Those that are left.
    rows: std::vec::IntoIter<SqlValue>,
    done: SqlExecuted,
    /// The object as errors call it.
    label: String,
}

impl SqlRows {
    pub(super) fn new(answer: Answer, label: String) -> Self {
        let done = SqlExecuted::new(&answer);
        let Answer { columns, values, .. } = answer;
        SqlRows { columns: columns.into(), rows: values.into_iter(), done, label }
    }

    /// Names of the columns; none, if the statement gives no rows.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// As [`SqlExecuted::rows_read`], for the whole query.
    pub fn rows_read(&self) -> u64 {
        self.done.rows_read
    }

    /// As [`SqlExecuted::rows_written`].
    pub fn rows_written(&self) -> u64 {
        self.done.rows_written
    }

    /// The next row as a `T`. `None`: there is none left.
    ///
    /// # Errors
    /// `sql.undecodable` if the row is not a `T`.
    pub fn next_as<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        self.next().map(|row| self.decode(row)).transpose()
    }

    /// The one row that is left, as a `T`.
    ///
    /// # Errors
    /// `sql.not_one` if none is left, or several; `sql.undecodable`.
    pub fn one<T: DeserializeOwned>(self) -> Result<T, Error> {
        let label = self.label.clone();
        self.optional()?.ok_or_else(|| {
            let text =
                "a query that is to give one row gave none; ask with `optional` if that may be";
            Code::SqlNotOne.error(text).with_object(label)
        })
    }

    /// The one row that is left, as a `T`, or `None` if there is none.
    ///
    /// # Errors
    /// `sql.not_one` if several are left; `sql.undecodable`.
    pub fn optional<T: DeserializeOwned>(mut self) -> Result<Option<T>, Error> {
        let rows = self.len();
        if rows > 1 {
            let text = format!(
                "a query that is to give one row gave {rows}; say in the SQL which one, or take them with `all`"
            );
            return Err(Code::SqlNotOne.error(text).with_object(self.label));
        }
        self.next_as()
    }

    /// The rows that are left, as `T`s.
    ///
    /// # Errors
    /// `sql.undecodable` if one of them is not a `T`.
    pub fn all<T: DeserializeOwned>(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(row) = self.next_as()? {
            all.push(row);
        }
        Ok(all)
    }

    fn decode<T: DeserializeOwned>(&self, row: SqlRow) -> Result<T, Error> {
        T::deserialize(RowDecoder::new(&self.columns, row.values)).map_err(|Why(why)| {
            let text = format!(
                "a row does not decode as `{}`: {why}; take it as what its columns hold, or convert it in the SQL",
                type_name::<T>()
            );
            Code::SqlUndecodable.error(text).with_object(self.label.clone())
        })
    }
}

impl Iterator for SqlRows {
    type Item = SqlRow;

    fn next(&mut self) -> Option<SqlRow> {
        if self.rows.len() == 0 {
            return None;
        }
        let values = self.rows.by_ref().take(self.columns.len()).collect();
        Some(SqlRow { columns: Arc::clone(&self.columns), values })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rows = self.rows.len() / self.columns.len().max(1);
        (rows, Some(rows))
    }
}

impl ExactSizeIterator for SqlRows {}

/// One row, as its values. `row["name"]` and `row[0]` give one of them, and panic where there is none.
#[derive(Clone, PartialEq)]
pub struct SqlRow {
    columns: Arc<[String]>,
    values: Vec<SqlValue>,
}

impl SqlRow {
    /// The values, in the order of the columns.
    pub fn values(&self) -> &[SqlValue] {
        &self.values
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The value of the last column of this name. `None`: there is no such column.
    pub fn get(&self, column: &str) -> Option<&SqlValue> {
        self.columns.iter().rposition(|name| name == column).map(|index| &self.values[index])
    }

    /// The values, in the order of the columns.
    pub fn into_values(self) -> Vec<SqlValue> {
        self.values
    }
}

impl Index<&str> for SqlRow {
    type Output = SqlValue;

    fn index(&self, column: &str) -> &SqlValue {
        match self.get(column) {
            Some(value) => value,
            None => panic!("a row has no column `{column}`, but {:?}", self.columns),
        }
    }
}

impl Index<usize> for SqlRow {
    type Output = SqlValue;

    fn index(&self, column: usize) -> &SqlValue {
        &self.values[column]
    }
}

impl fmt::Debug for SqlRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.columns.iter().zip(&self.values)).finish()
    }
}
