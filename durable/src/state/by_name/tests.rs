use std::collections::BTreeMap;

use postcard_schema::Schema;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::*;
use crate::limits::EMPTY_ELEMENTS_MAX;

mod dynamic;

use dynamic::Value;

/// What older code stored.
mod before {
    use super::{BTreeMap, Deserialize, Schema, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Cart {
        pub(super) gone: Vec<Kind>,
        pub(super) lines: Vec<Line>,
        pub(super) by_place: BTreeMap<(i32, char), Option<Line>>,
        pub(super) first: Option<Option<u128>>,
        pub(super) narrow: u16,
        pub(super) float: f32,
        pub(super) pair: (i128, [u8; 3]),
        pub(super) old_name: String,
        pub(super) certain: u8,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Line {
        pub(super) count: u32,
        pub(super) removed: Result<u64, String>,
        pub(super) kind: Kind,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) enum Kind {
        Plain,
        Number(u64),
        Pair(u64, String),
        Named { on: bool, at: i64 },
        Renamed(()),
    }
}

/// What newer code makes of it: fields and variants reordered, added, removed, renamed, widened.
mod after {
    use super::{BTreeMap, Deserialize, Schema, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Cart {
        #[serde(alias = "old_name")]
        pub(super) new_name: String,
        pub(super) pair: (i128, [u8; 3]),
        pub(super) float: f64,
        pub(super) narrow: u64,
        #[serde(default)]
        pub(super) added: u64,
        pub(super) first: Option<Option<u128>>,
        pub(super) by_place: BTreeMap<(i64, char), Option<Line>>,
        pub(super) lines: Vec<Line>,
        pub(super) certain: Option<u8>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Line {
        #[serde(default = "seven")]
        pub(super) added: u64,
        pub(super) kind: Kind,
        pub(super) count: u32,
    }

    fn seven() -> u64 {
        7
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) enum Kind {
        Inserted,
        #[serde(alias = "Renamed")]
        Other(()),
        Named {
            #[serde(default)]
            added: Option<String>,
            at: i64,
            on: bool,
        },
        Number(u64),
        Pair(u64, String),
        Plain,
    }
}

fn evolved_kind(kind: before::Kind) -> after::Kind {
    match kind {
        before::Kind::Plain => after::Kind::Plain,
        before::Kind::Number(number) => after::Kind::Number(number),
        before::Kind::Pair(number, text) => after::Kind::Pair(number, text),
        before::Kind::Named { on, at } => after::Kind::Named { added: None, at, on },
        before::Kind::Renamed(()) => after::Kind::Other(()),
    }
}

fn evolved_line(line: before::Line) -> after::Line {
    after::Line { added: 7, kind: evolved_kind(line.kind), count: line.count }
}

fn evolved(cart: before::Cart) -> after::Cart {
    let by_place = cart.by_place.into_iter();
    after::Cart {
        new_name: cart.old_name,
        pair: cart.pair,
        float: cart.float.into(),
        narrow: cart.narrow.into(),
        added: 0,
        first: cart.first,
        by_place: by_place.map(|((n, c), line)| ((n.into(), c), line.map(evolved_line))).collect(),
        lines: cart.lines.into_iter().map(evolved_line).collect(),
        certain: Some(cart.certain),
    }
}

fn kind() -> impl Strategy<Value = before::Kind> {
    prop_oneof![
        Just(before::Kind::Plain),
        Just(before::Kind::Renamed(())),
        any::<u64>().prop_map(before::Kind::Number),
        any::<(u64, String)>().prop_map(|(number, text)| before::Kind::Pair(number, text)),
        any::<(bool, i64)>().prop_map(|(on, at)| before::Kind::Named { on, at }),
    ]
}

prop_compose! {
    fn line()(
        count: u32,
        removed: Result<u64, String>,
        kind in kind(),
    ) -> before::Line {
        before::Line { count, removed, kind }
    }
}

prop_compose! {
    fn cart()(
        gone in prop::collection::vec(kind(), 0..4),
        lines in prop::collection::vec(line(), 0..4),
        by_place in prop::collection::btree_map(any::<(i32, char)>(), prop::option::of(line()), 0..4),
        first: Option<Option<u128>>,
        narrow: u16,
        float in -1e30_f32..1e30,
        pair: (i128, [u8; 3]),
        old_name: String,
        certain: u8,
    ) -> before::Cart {
        before::Cart { gone, lines, by_place, first, narrow, float, pair, old_name, certain }
    }
}

fn shape<T: Schema>() -> Shape {
    Shape::of(T::SCHEMA)
}

fn reread<B: Serialize + Schema, A: DeserializeOwned>(before: &B) -> Result<A, Unread> {
    let bytes = postcard::to_stdvec(before).expect("it encodes");
    read(&shape::<B>(), &bytes)
}

proptest! {
    #[test]
    fn a_state_is_read_as_its_type_has_become(cart in cart()) {
        prop_assert_eq!(reread::<_, after::Cart>(&cart), Ok(evolved(cart.clone())));
        prop_assert_eq!(reread::<_, before::Cart>(&cart), Ok(cart));
    }

    #[test]
    fn a_torn_state_is_refused_or_at_least_not_feared(cart in cart(), cut: prop::sample::Index) {
        let mut bytes = postcard::to_stdvec(&cart).expect("it encodes");
        bytes.truncate(cut.index(bytes.len()));
        let error = read::<before::Cart>(&shape::<before::Cart>(), &bytes).expect_err("cut off");
        prop_assert_eq!(error.why, Why::Damaged);
        bytes = postcard::to_stdvec(&cart).expect("it encodes");
        bytes.push(0);
        prop_assert!(read::<before::Cart>(&shape::<before::Cart>(), &bytes).is_err());
    }

    /// Everything that a shape can say is read as it was written, and passed over at its very length.
    #[test]
    fn every_value_of_every_shape_is_read_whole((shape, value) in dynamic::shape_and_value()) {
        let mut bytes = Vec::new();
        value.write(&shape, &mut bytes);
        prop_assert_eq!(read::<Value>(&shape, &bytes), Ok(value));
        prop_assert_eq!(read::<IgnoredAny>(&shape, &bytes), Ok(IgnoredAny));
    }

    #[test]
    fn no_bytes_of_any_shape_panic_or_take_more_than_they_are(
        shape in crate::state::shape::tests::any(),
        bytes: Vec<u8>,
    ) {
        if let Ok(value) = read::<Value>(&shape, &bytes) {
            // Each part of the shape may stand once beside each byte, and then there are those without bytes.
            let parts_max = (bytes.len() + 1 + EMPTY_ELEMENTS_MAX) * shape.encode().len();
            prop_assert!(value.parts() <= parts_max, "{} parts", value.parts());
        }
        let _ = read::<IgnoredAny>(&shape, &bytes);
        let _ = read::<before::Cart>(&shape, &bytes);
        let _ = read::<after::Cart>(&shape, &bytes);
        let _ = read::<after::Kind>(&shape, &bytes);
        let _ = read::<Vec<Option<BTreeMap<u64, f32>>>>(&shape, &bytes);
        let _ = read::<after::Cart>(&Shape::of(before::Cart::SCHEMA), &bytes);
    }
}

fn fails<B: Serialize + Schema, A: DeserializeOwned + std::fmt::Debug>(before: &B) -> Unread {
    reread::<B, A>(before).expect_err("the types do not fit")
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Line {
        count: u32,
        must: bool,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Missing {
        lines: Vec<Line>,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    enum Kind {
        Number(u8),
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Narrowed {
        lines: Vec<NarrowedLine>,
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct NarrowedLine {
        kind: Kind,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        lines: Vec<IgnoredAny>,
    }

    let line = |kind| before::Line { count: 1, removed: Ok(1), kind };
    let cart = |kind| before::Cart {
        gone: Vec::new(),
        lines: vec![line(before::Kind::Number(1)), line(kind)],
        by_place: BTreeMap::new(),
        first: None,
        narrow: 1,
        float: 1.0,
        pair: (1, [1; 3]),
        old_name: String::new(),
        certain: 1,
    };
    let of = |error: &Unread| (error.why, error.field());

    let error = fails::<_, Missing>(&cart(before::Kind::Plain));
    assert_eq!(of(&error), (Why::Missing, "lines[0].must".to_owned()));
    let error = fails::<_, Narrowed>(&cart(before::Kind::Number(256)));
    assert_eq!(of(&error), (Why::Unfit, "lines[1].kind::Number".to_owned()));
    assert!(error.to_string().contains("256"), "{error}");
    let error = fails::<_, Narrowed>(&cart(before::Kind::Plain));
    assert_eq!(of(&error), (Why::UnknownVariant, "lines[1].kind::Plain".to_owned()));
    let error = fails::<_, Strict>(&cart(before::Kind::Plain));
    assert_eq!(of(&error), (Why::UnknownField, "gone".to_owned()));
}

#[test]
fn numbers_go_where_they_have_the_same_value() {
    assert_eq!(reread::<_, u64>(&7_u8), Ok(7));
    assert_eq!(reread::<_, i8>(&-7_i128), Ok(-7));
    assert_eq!(reread::<_, u8>(&255_u128), Ok(255));
    assert_eq!(reread::<_, u128>(&u128::MAX), Ok(u128::MAX));
    assert_eq!(reread::<_, i128>(&i128::MIN), Ok(i128::MIN));
    assert_eq!(reread::<_, i128>(&u64::MAX), Ok(u64::MAX.into()));
    assert_eq!(reread::<_, f64>(&0.1_f32), Ok(0.1_f32.into()));
    assert_eq!(reread::<_, f32>(&0.5_f64), Ok(0.5));
    assert_eq!(reread::<_, f64>(&-3_i64), Ok(-3.0));
    assert!(reread::<_, f64>(&f32::NAN).is_ok_and(f64::is_nan));
    assert!(reread::<_, f32>(&f64::NAN).is_ok_and(f32::is_nan));
    assert_eq!(reread::<_, Option<Option<u8>>>(&Some(Some(7_u8))), Ok(Some(Some(7))));
    assert_eq!(reread::<_, Option<Option<u8>>>(&Some(None::<u8>)), Ok(Some(None)));
    assert_eq!(reread::<_, String>(&'x'), Ok("x".to_owned()));

    fails::<_, u8>(&256_u16);
    fails::<_, u64>(&-1_i8);
    fails::<_, u64>(&u128::MAX);
    fails::<_, f32>(&0.1_f64);
    fails::<_, f64>(&u64::MAX);
    fails::<_, u8>(&1.0_f32);
    fails::<_, bool>(&1_u8);
    fails::<_, u8>(&Some(1_u8));
    fails::<_, u8>(&"1");
    fails::<_, (u8, u8)>(&(1_u8, 2_u8, 3_u8));
    fails::<_, (u8, u8, u8)>(&(1_u8, 2_u8));
    fails::<_, before::Line>(&(1_u32, Ok::<u64, String>(1), before::Kind::Plain));
}

#[test]
fn types_that_write_alike_are_read_as_each_other() {
    use std::borrow::Cow;
    use std::collections::BTreeSet;
    use std::num::NonZeroU32;
    use std::ops::Range;
    use std::path::PathBuf;
    use std::time::Duration;

    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    struct Wrapped(u64);
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize, Schema)]
    struct Marker;
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize, Schema)]
    #[serde(default)]
    struct Filled {
        a: u8,
    }
    struct Bytes(Vec<u8>);
    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Taken;
            impl Visitor<'_> for Taken {
                type Value = Bytes;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(bytes.to_vec()))
                }
            }
            deserializer.deserialize_bytes(Taken)
        }
    }

    assert_eq!(reread::<_, Wrapped>(&7_u32), Ok(Wrapped(7)));
    assert_eq!(reread::<_, u64>(&Wrapped(7)), Ok(7));
    assert_eq!(reread::<_, Option<Wrapped>>(&7_u8), Ok(Some(Wrapped(7))));
    assert_eq!(reread::<_, Filled>(&Marker), Ok(Filled::default()));
    assert_eq!(reread::<_, Marker>(&Filled { a: 1 }), Ok(Marker));
    assert_eq!(reread::<_, Vec<u8>>(&[1_u8, 2]), Ok(vec![1, 2]));
    assert_eq!(reread::<_, [u16; 2]>(&vec![1_u8, 2]), Ok([1, 2]));
    assert_eq!(reread::<_, BTreeSet<u8>>(&vec![2_u8, 1]), Ok(BTreeSet::from([1, 2])));
    assert_eq!(reread::<_, NonZeroU32>(&7_u8).map(NonZeroU32::get), Ok(7));
    assert_eq!(reread::<_, Range<u64>>(&(1_u8..3)), Ok(1..3));
    assert_eq!(reread::<_, PathBuf>(&"a/b"), Ok(PathBuf::from("a/b")));
    assert_eq!(reread::<_, Cow<'static, str>>(&"a"), Ok(Cow::Borrowed("a")));
    let long = Duration::new(7, 8);
    assert_eq!(reread::<_, Duration>(&long), Ok(long));
    assert_eq!(reread::<_, Bytes>(&vec![1_u8, 2]).map(|bytes| bytes.0), Ok(vec![1, 2]));
    assert_eq!(fails::<_, Vec<u64>>(&vec![-1_i8; 3]).field(), "[0]");
    fails::<_, NonZeroU32>(&0_u8);
    fails::<_, [u8; 2]>(&vec![1_u8, 2, 3]);
    fails::<_, u8>(&());
}

#[test]
fn bytes_that_ask_for_much_get_nothing() {
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let seq = |element| Shape::Seq(Box::new(element));
    for shape in [seq(Shape::U8), seq(Shape::Unit), seq(seq(Shape::Unit)), Shape::String] {
        assert_eq!(read::<IgnoredAny>(&shape, &many).expect_err("much").why, Why::Damaged);
        assert!(read::<Value>(&shape, &many).is_err());
    }
    // Many small lies are one large one.
    let lies: Vec<u8> = [20].into_iter().chain([0xff, 0xff, 0x03].repeat(20)).collect();
    assert!(read::<IgnoredAny>(&seq(seq(Shape::Unit)), &lies).is_err());
    assert!(read::<Vec<Vec<()>>>(&seq(seq(Shape::Unit)), &lies).is_err());
}

#[test]
fn a_type_that_contains_itself_ends() {
    #[derive(Debug)]
    struct Endless;
    impl<'de> Deserialize<'de> for Endless {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Option::<Box<Endless>>::deserialize(deserializer).map(|_| Endless)
        }
    }
    let error = read::<Endless>(&Shape::U8, &[1]).expect_err("too deep");
    assert!(error.to_string().contains("too deep"), "{error}");
}
