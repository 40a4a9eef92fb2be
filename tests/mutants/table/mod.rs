//! All mutants.

mod copies;
mod kernel;
mod object;
mod storage;
mod stored;
mod world;

use crate::Mutant;

/// Every mutant of every file.
pub fn all() -> Vec<&'static Mutant> {
    let tables = [
        copies::MUTANTS,
        kernel::MUTANTS,
        object::MUTANTS,
        storage::MUTANTS,
        stored::MUTANTS,
        world::MUTANTS,
    ];
    tables.into_iter().flatten().collect()
}
