use proptest::prelude::*;

use super::super::in_memory;
use super::*;
use crate::keyed::ArgsDigest;

const OBJECT: ObjectNo = ObjectNo(7);

fn kept(reply: &[u8]) -> KeptResult {
    KeptResult { method: "deposit".into(), args: ArgsDigest::of(b"5"), reply: reply.to_vec() }
}

fn write(key: &str, (now, until): (u64, u64)) -> ResultWrite {
    let result = StoredResult { until: WallMs(until), body: encode(&kept(b"12")) };
    ResultWrite { key: key.into(), now: WallMs(now), result }
}

fn keys(connection: &Connection) -> Vec<String> {
    let mut select = connection.prepare("SELECT key FROM results ORDER BY 1").expect("our own");
    let keys = select.query_map([], |row| row.get(0)).expect("read");
    keys.collect::<Result<_, _>>().expect("texts")
}

proptest! {
    #[test]
    fn a_result_round_trips(
        key in "\\PC{1,60}", until in 1..=i64::MAX as u64, method: String, args: Vec<u8>, reply: Vec<u8>,
    ) {
        let connection = in_memory();
        let kept = KeptResult { method, args: ArgsDigest::of(&args), reply };
        let result = StoredResult { until: WallMs(until), body: encode(&kept) };
        prop_assert_eq!(decode(&result.body).expect("whole"), kept);
        let write = ResultWrite { key: key.as_str().into(), now: WallMs(0), result };
        insert(&connection, OBJECT, &write).expect("stored");
        prop_assert!(insert(&connection, OBJECT, &write).is_err(), "it is kept");
        let found = find(&connection, OBJECT, &key).expect("read");
        prop_assert_eq!(found.as_ref(), Some(&write.result));
        prop_assert_eq!(find(&connection, ObjectNo(8), &key).expect("read"), None);
        let all = vec![(key, write.result.clone())];
        prop_assert_eq!(list(&connection, OBJECT, 9).expect("read"), all);
        prop_assert_eq!(list(&connection, OBJECT, 0).expect("read"), vec![]);
        let bytes = write.bytes() as u64;
        let all = Count { results: 1, bytes, first_until: Some(WallMs(until)) };
        prop_assert_eq!(count(&connection, OBJECT, WallMs(until - 1)).expect("read"), all);
        prop_assert_eq!(count(&connection, OBJECT, WallMs(until)).expect("read"), Count::default());
        prop_assert_eq!(damaged(&connection).expect("read"), vec![]);
        prop_assert_eq!(orphans(&connection).expect("read"), vec![OBJECT]);
        erase(&connection, OBJECT).expect("erased");
        prop_assert!(keys(&connection).is_empty());
    }

    #[test]
    fn every_flipped_bit_is_found(reply: Vec<u8>) {
        let body = encode(&kept(&reply));
        for bit in 0..body.len() * 8 {
            let mut torn = body.to_vec();
            torn[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(matches!(decode(&torn), Err(Unreadable::Damaged(_))), "bit {}", bit);
        }
    }
}

#[test]
fn a_commit_takes_a_few_away_that_are_over_and_the_one_that_it_replaces() {
    let connection = in_memory();
    for (index, key) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        insert(&connection, OBJECT, &write(key, (0, 10 + index as u64))).expect("stored");
    }
    insert(&connection, ObjectNo(8), &write("other's", (0, 1))).expect("stored");
    insert(&connection, OBJECT, &write("f", (9, 99))).expect_err("the one before is not over");
    insert(&connection, OBJECT, &write("f", (15, 99))).expect("it is over");
    assert_eq!(keys(&connection), ["e", "f", "other's"]);
    insert(&connection, OBJECT, &write("g", (15, 99))).expect("stored");
    assert_eq!(keys(&connection), ["f", "g", "other's"]);
}

#[test]
fn rows_that_cannot_be_used_are_found() {
    let connection = in_memory();
    let newer = {
        let header =
            Header { codec: Codec::Postcard, state_version: 2, fingerprint: Fingerprint(0) };
        frame::encode(header, b"")
    };
    let sql = "INSERT INTO results VALUES (1, '', 5, ?1, ?2), (2, 'k', -1, ?1 + 1, ?2), (3, 'k', 5, ?1, ?2),
        (4, 'k', 5, 1, x'')";
    connection.execute(sql, params![newer.len() as i64, newer]).expect("stored");
    let found = damaged(&connection).expect("read");
    for (object_no, text) in [
        (1, "under ``, which is no key"),
        (2, "until -1 ms"),
        (3, "bytes, and has"),
        (3, "layout has version 2"),
        (4, "the result of `k`: "),
    ] {
        let is_there = |(of, what): &(ObjectNo, String)| of.0 == object_no && what.contains(text);
        assert!(found.iter().any(is_there), "{object_no} {text}: {found:?}");
    }
}
