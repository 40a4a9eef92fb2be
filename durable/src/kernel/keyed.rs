//! What becomes of a call with an idempotency key: whether it runs, and whether there is room for what it gives.

use std::collections::{BTreeSet, VecDeque};

use crate::keyed::{ArgsDigest, KeptResult, KeyDigest};
use crate::limits::{RESULTS_BYTES_MAX, RESULTS_CHUNK_BYTES, RESULTS_MAX, RESULTS_SWEPT_BY_COMMIT};
use crate::time::WallMs;

/// What a call is, to a result that is kept under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The one that gave it, made again: the result answers it.
    Repeat,
    /// A call of another method: it is refused.
    OtherMethod,
    /// One with other arguments: it is refused.
    OtherArgs,
}

/// Compares them. A result that is [over](is_over) is compared with nothing: its call is as one that was never made.
pub(crate) fn compare(kept: &KeptResult, (method, args): (&str, ArgsDigest)) -> Match {
    if kept.method != method {
        Match::OtherMethod
    } else if kept.args != args {
        Match::OtherArgs
    } else {
        Match::Repeat
    }
}

/// Whether a result is kept no longer: calls do not find it, and commits sweep it.
pub(crate) fn is_over(until: WallMs, now: WallMs) -> bool {
    until <= now
}

/// What is known of results that are stored together, without them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    /// From then on nobody gets any of them.
    pub(crate) until: WallMs,
    /// Of all of them, keys and frames included.
    pub(crate) bytes: u64,
    /// Of their keys, in the order in which they were kept.
    pub(crate) digests: Vec<KeyDigest>,
}

impl ChunkHead {
    /// One more is in it, and it has so many bytes now.
    pub(crate) fn add(&mut self, digest: KeyDigest, until: WallMs, bytes: u64) {
        self.digests.push(digest);
        (self.until, self.bytes) = (self.until.max(until), bytes);
    }
}

/// Where a result may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the open chunk.
    Open,
    /// In this sealed one.
    Sealed(u64),
}

/// What becomes of an object's chunks when one more result is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What becomes of the open chunk before the result is kept.
    pub(crate) open: Fate,
    /// The result fills a chunk of its own, which is sealed, too.
    pub(crate) is_alone: bool,
    /// Sealed chunks that are taken away.
    pub(crate) over: Vec<u64>,
}

/// What becomes of an open chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Stays,
    Sealed,
    /// All that is in it is over.
    Forgotten,
}

/// Whether one more result may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    /// Not before `until`.
    Full {
        results: u64,
        bytes: u64,
        until: WallMs,
    },
}

/// Which results an object keeps, and where: those kept last in an open chunk, which is stored with its state, the others in
/// sealed ones.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    open: ChunkHead,
    /// In the order of their numbers, which is the one in which they were kept.
    sealed: VecDeque<(u64, ChunkHead)>,
    /// Which keys are in which sealed one.
    index: BTreeSet<(KeyDigest, u64)>,
    /// Of sealed ones.
    results: u64,
    bytes: u64,
    /// Of the chunk that is sealed next.
    next: u64,
}

impl Shelf {
    /// What is stored.
    pub(crate) fn new(open: ChunkHead, sealed: impl IntoIterator<Item = (u64, ChunkHead)>) -> Self {
        let mut shelf = Shelf { open, ..Shelf::default() };
        sealed.into_iter().for_each(|(number, head)| shelf.seal(number, head));
        shelf
    }

    /// Asked before the turn of a call: nobody is told too late that there is no room.
    pub(crate) fn room(&self, now: WallMs) -> Room {
        let is_full = |(results, bytes)| results >= RESULTS_MAX || bytes >= RESULTS_BYTES_MAX;
        let size = |head: &ChunkHead| (head.digests.len() as u64, head.bytes);
        let open = size(&self.open);
        if !is_full((self.results + open.0, self.bytes + open.1)) {
            return Room::Enough;
        }
        // Rarely: only now is it looked at which of them are over.
        let heads = || self.sealed.iter().map(|(_, head)| head).chain([&self.open]);
        let kept = || heads().filter(|head| !is_over(head.until, now));
        let (results, bytes) =
            kept().map(size).fold((0, 0), |(results, bytes), one| (results + one.0, bytes + one.1));
        match kept().map(|head| head.until).min() {
            Some(until) if is_full((results, bytes)) => Room::Full { results, bytes, until },
            _ => Room::Enough,
        }
    }

    /// Where the result of a key may be, the one kept last first.
    pub(crate) fn places(&self, digest: KeyDigest) -> impl Iterator<Item = Place> {
        let open = self.open.digests.contains(&digest).then_some(Place::Open);
        let sealed = self.index.range((digest, 0)..=(digest, u64::MAX)).rev();
        open.into_iter().chain(sealed.map(|(_, number)| Place::Sealed(*number)))
    }

    /// What becomes of the chunks when a result of so many bytes is kept.
    pub(crate) fn plan(&self, bytes: usize, now: WallMs) -> Plan {
        let ChunkHead { until, bytes: filled, digests } = &self.open;
        let is_alone = bytes > RESULTS_CHUNK_BYTES;
        let has_room = !is_alone && *filled + bytes as u64 <= RESULTS_CHUNK_BYTES as u64;
        let open = if has_room || digests.is_empty() {
            Fate::Stays
        } else if is_over(*until, now) {
            Fate::Forgotten
        } else {
            Fate::Sealed
        };
        let seals = is_alone || open == Fate::Sealed;
        let sweeps = if seals { RESULTS_SWEPT_BY_COMMIT } else { 0 };
        let over = self.sealed.iter().filter(|(_, head)| is_over(head.until, now)).take(sweeps);
        Plan { open, is_alone, over: over.map(|(number, _)| *number).collect() }
    }

    /// The number of the chunk that is sealed next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The open chunk.
    pub(crate) fn open(&self) -> &ChunkHead {
        &self.open
    }

    /// The open chunk is another one.
    pub(crate) fn set_open(&mut self, head: ChunkHead) {
        self.open = head;
    }

    /// A chunk was sealed.
    pub(crate) fn seal(&mut self, number: u64, head: ChunkHead) {
        assert!(number >= self.next, "chunk {number} is sealed after a later one");
        self.next = number + 1;
        self.results += head.digests.len() as u64;
        self.bytes += head.bytes;
        self.index.extend(head.digests.iter().map(|digest| (*digest, number)));
        self.sealed.push_back((number, head));
    }

    /// A sealed chunk was taken away.
    pub(crate) fn remove(&mut self, number: u64) {
        let at = self.sealed.iter().position(|(other, _)| *other == number);
        let (_, head) = self.sealed.remove(at.expect("it is there")).expect("it is there");
        self.results -= head.digests.len() as u64;
        self.bytes -= head.bytes;
        for digest in head.digests {
            self.index.remove(&(digest, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_the_one_that_gave_a_result_or_it_is_not() {
        let args = ArgsDigest::of;
        let (method, reply) = ("deposit".to_owned(), vec![1]);
        let (key, until) = ("k".to_owned(), WallMs(9));
        let kept = KeptResult { key, until, method, args: args(b"5"), reply };
        let table = [
            ("deposit", b"5", Match::Repeat),
            ("deposit", b"6", Match::OtherArgs),
            ("withdraw", b"5", Match::OtherMethod),
            ("withdraw", b"6", Match::OtherMethod),
        ];
        for (method, bytes, expected) in table {
            assert_eq!(compare(&kept, (method, args(bytes))), expected, "{method} {bytes:?}");
        }
    }

    #[test]
    fn a_result_lasts_until_its_time_and_not_longer() {
        for (until, now, over) in [(5, 4, false), (5, 5, true), (5, 6, true), (0, 0, true)] {
            assert_eq!(is_over(WallMs(until), WallMs(now)), over, "{until} at {now}");
        }
    }

    fn head(until: u64, bytes: u64, digests: impl IntoIterator<Item = u64>) -> ChunkHead {
        let digests = digests.into_iter().map(KeyDigest).collect();
        ChunkHead { until: WallMs(until), bytes, digests }
    }

    #[test]
    fn there_is_room_below_both_bounds_and_else_when_enough_of_them_are_over() {
        let many = || head(9, 1, 0..RESULTS_MAX - 1);
        let large = || head(7, RESULTS_BYTES_MAX - 1, [1]);
        let one = || head(5, 1, [2]);
        let full = |results, bytes, until| Room::Full { results, bytes, until: WallMs(until) };
        let none = ChunkHead::default;
        let table = [
            (none(), vec![], 1, Room::Enough),
            (none(), vec![many()], 1, Room::Enough),
            (one(), vec![many()], 1, full(RESULTS_MAX, 2, 5)),
            (one(), vec![many()], 4, full(RESULTS_MAX, 2, 5)),
            (one(), vec![many()], 5, Room::Enough),
            (many(), vec![one()], 1, full(RESULTS_MAX, 2, 5)),
            (one(), vec![large()], 4, full(2, RESULTS_BYTES_MAX, 5)),
            (one(), vec![large()], 5, Room::Enough),
            (none(), vec![large(), large(), one()], 5, full(2, 2 * RESULTS_BYTES_MAX - 2, 7)),
            (none(), vec![large(), large(), one()], 7, Room::Enough),
        ];
        for (open, sealed, now, room) in table {
            let shelf = Shelf::new(open, (0..).zip(sealed));
            assert_eq!(shelf.room(WallMs(now)), room, "{shelf:?} at {now}");
        }
    }

    #[test]
    fn a_key_is_looked_for_where_it_was_kept_last() {
        let sealed = [(3, head(9, 1, [1, 2])), (5, head(9, 1, [2, 3])), (6, head(9, 1, [4]))];
        let shelf = Shelf::new(head(9, 1, [3, 5]), sealed);
        let places = |key| shelf.places(KeyDigest(key)).collect::<Vec<_>>();
        assert_eq!(places(1), [Place::Sealed(3)]);
        assert_eq!(places(2), [Place::Sealed(5), Place::Sealed(3)]);
        assert_eq!(places(3), [Place::Open, Place::Sealed(5)]);
        assert_eq!(places(5), [Place::Open]);
        assert_eq!(places(6), []);
        assert_eq!(shelf.next(), 7);
    }

    #[test]
    fn a_chunk_is_sealed_when_the_next_result_does_not_fit_and_forgotten_when_all_of_it_is_over() {
        let max = RESULTS_CHUNK_BYTES;
        let open = || head(5, max as u64 - 10, [1]);
        let table = [
            (ChunkHead::default(), max, 9, Fate::Stays, false),
            (ChunkHead::default(), max + 1, 9, Fate::Stays, true),
            (open(), 10, 4, Fate::Stays, false),
            (open(), 10, 5, Fate::Stays, false),
            (open(), 11, 4, Fate::Sealed, false),
            (open(), 11, 5, Fate::Forgotten, false),
            (open(), max + 1, 4, Fate::Sealed, true),
            (open(), max + 1, 5, Fate::Forgotten, true),
        ];
        for (open, bytes, now, fate, is_alone) in table {
            let plan = Shelf::new(open.clone(), []).plan(bytes, WallMs(now));
            assert_eq!(
                plan,
                Plan { open: fate, is_alone, over: vec![] },
                "{bytes} to {open:?} at {now}"
            );
        }
    }

    #[test]
    fn a_commit_that_seals_takes_a_few_away_that_are_over() {
        let sealed = || (0..9).map(|number| (number, head(number % 2 + 4, 1, [number])));
        let plan =
            |bytes, now| Shelf::new(head(9, 9, [99]), sealed()).plan(bytes, WallMs(now)).over;
        assert_eq!(plan(1, 4), [0; 0], "nothing is sealed");
        assert_eq!(plan(RESULTS_CHUNK_BYTES, 3), [0; 0]);
        assert_eq!(plan(RESULTS_CHUNK_BYTES, 4), [0, 2, 4, 6]);
        assert_eq!(plan(RESULTS_CHUNK_BYTES, 5), [0, 1, 2, 3]);
        let mut shelf = Shelf::new(head(9, 9, [99]), sealed());
        plan(RESULTS_CHUNK_BYTES, 4).into_iter().for_each(|number| shelf.remove(number));
        assert_eq!((shelf.results, shelf.bytes, shelf.next()), (5, 5, 9));
        assert_eq!(shelf.places(KeyDigest(2)).next(), None);
    }

    /// A commit that seals one sweeps several that are over: whatever the pace, there are never more than may be kept.
    #[test]
    fn what_commits_sweep_keeps_up_with_what_they_add() {
        let (keep, bytes) = (100, RESULTS_CHUNK_BYTES * 256);
        let chunks_max = RESULTS_BYTES_MAX.div_ceil(bytes as u64);
        let mut shelf = Shelf::default();
        let (mut now, mut most) = (0, 0);
        for round in 0..5_000_u64 {
            // Bursts, with long rests between them.
            now += if round % 500 == 0 { 90 } else { u64::from(round % 4 == 0) };
            if shelf.room(WallMs(now)) != Room::Enough {
                continue;
            }
            let plan = shelf.plan(bytes, WallMs(now));
            plan.over.into_iter().for_each(|number| shelf.remove(number));
            shelf.seal(shelf.next(), head(now + keep, bytes as u64, [round]));
            most = most.max(shelf.sealed.len() as u64);
        }
        assert_eq!(most, chunks_max, "as many as may be kept, and no more");
    }
}
