//! One file: what reads see, and which of it a power cut may take back.
//!
//! The durable bytes are not kept a second time. Every change since the last sync remembers the
//! bytes that it replaced, so undoing the changes from the last to the first gives the durable
//! bytes, and doing some of them again gives what a power cut may leave. A sync then costs nothing
//! but to forget, and appending to a log copies its bytes once.

use std::path::Path;
use std::sync::Arc;

use super::dice::{Dice, Order, Survival};

/// What a device writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// One file.
pub(super) struct File {
    /// The name that it was last given; for faults and for syncing its directory.
    pub(super) path: Arc<Path>,
    /// Handles of this life that are open on it.
    pub(super) open: u32,
    /// What reads see.
    image: Vec<u8>,
    /// What was changed since the last sync, in order. Empty: the image is durable.
    changes: Vec<Change>,
    /// What the changes replaced, one after another.
    replaced: Vec<u8>,
    /// Whether a sync failed while there were changes, so that `changes` has lost ones.
    has_lost: bool,
}

/// A change that a power cut may undo.
struct Change {
    what: What,
    fate: Fate,
    /// Length of the file before it.
    len_before: usize,
    /// Where its bytes begin in `replaced`.
    replaced: usize,
}

#[derive(Clone, Copy)]
enum What {
    Write { at: usize, len: usize },
    Resize { to: usize },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next sync makes it durable.
    Pending,
    /// A sync of it failed: no later sync covers it, as the kernel takes its pages for clean.
    Lost,
    /// Synced, but kept because an earlier change is lost.
    Durable,
}

impl Change {
    /// How many bytes it replaced.
    fn replaced_len(&self) -> usize {
        match self.what {
            What::Write { at, len } => (at + len).min(self.len_before).saturating_sub(at),
            What::Resize { to } => self.len_before.saturating_sub(to),
        }
    }
}

impl File {
    pub(super) fn new(path: Arc<Path>) -> Self {
        File {
            path,
            open: 0,
            image: Vec::new(),
            changes: Vec::new(),
            replaced: Vec::new(),
            has_lost: false,
        }
    }

    /// Gives a new file the bytes that it has had all along.
    pub(super) fn begin_with(&mut self, image: Vec<u8>) {
        self.image = image;
    }

    /// What reads see.
    pub(super) fn image(&self) -> &[u8] {
        &self.image
    }

    /// Replaces `bytes.len()` bytes at `at`; a gap behind the end is filled with zeros.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let what = What::Write { at, len: bytes.len() };
        let old = self.image.len().min(at)..self.image.len().min(at + bytes.len());
        self.remember(what, old);
        put(&mut self.image, at, bytes);
    }

    /// Cuts the file off, or extends it with zeros.
    pub(super) fn resize(&mut self, to: usize) {
        let len = self.image.len();
        if to == 0 && len > 0 && self.replaced.is_empty() {
            // All of it is what was replaced: a log that begins anew is long, and copying it costs.
            let what = What::Resize { to };
            self.changes.push(Change { what, fate: Fate::Pending, len_before: len, replaced: 0 });
            std::mem::swap(&mut self.image, &mut self.replaced);
        } else if to != len {
            self.remember(What::Resize { to }, to.min(len)..len);
            self.image.resize(to, 0);
        }
    }

    fn remember(&mut self, what: What, old: std::ops::Range<usize>) {
        let (len_before, replaced) = (self.image.len(), self.replaced.len());
        self.replaced.extend_from_slice(&self.image[old]);
        self.changes.push(Change { what, fate: Fate::Pending, len_before, replaced });
    }

    /// A sync succeeded.
    pub(super) fn settle(&mut self) {
        if self.has_lost {
            let pending = self.changes.iter_mut().filter(|change| change.fate == Fate::Pending);
            pending.for_each(|change| change.fate = Fate::Durable);
        } else {
            self.changes.clear();
            self.replaced.clear();
        }
    }

    /// A sync failed: what it should have covered will never be synced.
    pub(super) fn lose(&mut self) {
        let pending = self.changes.iter_mut().filter(|change| change.fate == Fate::Pending);
        pending.for_each(|change| {
            change.fate = Fate::Lost;
            self.has_lost = true;
        });
    }

    /// What is left after the power was cut.
    pub(super) fn cut_power(&mut self, survival: Survival, dice: &mut Dice<'_>) {
        if self.changes.is_empty() {
            return;
        }
        let (written, starts) = self.undo_all();
        let changes = std::mem::take(&mut self.changes);
        let unsynced = changes.iter().filter(|change| change.fate != Fate::Durable).count();
        let order = Order::draw(survival, unsynced, dice);
        let mut index = 0;
        for (change, start) in changes.iter().zip(starts) {
            let survival = if change.fate == Fate::Durable {
                Survival::Whole
            } else {
                index += 1;
                order.survival(index - 1, dice)
            };
            self.redo(change, &written[start..], survival, dice);
        }
        self.replaced.clear();
        self.has_lost = false;
    }

    /// Takes the image back to what was durable before the first change. Gives what the changes had
    /// written, and where in it each of them begins.
    fn undo_all(&mut self) -> (Vec<u8>, Vec<usize>) {
        let (mut written, mut starts) = (Vec::new(), vec![0; self.changes.len()]);
        for (change, start) in self.changes.iter().zip(&mut starts).rev() {
            let old = &self.replaced[change.replaced..][..change.replaced_len()];
            *start = written.len();
            match change.what {
                What::Write { at, len } => {
                    written.extend_from_slice(&self.image[at..at + len]);
                    self.image.truncate(change.len_before);
                    if !old.is_empty() {
                        self.image[at..at + old.len()].copy_from_slice(old);
                    }
                }
                What::Resize { to } => {
                    self.image.truncate(to.min(change.len_before));
                    self.image.extend_from_slice(old);
                }
            }
            assert!(self.image.len() == change.len_before, "a change is undone to the byte");
        }
        (written, starts)
    }

    fn redo(&mut self, change: &Change, written: &[u8], survival: Survival, dice: &mut Dice<'_>) {
        match (survival, change.what) {
            (Survival::None, _) => {}
            // The length of a file is one number: it changes or it does not.
            (Survival::Torn, What::Resize { to }) if dice.coin() => self.image.resize(to, 0),
            (Survival::Torn, What::Resize { .. }) => {}
            (Survival::Whole, What::Resize { to }) => self.image.resize(to, 0),
            (Survival::Whole, What::Write { at, len }) => put(&mut self.image, at, &written[..len]),
            (Survival::Torn, What::Write { at, len }) => self.tear(at, &written[..len], dice),
        }
    }

    /// Writes only some of the sectors that the write touches. Bytes beside the write keep their
    /// values: that is what `SQLITE_IOCAP_POWERSAFE_OVERWRITE` promises.
    fn tear(&mut self, at: usize, bytes: &[u8], dice: &mut Dice<'_>) {
        let end = at + bytes.len();
        let mut from = at;
        while from < end {
            let to = end.min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
            if dice.coin() {
                put(&mut self.image, from, &bytes[from - at..to - at]);
            }
            from = to;
        }
        // A file system may have written the new length before the bytes.
        if self.image.len() < end && dice.coin() {
            self.image.resize(end, 0);
        }
    }
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if at == image.len() {
        image.extend_from_slice(bytes);
        return;
    }
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}
