//! What an object keeps under keys, by what its commits were seen to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable::KvKey;
use durable::host::KvChange;

use super::{Stored, Verdict, broken};
use crate::chance::{hash, mix};

/// The rows of one object.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By commit. Those that did nothing here are missing.
    changes: BTreeMap<u64, Vec<KvChange>>,
    /// What the commits that were handed over make of them.
    newest: BTreeMap<KvKey, Arc<[u8]>>,
}

impl Rows {
    /// A commit was handed over.
    pub(super) fn submitted(&mut self, commit: u64, changes: &[KvChange]) {
        if !changes.is_empty() {
            self.changes.insert(commit, changes.to_vec());
            apply(&mut self.newest, changes);
        }
    }

    /// This is the last commit that there is.
    pub(super) fn loaded(&mut self, commit: u64) {
        self.changes.retain(|no, _| *no <= commit);
        self.newest = self.after(commit);
    }

    /// Whether two commits have left the same.
    pub(super) fn are_alike(&self, one: u64, other: u64) -> bool {
        self.after(one) == self.after(other)
    }

    /// A turn finds this under a key, past its own writes. `value` `None`: nothing.
    pub(super) fn read(
        &self,
        label: &str,
        call: u64,
        key: &KvKey,
        value: Option<&[u8]>,
    ) -> Verdict {
        if self.newest.get(key).map(|value| &**value) == value {
            return Ok(());
        }
        broken(
            "P2",
            format!(
                "call #{call} of {label} finds something else under {key:?} than was left there"
            ),
        )
    }

    /// Compares what is stored with what the commits up to the stored one did.
    pub(super) fn compare(&self, label: &str, stored: &Stored) -> Verdict {
        let Stored { commit, rows, .. } = stored;
        let wanted = self.after(*commit);
        let is_lost = |(key, value): &(&KvKey, &Arc<[u8]>)| {
            rows.get(key.as_bytes()).is_none_or(|found| **found != ***value)
        };
        if let Some((key, _)) = wanted.iter().find(is_lost) {
            return broken(
                "P1",
                format!("{label} is stored at commit {commit} without what was put under {key:?}"),
            );
        }
        match rows.keys().find(|key| !wanted.contains_key(key.as_slice())) {
            Some(key) => broken(
                "P2",
                format!(
                    "{label} is stored at commit {commit} with a key {} that was not put or is taken away",
                    key.escape_ascii()
                ),
            ),
            None => Ok(()),
        }
    }

    fn after(&self, commit: u64) -> BTreeMap<KvKey, Arc<[u8]>> {
        let mut rows = BTreeMap::new();
        self.changes.range(..=commit).for_each(|(_, changes)| apply(&mut rows, changes));
        rows
    }
}

fn apply(rows: &mut BTreeMap<KvKey, Arc<[u8]>>, changes: &[KvChange]) {
    for KvChange { key, value } in changes {
        match value {
            Some(value) => rows.insert(key.clone(), Arc::clone(value)),
            None => rows.remove(key),
        };
    }
}

/// Tells changes apart; 0 if there are none.
pub(super) fn digest(changes: &[KvChange]) -> u64 {
    changes.iter().fold(0, |digest, KvChange { key, value }| {
        let value = value.as_ref().map_or(0, |value| mix(hash(value)));
        mix(digest ^ mix(hash(key)) ^ value.rotate_left(1))
    })
}
