//! What reaches other machines.

use std::fmt;
#[cfg(feature = "http")]
use std::sync::Arc;

#[cfg(feature = "http")]
use super::BoxFuture;
#[cfg(feature = "http")]
use crate::wire::{Goal, Wire};

/// The way to other machines, if a host has any.
#[derive(Clone)]
pub struct Net {
    /// `None`: nobody opens sockets.
    #[cfg(feature = "http")]
    dialer: Option<Arc<dyn Dialer>>,
}

impl Net {
    /// No other machine is reached.
    pub fn none() -> Self {
        Net {
            #[cfg(feature = "http")]
            dialer: None,
        }
    }

    /// Sockets are opened by `dialer`.
    #[cfg(feature = "http")]
    pub fn new(dialer: impl Dialer + 'static) -> Self {
        Net { dialer: Some(Arc::new(dialer)) }
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// Why it cannot be opened, for people.
    #[cfg(feature = "http")]
    pub fn dial(&self, goal: Goal) -> BoxFuture<'static, Result<Box<dyn Wire>, String>> {
        match &self.dialer {
            Some(dialer) => dialer.dial(goal),
            None => Box::pin(std::future::ready(Err("the host opens no sockets".to_owned()))),
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

/// Opens sockets to servers elsewhere.
#[cfg(feature = "http")]
pub trait Dialer: Send + Sync {
    /// Opens one.
    ///
    /// # Errors
    /// Why it cannot be opened, for people.
    fn dial(&self, goal: Goal) -> BoxFuture<'static, Result<Box<dyn Wire>, String>>;
}
