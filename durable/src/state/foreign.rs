//! The types of the standard library that can be stored: those whose bytes are the same in every run and on every
//! machine. `HashMap`, `HashSet`, `usize` and `isize` are not among them, whatever name they go by.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::num;
use std::ops::{Range, RangeFrom, RangeInclusive, RangeTo};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DurableState;

macro_rules! stored {
    ($($ty:ty),*) => { $(#[diagnostic::do_not_recommend] impl DurableState for $ty {})* };
}

stored!((), bool, char, String, PathBuf, Duration, f32, f64);
stored!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);
stored!(num::NonZeroU8, num::NonZeroU16, num::NonZeroU32, num::NonZeroU64, num::NonZeroU128);
stored!(num::NonZeroI8, num::NonZeroI16, num::NonZeroI32, num::NonZeroI64, num::NonZeroI128);

macro_rules! stored_around {
    ($($around:ident),*) => { $(#[diagnostic::do_not_recommend] impl<T: DurableState> DurableState for $around<T> {})* };
}

stored_around!(Box, Option, Vec, Range, RangeFrom, RangeInclusive, RangeTo);

#[diagnostic::do_not_recommend]
impl<T: DurableState> DurableState for num::Wrapping<T> {}
#[diagnostic::do_not_recommend]
impl<T: DurableState> DurableState for PhantomData<T> {}
#[diagnostic::do_not_recommend]
impl<T: DurableState, E: DurableState> DurableState for Result<T, E> {}
#[diagnostic::do_not_recommend]
impl<K: DurableState + Ord, V: DurableState> DurableState for BTreeMap<K, V> {}
#[diagnostic::do_not_recommend]
impl<T: DurableState + Ord> DurableState for BTreeSet<T> {}
#[diagnostic::do_not_recommend]
impl<T: DurableState, const N: usize> DurableState for [T; N] where
    [T; N]: Serialize + DeserializeOwned
{
}
#[diagnostic::do_not_recommend]
impl DurableState for Cow<'static, str> {}

macro_rules! stored_tuples {
    ($(($($member:ident),*)),*) => {
        $(#[diagnostic::do_not_recommend] impl<$($member: DurableState),*> DurableState for ($($member,)*) {})*
    };
}

stored_tuples!((A), (A, B), (A, B, C), (A, B, C, D), (A, B, C, D, E), (A, B, C, D, E, F));
