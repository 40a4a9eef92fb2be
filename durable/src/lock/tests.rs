use proptest::prelude::*;

use super::*;
use crate::state::by_name;
use crate::state::shape::Named;

fn class(version: u32, shape: Shape, methods: &[(&str, &str)]) -> Lock {
    let methods = methods.iter().map(|(name, types)| ((*name).to_owned(), (*types).to_owned()));
    Lock::new([Locked { name: "shop.Cart".to_owned(), version, shape, methods: methods.collect() }])
}

fn state(fields: &[(&str, Shape)]) -> Shape {
    let named =
        |(name, shape): &(&str, Shape)| Named { name: (*name).to_owned(), shape: shape.clone() };
    Shape::Struct(fields.iter().map(named).collect())
}

proptest! {
    #[test]
    fn a_lock_comes_back_from_its_text(
        shape in crate::state::shape::tests::any(),
        version in 1_u32..,
        args in "[A-Za-z<>, ]{0,20}",
    ) {
        let types = format!("({args}) -> Vec<(u8, u8)>");
        let lock = class(version, shape, &[("add", &types), ("pay", "() -> ()")]);
        prop_assert_eq!(Lock::parse(&lock.to_string()), Ok(lock));
    }

    #[test]
    fn no_text_panics(text: String, lines in "((class|  version|  schema|  method) [a{}(:]{0,3}\n){0,6}") {
        let _ = Lock::parse(&text);
        let _ = Lock::parse(&lines);
    }
}

/// As the code of a class with the fields `sku`, `count` and the default field `note` reads.
fn reads(old: &Locked) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct Cart {
        sku: String,
        count: u32,
        #[serde(default)]
        note: Option<String>,
    }
    let read = |sample: &Vec<u8>| by_name::read::<Cart>(&old.shape, sample);
    let wrong = samples(&old.shape).iter().find_map(|sample| read(sample).err());
    wrong.map_or(Ok(()), |why| Err(Code::StateChanged.error(format!("{}: {why}", why.field()))))
}

fn changes(old: &Lock, new: &Lock) -> Vec<String> {
    let reads = BTreeMap::from([("shop.Cart", reads as Reads)]);
    new.since(old, &reads).iter().map(ToString::to_string).collect()
}

#[test]
fn a_state_may_change_as_far_as_older_states_are_read() {
    let new = class(1, state(&[("sku", Shape::String), ("count", Shape::U32)]), &[]);
    let still =
        "shop.Cart: the state has other fields; what is stored and called is still understood";
    for (fields, expected) in [
        (vec![("count", Shape::U8), ("sku", Shape::Char)], still),
        (vec![("sku", Shape::String), ("count", Shape::U32), ("gone", Shape::F64)], still),
        (
            vec![("sku", Shape::String)],
            "shop.Cart: the state has other fields, and that BREAKS: \
             state.changed: count: missing field `count`",
        ),
        (
            vec![("sku", Shape::String), ("count", Shape::U64)],
            "shop.Cart: the state has other fields, and that BREAKS: state.changed: \
             count: invalid value: integer `18446744073709551615`, expected u32",
        ),
    ] {
        assert_eq!(changes(&class(1, state(&fields), &[]), &new), [expected]);
    }
    assert!(changes(&new, &new).is_empty());
}

#[test]
fn a_method_keeps_its_name_and_its_types() {
    let lock = |methods: &[(&str, &str)]| class(1, Shape::Unit, methods);
    let old = lock(&[("add", "(u64) -> u64"), ("pay", "() -> ()")]);
    let new = lock(&[("add", "(u32) -> u64"), ("list", "() -> ()")]);
    let changes = changes(&old, &new);
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(changes[0].contains("`add` is (u32) -> u64, it was (u64) -> u64, and that BREAKS"));
    assert!(
        changes[1].ends_with("method `list` is new; what is stored and called is still understood")
    );
    assert!(changes[2].contains("`pay` is gone, and that BREAKS"), "{changes:?}");
    assert!(changes[2].contains("#[rpc(name = \"pay\")]"), "{changes:?}");
}

#[test]
fn a_class_may_come_and_not_go() {
    let one = class(1, Shape::Unit, &[]);
    let none = Lock::default();
    assert!(!changes(&none, &one)[0].contains("BREAKS"));
    assert!(changes(&one, &none)[0].contains("register it again"));
}
