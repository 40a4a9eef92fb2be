//! Made-up values of a shape, as bytes: enough of them that every variant stands everywhere once, that options are there
//! and missing, and that numbers are as large as they can be.

use super::bytes::write_varint;
use super::shape::{Named, Shape};
use crate::limits::SAMPLES_MAX;

/// Encoded values of a shape. An enum without variants, and what must hold one, has none.
pub(crate) fn samples(shape: &Shape) -> Vec<Vec<u8>> {
    let mut all = match shape {
        Shape::Unit => vec![Vec::new()],
        Shape::Bool => vec![vec![0], vec![1]],
        Shape::U8 => vec![vec![1], vec![u8::MAX]],
        Shape::I8 => vec![vec![1], vec![0x7f], vec![0x80]],
        Shape::U16 => vec![vec![1], ones(16)],
        Shape::U32 => vec![vec![1], ones(32)],
        Shape::U64 => vec![vec![1], ones(64)],
        Shape::U128 => vec![vec![1], ones(128)],
        // Zigzag: 2 is one, all ones are the least, and one less is the greatest.
        Shape::I16 => vec![vec![2], even(16), ones(16)],
        Shape::I32 => vec![vec![2], even(32), ones(32)],
        Shape::I64 => vec![vec![2], even(64), ones(64)],
        Shape::I128 => vec![vec![2], even(128), ones(128)],
        // One that half as many bits can hold, and one that they cannot.
        Shape::F32 => [0.5_f32, 0.1].map(|float| float.to_le_bytes().to_vec()).into(),
        Shape::F64 => [0.5_f64, 0.1].map(|float| float.to_le_bytes().to_vec()).into(),
        Shape::Char | Shape::String => vec![vec![1, b'a']],
        Shape::Option(inner) => {
            let some = samples(inner).into_iter().map(|value| [vec![1], value].concat());
            [vec![0]].into_iter().chain(some).collect()
        }
        Shape::Seq(element) => vec![counted(&samples(element))],
        Shape::Map(key, value) => {
            vec![counted(&beside(&[samples(key), samples(value)]))]
        }
        Shape::Tuple(members) => beside(&members.iter().map(samples).collect::<Vec<_>>()),
        Shape::Struct(fields) => {
            beside(&fields.iter().map(|field| samples(&field.shape)).collect::<Vec<_>>())
        }
        Shape::Enum(variants) => variants.iter().enumerate().flat_map(variant).collect(),
        Shape::Schema => Vec::new(),
    };
    all.truncate(SAMPLES_MAX);
    all
}

fn variant((place, variant): (usize, &Named)) -> Vec<Vec<u8>> {
    let of = |value: Vec<u8>| {
        let mut bytes = Vec::new();
        write_varint(place, &mut bytes);
        bytes.extend(value);
        bytes
    };
    samples(&variant.shape).into_iter().map(of).collect()
}

/// As many values as the part with the most has, each of a value of every part.
fn beside(parts: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    if parts.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let count = parts.iter().map(Vec::len).max().unwrap_or(1);
    let value = |n: usize| parts.iter().flat_map(|part| part[n % part.len()].clone()).collect();
    (0..count).map(value).collect()
}

fn counted(all: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_varint(all.len(), &mut bytes);
    all.iter().for_each(|value| bytes.extend(value));
    bytes
}

/// The greatest number of so many bits, as a varint.
fn ones(bits: u32) -> Vec<u8> {
    let full = usize::try_from(bits / 7).expect("a few");
    let mut bytes = vec![0xff; full];
    bytes.push((1_u8 << (bits % 7)) - 1);
    bytes
}

/// The greatest even one.
fn even(bits: u32) -> Vec<u8> {
    let mut bytes = ones(bits);
    bytes[0] ^= 1;
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use postcard_schema::Schema;
    use proptest::prelude::*;
    use serde::de::{DeserializeOwned, IgnoredAny};

    use super::*;
    use crate::state::by_name;

    proptest! {
        #[test]
        fn every_sample_is_a_value_of_its_shape(shape in crate::state::shape::tests::any()) {
            for sample in samples(&shape) {
                prop_assert_eq!(by_name::read::<IgnoredAny>(&shape, &sample), Ok(IgnoredAny));
            }
        }
    }

    fn of<T: Schema + DeserializeOwned>() -> Vec<T> {
        let decode = |bytes: &Vec<u8>| postcard::from_bytes(bytes).expect("a value");
        samples(&Shape::of(T::SCHEMA)).iter().map(decode).collect()
    }

    #[test]
    fn samples_hold_the_greatest_numbers_and_every_variant() {
        assert_eq!(of::<u64>(), [1, u64::MAX]);
        assert_eq!(of::<u128>(), [1, u128::MAX]);
        assert_eq!(of::<i32>(), [1, i32::MAX, i32::MIN]);
        assert_eq!(of::<i8>(), [1, i8::MAX, i8::MIN]);
        assert_eq!(of::<Option<Result<bool, ()>>>().len(), 4);
        assert_eq!(of::<Vec<(u8, bool)>>(), [[(1, false), (255, true)]]);
        assert_eq!(of::<BTreeMap<char, u16>>(), [BTreeMap::from([('a', u16::MAX)])]);
    }
}
