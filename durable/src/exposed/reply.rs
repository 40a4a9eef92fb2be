//! What methods return, as values of any format: the value of a result, or the error that it is.

use std::convert::Infallible;

use serde::{Serialize, Serializer};

/// What a method has returned, written by a serializer.
#[derive(Debug)]
pub struct Answered<T> {
    /// What the serializer has made of it.
    pub written: T,
    /// It is the method's own error.
    pub is_rejected: bool,
}

/// What a method's return type means to callers outside of Rust. `FALLIBLE` as of [`Returned`](crate::__private::Returned).
pub trait NamedReply<const FALLIBLE: bool> {
    /// Writes the value, or the method's own error.
    ///
    /// # Errors
    /// The format's own.
    fn encode<S: Serializer>(&self, serializer: S) -> Result<Answered<S::Ok>, S::Error>;
}

impl<T: Serialize> NamedReply<false> for T {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<Answered<S::Ok>, S::Error> {
        let written = self.serialize(serializer)?;
        Ok(Answered { written, is_rejected: false })
    }
}

impl<T: Serialize, E: Serialize> NamedReply<true> for Result<T, E> {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<Answered<S::Ok>, S::Error> {
        let is_rejected = self.is_err();
        let written = match self {
            Ok(value) => value.serialize(serializer),
            Err(error) => error.serialize(serializer),
        }?;
        Ok(Answered { written, is_rejected })
    }
}

/// The types that callers outside of Rust see of a method's return type. `FALLIBLE` as of [`NamedReply`].
pub trait ReplyParts<const FALLIBLE: bool> {
    /// What it gives.
    type Value;
    /// Its own error.
    type Rejection;
}

impl<T> ReplyParts<false> for T {
    type Value = T;
    type Rejection = Infallible;
}

impl<T, E> ReplyParts<true> for Result<T, E> {
    type Value = T;
    type Rejection = E;
}
