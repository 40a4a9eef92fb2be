use proptest::prelude::*;

use super::super::in_memory;
use super::*;

const OBJECT: ObjectNo = ObjectNo(7);

fn value(key: &KvKey, payload: &[u8]) -> Framed {
    let mut value = vec![0; HEADER_BYTES];
    value.extend_from_slice(payload);
    seal(key, Codec::Bytes, value)
}

fn key() -> impl Strategy<Value = KvKey> {
    let byte = prop_oneof![Just(0_u8), Just(b'a'), Just(b'b'), Just(0xff)];
    proptest::collection::vec(byte, 1..4).prop_map(|key| KvKey::stored(&key))
}

proptest! {
    #[test]
    fn a_value_round_trips(
        key in proptest::collection::vec(any::<u8>(), 1..50), payload: Vec<u8>, is_typed: bool,
    ) {
        let key = KvKey::stored(&key);
        let codec = if is_typed { Codec::Postcard } else { Codec::Bytes };
        let mut framed = vec![0; HEADER_BYTES];
        framed.extend_from_slice(&payload);
        let framed = seal(&key, codec, framed);
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own statements");
        writes.write(OBJECT, &key, Some(b"earlier")).expect("stored");
        writes.write(OBJECT, &key, Some(&framed)).expect("stored");
        let found = find(&connection, OBJECT, std::slice::from_ref(&key)).expect("read");
        prop_assert_eq!(&found, &vec![(key.clone(), framed)]);
        prop_assert_eq!(open(&key, &found[0].1), Ok((codec, &*payload)));
        writes.write(OBJECT, &key, None).expect("taken away");
        prop_assert!(find_keys(&connection, OBJECT, &[key]).expect("read").is_empty());
    }

    #[test]
    fn a_flipped_bit_is_damage(payload: Vec<u8>, at: proptest::sample::Index, bit in 0_u32..8) {
        let key = KvKey::stored(b"key");
        let mut damaged = value(&key, &payload).to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= 1_u8 << bit;
        let error = open(&key, &damaged).expect_err("damage");
        prop_assert!(!error.is_newer(), "{error}");
    }

    #[test]
    fn pages_put_together_are_the_range(
        keys in proptest::collection::btree_set(key(), 0..30), start in key(),
        end in proptest::option::of(key()), is_falling: bool, rows in 1_usize..4, bytes in 1_usize..40,
    ) {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own statements");
        for object_no in [ObjectNo(6), OBJECT, ObjectNo(8)] {
            for key in &keys {
                writes.write(object_no, key, Some(&value(key, b"value"))).expect("stored");
            }
        }
        let order = if is_falling { Order::Falling } else { Order::Rising };
        let mut rest = KeyRange { start: start.to_vec(), end: end.as_ref().map(|end| end.to_vec()) };
        let mut found = Vec::new();
        loop {
            let max = PageMax { rows, bytes };
            let (page, is_last) = page(&connection, OBJECT, &rest, order, max).expect("read");
            prop_assert!(page.len() <= rows);
            found.extend(page.into_iter().map(|(key, _)| key));
            if is_last {
                break;
            }
            rest.past(found.last().expect("a page that is not the last has rows"), order);
        }
        let within = |key: &&KvKey| **key >= start && end.as_ref().is_none_or(|end| *key < end);
        let mut wanted: Vec<_> = keys.iter().filter(within).cloned().collect();
        if is_falling {
            wanted.reverse();
        }
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn a_value_of_newer_code_is_known_for_what_it_is() {
    let key = KvKey::stored(b"key");
    for (at, error) in [(0, ValueError::Envelope { found: 9 }), (1, ValueError::Codec { found: 9 })]
    {
        let mut newer = value(&key, b"value").to_vec();
        newer[at] = 9;
        let crc = checksum(&key, &newer);
        newer[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(open(&key, &newer), Err(error));
        assert!(error.is_newer());
    }
    assert_eq!(open(&key, b"short"), Err(ValueError::Short { bytes: 5 }));
    let moved = value(&KvKey::stored(b"other"), b"value");
    assert!(matches!(open(&key, &moved), Err(ValueError::Checksum { .. })), "it is another key's");
}

#[test]
fn several_keys_are_found_in_the_order_in_which_they_are_asked_for() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own statements");
    let [a, b, c] = ["a", "b", "c"].map(|key| KvKey::stored(key.as_bytes()));
    for key in [&a, &c] {
        writes.write(OBJECT, key, Some(&value(key, b"value"))).expect("stored");
    }
    let keys =
        |rows: Vec<(KvKey, Framed)>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let asked = [c.clone(), b, a.clone()];
    let found = find(&connection, OBJECT, &asked).expect("read");
    assert_eq!(keys(found), [c.clone(), a.clone()]);
    assert_eq!(keys(find_keys(&connection, OBJECT, &asked).expect("read")), [c, a]);
    assert!(find(&connection, ObjectNo(8), &asked).expect("read").is_empty());
}
