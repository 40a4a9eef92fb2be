//! Arguments by the names of their parameters.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::Error as Plain;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// The arguments of a method, in pairs: `(first, (second, ()))`.
pub trait Arguments: Sized {
    /// What has come so far.
    type Slots: Default;

    /// Takes the value of the argument at `index`.
    ///
    /// # Errors
    /// The format's own.
    fn take<'de, A: MapAccess<'de>>(
        slots: &mut Self::Slots,
        index: usize,
        map: &mut A,
    ) -> Result<(), A::Error>;

    /// Whether the argument at `index` has come.
    fn has(slots: &Self::Slots, index: usize) -> bool;

    /// Whether the argument at `index` need not come.
    fn may_lack(index: usize) -> bool;

    /// All of them. One that has not come is what its type makes of nothing, as `None` for an `Option`.
    ///
    /// # Errors
    /// The first one that is missing.
    fn finish<E: Error>(slots: Self::Slots, names: &[&'static str]) -> Result<Self, E>;
}

impl Arguments for () {
    type Slots = ();

    fn take<'de, A: MapAccess<'de>>(
        _: &mut Self::Slots,
        _: usize,
        map: &mut A,
    ) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }

    fn has(_: &Self::Slots, _: usize) -> bool {
        false
    }

    fn may_lack(_: usize) -> bool {
        false
    }

    fn finish<E: Error>(_: Self::Slots, _: &[&'static str]) -> Result<Self, E> {
        Ok(())
    }
}

impl<T: DeserializeOwned, Rest: Arguments> Arguments for (T, Rest) {
    type Slots = (Option<T>, Rest::Slots);

    fn take<'de, A: MapAccess<'de>>(
        (first, rest): &mut Self::Slots,
        index: usize,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match index.checked_sub(1) {
            None => {
                *first = Some(map.next_value()?);
                Ok(())
            }
            Some(index) => Rest::take(rest, index, map),
        }
    }

    fn has((first, rest): &Self::Slots, index: usize) -> bool {
        match index.checked_sub(1) {
            None => first.is_some(),
            Some(index) => Rest::has(rest, index),
        }
    }

    fn may_lack(index: usize) -> bool {
        match index.checked_sub(1) {
            None => T::deserialize(Nothing::<Plain>::of("")).is_ok(),
            Some(index) => Rest::may_lack(index),
        }
    }

    fn finish<E: Error>((first, rest): Self::Slots, names: &[&'static str]) -> Result<Self, E> {
        let (name, names) = names.split_first().expect("every argument has a name");
        let first = first.map_or_else(|| T::deserialize(Nothing::<E>::of(name)), Ok)?;
        Ok((first, Rest::finish(rest, names)?))
    }
}

/// Reads a map of arguments.
///
/// # Errors
/// The format's own, and for an argument that is missing, unknown, given twice or wrong one that names it.
pub fn decode_arguments<'de, T: Arguments, D: Deserializer<'de>>(
    names: &'static [&'static str],
    from: D,
) -> Result<T, D::Error> {
    from.deserialize_map(Reader::<T> { names, slots: T::Slots::default() })
}

/// Reads a map.
struct Reader<T: Arguments> {
    names: &'static [&'static str],
    slots: T::Slots,
}

impl<'de, T: Arguments> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of arguments by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let Reader { names, mut slots } = self;
        while let Some(index) = map.next_key_seed(Name(names))? {
            let name = names[index];
            if T::has(&slots, index) {
                return Err(A::Error::custom(format_args!("argument `{name}` is given twice")));
            }
            T::take(&mut slots, index, &mut map)
                .map_err(|error| A::Error::custom(format_args!("argument `{name}`: {error}")))?;
        }
        T::finish(slots, names)
    }
}

/// Reads a name, and gives its place among these.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<usize, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an argument")
    }

    fn visit_str<E: Error>(self, given: &str) -> Result<usize, E> {
        let Name(names) = self;
        names.iter().position(|name| *name == given).ok_or_else(|| {
            let given: String = given.chars().take(NAMED_CHARS_MAX).collect();
            let all = names.join("`, `");
            E::custom(match names {
                [] => format!("there is no argument `{given}`, the method takes none"),
                _ => format!("there is no argument `{given}`, they are `{all}`"),
            })
        })
    }
}

/// How much of an unknown name is told.
const NAMED_CHARS_MAX: usize = 64;

/// What stands for an argument that is missing.
struct Nothing<E> {
    name: &'static str,
    error: PhantomData<E>,
}

impl<E> Nothing<E> {
    fn of(name: &'static str) -> Self {
        Nothing { name, error: PhantomData }
    }
}

impl<'de, E: Error> Deserializer<'de> for Nothing<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::custom(format_args!("argument `{}` is missing", self.name)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Two = (u64, (Option<String>, ()));

    fn read(json: &str) -> Result<Two, String> {
        let mut from = serde_json::Deserializer::from_str(json);
        decode_arguments(&["cents", "note"], &mut from).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_come_in_any_order_and_an_option_need_not_come() {
        let both = Ok((7, (Some("x".to_owned()), ())));
        assert_eq!(read(r#"{"cents":7,"note":"x"}"#), both);
        assert_eq!(read(r#"{"note":"x","cents":7}"#), both);
        assert_eq!(read(r#"{"cents":7,"note":null}"#), Ok((7, (None, ()))));
        assert_eq!(read(r#"{"cents":18446744073709551615}"#), Ok((u64::MAX, (None, ()))));
        assert_eq!([0, 1, 2].map(Two::may_lack), [false, true, false]);
    }

    #[test]
    fn whatever_is_wrong_names_the_argument() {
        for (json, expected) in [
            (r#"{"note":"x"}"#, "argument `cents` is missing"),
            (r#"{"cents":1,"cents":1}"#, "argument `cents` is given twice"),
            (r#"{"cents":1,"sum":1}"#, "there is no argument `sum`, they are `cents`, `note`"),
            (r#"{"cents":-1}"#, "argument `cents`: invalid value: integer `-1`, expected u64"),
            (r#"{"cents":1,"note":2}"#, "argument `note`: invalid type: integer `2`"),
            (r#"{"cents":18446744073709551616}"#, "argument `cents`: invalid type: floating point"),
            ("[1,null]", "invalid type: sequence, expected a map of arguments by name"),
            ("7", "invalid type: integer `7`, expected a map of arguments by name"),
        ] {
            let error = read(json).expect_err(json);
            assert!(error.starts_with(expected), "{json}: {error}");
        }
        let long = "x".repeat(1_000);
        let error = read(&format!(r#"{{"{long}":1}}"#)).expect_err("it is unknown");
        assert!(error.len() < 200, "{error}");
    }

    #[test]
    fn a_method_without_arguments_takes_none() {
        let none = |json: &str| {
            let mut from = serde_json::Deserializer::from_str(json);
            decode_arguments::<(), _>(&[], &mut from).map_err(|error| error.to_string())
        };
        assert_eq!(none("{}"), Ok(()));
        let error = none(r#"{"a":1}"#).expect_err("it is unknown");
        assert!(error.starts_with("there is no argument `a`, the method takes none"), "{error}");
    }
}
