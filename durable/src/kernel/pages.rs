//! Which pages of an object's database are not where the others are read from: those that the running turn has written,
//! and those that commits have changed since the last fold.
//!
//! A commit stores what it changed in the *log*: a page goes whole when the log has not held it since the last fold, and
//! afterwards as the ranges that changed, so the log alone gives every page that it names. When the log would pass its
//! bound, the commit is a *fold* instead: it stores all of these pages and empties the log.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, Range};

use super::delta;
use crate::limits::{SQL_LOG_BYTES_MAX, SQL_LOG_ROWS_MAX, SQL_PAGE_BYTES};

/// Bytes that the log spends on naming a page.
const PAGE_HEAD_BYTES: usize = 6;

/// The place of what is not handed over.
const NOWHERE: u64 = u64::MAX;

/// The machine; one for each open database. `P` is a page.
#[derive(Debug)]
pub(crate) struct PageOverlay<P> {
    /// Pages of the database after the newest commit.
    count_kept: u32,
    /// The newest version of each page that the last durable fold has not stored.
    kept: BTreeMap<u32, Kept<P>>,
    /// What is kept and not handed over. `None`: the log does not hold the page; else how the log knows it.
    changed: BTreeMap<u32, Option<P>>,
    /// The database has other pages than when it was handed over last, beside those that changed.
    is_recounted: bool,
    /// What the running turn has written. Empty outside of one.
    turn: BTreeMap<u32, P>,
    turn_count: u32,
    log: Log,
    /// What was taken and is not handed over. Empty outside of a commit.
    taken: Vec<u32>,
    /// Places of the folds that are not durable, oldest first.
    folds: VecDeque<u64>,
}

#[derive(Debug)]
struct Kept<P> {
    page: P,
    /// Which log holds it; an older one: the present log does not.
    log: u64,
    /// Place of the commit that changed it last. 0: it was in the log from the beginning.
    place: u64,
}

/// What the log holds, once everything that was handed over is durable.
#[derive(Debug, Default)]
struct Log {
    /// How many folds were before it.
    number: u64,
    rows: u32,
    bytes: usize,
}

/// Where a page is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<P> {
    /// Here.
    Page(P),
    /// With the stored pages.
    Below,
    /// Nowhere: the database ends before it.
    Beyond,
}

/// How a commit stores what it changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Commit<P> {
    /// As one row of the log.
    Log { deltas: Vec<(u32, Delta<P>)> },
    /// As all pages that the log was to give, and no log.
    Fold { pages: Vec<(u32, P)> },
}

/// How the log says what a page is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delta<P> {
    Whole(P),
    /// These ranges of the page have changed.
    Ranges(Vec<Range<usize>>, P),
}

impl<P> Delta<P> {
    fn bytes(&self) -> usize {
        PAGE_HEAD_BYTES
            + match self {
                Delta::Whole(_) => SQL_PAGE_BYTES,
                Delta::Ranges(ranges, _) => delta::bytes(ranges),
            }
    }
}

impl<P: Clone + Deref<Target = [u8]> + for<'a> From<&'a [u8]>> PageOverlay<P> {
    /// A database of `count` pages, all of them stored.
    pub(crate) fn new(count: u32) -> Self {
        PageOverlay {
            count_kept: count,
            kept: BTreeMap::new(),
            changed: BTreeMap::new(),
            is_recounted: false,
            turn: BTreeMap::new(),
            turn_count: count,
            log: Log::default(),
            taken: Vec::new(),
            folds: VecDeque::new(),
        }
    }

    /// A database of these pages, none of them stored elsewhere. They are numbered from 1.
    pub(crate) fn of_image(pages: impl IntoIterator<Item = (u32, P)>) -> Self {
        let kept = pages.into_iter().map(|(no, page)| (no, Kept { page, log: 0, place: 0 }));
        let kept: BTreeMap<_, _> = kept.collect();
        let count = kept.last_key_value().map_or(0, |(no, _)| *no);
        PageOverlay { kept, turn_count: count, ..Self::new(count) }
    }

    /// The next row of the stored log names these pages. `Err`: it changes a page that no row before it has whole, which
    /// a log never does.
    pub(crate) fn replay(
        &mut self,
        (count, bytes): (u32, usize),
        deltas: impl IntoIterator<Item = (u32, Replayed<P>)>,
    ) -> Result<(), u32> {
        for (no, replayed) in deltas {
            let page = match replayed {
                Replayed::Whole(page) => page,
                Replayed::Ranges(ranges) => {
                    let Some(kept) = self.kept.get(&no) else { return Err(no) };
                    let mut page = kept.page.to_vec();
                    for (start, bytes) in ranges {
                        page[start..start + bytes.len()].copy_from_slice(&bytes);
                    }
                    P::from(&page[..])
                }
            };
            self.kept.insert(no, Kept { page, log: self.log.number, place: 0 });
        }
        (self.count_kept, self.turn_count) = (count, count);
        self.kept.retain(|no, _| *no <= count);
        self.log.rows += 1;
        self.log.bytes += bytes;
        Ok(())
    }

    /// Pages of the database, as the turn sees it.
    pub(crate) fn count(&self) -> u32 {
        self.turn_count
    }

    /// A page as the turn sees it.
    pub(crate) fn find(&self, no: u32) -> Found<P> {
        if no == 0 || no > self.turn_count {
            return Found::Beyond;
        }
        let kept = || self.kept.get(&no).map(|kept| &kept.page);
        match self.turn.get(&no).or_else(kept) {
            Some(page) => Found::Page(page.clone()),
            None => Found::Below,
        }
    }

    /// The turn writes a page.
    pub(crate) fn write(&mut self, no: u32, page: P) {
        assert!(no > 0 && page.len() == SQL_PAGE_BYTES, "pages are numbered from 1 and whole");
        self.turn.insert(no, page);
        self.turn_count = self.turn_count.max(no);
    }

    /// The turn cuts the database after so many pages.
    pub(crate) fn truncate(&mut self, count: u32) {
        if count < self.turn_count {
            self.turn.retain(|no, _| *no <= count);
            self.turn_count = count;
        }
    }

    /// What the turn wrote is kept. Gives whether it changed anything.
    pub(crate) fn keep(&mut self) -> bool {
        let turn = std::mem::take(&mut self.turn);
        let zero = (self.count_kept + 1..=self.turn_count).filter(|no| !turn.contains_key(no));
        // A page that was never written reads as zeros. It is stored like any other, so that one that is missing is
        // known to be lost.
        let zero: Vec<_> = zero.map(|no| (no, P::from(&[0; SQL_PAGE_BYTES][..]))).collect();
        let is_cut = self.turn_count < self.count_kept;
        let mut has_changed = is_cut;
        for (no, page) in turn.into_iter().chain(zero) {
            let before = self.kept.get(&no);
            if before.is_some_and(|before| *before.page == *page) {
                continue;
            }
            let (log, number) = (before.map(|before| before.log), self.log.number);
            let in_log = before.filter(|_| log == Some(number)).map(|before| before.page.clone());
            self.changed.entry(no).or_insert(in_log);
            self.kept.insert(no, Kept { page, log: log.unwrap_or(NOWHERE), place: NOWHERE });
            has_changed = true;
        }
        if is_cut {
            let count = self.turn_count;
            self.kept.retain(|no, _| *no <= count);
            self.changed.retain(|no, _| *no <= count);
            self.is_recounted = true;
        }
        self.count_kept = self.turn_count;
        has_changed
    }

    /// Nothing of what the turn wrote is kept.
    pub(crate) fn undo(&mut self) {
        self.turn.clear();
        self.turn_count = self.count_kept;
    }

    /// Whether anything is kept and not handed over.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || self.is_recounted
    }

    /// What is kept and not handed over.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (u32, P)> + '_ {
        self.changed.keys().map(|no| (*no, self.kept[no].page.clone()))
    }

    /// Every page that is here.
    pub(crate) fn image(&self) -> impl Iterator<Item = (u32, P)> + '_ {
        self.kept.iter().map(|(no, kept)| (*no, kept.page.clone()))
    }

    /// How many pages are here.
    pub(crate) fn held(&self) -> usize {
        self.kept.len()
    }

    /// What has changed is about to be handed over, like this. `None`: nothing has.
    pub(crate) fn take(&mut self) -> Option<Commit<P>> {
        if !self.has_changes() {
            return None;
        }
        self.is_recounted = false;
        let changed = std::mem::take(&mut self.changed);
        self.taken = changed.keys().copied().collect();
        let delta = |(no, before): (u32, Option<P>)| {
            let page = self.kept[&no].page.clone();
            match before.and_then(|before| delta::ranges(&before, &page)) {
                // It is what it was before it was changed twice.
                Some(ranges) if ranges.is_empty() => None,
                Some(ranges) => Some((no, Delta::Ranges(ranges, page))),
                None => Some((no, Delta::Whole(page))),
            }
        };
        let deltas: Vec<_> = changed.into_iter().filter_map(delta).collect();
        let bytes: usize = deltas.iter().map(|(_, delta)| delta.bytes()).sum();
        if self.log.rows >= SQL_LOG_ROWS_MAX || self.log.bytes + bytes > SQL_LOG_BYTES_MAX {
            self.log = Log { number: self.log.number + 1, ..Log::default() };
            return Some(Commit::Fold { pages: self.image().collect() });
        }
        self.log.rows += 1;
        self.log.bytes += bytes;
        for (no, _) in &deltas {
            let kept = self.kept.get_mut(no).expect("what has changed is kept");
            kept.log = self.log.number;
        }
        Some(Commit::Log { deltas })
    }

    /// What was taken last was handed over at `place`.
    pub(crate) fn on_submit(&mut self, place: u64, is_fold: bool) {
        for no in std::mem::take(&mut self.taken) {
            self.kept.get_mut(&no).expect("what has changed is kept").place = place;
        }
        if is_fold {
            self.folds.push_back(place);
        }
    }

    /// Everything up to `place` is durable: what a fold has stored is read from there.
    pub(crate) fn on_durable(&mut self, place: u64) {
        while let Some(fold) = self.folds.pop_front_if(|fold| *fold <= place) {
            self.kept.retain(|_, kept| kept.place > fold);
        }
    }
}

/// What a row of the stored log says of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replayed<P> {
    Whole(P),
    /// What stands at these positions.
    Ranges(Vec<(usize, Vec<u8>)>),
}

#[cfg(test)]
#[path = "pages/tests.rs"]
mod tests;
