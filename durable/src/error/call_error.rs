//! What a call fails with whose method has errors of its own.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;

/// What a call of a method that returns `Result<T, E>` fails with: the method's own `E`, or the system's [`Error`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum CallError<E> {
    /// The method returned this error; everything that it did was undone.
    Rejected(E),
    /// The call failed below the method.
    Failed(Error),
}

impl<E> CallError<E> {
    /// The method's own error, if it is one.
    pub fn rejection(&self) -> Option<&E> {
        match self {
            CallError::Rejected(error) => Some(error),
            CallError::Failed(_) => None,
        }
    }

    /// The same failure with the method's own error made into another, for a method that calls one of another class:
    /// `stock.take(2).await.map_err(|error| error.map(OrderError::Stock))`.
    pub fn map<F>(self, rejected: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            CallError::Rejected(error) => CallError::Rejected(rejected(error)),
            CallError::Failed(error) => CallError::Failed(error),
        }
    }

    /// The system's error, if it is one.
    pub fn failure(&self) -> Option<&Error> {
        match self {
            CallError::Rejected(_) => None,
            CallError::Failed(error) => Some(error),
        }
    }
}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> Self {
        CallError::Failed(error)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Rejected(error) => error.fmt(f),
            CallError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> StdError for CallError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            CallError::Rejected(_) => None,
            CallError::Failed(error) => error.source(),
        }
    }
}

/// For a method that returns `Result<_, durable::Error>`, often because it calls other objects: `?` passes both kinds on.
impl From<CallError<Error>> for Error {
    fn from(error: CallError<Error>) -> Self {
        match error {
            CallError::Rejected(error) | CallError::Failed(error) => error,
        }
    }
}
