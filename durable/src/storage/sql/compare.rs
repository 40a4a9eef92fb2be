//! Two images of one object's database, compared table by table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Around, Database, Pages};
use crate::error::Error;
use crate::history::TableDiff;
use crate::host::Entropy;
use crate::sql::Page;

/// Every page of a database.
type Image = BTreeMap<u32, Page>;

/// What a table is: how it and all that hangs on it was made, and how often each row is there.
#[derive(Default, PartialEq, Eq)]
struct Table {
    schema: Vec<String>,
    rows: BTreeMap<Vec<u8>, u64>,
}

/// Tables that differ, in the order of their names. `entropy`: nothing of it is used, but SQLite may ask.
pub(crate) fn compare(
    one: &Image,
    other: &Image,
    entropy: &Arc<dyn Entropy>,
) -> Result<Vec<TableDiff>, Error> {
    if one == other {
        return Ok(Vec::new());
    }
    let (one, other) = (tables(one, entropy)?, tables(other, entropy)?);
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let nothing = Table::default();
    let mut differing = Vec::new();
    for name in names {
        let before = one.get(name).unwrap_or(&nothing);
        let after = other.get(name).unwrap_or(&nothing);
        if before != after {
            differing.push(TableDiff {
                table: name.clone(),
                has_schema: before.schema != after.schema,
                rows_removed: more(&before.rows, &after.rows),
                rows_added: more(&after.rows, &before.rows),
            });
        }
    }
    Ok(differing)
}

/// How many rows `one` has that `other` has not.
fn more(one: &BTreeMap<Vec<u8>, u64>, other: &BTreeMap<Vec<u8>, u64>) -> u64 {
    let left = |(row, count): (&Vec<u8>, &u64)| {
        count.saturating_sub(other.get(row).copied().unwrap_or_default())
    };
    one.iter().map(left).sum()
}

fn tables(image: &Image, entropy: &Arc<dyn Entropy>) -> Result<BTreeMap<String, Table>, Error> {
    let mut database = Database::open(Pages::of_image(image)).map_err(|failure| failure.error)?;
    let around = Around { now: None, entropy: Arc::clone(entropy) };
    let (read, _) = database.run_ours(&around, read);
    read.map_err(|failure| failure.error)
}

fn read(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Table>> {
    let mut tables = BTreeMap::<String, Table>::new();
    let mut select = connection.prepare(
        "SELECT tbl_name, type, name, coalesce(sql, '') FROM sqlite_schema
         WHERE tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (table, what): (String, String) = (row.get(0)?, row.get(1)?);
        let (name, sql): (String, String) = (row.get(2)?, row.get(3)?);
        tables.entry(table).or_default().schema.push(format!("{what} {name} {sql}"));
    }
    for (name, table) in &mut tables {
        let quoted = name.replace('"', "\"\"");
        let mut select = connection.prepare(&format!("SELECT * FROM \"{quoted}\""))?;
        let columns = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let mut bytes = Vec::new();
            for column in 0..columns {
                write(row.get_ref(column)?, &mut bytes);
            }
            *table.rows.entry(bytes).or_default() += 1;
        }
    }
    Ok(tables)
}

/// Writes a value so that two rows are alike exactly if their bytes are.
fn write(value: ValueRef<'_>, to: &mut Vec<u8>) {
    let (kind, bytes) = match value {
        ValueRef::Null => (0, Vec::new()),
        ValueRef::Integer(whole) => (1, whole.to_le_bytes().to_vec()),
        ValueRef::Real(real) => (2, real.to_le_bytes().to_vec()),
        ValueRef::Text(text) => (3, text.to_vec()),
        ValueRef::Blob(bytes) => (4, bytes.to_vec()),
    };
    to.push(kind);
    to.extend((bytes.len() as u64).to_le_bytes());
    to.extend(bytes);
}
