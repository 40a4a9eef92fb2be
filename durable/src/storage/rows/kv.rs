//! What objects keep under keys: one row for each key, in the order of objects and then of keys' bytes.
//!
//! Layout: `object_no`; `key` 1 to 2,048 bytes; `value` envelope version (u8), codec (u8), CRC-32C
//! (u32, little-endian) of the key and the whole value with these four bytes zero, payload (the
//! rest). There are no rows without a snapshot of the same object, and a value is as new as the
//! snapshot's `commit_no` says.
//!
//! Never reuse: an envelope version or a codec number keeps its meaning for ever, and the checksum
//! stays at its place in every later envelope, so that damage is never taken for a newer version.

use std::fmt;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::{signed, unsigned};
use crate::kernel::range::{KeyRange, Order};
use crate::kv::{Framed, KvKey};
use crate::storage::numbers::ObjectNo;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS kv (
    object_no INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (object_no, key)
) STRICT, WITHOUT ROWID";

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 6;

const ENVELOPE: u8 = 1;
const CRC_AT: usize = 2;

/// How a payload is encoded. Numbers are stored; 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// The postcard wire format.
    Postcard = 1,
    /// Bytes that mean what their writer says.
    Bytes = 2,
}

/// Why a stored value cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// Shorter than a header.
    Short { bytes: usize },
    /// The checksum does not fit the bytes.
    Checksum { stored: u32, computed: u32 },
    /// Whole, but in an envelope that this code does not know.
    Envelope { found: u8 },
    /// Whole, but in a codec that this code does not know.
    Codec { found: u8 },
}

impl ValueError {
    /// Whether newer code wrote the value, as opposed to damage.
    pub(crate) fn is_newer(self) -> bool {
        matches!(self, ValueError::Envelope { .. } | ValueError::Codec { .. })
    }
}

/// Writes the header in front of the payload that follows [`HEADER_BYTES`] reserved bytes.
pub(crate) fn seal(key: &KvKey, codec: Codec, mut value: Vec<u8>) -> Framed {
    assert!(value.len() >= HEADER_BYTES, "a value begins with {HEADER_BYTES} reserved bytes");
    (value[0], value[1]) = (ENVELOPE, codec as u8);
    let crc = checksum(key, &value);
    value[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    value.into()
}

/// The codec and the payload of a value that is whole.
pub(crate) fn open<'v>(key: &KvKey, value: &'v [u8]) -> Result<(Codec, &'v [u8]), ValueError> {
    let Some((head, payload)) = value.split_first_chunk::<HEADER_BYTES>() else {
        return Err(ValueError::Short { bytes: value.len() });
    };
    let stored = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
    let computed = checksum(key, value);
    if stored != computed {
        return Err(ValueError::Checksum { stored, computed });
    }
    // Only after the checksum: a flipped bit in the version is damage, not newer code.
    if head[0] != ENVELOPE {
        return Err(ValueError::Envelope { found: head[0] });
    }
    match head[1] {
        1 => Ok((Codec::Postcard, payload)),
        2 => Ok((Codec::Bytes, payload)),
        found => Err(ValueError::Codec { found }),
    }
}

/// Writes the checksum that fits, so that a fuzzer gets past it. Shorter bytes stay as they are.
pub(crate) fn reseal(key: &[u8], value: &mut [u8]) {
    if value.len() >= HEADER_BYTES {
        let crc = checksum(key, value);
        value[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let crc = crc32c::crc32c(key);
    let crc = crc32c::crc32c_append(crc, &value[..CRC_AT]);
    let crc = crc32c::crc32c_append(crc, &[0; HEADER_BYTES - CRC_AT]);
    crc32c::crc32c_append(crc, &value[HEADER_BYTES..])
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Short { bytes } => {
                write!(f, "{bytes} bytes are stored, a value has at least {HEADER_BYTES}")
            }
            ValueError::Checksum { stored, computed } => {
                write!(f, "its checksum is {stored:08x}, its bytes give {computed:08x}")
            }
            ValueError::Envelope { found } => {
                write!(f, "its envelope has version {found}, this code knows up to {ENVELOPE}")
            }
            ValueError::Codec { found } => {
                write!(f, "its codec is {found}, this code knows 1 and 2")
            }
        }
    }
}

/// The statements that write values, looked up when the first of a batch needs them.
pub(crate) struct Writes<'c> {
    put: CachedStatement<'c>,
    delete: CachedStatement<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            put: connection.prepare_cached(
                "INSERT INTO kv (object_no, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (object_no, key) DO UPDATE SET value = excluded.value",
            )?,
            delete: connection
                .prepare_cached("DELETE FROM kv WHERE object_no = ?1 AND key = ?2")?,
        })
    }

    /// Stores `value` under `key`, or takes the key away.
    pub(crate) fn write(
        &mut self,
        object_no: ObjectNo,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        match value {
            Some(value) => self.put.execute(params![object_no.0, key, value])?,
            None => self.delete.execute(params![object_no.0, key])?,
        };
        Ok(())
    }
}

/// The values of those of `keys` that are stored, in the order of `keys`.
pub(crate) fn find(
    connection: &Connection,
    object_no: ObjectNo,
    keys: &[KvKey],
) -> rusqlite::Result<Vec<(KvKey, Framed)>> {
    let mut select =
        connection.prepare_cached("SELECT value FROM kv WHERE object_no = ?1 AND key = ?2")?;
    let mut found = Vec::new();
    for key in keys {
        let read = |row: &Row<'_>| Ok(Arc::from(row.get_ref(0)?.as_blob()?));
        let value = select.query_row(params![object_no.0, key.as_bytes()], read).optional()?;
        found.extend(value.map(|value| (key.clone(), value)));
    }
    Ok(found)
}

/// Those of `keys` that are stored, without their values, in the order of `keys`.
pub(crate) fn find_keys(
    connection: &Connection,
    object_no: ObjectNo,
    keys: &[KvKey],
) -> rusqlite::Result<Vec<(KvKey, Framed)>> {
    let mut select =
        connection.prepare_cached("SELECT 1 FROM kv WHERE object_no = ?1 AND key = ?2")?;
    let nothing: Framed = Arc::new([]);
    let mut found = Vec::new();
    for key in keys {
        if select.exists(params![object_no.0, key.as_bytes()])? {
            found.push((key.clone(), Arc::clone(&nothing)));
        }
    }
    Ok(found)
}

/// The first keys of an object with the bytes of their values, at most `limit`.
pub(crate) fn sizes(
    connection: &Connection,
    object_no: ObjectNo,
    limit: usize,
) -> rusqlite::Result<Vec<(KvKey, u64)>> {
    let sql = "SELECT key, length(value) FROM kv WHERE object_no = ?1 ORDER BY key LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![object_no.0, signed(limit as u64)], |row| {
        Ok((KvKey::stored(row.get_ref(0)?.as_blob()?), unsigned(row, 1)?))
    })?;
    rows.collect()
}

/// How many keys an object has, and bytes of all their values.
pub(crate) fn total(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT count(*), coalesce(sum(length(value)), 0) FROM kv WHERE object_no = ?1";
    let total = |row: &Row<'_>| Ok((unsigned(row, 0)?, unsigned(row, 1)?));
    connection.query_row(sql, [object_no.0], total)
}

/// How much one page holds: it ends with the row that reaches one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageMax {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// The stored rows of a range from its beginning, or from its end if `order` says so, and whether
/// these are all.
pub(crate) fn page(
    connection: &Connection,
    object_no: ObjectNo,
    range: &KeyRange,
    order: Order,
    max: PageMax,
) -> rusqlite::Result<(Vec<(KvKey, Framed)>, bool)> {
    let mut select = connection.prepare_cached(match (order, range.end.is_some()) {
        (Order::Rising, false) => {
            "SELECT key, value FROM kv WHERE object_no = ?1 AND key >= ?2 ORDER BY key LIMIT ?3"
        }
        (Order::Falling, false) => {
            "SELECT key, value FROM kv WHERE object_no = ?1 AND key >= ?2
             ORDER BY key DESC LIMIT ?3"
        }
        (Order::Rising, true) => {
            "SELECT key, value FROM kv WHERE object_no = ?1 AND key >= ?2 AND key < ?4
             ORDER BY key LIMIT ?3"
        }
        (Order::Falling, true) => {
            "SELECT key, value FROM kv WHERE object_no = ?1 AND key >= ?2 AND key < ?4
             ORDER BY key DESC LIMIT ?3"
        }
    })?;
    let rows_max = signed(max.rows as u64);
    let mut rows = match &range.end {
        Some(end) => select.query(params![object_no.0, range.start, rows_max, end])?,
        None => select.query(params![object_no.0, range.start, rows_max])?,
    };
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
        bytes += key.len() + value.len();
        found.push((KvKey::stored(key), Arc::from(value)));
        if bytes >= max.bytes {
            return Ok((found, false));
        }
    }
    let is_last = found.len() < max.rows;
    Ok((found, is_last))
}

/// Deletes everything that an object keeps under keys.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM kv WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

#[cfg(test)]
#[path = "kv/tests.rs"]
mod tests;
