use proptest::prelude::*;

use super::super::{in_memory, snapshot};
use super::*;
use crate::storage::numbers::Epoch;

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes([byte; 32])
}

fn birth(id: ObjectId, name: Option<&str>) -> Birth {
    Birth {
        id,
        class_no: ClassNo(1),
        name: name.map(Arc::from),
        placement: Placement::new(),
        lineage: None,
    }
}

fn tag() -> impl Strategy<Value = Option<Arc<str>>> {
    proptest::option::of(".*".prop_map(Arc::from))
}

proptest! {
    #[test]
    fn an_object_round_trips(
        bytes: [u8; 32], no in 1..sql::NUMBERS_END, class: u32, name in tag(), here in tag(), near in tag(),
        body: Vec<u8>,
    ) {
        let connection = in_memory();
        let (id, class_no) = (ObjectId::from_bytes(bytes), ClassNo(class));
        let mut placement = Placement::new();
        (placement.jurisdiction, placement.location_hint) = (here, near);
        let birth = Birth { id, class_no, name: name.clone(), placement: placement.clone(), lineage: None };
        let mut writes = Writes::prepare(&connection).expect("our own statements");
        prop_assert_eq!(writes.find(&id).expect("read"), None);
        prop_assert!(writes.insert(ObjectNo(no), &birth, WallMs(7)).expect("stored"));
        prop_assert!(!writes.insert(ObjectNo(no), &birth, WallMs(7)).expect("no error"));
        prop_assert_eq!(writes.find(&id).expect("read"), Some(ObjectNo(no)));
        prop_assert_eq!(highest(&connection).expect("read"), ObjectNo(no));

        let epoch = Epoch(0);
        let mut stored = StoredObject { name, placement, epoch, commit_no: 0, body: None, alarm: None, lineage: None, schedules: None };
        let loaded = load(&connection, &id).expect("read");
        prop_assert_eq!(loaded, Some((ObjectNo(no), class_no, stored.clone())));

        let new = snapshot::Snapshot {
            beside: snapshot::Beside::default(),
            object_no: ObjectNo(no), epoch: Epoch(9), commit_no: 1, body: &body,
        };
        snapshot::Writes::prepare(&connection).and_then(|mut s| s.write(new, 0)).expect("stored");
        (stored.epoch, stored.commit_no, stored.body) = (Epoch(9), 1, Some(body.into()));
        let loaded = load(&connection, &id).expect("read");
        prop_assert_eq!(loaded, Some((ObjectNo(no), class_no, stored)));
        let listed = list(&connection, class_no, "", None, 10).expect("read");
        prop_assert_eq!(listed.len(), 1);
        prop_assert_eq!(listed[0].id, id);
    }

    #[test]
    fn pages_put_together_are_the_sorted_whole(
        names in proptest::collection::vec(proptest::option::of("[ab\u{0}é]{0,4}"), 0..40),
        prefix in "[ab]{0,2}", limit in 1_usize..5,
    ) {
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own statements");
        let mut wanted = Vec::new();
        for (no, name) in names.iter().enumerate() {
            let id = id(u8::try_from(no * 37 % 256).expect("small"));
            let birth = birth(id, name.as_deref());
            writes.insert(ObjectNo(no as i64 + 1), &birth, WallMs(0)).expect("stored");
            if prefix.is_empty() || name.as_ref().is_some_and(|name| name.starts_with(&prefix)) {
                wanted.push((birth.name, id));
            }
        }
        wanted.sort();
        let (mut found, mut after) = (Vec::new(), None::<After>);
        loop {
            let page = list(&connection, ClassNo(1), &prefix, after.as_ref(), limit).expect("read");
            prop_assert!(page.len() <= limit);
            found.extend(page.iter().map(|row| (row.name.clone(), row.id)));
            let Some(last) = page.last() else { break };
            after = Some(After { name: last.name.clone(), id: last.id });
        }
        prop_assert_eq!(found, wanted);
        prop_assert!(list(&connection, ClassNo(2), "", None, 10).expect("read").is_empty());
    }
}

#[test]
fn ids_with_one_hash_are_told_apart() {
    let connection = in_memory();
    let (mut one, mut other) = ([5; 32], [5; 32]);
    (one[31], other[31]) = (1, 2);
    let (one, other) = (ObjectId::from_bytes(one), ObjectId::from_bytes(other));
    assert_eq!(one.lookup_hash(), other.lookup_hash());
    let mut writes = Writes::prepare(&connection).expect("our own statements");
    writes.insert(ObjectNo(1), &birth(one, None), WallMs(0)).expect("stored");
    assert_eq!(writes.find(&other).expect("read"), None);
    assert_eq!(load(&connection, &other).expect("read"), None);
    writes.insert(ObjectNo(2), &birth(other, None), WallMs(0)).expect("stored");
    assert_eq!(writes.find(&other).expect("read"), Some(ObjectNo(2)));
}

#[test]
fn a_name_is_added_once_and_never_changed() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own statements");
    writes.insert(ObjectNo(1), &birth(id(1), None), WallMs(0)).expect("stored");
    writes.rename(ObjectNo(1), "ada").expect("no error");
    writes.rename(ObjectNo(1), "bob").expect("no error");
    let (_, _, stored) = load(&connection, &id(1)).expect("read").expect("stored");
    assert_eq!(stored.name.as_deref(), Some("ada"));
}

#[test]
fn look_ups_and_listings_use_their_indexes() {
    let connection = in_memory();
    for (sql, index) in [
        ("SELECT object_no FROM objects WHERE lookup_hash = 1 AND id = x'00'", "objects_by_hash"),
        (
            "SELECT id FROM objects WHERE class_no = 1 AND name IS NULL AND id > x'' ORDER BY id",
            "objects_by_name",
        ),
        (
            "SELECT id FROM objects WHERE class_no = 1 AND (name, id) > ('a', x'') ORDER BY name",
            "objects_by_name",
        ),
    ] {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let plan: String = connection.query_row(&explain, [], |row| row.get(3)).expect("a plan");
        assert!(plan.contains("SEARCH") && plan.contains(index), "{plan}");
    }
}
