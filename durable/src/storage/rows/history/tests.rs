//! Tests of the rows of objects' pasts.

use proptest::prelude::*;

use super::super::in_memory;
use super::*;
use crate::limits::SQL_PAGE_BYTES;

const MAX: u64 = i64::MAX as u64;

fn value() -> impl Strategy<Value = Option<Framed>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40).prop_map(Framed::from))
}

fn page() -> impl Strategy<Value = Replayed<Page>> {
    let range = (0_usize..1_000, prop::collection::vec(any::<u8>(), 1..24));
    prop_oneof![
        any::<u8>().prop_map(|byte| Replayed::Whole(vec![byte; SQL_PAGE_BYTES].into())),
        prop::collection::vec(range, 1..4).prop_map(Replayed::Ranges),
    ]
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        "\\PC{0,20}".prop_map(|name| Cause::Method(Cow::Owned(name))),
        Just(Cause::Activation),
        Just(Cause::Restore),
        Just(Cause::Fork),
        Just(Cause::Alarm),
    ]
}

prop_compose! {
    fn past_row()(
        cause in cause(), epoch: u64, after_epoch: u64, after_at in prop::option::of(0..NO_TIME),
        snapshot in value(),
        kv in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..9), value()), 0..4),
        sql in prop::option::of((10_u32..100, prop::collection::vec((1_u32..=10, page()), 0..3))),
    ) -> Past {
        let kv = kv.into_iter().map(|(key, value)| (KvKey::stored(&key), value)).collect();
        let sql = sql.map(|(count, pages)| UndoSql { count, pages });
        let (after_at, undo) = (after_at.map(WallMs), Undo { snapshot, kv, sql });
        Past { cause, epoch, after_epoch, after_at, undo }
    }
}

fn head(commit_no: u64, after_no: u64) -> Head {
    Head { object_no: ObjectNo(7), commit_no, after_no, at: WallMs(5), total: 9 }
}

proptest! {
    #[test]
    fn a_row_round_trips(
        past in past_row(), no: i64, commit_no in 1..=MAX, at in 0..=MAX, total in 0..=MAX,
    ) {
        let connection = in_memory();
        let (object_no, at) = (ObjectNo(no), WallMs(at));
        let head = Head { object_no, commit_no, after_no: commit_no - 1, at, total };
        let mut body = encode(&past);
        seal(&head, &mut body);
        insert(&connection, &head, &body).expect("stored");
        let mut found = Vec::new();
        let walked = walk_back(&connection, object_no, commit_no, |head, past, bytes| {
            found.push((*head, past, bytes));
            Walk::On
        });
        prop_assert_eq!(walked.expect("read"), Ok(commit_no - 1));
        prop_assert_eq!(found, [(head, past, body.len() as u64)]);
        prop_assert_eq!(newest(&connection, object_no).expect("read"), Some(head));
    }

    #[test]
    fn no_flipped_bit_gets_past_the_checksum(past in past_row(), at: prop::sample::Index, bit in 0_u32..8) {
        let head = head(3, 2);
        let mut body = encode(&past);
        seal(&head, &mut body);
        let at = at.index(body.len());
        body[at] ^= 1_u8 << bit;
        prop_assert_eq!(open(&head, &body), Err(PastError::Checksum { commit_no: 3 }));
    }

    #[test]
    fn whatever_stands_in_a_row_is_refused_or_read(mut body: Vec<u8>) {
        let head = head(3, 2);
        seal(&head, &mut body);
        drop(open(&head, &body));
    }
}

#[test]
fn a_column_that_was_changed_is_damage() {
    let past = Past {
        cause: Cause::Restore,
        epoch: 1,
        after_epoch: 0,
        after_at: None,
        undo: Undo::default(),
    };
    let good = head(3, 2);
    let mut body = encode(&past);
    seal(&good, &mut body);
    assert_eq!(open(&good, &body), Ok(past));
    for wrong in [
        Head { object_no: ObjectNo(8), ..good },
        Head { commit_no: 4, ..good },
        Head { after_no: 1, ..good },
        Head { at: WallMs(6), ..good },
        Head { total: 8, ..good },
    ] {
        let commit_no = wrong.commit_no;
        assert_eq!(open(&wrong, &body), Err(PastError::Checksum { commit_no }), "{wrong:?}");
    }
}

#[test]
fn a_later_envelope_or_cause_is_newer_and_a_missing_row_a_gap() {
    let past = Past {
        cause: Cause::Activation,
        epoch: 1,
        after_epoch: 0,
        after_at: None,
        undo: Undo::default(),
    };
    for (at, number) in [(4, 2), (5, 6)] {
        let mut body = encode(&past);
        body[at] = number;
        seal(&head(3, 2), &mut body);
        let error = open(&head(3, 2), &body).expect_err("newer");
        assert!(error.is_newer(), "{error}");
    }
    let connection = in_memory();
    for (commit_no, after_no) in [(1, 0), (5, 3)] {
        let (head, mut body) = (head(commit_no, after_no), encode(&past));
        seal(&head, &mut body);
        insert(&connection, &head, &body).expect("stored");
    }
    let walk = |from| walk_back(&connection, ObjectNo(7), from, |_, _, _| Walk::On).expect("read");
    assert_eq!(walk(5), Err(PastError::Gap { commit_no: 3 }));
    assert_eq!(walk(6), Err(PastError::Gap { commit_no: 6 }));
    assert_eq!(walk(1), Ok(0));
    assert_eq!(expire(&connection, ObjectNo(7), 4).expect("gone"), 1);
    assert_eq!(walk(5), Ok(3));
}
