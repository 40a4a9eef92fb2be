use proptest::prelude::*;

use super::super::{in_memory, snapshot};
use super::*;
use crate::keyed::ArgsDigest;
use crate::storage::numbers::Epoch;

const OBJECT: ObjectNo = ObjectNo(7);

fn kept(key: &str, until: u64, reply: &[u8]) -> KeptResult {
    let (key, until, method) = (key.to_owned(), WallMs(until), "deposit".to_owned());
    KeptResult { key, until, method, args: ArgsDigest::of(b"5"), reply: reply.to_vec() }
}

fn chunk(results: &[KeptResult]) -> Chunk {
    results.iter().fold(Chunk::default(), |chunk, kept| chunk.with(kept, &encode(kept)))
}

fn write(open: Chunk, sealed: Vec<(u64, Chunk)>, over: Vec<u64>) -> ResultWrite {
    ResultWrite { now: WallMs(0), open, sealed, over }
}

/// Stores a snapshot with an open chunk.
fn store(connection: &Connection, object_no: ObjectNo, results: Option<&[u8]>) {
    let beside = snapshot::Beside { log_end: None, results };
    let (epoch, body) = (Epoch(1), &b"body"[..]);
    let new = snapshot::Snapshot { object_no, epoch, commit_no: 1, body, beside };
    let mut writes = snapshot::Writes::prepare(connection).expect("our own statements");
    assert!(writes.write(new, 0).expect("stored"));
}

fn keys(list: &[Result<KeptResult, String>]) -> Vec<&str> {
    list.iter().map(|kept| kept.as_ref().map_or("?", |kept| &kept.key)).collect()
}

proptest! {
    #[test]
    fn results_round_trip(
        keys in prop::collection::vec("\\PC{1,60}", 1..5), until in 0..=i64::MAX as u64, method: String, args: Vec<u8>,
        reply: Vec<u8>,
    ) {
        let of = |key: String| {
            let (until, args) = (WallMs(until), ArgsDigest::of(&args));
            KeptResult { key, until, method: method.clone(), args, reply: reply.clone() }
        };
        let all: Vec<_> = keys.into_iter().map(of).collect();
        let chunk = chunk(&all);
        prop_assert_eq!(decode(&chunk.body), Ok(all.clone()));
        prop_assert_eq!(Chunk::of(Arc::clone(&chunk.body)), Ok(chunk.clone()));
        let sealed = write(Chunk::default(), vec![(3, chunk.clone())], vec![]);
        prop_assert_eq!(sealed.newest(), all.last().cloned());
        prop_assert_eq!(write(chunk.clone(), vec![], vec![]).newest(), all.last().cloned());
        let connection = in_memory();
        apply(&connection, OBJECT, &sealed).expect("stored");
        prop_assert!(apply(&connection, OBJECT, &sealed).is_err(), "there is one of that number");
        let stored = StoredResults { open: Arc::default(), sealed: vec![(3, Ok(chunk.head))] };
        prop_assert_eq!(find(&connection, OBJECT).expect("read"), stored);
        prop_assert_eq!(body(&connection, OBJECT, 3).expect("read"), Some(chunk.body));
        prop_assert_eq!(body(&connection, OBJECT, 4).expect("read"), None);
        prop_assert_eq!(find(&connection, ObjectNo(8)).expect("read"), StoredResults::default());
        prop_assert_eq!(damaged(&connection).expect("read"), vec![]);
        prop_assert_eq!(orphans(&connection).expect("read"), vec![OBJECT]);
        erase(&connection, OBJECT).expect("erased");
        prop_assert_eq!(find(&connection, OBJECT).expect("read"), StoredResults::default());
    }

    #[test]
    fn every_flipped_bit_is_found(reply in prop::collection::vec(any::<u8>(), 0..40)) {
        let body = chunk(&[kept("a", 5, &reply), kept("b", 6, &reply)]).body;
        for bit in 0..body.len() * 8 {
            let mut torn = body.to_vec();
            torn[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(matches!(decode(&torn), Err(Unreadable::Damaged(_))), "bit {}", bit);
        }
    }
}

#[test]
fn a_commit_changes_the_open_chunk_or_leaves_it() {
    let connection = in_memory();
    let open = chunk(&[kept("a", 5, b"1")]);
    store(&connection, OBJECT, Some(&open.body));
    store(&connection, ObjectNo(8), None);
    let of = |object_no| find(&connection, object_no).expect("read").open;
    assert_eq!((of(OBJECT), of(ObjectNo(8))), (Arc::clone(&open.body), Arc::default()));
    let mut writes = snapshot::Writes::prepare(&connection).expect("our own statements");
    let mut next = |commit_no, results| {
        let beside = snapshot::Beside { log_end: None, results };
        let is_done = if commit_no % 2 == 0 {
            writes.advance(OBJECT, Epoch(1), (commit_no, commit_no - 1), beside)
        } else {
            let (epoch, body) = (Epoch(1), &b"body"[..]);
            let new = snapshot::Snapshot { object_no: OBJECT, epoch, commit_no, body, beside };
            writes.write(new, commit_no - 1)
        };
        assert!(is_done.expect("stored"));
        of(OBJECT)
    };
    let more = open.with(&kept("b", 6, b"2"), &encode(&kept("b", 6, b"2"))).body;
    assert_eq!(next(2, None), open.body);
    assert_eq!(next(3, None), open.body);
    assert_eq!(next(4, Some(&more)), more);
    assert_eq!(next(5, Some(&open.body)), open.body);
    assert_eq!(next(6, Some(&[])), Arc::default());
    assert_eq!(next(7, None), Arc::default());
}

#[test]
fn those_kept_last_are_listed_first_and_damaged_ones_are_told() {
    let connection = in_memory();
    let of = |names: &[&str]| chunk(&names.iter().map(|key| kept(key, 5, b"")).collect::<Vec<_>>());
    store(&connection, OBJECT, Some(&of(&["e", "f"]).body));
    let sealed = vec![(0, of(&["a"])), (1, of(&["b"])), (4, of(&["c", "d"]))];
    apply(&connection, OBJECT, &write(Chunk::default(), sealed, vec![])).expect("stored");
    let (all, count) = list(&connection, OBJECT, 9).expect("read");
    assert_eq!((keys(&all), count), (vec!["f", "e", "d", "c", "b", "a"], 6));
    let (some, count) = list(&connection, OBJECT, 3).expect("read");
    assert_eq!((keys(&some), count), (vec!["f", "e", "d"], 6));
    apply(&connection, OBJECT, &write(Chunk::default(), vec![], vec![0])).expect("swept");
    let flip =
        "UPDATE results SET body = CAST(substr(body, 1, 24) || x'ff' || substr(body, 26) AS BLOB)
        WHERE chunk_no = 4";
    assert_eq!(connection.execute(flip, []).expect("done"), 1);
    let (all, count) = list(&connection, OBJECT, 9).expect("read");
    assert_eq!((keys(&all), count), (vec!["f", "e", "?", "b"], 5));
}

#[test]
fn rows_that_cannot_be_used_are_found() {
    let connection = in_memory();
    let newer = {
        let header =
            Header { codec: Codec::Postcard, state_version: 2, fingerprint: Fingerprint(0) };
        frame::encode(header, b"")
    };
    let whole = chunk(&[kept("k", 5, b"1")]);
    let digests = encode_digests(&whole.head.digests);
    let no_key = chunk(&[kept("", 5, b"1")]);
    let of_no_key = encode_digests(&no_key.head.digests);
    store(&connection, ObjectNo(9), Some(&newer));
    store(&connection, ObjectNo(10), Some(&whole.body[..30]));
    store(&connection, ObjectNo(11), Some(&whole.body));
    let sql = "INSERT INTO results VALUES (1, 0, 5, ?1, ?2), (2, 0, -1, ?3, ?4), (3, 7, 5, ?3, ?5),
        (4, 0, 5, ?1, ?4), (5, 0, 5, x'', ?4), (6, 0, 0, ?3, x''), (7, 0, 5, ?3, ?4)";
    let values = params![of_no_key, &no_key.body[..], digests, &whole.body[..], newer];
    connection.execute(sql, values).expect("stored");
    let found = damaged(&connection).expect("read");
    for (object_no, text) in [
        (1, "under ``, which is no key"),
        (2, "until -1 ms"),
        (3, "chunk 7 of its results: its layout has version 2"),
        (4, "its digests are not those of its keys"),
        (5, "its digests: 0 bytes are stored"),
        (6, "its digests are not those of its keys"),
        (9, "its open chunk of results: its layout has version 2"),
        (10, "its open chunk of results: its checksum"),
    ] {
        let is_there = |(of, what): &(ObjectNo, String)| of.0 == object_no && what.contains(text);
        assert!(found.iter().any(is_there), "{object_no} {text}: {found:?}");
    }
    assert!(found.iter().all(|(of, _)| ![7, 11].contains(&of.0)), "{found:?}");
}
