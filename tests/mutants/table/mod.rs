//! All mutants.

mod copies;
mod evolved;
mod kernel;
mod object;
mod sql;
mod storage;
mod stored;
mod supervise;
mod world;

use crate::Mutant;

/// Every mutant of every file.
pub fn all() -> Vec<&'static Mutant> {
    let tables = [
        copies::MUTANTS,
        evolved::MUTANTS,
        kernel::MUTANTS,
        object::MUTANTS,
        sql::MUTANTS,
        storage::MUTANTS,
        stored::MUTANTS,
        supervise::MUTANTS,
        world::MUTANTS,
    ];
    tables.into_iter().flatten().collect()
}
