//! Going back: from what is stored of an object to what it was at a bookmark, by the rows of its past. Changes nothing.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::record::{damaged, followed, open};
use crate::error::{Code, Error};
use crate::history::{Bookmark, HistoryEntry};
use crate::id::ObjectId;
use crate::kernel::pages::{Found, PageOverlay};
use crate::kernel::range::{KeyRange, Order};
use crate::kv::{Framed, KvChange, KvKey};
use crate::sql::{Page, SqlChange};
use crate::storage::numbers::ObjectNo;
use crate::storage::rows::history::{self, Head, Past, PastError, Undo, Walk};
use crate::storage::rows::sql::SqlWrite;
use crate::storage::rows::{frame, kv, object, sql};
use crate::storage::stored::StoredObject;
use crate::time::WallMs;

/// An object as it is stored now.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    pub(crate) id: ObjectId,
    pub(crate) object_no: ObjectNo,
    pub(crate) stored: StoredObject,
}

impl Here {
    /// The moment that is stored.
    pub(crate) fn bookmark(&self) -> Bookmark {
        Bookmark::new(&self.id, (self.stored.epoch.0, self.stored.commit_no))
    }

    fn at(&self, epoch: u64, commit: u64) -> Bookmark {
        Bookmark::new(&self.id, (epoch, commit))
    }
}

/// Why a moment cannot be gone back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// The object never had it, or it was stored together with a later one.
    Foreign { newest: Bookmark },
    /// It is older than what is kept. `since`: when the oldest that is kept was stored; `None`: nothing is.
    Pruned { oldest: Bookmark, since: Option<WallMs> },
    /// A row is damaged or missing.
    Torn(PastError),
}

impl From<PastError> for Misplaced {
    fn from(error: PastError) -> Self {
        Misplaced::Torn(error)
    }
}

impl Misplaced {
    /// `asked`: what was asked for.
    pub(crate) fn error(self, asked: &str) -> Error {
        match self {
            Misplaced::Foreign { newest } => Code::BookmarkForeign.error(format!(
                "{asked} is no moment of the object, whose newest is {newest}; take one that its history gives"
            )),
            Misplaced::Pruned { oldest, since: Some(since) } => Code::HistoryPruned.error(format!(
                "{asked} is before everything that is kept, which goes back to {oldest}, before {since}; \
                 take that or a later one, and let `History` keep more"
            )),
            Misplaced::Pruned { oldest, since: None } => Code::HistoryPruned.error(format!(
                "{asked} is before everything that is kept, which is {oldest} alone; \
                 take that, and let `History` keep more"
            )),
            Misplaced::Torn(error) if error.is_newer() => Code::HistoryNewer.error(format!(
                "the object's history was written by newer code: {error}; run the release that wrote it"
            )),
            Misplaced::Torn(error) => Code::HistoryTorn.error(format!(
                "the object's history is damaged: {error}; nothing was changed, take a later moment, \
                 or restore the object from a backup"
            )),
        }
    }
}

/// What is stored of an object. `None`: nothing.
pub(crate) fn find(connection: &Connection, id: &ObjectId) -> rusqlite::Result<Option<Here>> {
    let found = object::load(connection, id)?;
    Ok(found.map(|(object_no, _, stored)| Here { id: *id, object_no, stored }))
}

/// How an object was other at a former moment.
#[derive(Debug, Default)]
pub(crate) struct Rewound {
    /// `None`: as it is; empty: the object did not exist.
    snapshot: Option<Framed>,
    /// An inner `None`: the key was not there.
    kv: BTreeMap<KvKey, Option<Framed>>,
    /// How many pages its database had, and those that were other. `None`: as it is.
    sql: Option<(u32, BTreeMap<u32, Page>)>,
}

/// Goes back to `to`.
pub(crate) fn rewind(
    connection: &Connection,
    here: &Here,
    to: &Bookmark,
) -> rusqlite::Result<Result<Rewound, Misplaced>> {
    let newest = here.bookmark();
    if *to == newest {
        return Ok(Ok(Rewound::default()));
    }
    if !to.is_of(&here.id) || to.commit() >= newest.commit() {
        return Ok(Err(Misplaced::Foreign { newest }));
    }
    let pages = Pages::open(connection, here.object_no);
    let mut back = Back { pages, rewound: Rewound::default(), fault: None };
    let (mut reached, mut since) = (newest, None);
    let walked =
        history::walk_back(connection, here.object_no, newest.commit(), |head, past, _| {
            (reached, since) = (here.at(past.after_epoch, head.after_no), Some(head.at));
            back.step(head, past.undo);
            if back.fault.is_some() || head.after_no <= to.commit() { Walk::End } else { Walk::On }
        })?;
    let Back { rewound, fault, .. } = back;
    Ok(match (walked, fault) {
        (_, Some(Broken::Storage(error))) => return Err(error),
        (Err(error), _) | (_, Some(Broken::Row(error))) => Err(error.into()),
        _ if reached == *to => Ok(rewound),
        _ if reached.commit() > to.commit() => Err(Misplaced::Pruned { oldest: reached, since }),
        _ => Err(Misplaced::Foreign { newest }),
    })
}

/// Why a step back could not be made.
enum Broken {
    Row(PastError),
    Storage(rusqlite::Error),
}

/// A walk back.
struct Back<'c> {
    pages: Pages<'c>,
    rewound: Rewound,
    /// `None`: all steps until now could be made.
    fault: Option<Broken>,
}

impl Back<'_> {
    fn step(&mut self, head: &Head, undo: Undo) {
        let Undo { snapshot, kv, sql } = undo;
        if snapshot.is_some() {
            self.rewound.snapshot = snapshot;
        }
        self.rewound.kv.extend(kv);
        let Some(undo) = sql else { return };
        let (_, pages) = self.rewound.sql.get_or_insert_default();
        for (number, change) in undo.pages {
            let known = match pages.get(&number) {
                Some(page) => Ok(Some(Page::clone(page))),
                None => self.pages.find(number),
            };
            match known.map(|known| followed(known.as_ref(), &change)) {
                Ok(Some(page)) => drop(pages.insert(number, page)),
                Ok(None) => {
                    let commit_no = head.commit_no;
                    self.fault = Some(Broken::Row(PastError::Meaning { commit_no }));
                }
                Err(error) => self.fault = Some(Broken::Storage(error)),
            }
        }
        pages.retain(|number, _| *number <= undo.count);
        if let Some((count, _)) = &mut self.rewound.sql {
            *count = undo.count;
        }
    }
}

/// The pages of a database as they are stored now, looked at when they are needed.
struct Pages<'c> {
    connection: &'c Connection,
    object_no: ObjectNo,
    /// `None`: none was needed yet.
    overlay: Option<PageOverlay<Page>>,
}

impl<'c> Pages<'c> {
    fn open(connection: &'c Connection, object_no: ObjectNo) -> Self {
        Pages { connection, object_no, overlay: None }
    }

    fn overlay(&mut self) -> rusqlite::Result<&PageOverlay<Page>> {
        if self.overlay.is_none() {
            self.overlay = Some(open(self.connection, self.object_no)?);
        }
        Ok(self.overlay.as_ref().expect("it was just opened"))
    }

    fn find(&mut self, number: u32) -> rusqlite::Result<Option<Page>> {
        match self.overlay()?.find(number) {
            Found::Page(page) => Ok(Some(page)),
            Found::Beyond => Ok(None),
            Found::Below => {
                let page = sql::page(self.connection, self.object_no, number)?;
                page.map(Some).map_err(|error| damaged(&error))
            }
        }
    }
}

/// What brings an object to a former moment, as one commit stores it.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// `None`: it is as it was then.
    pub(crate) snapshot: Option<Framed>,
    pub(crate) kv: Vec<KvChange>,
    pub(crate) sql: Option<(SqlWrite, SqlChange)>,
}

/// What a commit stores to bring an object back.
pub(crate) fn restoring(
    connection: &Connection,
    here: &Here,
    rewound: Rewound,
) -> rusqlite::Result<Restoring> {
    let Rewound { snapshot, kv, sql } = rewound;
    let kv = kv.into_iter().map(|(key, value)| KvChange { key, value }).collect();
    let nothing =
        |frame: Framed| if frame.is_empty() { Framed::from(frame::gone()) } else { frame };
    let snapshot = snapshot.map(nothing);
    let sql = match sql {
        None => None,
        Some((count, pages)) => {
            // A fold takes the log away, so it stores whatever the log names.
            let mut folded: BTreeMap<_, _> =
                Pages::open(connection, here.object_no).overlay()?.image().collect();
            folded.extend(pages);
            folded.retain(|number, _| *number <= count);
            let pages: Vec<_> = folded.into_iter().collect();
            let change = SqlChange { page_count: count, pages: pages.clone() };
            Some((SqlWrite::Fold { count, pages }, change))
        }
    };
    Ok(Restoring { snapshot, kv, sql })
}

/// All of an object at one moment.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// The snapshot's body; empty: the object does not exist.
    pub(crate) body: Framed,
    pub(crate) kv: BTreeMap<KvKey, Framed>,
    /// Every page of its database.
    pub(crate) pages: BTreeMap<u32, Page>,
}

/// Everything that an object was at the moment that `rewound` leads to.
pub(crate) fn whole(
    connection: &Connection,
    here: &Here,
    rewound: Rewound,
) -> rusqlite::Result<Whole> {
    let Rewound { snapshot, kv: changes, sql } = rewound;
    let body = snapshot.or_else(|| here.stored.body.clone()).filter(|body| !frame::is_gone(body));
    let (everything, max) =
        (KeyRange::default(), kv::PageMax { rows: usize::MAX >> 1, bytes: usize::MAX });
    let (rows, _) = kv::page(connection, here.object_no, &everything, Order::Rising, max)?;
    let mut kv: BTreeMap<_, _> = rows.into_iter().collect();
    for (key, value) in changes {
        match value {
            Some(value) => kv.insert(key, value),
            None => kv.remove(&key),
        };
    }
    let mut stored = Pages::open(connection, here.object_no);
    let (count, mut pages) = match sql {
        Some(sql) => sql,
        None => (stored.overlay()?.count(), BTreeMap::new()),
    };
    for number in 1..=count {
        if !pages.contains_key(&number)
            && let Some(page) = stored.find(number)?
        {
            pages.insert(number, page);
        }
    }
    Ok(Whole { body: body.unwrap_or_default(), kv, pages })
}

/// Some entries of an object's history.
pub(crate) type Entries = Vec<HistoryEntry>;

/// The entries of an object's history up to the moment `until`, the newest first, at most `limit`.
pub(crate) fn entries(
    connection: &Connection,
    here: &Here,
    until: &Bookmark,
    limit: usize,
) -> rusqlite::Result<Result<Entries, Misplaced>> {
    let mut entries = Vec::new();
    if limit == 0 {
        return Ok(Ok(entries));
    }
    let walked =
        history::walk_back(connection, here.object_no, until.commit(), |head, past, bytes| {
            entries.push(entry(here, head, &past, bytes));
            if entries.len() == limit { Walk::End } else { Walk::On }
        })?;
    let newest = here.bookmark();
    Ok(match walked {
        Err(PastError::Gap { commit_no }) if *until != newest && commit_no == until.commit() => {
            Err(Misplaced::Foreign { newest })
        }
        Err(error) => Err(error.into()),
        Ok(_) if entries.first().is_some_and(|first| first.bookmark != *until) => {
            Err(Misplaced::Foreign { newest })
        }
        Ok(_) => Ok(entries),
    })
}

fn entry(here: &Here, head: &Head, past: &Past, bytes: u64) -> HistoryEntry {
    let Undo { snapshot, kv, sql } = &past.undo;
    HistoryEntry {
        bookmark: here.at(past.epoch, head.commit_no),
        before: here.at(past.after_epoch, head.after_no),
        first_commit: head.after_no + 1,
        at: head.at,
        cause: past.cause.clone(),
        bytes,
        has_struct: snapshot.is_some(),
        keys: kv.len() as u64,
        pages: sql.as_ref().map_or(0, |sql| sql.pages.len() as u64),
    }
}

/// The newest moment of an object that was stored at `time` or before.
pub(crate) fn at_time(
    connection: &Connection,
    here: &Here,
    time: WallMs,
) -> rusqlite::Result<Result<Bookmark, Misplaced>> {
    let newest = here.bookmark();
    let mut found = None;
    // What is known of the moment before the last row that was looked at.
    let mut before = (newest, None, None);
    let walked =
        history::walk_back(connection, here.object_no, newest.commit(), |head, past, _| {
            before = (here.at(past.after_epoch, head.after_no), past.after_at, Some(head.at));
            if head.at <= time {
                found = Some(here.at(past.epoch, head.commit_no));
                return Walk::End;
            }
            Walk::On
        })?;
    let (oldest, at, since) = before;
    Ok(match (walked, found) {
        (Err(error), _) => Err(error.into()),
        (_, Some(found)) => Ok(found),
        // Before its birth, or before the last commit that is not kept itself.
        _ if oldest.commit() == 0 || at.is_some_and(|at| at <= time) => Ok(oldest),
        _ => Err(Misplaced::Pruned { oldest, since }),
    })
}

/// How far an object's history goes back, from its rows' columns alone: the oldest moment, and when the first commit after
/// it was stored. `None`: only what is stored now.
pub(crate) fn since(
    connection: &Connection,
    object_no: ObjectNo,
) -> rusqlite::Result<Option<(u64, WallMs)>> {
    let sql = "SELECT after_no, at_ms FROM history WHERE object_no = ?1 ORDER BY commit_no LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![object_no.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let number = |column| crate::storage::rows::unsigned(row, column);
    Ok(Some((number(0)?, WallMs(number(1)?))))
}
