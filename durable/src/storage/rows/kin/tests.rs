use std::sync::Arc;

use super::super::{Gone, erase, in_memory, object};
use super::*;
use crate::id::{Ancestor, Placement};
use crate::storage::write_set::Birth;
use crate::time::WallMs;

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes([byte; 32])
}

/// Stores object `byte` below these, its parent first.
fn born(connection: &Connection, byte: u8, ancestors: &[u8]) {
    let above = ancestors.iter().map(|byte| Ancestor { id: id(*byte), name: None });
    let birth = Birth {
        id: id(byte),
        class_no: ClassNo(1),
        name: Some(Arc::from("x")),
        placement: Placement::new(),
        lineage: Lineage::of(above),
    };
    let mut writes = object::Writes::prepare(connection).expect("our own statements");
    assert!(writes.insert(ObjectNo(byte.into()), &birth, WallMs(1)).expect("stored"));
}

fn numbers(connection: &Connection, ancestor: u8) -> Vec<i64> {
    let below = below(connection, &id(ancestor)).expect("read");
    below.into_iter().map(|number| number.0).collect()
}

#[test]
fn what_is_below_is_found_however_deep_and_although_the_parent_is_not_stored() {
    let connection = in_memory();
    born(&connection, 5, &[4, 3]);
    born(&connection, 6, &[3]);
    born(&connection, 7, &[]);
    assert_eq!(numbers(&connection, 3), [6, 5], "nearer ones come first");
    assert_eq!(numbers(&connection, 4), [5]);
    assert_eq!(numbers(&connection, 7), [0_i64; 0]);
    assert_eq!(wrong(&connection).expect("read"), [""; 0]);
    let listed = children(&connection, &id(3), None, 10).expect("read");
    assert_eq!(listed.iter().map(|kin| kin.id).collect::<Vec<_>>(), [id(6)]);
}

#[test]
fn an_object_that_is_erased_is_below_nobody() {
    let connection = in_memory();
    born(&connection, 5, &[4, 3]);
    erase(&connection, ObjectNo(5), &mut Gone::default()).expect("erased");
    assert_eq!(numbers(&connection, 3), [0_i64; 0]);
    assert_eq!(wrong(&connection).expect("read"), [""; 0]);
}

#[test]
fn children_come_in_pages_in_the_order_of_their_ids() {
    let connection = in_memory();
    (10..17).for_each(|byte| born(&connection, byte, &[1]));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = children(&connection, &id(1), after.as_ref(), 3).expect("read");
        found.extend(page.iter().map(|kin| kin.id));
        after = page.last().map(|kin| kin.id);
        if page.len() < 3 {
            break;
        }
    }
    assert_eq!(found, (10..17).map(id).collect::<Vec<_>>());
}

#[test]
fn an_index_that_says_something_else_than_the_objects_is_told() {
    let connection = in_memory();
    born(&connection, 5, &[4, 3]);
    connection.execute("DELETE FROM kin WHERE distance = 2", []).expect("deleted");
    let missing = wrong(&connection).expect("read");
    assert!(missing[0].contains("does not say so"), "{missing:?}");
    connection.execute("DELETE FROM kin", []).expect("deleted");
    connection.execute("DELETE FROM objects", []).expect("deleted");
    let sql = "INSERT INTO kin (ancestor, distance, id, object_no) VALUES (x'00', 1, x'01', 9)";
    connection.execute(sql, []).expect("inserted");
    let surplus = wrong(&connection).expect("read");
    assert!(surplus[0].contains("1 rows"), "{surplus:?}");
}
