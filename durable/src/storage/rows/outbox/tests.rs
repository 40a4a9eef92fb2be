use proptest::prelude::*;

use super::super::in_memory;
use super::*;
use crate::metadata::Metadata;

const MAX: u64 = i64::MAX as u64;

fn object(first: u8) -> ObjectId {
    let mut bytes = [3; ObjectId::BYTES];
    bytes[0] = first;
    ObjectId::from_bytes(bytes)
}

fn call(method: &str, args: Vec<u8>) -> SentCall {
    SentCall {
        source: None,
        name: Some("ada".to_owned()),
        jurisdiction: None,
        location_hint: Some("eu".to_owned()),
        lineage: Vec::new(),
        method: method.to_owned(),
        args,
        scheduled: WallMs(7),
        metadata: Metadata::new(),
    }
}

fn send(number: u32, target: u8, until: Option<u64>) -> NewSend {
    NewSend {
        id: SendId { shard: 0, epoch: 9, number },
        source: Some(object(200)),
        target: object(target),
        class_no: 4,
        until: until.map(WallMs),
        body: encode(&call("m", vec![1])),
    }
}

/// Which numbers may be delivered, and when, as they are stored.
fn deliverable(connection: &Connection) -> Vec<(i64, u64)> {
    let (rows, is_last) = due(connection, None, 99).expect("read");
    assert!(is_last);
    rows.iter().map(|row| (row.place.object_no, row.place.due.0)).collect()
}

proptest! {
    #[test]
    fn a_send_round_trips(
        epoch in 0..=MAX, number in 1..u32::MAX, class_no: u32, until in proptest::option::of(0..=MAX),
        source: bool, method: String, args: Vec<u8>, name: Option<String>, scheduled in 0..=MAX,
        tenant in "[a-z]{0,4}",
    ) {
        let source = source.then(|| object(1));
        let mut metadata = Metadata::new();
        if !tenant.is_empty() {
            metadata.set("tenant", &tenant).expect("it may");
        }
        let kept = SentCall {
            source, name, scheduled: WallMs(scheduled), metadata, ..call(&method, args)
        };
        let id = SendId { shard: 0, epoch, number };
        let new = NewSend { source, class_no, id, body: encode(&kept), ..send(1, 5, until) };
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own table");
        let mut told = Vec::new();
        writes.insert(&new, None, &mut told).expect("stored");
        let at = WallMs(until.unwrap_or(0));
        let waits = Alarmed {
            place: Place { due: at, object_no: 1 }, set_by: 0, class_no, id: object(5),
        };
        prop_assert_eq!(told, vec![(1, Notice::Set(waits))]);
        let stored = train(&connection, 1, (1, 1)).expect("read").pop().expect("it is there");
        prop_assert_eq!(decode(&stored.body), Ok(kept));
        prop_assert_eq!((stored.epoch, stored.number, stored.retries), (epoch, number, 0));
        prop_assert_eq!(due(&connection, None, 9).expect("read"), (vec![waits], true));
        prop_assert!(has(&connection, id).expect("read"));
        prop_assert_eq!(damaged(&connection).expect("read"), Vec::<String>::new());
        prop_assert_eq!(targets(&connection).expect("read"), vec![(1, class_no, object(5))]);
        prop_assert!(writes.remove(id, &mut Vec::new()).expect("removed"));
        prop_assert!(!writes.remove(id, &mut Vec::new()).expect("it has gone"));
        prop_assert_eq!(count(&connection).expect("read"), 0);
    }

    #[test]
    fn any_bytes_are_a_call_or_damage(bytes: Vec<u8>) {
        let _ = decode(&bytes);
    }
}

#[test]
fn only_the_first_of_a_pair_may_be_delivered_and_the_next_when_it_is_over() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own table");
    let mut told = Vec::new();
    for new in [send(1, 5, None), send(2, 5, None), send(3, 6, None), send(4, 5, Some(50))] {
        writes.insert(&new, None, &mut told).expect("stored");
    }
    assert_eq!(deliverable(&connection), [(1, 0), (3, 0), (4, 50)], "not the second");
    assert_eq!(told.len(), 3);
    let id = |number| SendId { shard: 0, epoch: 9, number };
    told.clear();
    assert!(writes.again(id(1), (WallMs(30), 1), &mut told).expect("stored"));
    assert_eq!(deliverable(&connection), [(3, 0), (1, 30), (4, 50)], "one that failed stays first");
    assert!(matches!(told[..], [(1, Notice::Set(Alarmed { set_by: 1, .. }))]));
    told.clear();
    assert!(writes.remove(id(1), &mut told).expect("removed"));
    assert_eq!(deliverable(&connection), [(2, 0), (3, 0), (4, 50)]);
    assert!(matches!(told[..], [(1, Notice::Cleared), (2, Notice::Set(_))]));
    told.clear();
    assert!(writes.remove(id(4), &mut told).expect("removed"));
    assert!(matches!(told[..], [(4, Notice::Cleared)]), "it is of no pair");
    assert_eq!(damaged(&connection).expect("read"), Vec::<String>::new());
}

#[test]
fn a_train_has_those_behind_one_of_the_same_pair_as_far_as_they_can_be_read() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own table");
    for new in [
        send(1, 5, None),
        send(2, 6, None),
        send(3, 5, Some(50)),
        send(4, 5, None),
        send(5, 5, None),
        send(6, 5, None),
    ] {
        writes.insert(&new, None, &mut Vec::new()).expect("stored");
    }
    let found = |first, limit: (usize, usize)| -> Vec<(i64, bool)> {
        let train = train(&connection, first, limit).expect("read");
        train.iter().map(|send| (send.send_no, send.is_first)).collect()
    };
    assert_eq!(found(1, (9, 999)), [(1, true), (4, false), (5, false), (6, false)]);
    assert_eq!(found(1, (3, 999)), [(1, true), (4, false), (5, false)]);
    assert_eq!(found(1, (9, 1)), [(1, true)], "it alone has as many bytes");
    assert_eq!(found(4, (9, 999)), [(4, false), (5, false), (6, false)]);
    assert_eq!((found(3, (9, 999)), found(7, (9, 999))), (vec![(3, true)], vec![]));
    let torn = "UPDATE outbox SET target = x'00' WHERE send_no = 5";
    connection.execute(torn, []).expect("damaged");
    assert_eq!(found(1, (9, 999)), [(1, true), (4, false)]);
}

#[test]
fn those_of_an_object_go_with_it_and_those_behind_them_are_let_go() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own table");
    let [one, other] = [1, 2].map(|number| Some(ObjectNo(number)));
    let all = [
        (send(1, 5, None), one),
        (send(2, 5, None), one),
        (send(3, 6, Some(50)), one),
        (send(4, 5, None), other),
        (send(5, 6, None), None),
    ];
    for (new, owner) in all {
        writes.insert(&new, owner, &mut Vec::new()).expect("stored");
    }
    assert_eq!(damaged(&connection).expect("read").len(), 4, "there are no such objects");
    let mut told = Vec::new();
    assert_eq!(erase(&connection, ObjectNo(7), &mut told).expect("erased"), 0);
    assert_eq!((told.len(), deliverable(&connection)), (0, vec![(1, 0), (5, 0), (3, 50)]));
    assert_eq!(erase(&connection, ObjectNo(1), &mut told).expect("erased"), 3);
    assert_eq!(deliverable(&connection), [(4, 0), (5, 0)]);
    let cleared = told.iter().filter(|(_, notice)| *notice == Notice::Cleared).count();
    assert_eq!((cleared, told.len()), (3, 4), "{told:?}");
    assert!(matches!(told[3], (4, Notice::Set(_))));
}

#[test]
fn one_that_is_taken_back_from_the_middle_leaves_the_first_alone() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own table");
    let mut told = Vec::new();
    for number in 1..=3 {
        writes.insert(&send(number, 5, None), None, &mut told).expect("stored");
    }
    let id = |number| SendId { shard: 0, epoch: 9, number };
    writes.remove(id(2), &mut told).expect("removed");
    assert_eq!(deliverable(&connection), [(1, 0)]);
    writes.remove(id(1), &mut told).expect("removed");
    assert_eq!(deliverable(&connection), [(3, 0)]);
}

#[test]
fn one_that_cannot_be_read_stays_with_those_behind_it_and_fails_nothing_of_others() {
    let id = |number| SendId { shard: 0, epoch: 9, number };
    for damage in ["class_no = 1 << 40", "class_no = -1", "target = x'00'", "retries = -1"] {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own table");
        let mut told = Vec::new();
        for number in 1..=3 {
            writes.insert(&send(number, 5, None), None, &mut told).expect("stored");
        }
        let damage = format!("UPDATE outbox SET {damage} WHERE send_no = 2");
        connection.execute(&damage, []).expect("planted");
        assert!(writes.remove(id(1), &mut told).expect("removed"), "{damage}");
        assert_eq!(deliverable(&connection), [], "{damage}");
        let is_there = writes.again(id(2), (WallMs(7), 1), &mut told).expect("looked at");
        assert!(!is_there, "{damage}");
        assert_eq!(damaged(&connection).expect("read").len(), 1, "{damage}");
        assert!(writes.remove(id(2), &mut told).expect("removed"), "{damage}");
        assert_eq!(deliverable(&connection), [(3, 0)], "{damage}");
    }
}

#[test]
fn a_number_is_not_given_again_and_what_nobody_would_deliver_is_found() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own table");
    let mut told = Vec::new();
    writes.insert(&send(1, 5, None), None, &mut told).expect("stored");
    writes.remove(send(1, 5, None).id, &mut told).expect("removed");
    told.clear();
    writes.insert(&send(2, 5, None), None, &mut told).expect("stored");
    assert_eq!(told[0].0, 2);
    connection.execute("UPDATE outbox SET due_ms = NULL", []).expect("stored");
    assert_eq!(damaged(&connection).expect("read").len(), 1);
    connection.execute("UPDATE outbox SET due_ms = 0, body = x'00'", []).expect("stored");
    assert_eq!(damaged(&connection).expect("read").len(), 1);
    assert_eq!(erase_class(&connection, 4).expect("erased"), 1);
}
