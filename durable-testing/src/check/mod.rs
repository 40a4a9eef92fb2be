//! Checkers: what must hold of every run, and what must hold of a run's history.

pub(crate) mod drain;
pub(crate) mod family;
pub(crate) mod history;
pub mod linear;
pub(crate) mod promises;
pub(crate) mod supervision;
pub(crate) mod waits;
pub(crate) mod work;
