//! The same trees in several systems.

pub(crate) mod durable_tree;
pub(crate) mod probe;
pub(crate) mod program;

pub(crate) use probe::Trees;
