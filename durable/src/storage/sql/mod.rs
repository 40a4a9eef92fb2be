//! The databases of objects: SQLite over pages that live in the shard.
//!
//! # Why a turn's SQL is atomic and durable with everything else that the turn did
//!
//! An object's database is a function of rows of its shard: of `sql_pages`, which holds the pages that the last fold
//! stored, and of its rows of `sql_log` since then, which say in order how commits have changed pages
//! ([`rows::sql`](super::rows::sql)). There is no file.
//!
//! 1. *A turn is one private transaction.* SQLite hands pages to the VFS before or while the private transaction commits;
//!    they are the turn's until it has, and dropped if it has not ([`PageOverlay`](crate::kernel::pages::PageOverlay)).
//!    So what is kept is what whole turns left.
//! 2. *What is kept is stored with the rest.* The pages that a turn changed become one row of `sql_log`, or, in a fold,
//!    rows of `sql_pages` and a head, which says that the log up to there is folded. They stand in the same write set as
//!    the turn's snapshot and KV rows, and the shard stores a write set in one transaction or not at all. So after any
//!    crash the rows are those that some commit of the object left, the same one for struct, KV and SQL, and it is the
//!    last one that was acknowledged or a later one. What sweeps take away ([`log`](super::log)) is no part of it.
//! 3. *A fold loses nothing.* It stores each page that the log names, as it is after the fold's own turn, and those are
//!    all the pages that differ from the stored ones: a page joins the overlay when a commit changes it and leaves when a
//!    fold that has stored it is durable.
//! 4. *Reads see one state.* A page is read from the overlay, or from `sql_pages` if it is not there. Only folds of this
//!    object's only activation change its rows of `sql_pages`, and from the fold's submission until it is durable all of
//!    its pages are in the overlay. So a row that is read is the page's newest version, however late it is read. The
//!    rows of one object are written by its newest epoch only; that is the fence of every commit.
//! 5. *A commit that fails* breaks the activation's fence; the overlay goes with the activation, and the next one opens
//!    from rows.
//!
//! Nothing of it is synced but by the group commit. A private file would have to be synced, or cut back and extended after
//! a crash, could be missing or another object's, and would need a handle for each open object; rows have none of these
//! states.

mod around;
mod compare;
mod database;
mod functions;
mod gate;
mod migrate;
mod pages;
mod statement;
mod told;
mod vfs;

pub(crate) use around::{Around, Asked};
pub(crate) use compare::compare;
pub(crate) use database::{Answer, Ask, Database, Savepoint, SqlFailure};
pub(crate) use migrate::migrate;
pub(crate) use pages::Pages;

use super::rows::sql::PageError;
use crate::error::{Code, Error, Outcome};

/// What stored pages that cannot be used mean.
fn damaged(cause: &PageError) -> Error {
    let error = if cause.is_newer() {
        Code::SqlNewer.error(format!(
            "the object's database was written by newer code: {cause}; run the release that wrote it"
        ))
    } else {
        Code::StorageCorrupt.error(format!(
            "the object's database is damaged: {cause}; the bytes were left as they are, restore them from a copy"
        ))
    };
    error.with_outcome(Outcome::RolledBack)
}

#[cfg(test)]
mod tests;
