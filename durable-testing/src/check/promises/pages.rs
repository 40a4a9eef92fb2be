//! The pages of an object's database, by what its commits were seen to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::host::{KvChange, SqlChange};

use super::rows::digest;
use super::{Stored, Verdict, broken};
use crate::chance::{hash, mix};

/// What a turn or a commit does to what an object keeps beside its struct.
#[derive(Clone, Copy)]
pub(crate) struct Done<'a> {
    /// Under keys.
    pub(crate) kv: &'a [KvChange],
    /// In its database. `None`: nothing.
    pub(crate) sql: Option<&'a SqlChange>,
}

impl Done<'_> {
    pub(super) fn is_nothing(&self) -> bool {
        self.kv.is_empty() && self.sql.is_none()
    }

    /// Tells one from another; 0 if nothing is done.
    pub(crate) fn digest(&self) -> u64 {
        let page = |(number, page): &(u32, Arc<[u8]>)| mix(hash(page) ^ u64::from(*number));
        let sql = self.sql.map_or(0, |sql| {
            let pages = sql.pages.iter().map(page);
            pages.fold(mix(u64::from(sql.page_count) + 1), |digest, page| mix(digest ^ page))
        });
        digest(self.kv) ^ sql
    }
}

/// The pages of one object.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// By commit. Those that did nothing here are missing.
    changes: BTreeMap<u64, SqlChange>,
}

impl Pages {
    /// A commit was handed over.
    pub(super) fn submitted(&mut self, commit: u64, change: Option<&SqlChange>) {
        if let Some(change) = change {
            self.changes.insert(commit, change.clone());
        }
    }

    /// This is the last commit that there is.
    pub(super) fn loaded(&mut self, commit: u64) {
        self.changes.retain(|no, _| *no <= commit);
    }

    /// Whether two commits have left the same.
    pub(super) fn are_alike(&self, one: u64, other: u64) -> bool {
        self.after(one) == self.after(other)
    }

    fn after(&self, commit: u64) -> BTreeMap<u32, &[u8]> {
        let mut pages: BTreeMap<u32, &[u8]> = BTreeMap::new();
        for change in self.changes.range(..=commit).map(|(_, change)| change) {
            pages.extend(change.pages.iter().map(|(number, page)| (*number, &**page)));
            pages.retain(|number, _| *number <= change.page_count);
        }
        pages
    }

    /// Compares what is stored with what the commits up to the stored one did.
    pub(super) fn compare(&self, label: &str, stored: &Stored) -> Verdict {
        let commit = stored.commit;
        let wanted = self.after(commit);
        let found = match &stored.pages {
            Ok(found) => found,
            Err(why) => {
                let text = format!("the database of {label} at commit {commit}: {why}");
                return broken("P1", text);
            }
        };
        let is_lost =
            |(number, page): &(&u32, &&[u8])| found.get(number).is_none_or(|found| found != *page);
        if let Some((number, _)) = wanted.iter().find(is_lost) {
            let text =
                format!("{label} is stored at commit {commit} without what page {number} was then");
            return broken("P1", text);
        }
        match found.keys().find(|number| !wanted.contains_key(number)) {
            Some(number) => {
                let text = format!(
                    "{label} is stored at commit {commit} with page {number}, which no commit left"
                );
                broken("P2", text)
            }
            None => Ok(()),
        }
    }
}
