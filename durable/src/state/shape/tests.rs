use std::collections::BTreeMap;

use postcard_schema::Schema;
use proptest::prelude::*;

use super::*;

/// Shapes of any kind, nested.
pub(crate) fn any() -> impl Strategy<Value = Shape> {
    let plain = prop::sample::select(&PLAIN[..]);
    plain.prop_recursive(4, 24, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let all = prop::collection::vec(inner, 0..4);
        let named = |names: &'static str| {
            let named = (names, all.clone().prop_map(Shape::Tuple));
            prop::collection::vec(named.prop_map(|(name, shape)| Named { name, shape }), 1..4)
        };
        prop_oneof![
            boxed.clone().prop_map(Shape::Option),
            boxed.clone().prop_map(Shape::Seq),
            (boxed.clone(), boxed).prop_map(|(key, value)| Shape::Map(key, value)),
            all.clone().prop_map(Shape::Tuple),
            named("[a-e]{1,3}").prop_map(Shape::Struct),
            named("[A-E]{1,3}").prop_map(Shape::Enum),
        ]
    })
}

proptest! {
    #[test]
    fn a_shape_round_trips(shape in any()) {
        prop_assert_eq!(Shape::decode(&shape.encode()), Ok(shape.clone()));
        prop_assert_eq!(Shape::parse(&shape.text(4)), Ok(shape));
    }

    #[test]
    fn any_name_is_one_in_a_text(name: String) {
        let shape = Shape::Struct(vec![Named { name, shape: Shape::Bool }]);
        prop_assert_eq!(Shape::parse(&shape.text(0)), Ok(shape));
    }

    #[test]
    fn no_text_panics(text: String, signs in "[a-c\\[\\](){}<>,:\"\\\\ ]{0,40}") {
        let _ = Shape::parse(&text);
        let _ = Shape::parse(&signs);
    }

    #[test]
    fn no_bytes_panic_and_none_are_two_shapes(bytes: Vec<u8>) {
        if let Ok(shape) = Shape::decode(&bytes) {
            prop_assert_eq!(Shape::decode(&shape.encode()), Ok(shape));
        }
    }
}

fn of<T: Schema>() -> Shape {
    Shape::of(T::SCHEMA)
}

#[derive(Schema)]
#[allow(dead_code)]
struct Cents(u64);

#[derive(Schema)]
#[allow(dead_code)]
struct Marker;

#[derive(Schema)]
#[allow(dead_code)]
enum Kind {
    Plain,
    One(u8),
    Two(u8, char),
    Named { on: bool },
}

#[test]
fn a_shape_is_what_postcard_writes() {
    let boxed = Box::new;
    assert_eq!(of::<Cents>(), Shape::U64);
    assert_eq!(of::<Marker>(), Shape::Unit);
    assert_eq!(of::<[Cents; 2]>(), Shape::Tuple(vec![Shape::U64, Shape::U64]));
    let map = Shape::Map(boxed(of::<(i16, String)>()), boxed(Shape::Option(boxed(Shape::F32))));
    assert_eq!(of::<BTreeMap<(i16, String), Option<f32>>>(), map);
    let named = |name: &str, shape| Named { name: name.to_owned(), shape };
    let variants = vec![
        named("Plain", Shape::Unit),
        named("One", Shape::Tuple(vec![Shape::U8])),
        named("Two", Shape::Tuple(vec![Shape::U8, Shape::Char])),
        named("Named", Shape::Struct(vec![named("on", Shape::Bool)])),
    ];
    assert_eq!(of::<Kind>(), Shape::Enum(variants));
}

#[test]
fn the_stored_form_is_the_documented_one() {
    let kind: &[u8] = &[
        22, 4, 5, b'P', b'l', b'a', b'i', b'n', 16, 3, b'O', b'n', b'e', 20, 1, 7, 3, b'T', b'w',
        b'o', 20, 2, 7, 14, 5, b'N', b'a', b'm', b'e', b'd', 21, 1, 2, b'o', b'n', 1,
    ];
    assert_eq!(of::<Kind>().encode(), kind);
    let plain: Vec<u8> = PLAIN.iter().flat_map(Shape::encode).collect();
    assert_eq!(plain, (1..=16).collect::<Vec<u8>>());
    assert_eq!(of::<Option<Vec<BTreeMap<i8, u128>>>>().encode(), [17, 18, 19, 2, 11]);
}

#[test]
fn a_shape_reads_well() {
    let text = "enum {
  Plain
  One(u8)
  Two(u8, char)
  Named {
    on: bool
  }
}";
    assert_eq!(of::<Kind>().text(0), text);
    assert_eq!(
        of::<BTreeMap<u8, Option<Vec<(i8, f32)>>>>().text(0),
        "map<u8, option<[(i8, f32)]>>"
    );
}

#[test]
fn a_variant_that_is_a_number_is_damage() {
    let damage = Shape::decode(&[22, 1, 1, b'N', 7]).expect_err("no variant is a number");
    assert!(damage.to_string().contains("variant `N`"), "{damage}");
}
