//! The past of objects: what their commits replaced, how to go back, and how the past gets shorter.
//!
//! # Why going back gives exactly what a commit left
//!
//! An object is a function of rows of its shard: its snapshot, its KV, the pages and the log of its database. A row of
//! [`history`](super::rows::history) says how these rows were other before a run of commits.
//!
//! 1. *What a row says is what stood there.* The writer makes it of the rows that it is about to overwrite, inside of the
//!    transaction that overwrites them, and before it does ([`record`]). Nobody else writes, and no activation's memory is
//!    believed. A page of a database is what the stored log makes of the stored page, so that it is read as an activation
//!    would read it that began at that moment; or it is what the writer itself has made of it since ([`present`]).
//! 2. *A row is there exactly if its run is.* Both are of one transaction, and of one savepoint of it: a run that fails
//!    alone takes its row along. So the rows of an object are a chain without a gap that ends with its newest commit, in
//!    every moment that anybody can see, after every crash.
//! 3. *Going back is laying rows over the present, the newest first* ([`rewind`]). Each gives the state before its run; the
//!    state after the run is the one that the row behind it gave. What a row does not name its run has left alone. A gap, a
//!    wrong checksum or a bookmark that no row ends with is an error, and nothing has been changed.
//! 4. *Nothing is taken from the middle.* What is too old or too much goes from the beginning of the chain
//!    ([`kernel::history`](crate::kernel::history)), so what is left is a chain. It goes in a transaction of its own or in
//!    that of a commit, and is no part of any moment that is kept.
//! 5. *A restore is a commit.* It is handed over by an activation that does nothing else, before the object is loaded, when
//!    every earlier commit is settled; the fence of every commit, one over the commit before it by an epoch that is not
//!    stale, holds for it. What it replaces is recorded like any other commit's, so it can be undone.
//!
//! Commits that are stored together leave one state, the last, and one row. The states between were never stored, and no
//! bookmark names them.

mod ask;
mod present;
mod record;
mod rewind;
mod sweep;

pub(super) use present::Present;
pub(super) use record::{before, damaged, record};
pub(crate) use rewind::{Here, Misplaced, Restoring, Whole, entries, find, since};
pub(super) use sweep::{Pass, Sweep, piece};
