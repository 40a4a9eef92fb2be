//! A list of what is kept under keys: read page by page, with the turn's own writes among it.

use std::collections::VecDeque;
use std::fmt;

use serde::de::DeserializeOwned;

use super::Kv;
use crate::error::{Code, Error};
use crate::kernel::merge::{self, Pick};
use crate::kernel::range::{KeyRange, Order};
use crate::kv::{Framed, KvKey};
use crate::limits::KV_PAGE_ROWS_MAX;

/// A walk over keys, told what it is to leave out and then asked for one after another.
///
/// Ranges narrow each other: a key must satisfy all that was asked for. A range that no key can be in is empty, and no
/// error. What the turn writes while it walks is seen as far as it lies ahead.
///
/// ```
/// # use durable::prelude::*;
/// # #[derive(Default, DurableState)]
/// # struct Shelf {}
/// # #[durable_object(name = "doc.Shelf")]
/// # impl Shelf {
/// pub async fn between(&self, cx: &Context<'_, Self>) -> Result<Vec<String>, Error> {
///     let mut list = cx.kv().list().start("b").end("m").reverse().limit(10);
///     let mut titles = Vec::new();
///     while let Some((_key, title)) = list.next::<String>().await? {
///         titles.push(title);
///     }
///     Ok(titles)
/// }
/// # }
/// ```
#[must_use = "a list reads nothing until its `next` is awaited"]
pub struct KvList<'c> {
    kv: Kv<'c>,
    order: Order,
    /// Rows that may still be given.
    left: usize,
    /// What has been given is not in it any more: where the turn's own writes are looked for.
    ahead: KeyRange,
    /// What has not been read. `None`: everything was.
    unread: Option<KeyRange>,
    /// Read, and not given.
    rows: VecDeque<(KvKey, Framed)>,
    start: Start,
    /// What cannot be asked for. `None`: all can.
    invalid: Option<&'static str>,
}

/// Which of the two ways to say where the list begins was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Open,
    At,
    After,
}

impl<'c> KvList<'c> {
    pub(super) fn new(kv: Kv<'c>) -> Self {
        KvList {
            kv,
            order: Order::Rising,
            left: usize::MAX,
            ahead: KeyRange::default(),
            unread: Some(KeyRange::default()),
            rows: VecDeque::new(),
            start: Start::Open,
            invalid: None,
        }
    }

    /// Only keys that begin with `prefix`.
    pub fn prefix(self, prefix: impl AsRef<[u8]>) -> Self {
        self.narrow(|range| range.within_prefix(prefix.as_ref()))
    }

    /// Only `key` and what comes after it; also in a reversed list, which then ends here.
    pub fn start(self, key: impl AsRef<[u8]>) -> Self {
        self.begin(Start::At).narrow(|range| range.from(key.as_ref()))
    }

    /// Only what comes after `key`; also in a reversed list, which then ends here. Not together with
    /// [`start`](Self::start).
    pub fn start_after(self, key: impl AsRef<[u8]>) -> Self {
        self.begin(Start::After).narrow(|range| range.after(key.as_ref()))
    }

    /// Only what comes before `key`.
    pub fn end(self, key: impl AsRef<[u8]>) -> Self {
        self.narrow(|range| range.until(key.as_ref()))
    }

    /// From the last key to the first.
    pub fn reverse(mut self) -> Self {
        self.order = Order::Falling;
        self
    }

    /// At most `count` rows, and at least 1; of a reversed list the last ones.
    pub fn limit(mut self, count: usize) -> Self {
        self.left = count;
        if count == 0 {
            self.invalid = Some("a list has a limit of 0 rows, the least is 1; leave the list out");
        }
        self
    }

    /// The next key and its value. `None`: that was all.
    ///
    /// # Errors
    /// `kv.list_invalid` for a limit of 0, and for `start` together with `start_after`; `kv.undecodable` if the value is not
    /// a `T`, and the list then goes on behind it; `kv.torn`, `kv.newer`; `storage.*` if it cannot be read.
    ///
    /// # Cancel safety
    /// Dropped before it ended, it has taken nothing off the list.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<(KvKey, T)>, Error> {
        let Some((key, value)) = self.next_row().await? else { return Ok(None) };
        let value = self.kv.decode(&key, &value)?;
        Ok(Some((key, value)))
    }

    /// The next key and its bytes; those of its encoding, if it was put as a value. `None`: that was all.
    ///
    /// # Errors
    /// As [`next`](Self::next), but for `kv.undecodable`.
    ///
    /// # Cancel safety
    /// Dropped before it ended, it has taken nothing off the list.
    pub async fn next_bytes(&mut self) -> Result<Option<(KvKey, Vec<u8>)>, Error> {
        let Some((key, value)) = self.next_row().await? else { return Ok(None) };
        let bytes = self.kv.bytes(&key, &value)?;
        Ok(Some((key, bytes)))
    }

    fn begin(mut self, start: Start) -> Self {
        if self.start != Start::Open && self.start != start {
            self.invalid = Some(
                "a list has both a `start` and a `start_after`, it takes one; remove the other",
            );
        }
        self.start = start;
        self
    }

    fn narrow(mut self, narrow: impl Fn(&mut KeyRange)) -> Self {
        narrow(&mut self.ahead);
        self.unread.iter_mut().for_each(narrow);
        self
    }

    async fn next_row(&mut self) -> Result<Option<(KvKey, Framed)>, Error> {
        if let Some(text) = self.invalid {
            return Err(self.kv.told(Code::KvListInvalid.error(text)));
        }
        if self.left == 0 {
            return Ok(None);
        }
        loop {
            self.read().await?;
            let changed = self.kv.desk.next_change(&self.ahead, self.order);
            let stored = self.rows.front().map(|(key, _)| key);
            let pick = merge::pick(stored, changed.as_ref().map(|(key, _)| key), self.order);
            if matches!(pick, Pick::Neither) {
                return Ok(None);
            }
            let read = if matches!(pick, Pick::Changed) { None } else { self.rows.pop_front() };
            let changed = changed.filter(|_| !matches!(pick, Pick::Stored));
            let next = changed.or(read.map(|(key, value)| (key, Some(value))));
            let (key, value) = next.expect("one of the two comes next");
            self.ahead.past(&key, self.order);
            if let Some(value) = value {
                self.left -= 1;
                return Ok(Some((key, value)));
            }
        }
    }

    /// Reads on until there is a row, or nothing more to read.
    async fn read(&mut self) -> Result<(), Error> {
        while self.rows.is_empty()
            && let Some(range) = &self.unread
        {
            if range.is_empty() {
                self.unread = None;
                break;
            }
            let rows_max = self.left.min(KV_PAGE_ROWS_MAX);
            let page = self.kv.desk.page(range, self.order, rows_max).await;
            let page = page.map_err(|error| self.kv.told(error))?;
            self.rows = page.rows;
            self.unread = page.resume.and_then(|key| {
                let mut rest = self.unread.take()?;
                rest.past(&key, self.order);
                Some(rest)
            });
        }
        Ok(())
    }
}

impl fmt::Debug for KvList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvList").field("kv", &self.kv).finish_non_exhaustive()
    }
}
