//! What an object's database holds: values, and how a commit changes its pages.

use std::fmt;
use std::sync::Arc;

/// A value of an object's database, as it is: an integer has 64 bits, and a text is not a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum SqlValue {
    /// No value.
    #[default]
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction. Never NaN, which a database cannot hold.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl SqlValue {
    /// What errors call its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            SqlValue::Null => "null",
            SqlValue::Integer(_) => "an integer",
            SqlValue::Real(_) => "a real number",
            SqlValue::Text(_) => "text",
            SqlValue::Blob(_) => "a blob",
        }
    }

    /// Bytes of its content.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            SqlValue::Null => 0,
            SqlValue::Integer(_) | SqlValue::Real(_) => 8,
            SqlValue::Text(text) => text.len(),
            SqlValue::Blob(bytes) => bytes.len(),
        }
    }
}

macro_rules! from {
    ($variant:ident: $($source:ty => $convert:expr),+) => {
        $(impl From<$source> for SqlValue {
            fn from(value: $source) -> Self {
                SqlValue::$variant($convert(value))
            }
        })+
    };
}

from!(Integer: i64 => i64::from, i32 => i64::from, i16 => i64::from, i8 => i64::from);
from!(Integer: u32 => i64::from, u16 => i64::from, u8 => i64::from, bool => i64::from);
from!(Real: f64 => f64::from, f32 => f64::from);
from!(Text: String => String::from, &str => str::to_owned, &String => String::clone);
from!(Blob: Vec<u8> => Vec::from, &[u8] => <[u8]>::to_vec, &Vec<u8> => Vec::clone);

impl<const N: usize> From<[u8; N]> for SqlValue {
    fn from(bytes: [u8; N]) -> Self {
        SqlValue::Blob(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for SqlValue {
    fn from(bytes: &[u8; N]) -> Self {
        SqlValue::Blob(bytes.to_vec())
    }
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(SqlValue::Null, Into::into)
    }
}

impl From<&SqlValue> for SqlValue {
    fn from(value: &SqlValue) -> Self {
        value.clone()
    }
}

/// Parameters of a statement: nothing, a tuple, an array or a slice of what becomes an [`SqlValue`], in the order of
/// the statement's `?`; or [`SqlNamed`].
pub trait SqlParams: sealed::Sealed {
    #[doc(hidden)]
    fn into_bound(self) -> Bound;
}

mod sealed {
    /// Keeps the trait ours.
    pub trait Sealed {}
}

/// What a statement's parameters are.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Bound {
    /// By position.
    Listed(Vec<SqlValue>),
    /// By name.
    Named(Vec<(String, SqlValue)>),
}

/// Parameters by name: `SqlNamed([(":title", "Emma".into()), (":pages", 474.into())])`.
#[derive(Clone, Debug)]
pub struct SqlNamed<const N: usize>(
    /// Each name with its sign, `:`, `@` or `$`, as in the statement.
    pub [(&'static str, SqlValue); N],
);

impl<const N: usize> sealed::Sealed for SqlNamed<N> {}

impl<const N: usize> SqlParams for SqlNamed<N> {
    fn into_bound(self) -> Bound {
        Bound::Named(self.0.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl sealed::Sealed for () {}

impl SqlParams for () {
    fn into_bound(self) -> Bound {
        Bound::Listed(Vec::new())
    }
}

impl<T: Into<SqlValue>, const N: usize> sealed::Sealed for [T; N] {}

impl<T: Into<SqlValue>, const N: usize> SqlParams for [T; N] {
    fn into_bound(self) -> Bound {
        Bound::Listed(self.into_iter().map(Into::into).collect())
    }
}

impl<T: Clone + Into<SqlValue>> sealed::Sealed for &[T] {}

impl<T: Clone + Into<SqlValue>> SqlParams for &[T] {
    fn into_bound(self) -> Bound {
        Bound::Listed(self.iter().cloned().map(Into::into).collect())
    }
}

impl<T: Into<SqlValue>> sealed::Sealed for Vec<T> {}

impl<T: Into<SqlValue>> SqlParams for Vec<T> {
    fn into_bound(self) -> Bound {
        Bound::Listed(self.into_iter().map(Into::into).collect())
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<$($name: Into<SqlValue>),+> sealed::Sealed for ($($name,)+) {}

        impl<$($name: Into<SqlValue>),+> SqlParams for ($($name,)+) {
            #[allow(non_snake_case, reason = "each variable is called as its type")]
            fn into_bound(self) -> Bound {
                let ($($name,)+) = self;
                Bound::Listed(vec![$($name.into()),+])
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);
tuple!(A B C D E F G H I);
tuple!(A B C D E F G H I J);
tuple!(A B C D E F G H I J K);
tuple!(A B C D E F G H I J K L);

/// A page of an object's database.
pub(crate) type Page = Arc<[u8]>;

/// What a commit does to the pages of an object's database.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlChange {
    /// Pages that the database has after it.
    pub page_count: u32,
    /// The pages that it changes, as they are after it, by their numbers from 1.
    pub pages: Vec<(u32, Arc<[u8]>)>,
}

impl fmt::Debug for SqlChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages: Vec<_> = self.pages.iter().map(|(number, _)| number).collect();
        f.debug_struct("SqlChange")
            .field("page_count", &self.page_count)
            .field("pages", &pages)
            .finish()
    }
}

/// A change of the tables of a class's objects: one of the numbered files of `migrations = "…"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// From 1, without a gap.
    pub number: u32,
    /// What its file is called after the number.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
}
