//! What the writer does about the past when it stores a run of commits.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::present::Present;
use crate::kernel::delta;
use crate::kernel::history::{Bounds, expired};
use crate::kernel::pages::{Found, PageOverlay, Replayed};
use crate::kv::{Framed, KvChange};
use crate::limits::HISTORY_EXPIRED_BY_COMMIT;
use crate::sql::Page;
use crate::storage::batch::Run;
use crate::storage::numbers::ObjectNo;
use crate::storage::rows::history::{self, Head, Past, Undo, UndoSql};
use crate::storage::rows::sql::{self, PageError, SqlWrite, StoredSql, log};
use crate::storage::rows::unsigned;
use crate::time::WallMs;

/// What a run is about to replace.
pub(in crate::storage) struct Before {
    /// Of the activation that has committed last; 0: none has.
    epoch: u64,
    undo: Undo,
}

/// Reads what a run is about to replace. `None`: its class keeps no history.
pub(in crate::storage) fn before(
    connection: &Connection,
    run: &Run<'_>,
    present: &mut Present,
) -> rusqlite::Result<Option<Before>> {
    if run.cause().is_none() || run.erases() {
        present.forget(run.last.object_no);
        return Ok(None);
    }
    let object_no = run.last.object_no;
    let (epoch, snapshot) = stored(connection, object_no, run.snapshot)?;
    let kv = values(connection, object_no, &run.kv)?;
    let commits = (run.after, run.last.commit_no);
    let sql = if run.sql.is_empty() {
        present.pass(object_no, commits);
        None
    } else {
        let old = match present.take(object_no, run.after) {
            Some(old) => old,
            None => open(connection, object_no)?,
        };
        let (undo, new) = pages(connection, object_no, (old, &run.sql))?;
        present.put(object_no, run.last.commit_no, new);
        undo
    };
    Ok(Some(Before { epoch, undo: Undo { snapshot, kv, sql } }))
}

/// The epoch of the stored snapshot, and its body if `new` is another.
fn stored(
    connection: &Connection,
    object_no: ObjectNo,
    new: Option<&[u8]>,
) -> rusqlite::Result<(u64, Option<Framed>)> {
    let mut select =
        connection.prepare_cached("SELECT epoch, body FROM snapshots WHERE object_no = ?1")?;
    let mut rows = select.query([object_no.0])?;
    let Some(row) = rows.next()? else {
        // The object does not exist.
        return Ok((0, new.is_some().then(|| Framed::from([]))));
    };
    let epoch = unsigned(row, 0)?;
    let Some(new) = new else { return Ok((epoch, None)) };
    let body = row.get_ref(1)?.as_blob()?;
    Ok((epoch, (body != new).then(|| body.into())))
}

/// The values of those keys that a run changes, as they are.
fn values(
    connection: &Connection,
    object_no: ObjectNo,
    changes: &[&KvChange],
) -> rusqlite::Result<Vec<(crate::kv::KvKey, Option<Framed>)>> {
    let mut old = Vec::new();
    if changes.is_empty() {
        return Ok(old);
    }
    let mut select =
        connection.prepare_cached("SELECT value FROM kv WHERE object_no = ?1 AND key = ?2")?;
    for KvChange { key, value } in changes {
        let read = |row: &rusqlite::Row<'_>| {
            row.get_ref(0)?.as_blob().map(Framed::from).map_err(Into::into)
        };
        let stored = select.query_row(params![object_no.0, key.as_bytes()], read).optional()?;
        if stored.as_deref() != value.as_deref() {
            old.push((key.clone(), stored));
        }
    }
    Ok(old)
}

/// How a database is other than `writes` make it, and what they make it. `None`: it is the same.
fn pages(
    connection: &Connection,
    object_no: ObjectNo,
    (old, writes): (PageOverlay<Page>, &[(u64, &SqlWrite)]),
) -> rusqlite::Result<(Option<UndoSql>, PageOverlay<Page>)> {
    let page = |number| match old.find(number) {
        Found::Page(page) => Ok(Some(page)),
        Found::Beyond => Ok(None),
        Found::Below => {
            let page = sql::page(connection, object_no, number)?;
            page.map(Some).map_err(|error| damaged(&error))
        }
    };
    let (count, new) = after(writes, &page)?;
    let mut pages = Vec::new();
    for (number, new) in new.range(..=count) {
        // A page that the database did not have is no part of what it was.
        let Some(old) = page(*number)? else { continue };
        match delta::ranges(new, &old) {
            Some(ranges) if ranges.is_empty() => {}
            Some(ranges) => {
                let range = |range: std::ops::Range<usize>| (range.start, old[range].to_vec());
                pages.push((*number, Replayed::Ranges(ranges.into_iter().map(range).collect())));
            }
            None => pages.push((*number, Replayed::Whole(old))),
        }
    }
    for number in count + 1..=old.count() {
        pages.extend(page(number)?.map(|page| (number, Replayed::Whole(page))));
    }
    let is_other = !pages.is_empty() || old.count() != count;
    let undo = is_other.then(|| UndoSql { count: old.count(), pages });
    Ok((undo, left(old, writes, (count, new))))
}

/// What is stored of a database once `writes` are, which leave so many pages, these among them.
fn left(
    mut overlay: PageOverlay<Page>,
    writes: &[(u64, &SqlWrite)],
    (count, new): (u32, BTreeMap<u32, Page>),
) -> PageOverlay<Page> {
    let is_folded = matches!(writes[0].1, SqlWrite::Fold { .. });
    if is_folded {
        // A fold is the first of what a run stores. What it has stored is read from there.
        overlay = PageOverlay::new(count);
    }
    if !is_folded || writes.len() > 1 {
        let whole = new.into_iter().map(|(number, page)| (number, Replayed::Whole(page)));
        overlay.replay((count, 0), whole).expect("whole pages follow from nothing");
    }
    overlay
}

/// How many pages a database has after `writes`, and those of them that these name.
fn after(
    writes: &[(u64, &SqlWrite)],
    old: &dyn Fn(u32) -> rusqlite::Result<Option<Page>>,
) -> rusqlite::Result<(u32, BTreeMap<u32, Page>)> {
    let (mut count, mut new) = (0, BTreeMap::new());
    for (commit_no, write) in writes {
        match write {
            SqlWrite::Fold { count: pages, pages: folded } => {
                count = *pages;
                new.extend(folded.iter().cloned());
            }
            SqlWrite::Log { deltas } => {
                let read = log::read(*commit_no, deltas);
                let (pages, deltas) = read.map_err(|error| damaged(&error))?;
                count = pages;
                for (number, delta) in deltas {
                    let known = match new.get(&number) {
                        Some(page) => Some(Page::clone(page)),
                        None => old(number)?,
                    };
                    let page = followed(known.as_ref(), &delta);
                    let page =
                        page.ok_or_else(|| damaged(&PageError::LogMeaning { row: *commit_no }))?;
                    new.insert(number, page);
                }
            }
        }
    }
    Ok((count, new))
}

/// A page with a change laid over it. `None`: it changes a page that is not there.
pub(super) fn followed(page: Option<&Page>, change: &Replayed<Page>) -> Option<Page> {
    match change {
        Replayed::Whole(page) => Some(Page::clone(page)),
        Replayed::Ranges(ranges) => {
            let mut page = page?.to_vec();
            for (start, bytes) in ranges {
                page[*start..start + bytes.len()].copy_from_slice(bytes);
            }
            Some(page.into())
        }
    }
}

/// What is stored of a database.
pub(super) fn open(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<PageOverlay<Page>> {
    let StoredSql { count, log } =
        sql::load(connection, object_no)?.map_err(|error| damaged(&error))?;
    let mut overlay = PageOverlay::new(count);
    for (row, (bytes, (count, deltas))) in (1..).zip(log) {
        let replayed = overlay.replay((count, bytes), deltas);
        replayed.map_err(|_| damaged(&PageError::LogMeaning { row }))?;
    }
    Ok(overlay)
}

/// A stored page that cannot be used, as an error of the one object that it is of.
pub(in crate::storage) fn damaged(error: &PageError) -> rusqlite::Error {
    let text = format!("the object's database is damaged: {error}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, text.into())
}

/// Stores what a run has replaced, and takes away what is too old or too much.
pub(in crate::storage) fn record(
    connection: &Connection,
    run: &Run<'_>,
    before: Before,
    (bounds, now): (Bounds, WallMs),
) -> rusqlite::Result<()> {
    let cause = run.cause().expect("it was read because its class keeps history").clone();
    let object_no = run.last.object_no;
    let mut newest = history::newest(connection, object_no)?;
    if newest.is_some_and(|newest| newest.commit_no != run.after) {
        // Commits between were not recorded, so no way leads back to what was before them.
        history::erase(connection, object_no)?;
        newest = None;
    }
    let Before { epoch: after_epoch, undo } = before;
    let after_at = newest.map(|newest| newest.at);
    let epoch = run.fence.epoch.0;
    let mut body = history::encode(&Past { cause, epoch, after_epoch, after_at, undo });
    if body.len() as u64 > bounds.bytes {
        return history::erase(connection, object_no);
    }
    let total = newest.map_or(0, |newest| newest.total) + body.len() as u64;
    let (commit_no, after_no) = (run.last.commit_no, run.after);
    let head = Head { object_no, commit_no, after_no, at: now, total };
    history::seal(&head, &mut body);
    history::insert(connection, &head, &body)?;
    expire_of(connection, (object_no, total), (bounds, now), HISTORY_EXPIRED_BY_COMMIT).map(drop)
}

/// Takes some of an object's rows away, if they are too old or too much. Gives how many, and when the oldest that is left
/// was stored, if it was looked at.
pub(super) fn expire(
    connection: &Connection,
    object_no: ObjectNo,
    (bounds, now): (Bounds, WallMs),
    limit: usize,
) -> rusqlite::Result<(usize, Option<WallMs>)> {
    match history::newest(connection, object_no)? {
        Some(newest) => expire_of(connection, (object_no, newest.total), (bounds, now), limit),
        None => Ok((0, None)),
    }
}

/// The same of an object whose newest row says `total`.
fn expire_of(
    connection: &Connection,
    (object_no, total): (ObjectNo, u64),
    (bounds, now): (Bounds, WallMs),
    limit: usize,
) -> rusqlite::Result<(usize, Option<WallMs>)> {
    let (commits, oldest) = history::oldest(connection, object_no, limit)?;
    let gone = expired(bounds, &oldest, total, now);
    if let Some(last) = gone.checked_sub(1) {
        history::expire(connection, object_no, commits[last])?;
    }
    Ok((gone, oldest.get(gone).map(|left| left.at)))
}
