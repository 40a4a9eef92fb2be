//! Words of the past: how much of it is kept, a moment of it, what one commit did, and how two moments differ.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Code, Error};
use crate::id::ObjectId;
use crate::kv::KvKey;
use crate::limits::{HISTORY_BYTES_PER_OBJECT, HISTORY_KEEP};
use crate::time::WallMs;

/// How much of the past is kept of objects whose class says `#[durable_object(history)]`.
///
/// What is older than [`keep`](History::keep), or more than [`bytes_per_object`](History::bytes_per_object), is taken away,
/// the oldest first: by the object's next commits, or, for one that does not commit, by the next sweep, at most an hour after
/// it fell due.
///
/// ```
/// use std::time::Duration;
/// use durable::{History, Runtime};
///
/// # let data = "data";
/// let week = History::default().keep(Duration::from_secs(7 * 86_400)).bytes_per_object(1 << 20);
/// let builder = Runtime::builder(data).history(week);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    pub(crate) keep: Duration,
    pub(crate) bytes_per_object: u64,
}

impl Default for History {
    fn default() -> Self {
        History { keep: HISTORY_KEEP, bytes_per_object: HISTORY_BYTES_PER_OBJECT }
    }
}

impl History {
    /// For how long. Default: 30 days.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// How many bytes of one object. Default: 16 MiB; most: 512 MiB.
    #[must_use]
    pub fn bytes_per_object(mut self, bytes: u64) -> Self {
        self.bytes_per_object = bytes;
        self
    }

    /// In milliseconds, as wall clocks count.
    pub(crate) fn keep_ms(&self) -> u64 {
        u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A moment in the life of one object: what one of its commits left.
///
/// [`Runtime::bookmark`](crate::Runtime::bookmark) and its like give it. Bookmarks of one object are ordered as its commits
/// are, and so are their texts, all of which have one length.
///
/// ```
/// # use durable::Bookmark;
/// let text = "0000010000000002-000000000000002a-0badcafe";
/// let bookmark: Bookmark = text.parse()?;
/// assert_eq!((bookmark.epoch(), bookmark.commit()), (0x100_0000_0002, 42));
/// assert_eq!(bookmark.to_string(), text);
/// assert_eq!("yesterday".parse::<Bookmark>().unwrap_err().code(), "bookmark.malformed");
/// # Ok::<(), durable::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bookmark {
    epoch: u64,
    commit: u64,
    /// Four bytes of the object's id.
    mark: u32,
}

impl Bookmark {
    /// Characters of its text.
    const TEXT: usize = 16 + 1 + 16 + 1 + 8;

    pub(crate) fn new(id: &ObjectId, (epoch, commit): (u64, u64)) -> Self {
        Bookmark { epoch, commit, mark: Self::mark_of(id) }
    }

    /// The epoch of the activation that committed it; 0 before an object's first commit.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of the commit, from 1; 0 before the first, when the object does not exist.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// Whether it can be one of this object.
    pub(crate) fn is_of(&self, id: &ObjectId) -> bool {
        self.mark == Self::mark_of(id)
    }

    fn mark_of(id: &ObjectId) -> u32 {
        // The last bytes prove class and object.
        let [.., a, b, c, d] = *id.as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}-{:08x}", self.epoch, self.commit, self.mark)
    }
}

impl fmt::Debug for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bookmark({self})")
    }
}

impl FromStr for Bookmark {
    type Err = Error;

    /// # Errors
    /// `bookmark.malformed` if the text is not one that a bookmark shows.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            let is_own = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            let is_number = digits.bytes().all(is_own);
            is_number.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        };
        let is_split = text.len() == Self::TEXT && text.is_char_boundary(16);
        let is_split = is_split && text.get(16..17) == Some("-") && text.get(33..34) == Some("-");
        let read = || {
            let mark = u32::try_from(number(34, 42)?).ok()?;
            Some(Bookmark { epoch: number(0, 16)?, commit: number(17, 33)?, mark })
        };
        is_split.then(read).flatten().ok_or_else(|| {
            Code::BookmarkMalformed.error(format!(
                "a bookmark has {} characters, hex digits in groups of 16, 16 and 8, got {} characters `{text:.80}`; \
                 pass what `Bookmark::to_string` gave",
                Self::TEXT,
                text.chars().count(),
            ))
        })
    }
}

/// As its text.
impl Serialize for Bookmark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bookmark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Why an object committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A method of this name.
    Method(Cow<'static, str>),
    /// It came into memory: `#[on_activate]`, or migrations of its tables.
    #[default]
    Activation,
    /// Its alarm: the handler, or a failure of it that is counted; or a dead letter of it was retried or dropped.
    Alarm,
    /// It was brought back to a former moment.
    Restore,
    /// It was made as a copy of another object.
    Fork,
}

impl fmt::Display for Cause {
    /// The method's name, or what happened in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Method(name) => name,
            Cause::Activation => "(activation)",
            Cause::Alarm => "(alarm)",
            Cause::Restore => "(restore)",
            Cause::Fork => "(fork)",
        })
    }
}

/// One entry of an object's history: a commit, or several that were stored together.
///
/// Commits of one object that wait for the disk at the same time are stored as the last of them, so only the moment before
/// the first and the moment after the last can be gone back to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The moment after it.
    pub bookmark: Bookmark,
    /// The moment before it.
    pub before: Bookmark,
    /// Number of its first commit; its last is [`bookmark.commit()`](Bookmark::commit).
    pub first_commit: u64,
    /// When it was stored.
    pub at: WallMs,
    /// What committed, of several the last.
    pub cause: Cause,
    /// Bytes that keeping it takes: of what it replaced, not of what it stored.
    pub bytes: u64,
    /// Whether it changed the struct.
    pub has_struct: bool,
    /// Keys that it changed.
    pub keys: u64,
    /// Pages of the object's database that it changed.
    pub pages: u64,
}

/// How an object differs between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// Fields whose values differ, in the order of the struct.
    pub fields: Vec<FieldDiff>,
    /// Keys whose values differ, in their order.
    pub keys: Vec<KeyDiff>,
    /// Tables that differ, in the order of their names.
    pub tables: Vec<TableDiff>,
}

impl Diff {
    /// Whether the two moments are alike.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.keys.is_empty() && self.tables.is_empty()
    }
}

/// A field of the struct that differs. Values are shown as the schema says that they were written with, in the manner of
/// JSON; `None`: there is no such field, or no object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldDiff {
    /// Where it is: `lines[3].count`, or empty for a struct that is one value.
    pub path: String,
    /// Its value at the first moment.
    pub before: Option<String>,
    /// Its value at the second.
    pub after: Option<String>,
}

/// A key whose value differs. Sizes are bytes of the value as it is stored; `None`: there is no such key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDiff {
    /// Which key.
    pub key: KvKey,
    /// Bytes of its value at the first moment.
    pub before: Option<u64>,
    /// Bytes of its value at the second.
    pub after: Option<u64>,
}

/// A table of the object's database that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableDiff {
    /// Its name.
    pub table: String,
    /// Whether it was made, dropped, or changed its columns.
    pub has_schema: bool,
    /// Rows that only the first moment has.
    pub rows_removed: u64,
    /// Rows that only the second has. A row that was changed is one that is removed and one that is added.
    pub rows_added: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bookmark_and_its_text_are_one_and_sort_alike(
            (one, other) in any::<((u64, u64, u32), (u64, u64, u32))>(),
        ) {
            let [one, other] = [one, other].map(|(epoch, commit, mark)| Bookmark { epoch, commit, mark });
            prop_assert_eq!(one.to_string().parse::<Bookmark>().expect("its own text"), one);
            prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
        }

        #[test]
        fn no_text_makes_the_parser_fail(text in "\\PC{0,50}") {
            if let Ok(bookmark) = text.parse::<Bookmark>() {
                prop_assert_eq!(bookmark.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_bookmark_is_refused() {
        for text in [
            "",
            "0000010000000002-000000000000002a",
            "0000010000000002-000000000000002A-0badcafe",
            "+000010000000002-000000000000002a-0badcafe",
            "0000010000000002_000000000000002a_0badcafe",
            "000001000000000é-000000000000002a-0badcafe",
        ] {
            assert_eq!(text.parse::<Bookmark>().expect_err(text).code(), "bookmark.malformed");
        }
    }
}
