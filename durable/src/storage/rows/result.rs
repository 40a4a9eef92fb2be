//! Results of calls that carried an idempotency key, for those who make the same call again.
//!
//! A chunk is a [frame](super::frame) of state version 1 and fingerprint 0 around one or more results, each encoded by itself.
//! Those that an object has kept last are its open chunk, which is stored beside its state, in `results` of its
//! [snapshot](super::snapshot); empty: there are none. Each commit of a call with a key writes it anew, until it is full; then it
//! is sealed, and never changes again.
//!
//! Layout of sealed ones: `object_no`; `chunk_no`, in the order in which they were sealed; `until_ms` wall clock from which on
//! nobody gets any of them; `digests` a frame around eight bytes of BLAKE3 of each key, in the order of the results; `body` the
//! chunk.
//!
//! A result is stored by the commit of its call's effect. Chunks that are over are taken away by later commits that seal one, a
//! few by each.
//!
//! Never reuse: in a result a field is added at the end only, with another state version.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::frame::{self, Codec, HEADER_BYTES, Header};
use super::{signed, unsigned};
use crate::codec;
use crate::kernel::keyed::ChunkHead;
use crate::keyed::{KeptResult, KeyDigest};
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::state::Fingerprint;
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS results (
    object_no INTEGER NOT NULL,
    chunk_no INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    digests BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (object_no, chunk_no)
) STRICT, WITHOUT ROWID";

const HEADER: Header =
    Header { codec: Codec::Postcard, state_version: 1, fingerprint: Fingerprint(0) };

/// Bytes of a digest.
const DIGEST_BYTES: usize = 8;

/// Results that are stored together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) head: ChunkHead,
    /// Empty: there are none.
    pub(crate) body: Arc<[u8]>,
}

/// What a commit does to the results that its object keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultWrite {
    /// When the turn ended that gave the newest one: what is over by then is in nobody's way.
    pub(crate) now: WallMs,
    /// The open chunk from here on.
    pub(crate) open: Chunk,
    /// Those that it seals, with their numbers, in their order.
    pub(crate) sealed: Vec<(u64, Chunk)>,
    /// Sealed ones that it takes away.
    pub(crate) over: Vec<u64>,
}

impl ResultWrite {
    /// How much of what waits it is.
    pub(crate) fn bytes(&self) -> usize {
        let sealed = self.sealed.iter().map(|(_, chunk)| chunk.body.len());
        self.open.body.len() + sealed.sum::<usize>()
    }

    /// Whether it stores more than the open chunk.
    pub(crate) fn has_rows(&self) -> bool {
        !self.sealed.is_empty() || !self.over.is_empty()
    }

    /// The result of its call. `None`: it cannot be read.
    pub(crate) fn newest(&self) -> Option<KeptResult> {
        let sealed = self.sealed.last().map(|(_, chunk)| chunk);
        let newest = if self.open.body.is_empty() { sealed? } else { &self.open };
        decode(&newest.body).ok()?.pop()
    }
}

/// Why a stored chunk cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Newer code wrote it.
    Newer(String),
    Damaged(String),
}

impl Unreadable {
    fn text(self) -> String {
        let (Unreadable::Newer(text) | Unreadable::Damaged(text)) = self;
        text
    }
}

/// A result as it is in a chunk.
pub(crate) fn encode(result: &KeptResult) -> Vec<u8> {
    codec::encode(result, 0, usize::MAX).expect("a result that is kept is plain data")
}

impl Chunk {
    /// This chunk, and a [result](encode) more.
    #[must_use]
    pub(crate) fn with(&self, result: &KeptResult, encoded: &[u8]) -> Self {
        let mut body = Vec::with_capacity(self.body.len().max(HEADER_BYTES) + encoded.len());
        body.extend_from_slice(&self.body);
        body.resize(body.len().max(HEADER_BYTES), 0);
        body.extend_from_slice(encoded);
        frame::finish(HEADER, &mut body);
        let mut head = self.head.clone();
        head.add(KeyDigest::of(&result.key), result.until, body.len() as u64);
        Chunk { head, body: body.into() }
    }

    /// A chunk as it is stored.
    ///
    /// # Errors
    /// It is not whole.
    pub(crate) fn of(body: Arc<[u8]>) -> Result<Self, Unreadable> {
        let mut head = ChunkHead::default();
        for result in decode(&body)? {
            head.add(KeyDigest::of(&result.key), result.until, body.len() as u64);
        }
        Ok(Chunk { head, body })
    }
}

/// What is in a frame of ours.
fn unframed(bytes: &[u8]) -> Result<&[u8], Unreadable> {
    let (header, payload) = frame::decode(bytes).map_err(|error| {
        let text = error.to_string();
        if error.is_newer() { Unreadable::Newer(text) } else { Unreadable::Damaged(text) }
    })?;
    if header.state_version != HEADER.state_version {
        let (found, known) = (header.state_version, HEADER.state_version);
        let text = format!("its layout has version {found}, this code knows up to {known}");
        return Err(Unreadable::Newer(text));
    }
    Ok(payload)
}

/// The results in a chunk, in the order in which they were kept.
pub(crate) fn decode(body: &[u8]) -> Result<Vec<KeptResult>, Unreadable> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let (mut rest, mut all) = (unframed(body)?, Vec::new());
    while !rest.is_empty() {
        let (result, left): (KeptResult, _) =
            codec::decode_first(rest).map_err(Unreadable::Damaged)?;
        all.push(result);
        rest = left;
    }
    Ok(all)
}

fn encode_digests(digests: &[KeyDigest]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    digests.iter().for_each(|digest| bytes.extend_from_slice(&digest.0.to_le_bytes()));
    frame::finish(HEADER, &mut bytes);
    bytes
}

fn decode_digests(bytes: &[u8]) -> Result<Vec<KeyDigest>, Unreadable> {
    match unframed(bytes)?.as_chunks::<DIGEST_BYTES>() {
        (digests, []) => {
            Ok(digests.iter().map(|bytes| KeyDigest(u64::from_le_bytes(*bytes))).collect())
        }
        (_, rest) => {
            Err(Unreadable::Damaged(format!("{} bytes of a digest are left over", rest.len())))
        }
    }
}

/// Stores chunks that a commit has sealed, and takes those away that it names.
///
/// # Errors
/// Also if there is one under a number already.
pub(crate) fn apply(
    connection: &Connection,
    object_no: ObjectNo,
    write: &ResultWrite,
) -> rusqlite::Result<()> {
    for (number, Chunk { head, body }) in &write.sealed {
        let sql = "INSERT INTO results (object_no, chunk_no, until_ms, digests, body)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        let until = signed(head.until.min(WallMs::MAX).0);
        let digests = encode_digests(&head.digests);
        let row = params![object_no.0, signed(*number), until, digests, &body[..]];
        connection.prepare_cached(sql)?.execute(row)?;
    }
    for number in &write.over {
        let sql = "DELETE FROM results WHERE object_no = ?1 AND chunk_no = ?2";
        connection.prepare_cached(sql)?.execute(params![object_no.0, signed(*number)])?;
    }
    Ok(())
}

/// What an object keeps, sealed ones without their results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredResults {
    pub(crate) open: Arc<[u8]>,
    /// In the order of their numbers.
    pub(crate) sealed: Vec<(u64, Result<ChunkHead, Unreadable>)>,
}

/// Reads what an object keeps.
pub(crate) fn find(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<StoredResults> {
    let sql = "SELECT chunk_no, until_ms, digests, length(body) FROM results
        WHERE object_no = ?1 ORDER BY chunk_no";
    let read = |row: &Row<'_>| {
        let (until, bytes) = (WallMs(unsigned(row, 1)?), unsigned(row, 3)?);
        let digests = decode_digests(row.get_ref(2)?.as_blob()?);
        let head = digests.map(|digests| ChunkHead { until, bytes, digests });
        Ok((unsigned(row, 0)?, head))
    };
    let mut select = connection.prepare_cached(sql)?;
    let sealed = select.query_map([object_no.0], read)?.collect::<Result<_, _>>()?;
    Ok(StoredResults { open: open_of(connection, object_no)?, sealed })
}

/// The open chunk of an object. Empty: there is none.
fn open_of(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<Arc<[u8]>> {
    let sql = "SELECT results FROM snapshots WHERE object_no = ?1";
    let read = |row: &Row<'_>| Ok(row.get_ref(0)?.as_blob_or_null()?.map(Arc::from));
    let open = connection.prepare_cached(sql)?.query_row([object_no.0], read).optional()?;
    Ok(open.flatten().unwrap_or_default())
}

/// A sealed chunk. `None`: there is none of that number.
pub(crate) fn body(
    connection: &Connection,
    object_no: ObjectNo,
    number: u64,
) -> rusqlite::Result<Option<Arc<[u8]>>> {
    let sql = "SELECT body FROM results WHERE object_no = ?1 AND chunk_no = ?2";
    let read = |row: &Row<'_>| Ok(Arc::from(row.get_ref(0)?.as_blob()?));
    let key = params![object_no.0, signed(number)];
    connection.prepare_cached(sql)?.query_row(key, read).optional()
}

/// What an object keeps, over or not, those kept last first, at most `limit`, and how many there are. `Err`: what is wrong with a
/// chunk.
pub(crate) fn list(
    connection: &Connection,
    object_no: ObjectNo,
    limit: usize,
) -> rusqlite::Result<(Vec<Result<KeptResult, String>>, u64)> {
    let StoredResults { open, sealed } = find(connection, object_no)?;
    let (mut all, mut count) = (Vec::new(), 0);
    let mut add = |chunk: Result<Vec<KeptResult>, Unreadable>| match chunk {
        Ok(results) => all.extend(results.into_iter().rev().map(Ok)),
        Err(unreadable) => all.push(Err(unreadable.text())),
    };
    let newest = decode(&open);
    count += newest.as_ref().map_or(0, |results| results.len() as u64);
    add(newest);
    for (at, (number, head)) in sealed.into_iter().rev().enumerate() {
        count += head.map_or(0, |head| head.digests.len() as u64);
        // Each has one at least.
        if at < limit {
            let chunk = body(connection, object_no, number)?.unwrap_or_default();
            add(decode(&chunk));
        }
    }
    all.truncate(limit);
    Ok((all, count))
}

/// Deletes all sealed chunks of an object.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM results WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

/// The objects that rows are of and that are not there.
pub(crate) fn orphans(connection: &Connection) -> rusqlite::Result<Vec<ObjectNo>> {
    let sql = "SELECT DISTINCT object_no FROM results
        WHERE object_no NOT IN (SELECT object_no FROM objects) ORDER BY object_no";
    let mut select = connection.prepare(sql)?;
    select.query_map([], |row| row.get(0).map(ObjectNo))?.collect()
}

/// What is wrong with chunks that cannot be used, and whose they are.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<(ObjectNo, String)>> {
    let mut found = Vec::new();
    let mut select = connection.prepare("SELECT object_no, results FROM snapshots")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(body) = row.get_ref(1)?.as_blob_or_null()? {
            let wrong = wrong_in(body, None);
            let wrong = wrong.into_iter().map(|what| format!("its open chunk of results: {what}"));
            found.extend(wrong.map(|what| (ObjectNo(row.get_unwrap(0)), what)));
        }
    }
    let mut select =
        connection.prepare("SELECT object_no, chunk_no, until_ms, digests, body FROM results")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (object_no, number): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (until, digests) = (row.get(2)?, row.get_ref(3)?.as_blob()?);
        let wrong = wrong_in(row.get_ref(4)?.as_blob()?, Some((until, digests)));
        let wrong = wrong.into_iter().map(|what| format!("chunk {number} of its results: {what}"));
        found.extend(wrong.map(|what| (ObjectNo(object_no), what)));
    }
    Ok(found)
}

/// What is wrong with a chunk. `sealed`: until when it is kept, and the digests of its keys.
fn wrong_in(body: &[u8], sealed: Option<(i64, &[u8])>) -> Vec<String> {
    let head = match Chunk::of(body.into()) {
        Ok(chunk) => chunk.head,
        Err(unreadable) => return vec![unreadable.text()],
    };
    let mut wrong = Vec::new();
    for KeptResult { key, .. } in decode(body).unwrap_or_default() {
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
            wrong.push(format!("a result is kept under `{}`, which is no key", key.escape_debug()));
        }
    }
    let Some((until, digests)) = sealed else { return wrong };
    match decode_digests(digests) {
        Err(unreadable) => wrong.push(format!("its digests: {}", unreadable.text())),
        Ok(digests) if digests != head.digests => {
            wrong.push("its digests are not those of its keys".to_owned());
        }
        Ok(_) => {}
    }
    if until != signed(head.until.min(WallMs::MAX).0) {
        let last = head.until;
        wrong
            .push(format!("it is kept until {until} ms, and the last of its results until {last}"));
    }
    wrong
}

#[cfg(test)]
#[path = "result/tests.rs"]
mod tests;
