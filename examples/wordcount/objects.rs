//! The two classes: a word, and how far the file is counted.

use std::fmt;

use durable::prelude::*;

use crate::parts::Place;

/// A place in the file, as it is stored.
#[derive(Clone, Copy, Debug, DurableState)]
pub(crate) struct Span {
    /// Its first byte.
    pub(crate) from: u64,
    /// The byte behind its last one.
    pub(crate) to: u64,
}

impl From<Place> for Span {
    fn from(place: Place) -> Self {
        Span { from: place.from, to: place.to }
    }
}

/// One distinct word, named by its letters.
#[derive(Default, DurableState)]
pub(crate) struct Word {
    times: u64,
    /// Up to where in the file this word is counted. It changes in the same turn as `times`, so it
    /// never tells a lie.
    counted_to: u64,
    /// Where a word stands that is too long to be a name; `None`: the name is the word.
    long: Option<Span>,
}

#[durable_object(name = "wordcount.Word")]
impl Word {
    /// Counts the word `times` times for `part` of the file. Does nothing if that part is counted
    /// already: a run that was killed in the middle of a part is followed by one that does the
    /// whole part again.
    pub fn count(&mut self, part: Span, times: u64, long: Option<Span>) {
        if self.counted_to < part.to {
            assert!(self.counted_to <= part.from, "every run cuts the file at the same places");
            self.times += times;
            self.counted_to = part.to;
            self.long = self.long.or(long);
        }
    }

    /// How often the word was counted; and where it stands, if it is too long to be a name.
    pub fn tally(&self) -> (u64, Option<Span>) {
        (self.times, self.long)
    }
}

/// The file that a data directory counts.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Source {
    /// Its length.
    pub(crate) bytes: u64,
    /// The BLAKE3 hash of its content, as hex digits. The content says which file it is; its path
    /// may change.
    pub(crate) hash: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.hash.get(..16).unwrap_or(&self.hash);
        write!(f, "{} bytes, hash {start}…", self.bytes)
    }
}

/// Where a run begins.
#[derive(Clone, Copy, Debug, DurableState)]
pub(crate) struct Begun {
    /// Up to where the file is counted.
    pub(crate) counted_to: u64,
    /// The length of a part, in bytes; the part's last word may make it longer.
    pub(crate) part_bytes: u64,
}

/// How far the file is counted: every word of every byte before is durable.
#[derive(Default, DurableState)]
pub(crate) struct Progress {
    /// `None`: nothing was counted in this directory.
    source: Option<Source>,
    counted_to: u64,
    /// Where parts are cut. Stored, because a part that is counted again must be the same part.
    part_bytes: u64,
}

#[durable_object(name = "wordcount.Progress")]
impl Progress {
    /// Begins to count `source`, or goes on. `part_bytes` is for a directory in which nothing was
    /// counted.
    ///
    /// # Errors
    /// The file that this directory counts, if it is another one.
    pub fn begin(&mut self, source: Source, part_bytes: u64) -> Result<Begun, Source> {
        match &self.source {
            None => (self.source, self.part_bytes) = (Some(source), part_bytes),
            Some(ours) if *ours == source => {}
            Some(other) => return Err(other.clone()),
        }
        Ok(Begun { counted_to: self.counted_to, part_bytes: self.part_bytes })
    }

    /// The file is counted up to `to`.
    pub fn reach(&mut self, to: u64) {
        assert!(to > self.counted_to, "parts are counted in order");
        self.counted_to = to;
    }
}
