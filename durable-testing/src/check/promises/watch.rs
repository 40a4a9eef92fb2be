//! What is known of one object.

use std::collections::{BTreeMap, BTreeSet};

use durable::limits::START_TRIES_MAX;
use durable::{Access, Code, Error};

use super::alarms::Alarms;
use super::pages::Pages;
use super::rows::Rows;
use super::schedules::Schedules;
use super::{Verdict, broken};
use crate::chance::hash;

/// One object, as far as the runtime's reports tell.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// As errors call it; empty until it was first in memory.
    pub(super) label: String,
    /// It could not start, so that its callers get errors.
    pub(super) is_unstartable: bool,
    /// How often it could not start and was to be tried again, since a turn of it ran or it was given up.
    failed_starts: u32,
    /// It has a parent or children.
    pub(super) has_kin: bool,
    /// Erasures of objects above it that were handed over and are not settled: epochs and commits.
    erased_above: BTreeSet<(u64, u64)>,
    /// Some were under way when the node crashed, and nobody has looked since.
    may_be_erased_above: bool,
    /// The activation that is there. `None`: none is.
    incarnation: Option<u64>,
    epoch: u64,
    /// What its next turn must begin with. `None`: not known yet.
    state: Option<Vec<u8>>,
    /// The newest commit that was handed over in this epoch.
    commit: u64,
    /// The newest commit that is durable.
    durable: u64,
    /// The newest commit that is known to be on the disk. `None`: not known since the last crash.
    stored: Option<u64>,
    /// Of each epoch: up to which commit all of its commits are durable.
    durable_in: BTreeMap<u64, u64>,
    /// Commits from the newest durable one on, by number.
    commits: BTreeMap<u64, Vec<Commit>>,
    /// Hashes of the states of all its commits, by number.
    states: BTreeMap<u64, u64>,
    /// What it keeps under keys.
    pub(super) rows: Rows,
    /// What it keeps in its database.
    pub(super) pages: Pages,
    /// Its alarm.
    pub(super) alarms: Alarms,
    /// Its schedules.
    pub(super) schedules: Schedules,
    /// The call whose turn has the object to itself.
    writing: Option<u64>,
    reading: BTreeSet<u64>,
}

#[derive(Debug)]
struct Commit {
    epoch: u64,
    /// Hash of the state.
    state: u64,
    /// Nothing of the object is left by it.
    erases: bool,
    /// It failed, so that nothing of it may ever be seen.
    has_failed: bool,
}

impl Watch {
    pub(super) fn is_resident(&self) -> bool {
        self.incarnation.is_some()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn commit(&self) -> u64 {
        self.commit
    }

    /// The newest commit that is known to be on the disk, told to anybody or not. `None`: the node has crashed, and nobody
    /// has looked since.
    pub(super) fn stored(&self) -> Option<u64> {
        self.stored
    }

    /// The disk has this commit; 0: nothing of the object.
    pub(super) fn found(&mut self, commit: u64) {
        self.stored = Some(commit);
    }

    /// The shard has stored a batch, or has tried to. What it took of what was handed over is not known; it may be all.
    pub(super) fn batch_stored(&mut self) {
        self.stored = Some(self.commit);
    }

    /// Whether this is the state that is in memory.
    pub(super) fn is_state(&self, state: &[u8]) -> bool {
        self.state.as_deref() == Some(state)
    }

    /// Whether all commits of an epoch up to this one are durable.
    pub(super) fn is_durable(&self, epoch: u64, commit: u64) -> bool {
        self.durable_in.get(&epoch).is_some_and(|durable| commit <= *durable)
    }

    pub(super) fn crashed(&mut self) {
        (self.incarnation, self.state, self.writing) = (None, None, None);
        self.stored = None;
        self.may_be_erased_above |= !std::mem::take(&mut self.erased_above).is_empty();
        self.reading.clear();
        self.is_unstartable = false;
        self.failed_starts = 0;
    }

    /// It could not start, is said to have been tried so often, and is tried again.
    pub(super) fn failed_to_start(&mut self, tries: u32) -> Verdict {
        // It is counted from 1 if nobody has waited for it in between.
        let is_counted = tries == self.failed_starts + 1 || tries == 1;
        self.failed_starts = tries;
        if is_counted && tries < START_TRIES_MAX {
            return Ok(());
        }
        let text = format!("{} is to be tried again after {tries} tries", self.label);
        broken("P8", format!("{text}, the limit is {START_TRIES_MAX}"))
    }

    /// It does not start, after so many tries; 0: what is above it does not. `has_stopped`: its shard may have.
    pub(super) fn did_not_start(
        &mut self,
        error: &Error,
        tries: u32,
        has_stopped: bool,
    ) -> Verdict {
        self.is_unstartable = true;
        self.failed_starts = 0;
        let may_pass = error.is(Code::StorageFailed) || error.is(Code::SqlRolledBack);
        if !may_pass || has_stopped || tries == 0 || tries == START_TRIES_MAX {
            return Ok(());
        }
        let text = format!("{} was given up after {tries} tries: {error}", self.label);
        broken("P8", format!("{text}; it is to be tried {START_TRIES_MAX} times"))
    }

    pub(super) fn activating(&mut self, label: String, incarnation: u64) -> Verdict {
        self.label = label;
        match self.incarnation.replace(incarnation) {
            None => Ok(()),
            Some(other) => broken(
                "P3",
                format!(
                    "{} has activation {incarnation} while activation {other} is still there",
                    self.label
                ),
            ),
        }
    }

    pub(super) fn gone(&mut self, incarnation: u64) -> Verdict {
        if self.incarnation.take() != Some(incarnation) {
            let text = format!("{}: activation {incarnation} goes, and was not there", self.label);
            return broken("P3", text);
        }
        (self.state, self.writing) = (None, None);
        self.reading.clear();
        Ok(())
    }

    pub(super) fn loaded(&mut self, epoch: u64, commit: u64, state: &[u8]) -> Verdict {
        if epoch <= self.epoch {
            let text = format!("{} loads in epoch {epoch} after epoch {}", self.label, self.epoch);
            return broken("P3", text);
        }
        self.epoch = epoch;
        if commit == 0 && self.may_be_erased() {
            self.forget();
            self.erased_above.clear();
        } else if commit > 0 || self.durable > 0 {
            self.holds(commit, state, "in memory")?;
        }
        self.may_be_erased_above = false;
        // What was handed over after that is lost, and was never called durable.
        for (_, later) in self.commits.range_mut(commit + 1..) {
            later.iter_mut().for_each(|commit| commit.has_failed = true);
        }
        self.states.retain(|no, _| *no <= commit);
        self.rows.loaded(commit);
        self.pages.loaded(commit);
        self.alarms.loaded(commit);
        self.schedules.loaded(commit);
        self.commit = commit;
        self.stored = Some(commit);
        self.durable = self.durable.max(commit);
        self.durable_in.insert(epoch, commit);
        self.state = Some(state.to_vec());
        Ok(())
    }

    /// What was loaded is this to the code that runs now.
    pub(super) fn evolved(&mut self, state: &[u8]) {
        self.state = Some(state.to_vec());
    }

    /// `state`: what it stores. `None`: it leaves nothing of the object.
    pub(super) fn submitted(&mut self, epoch: u64, commit: u64, state: Option<&[u8]>) -> Verdict {
        if commit != self.commit + 1 || epoch != self.epoch {
            let text = format!(
                "{} hands over commit {commit} of epoch {epoch} after commit {} of epoch {}",
                self.label, self.commit, self.epoch
            );
            return broken("P2", text);
        }
        self.commit = commit;
        self.state = state.map(<[u8]>::to_vec);
        let (erases, state) = (state.is_none(), state.unwrap_or_default());
        self.states.insert(commit, hash(state));
        let handed_over = Commit { epoch, state: hash(state), erases, has_failed: false };
        self.commits.entry(commit).or_default().push(handed_over);
        Ok(())
    }

    /// Whether commit `now`, the newest, leaves exactly what commit `then` has left; 0: nothing.
    pub(super) fn is_back_at(&self, then: u64, now: u64) -> Verdict {
        let state = |no| self.states.get(&no).copied().unwrap_or_else(|| hash(&[]));
        let wrong = if state(then) != state(now) {
            "its struct"
        } else if !self.rows.are_alike(then, now) {
            "what it keeps under keys"
        } else if !self.pages.are_alike(then, now) {
            "its database"
        } else {
            return Ok(());
        };
        let label = &self.label;
        broken("past", format!("{label} is brought back to commit {then}, and {wrong} is not"))
    }

    pub(super) fn settled(&mut self, epoch: u64, commit: u64, is_durable: bool) {
        let is_erasure = self.commits.get(&commit).is_some_and(|commits| {
            commits.iter().any(|commit| commit.epoch == epoch && commit.erases)
        });
        if is_durable && is_erasure {
            self.forget();
            self.durable_in.insert(epoch, commit);
        } else if is_durable {
            self.durable = self.durable.max(commit);
            self.stored = self.stored.max(Some(commit));
            let durable_in = self.durable_in.entry(epoch).or_default();
            // A commit behind one that failed cannot make that one durable.
            if *durable_in + 1 == commit {
                *durable_in = commit;
            }
            self.commits = self.commits.split_off(&self.durable);
        } else if let Some(commits) = self.commits.get_mut(&commit) {
            self.stored = self.stored.map(|stored| stored.min(commit - 1));
            let failed = commits.iter_mut().filter(|commit| commit.epoch == epoch);
            failed.for_each(|commit| commit.has_failed = true);
        }
    }

    /// An object above it is being erased, and this one with it.
    pub(super) fn above_erases(&mut self, commit: (u64, u64)) {
        self.erased_above.insert(commit);
    }

    /// That is settled.
    pub(super) fn above_erased(&mut self, commit: (u64, u64), is_durable: bool) {
        if self.erased_above.remove(&commit) && is_durable {
            self.forget();
        }
    }

    /// Whether nothing of it was ever called durable, or all of it was erased since.
    pub(super) fn is_new(&self) -> bool {
        self.durable == 0
    }

    /// Whether an erasure was handed over that has not failed.
    pub(super) fn may_be_erased(&self) -> bool {
        self.may_be_erased_above
            || !self.erased_above.is_empty()
            || self.commits.values().flatten().any(|commit| commit.erases && !commit.has_failed)
    }

    /// Nothing of it is stored.
    fn forget(&mut self) {
        self.durable = 0;
        self.commits.clear();
        self.states.clear();
        (self.rows, self.pages) = (Rows::default(), Pages::default());
        (self.alarms, self.schedules) = (Alarms::default(), Schedules::default());
    }

    /// Whether this commit with this state may be what is stored.
    pub(super) fn holds(&self, commit: u64, state: &[u8], place: &str) -> Verdict {
        let label = &self.label;
        if commit < self.durable {
            let text = format!(
                "commit {} of {label} was durable, {place} is commit {commit}",
                self.durable
            );
            return broken("P1", text);
        }
        let Some(known) = self.commits.get(&commit) else {
            let text = format!("commit {commit} of {label} is {place}, and was never handed over");
            return broken("P10", text);
        };
        let digest = hash(state);
        let Some(found) = known.iter().rev().find(|commit| commit.state == digest) else {
            let text =
                format!("commit {commit} of {label} has other bytes {place} than were handed over");
            return broken("P10", text);
        };
        if found.has_failed {
            return broken("P2", format!("commit {commit} of {label} failed, and is {place}"));
        }
        Ok(())
    }

    /// Whether nothing may be stored.
    pub(super) fn holds_nothing(&self) -> Verdict {
        if self.durable == 0 || self.may_be_erased() {
            return Ok(());
        }
        broken("P1", format!("{} was stored at commit {} and is gone", self.label, self.durable))
    }

    pub(super) fn turn_began(
        &mut self,
        epoch: u64,
        call: u64,
        access: Access,
        state: &[u8],
    ) -> Verdict {
        self.failed_starts = 0;
        let label = &self.label;
        if self.incarnation.is_none() || epoch != self.epoch {
            let text = format!("call #{call} begins at {label} in an activation that is not there");
            return broken("P3", text);
        }
        if let Some(other) = self.writing {
            return broken(
                "P3",
                format!("call #{call} begins at {label} while call #{other} writes"),
            );
        }
        if access == Access::Write
            && let Some(other) = self.reading.first()
        {
            return broken(
                "P3",
                format!("write #{call} begins at {label} while call #{other} reads"),
            );
        }
        if self.state.is_some() && !self.is_state(state) {
            let text = format!(
                "call #{call} begins at {label} on a state that no kept turn has left and that was not loaded"
            );
            return broken("P2", text);
        }
        match access {
            Access::Read => drop(self.reading.insert(call)),
            Access::Write => self.writing = Some(call),
        }
        Ok(())
    }

    /// Gives whether it was a read.
    pub(super) fn turn_ended(&mut self, call: u64) -> bool {
        let was_read = self.reading.remove(&call);
        if !was_read {
            self.writing = None;
        }
        was_read
    }
}
