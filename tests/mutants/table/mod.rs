//! All mutants.

mod alarm;
mod copies;
mod drain;
mod evolved;
mod kernel;
mod keyed;
mod kin;
mod object;
mod past;
mod press;
mod quarantine;
mod schedule;
mod send;
mod sockets;
mod sql;
mod start;
mod storage;
mod stored;
mod supervise;
mod waits;
mod work;
mod world;

use crate::Mutant;

/// Every mutant of every file.
pub fn all() -> Vec<&'static Mutant> {
    let tables = [
        alarm::MUTANTS,
        copies::MUTANTS,
        drain::MUTANTS,
        evolved::MUTANTS,
        kernel::MUTANTS,
        keyed::MUTANTS,
        kin::MUTANTS,
        object::MUTANTS,
        past::MUTANTS,
        press::MUTANTS,
        quarantine::MUTANTS,
        schedule::MUTANTS,
        send::MUTANTS,
        sockets::MUTANTS,
        sql::MUTANTS,
        start::MUTANTS,
        storage::MUTANTS,
        stored::MUTANTS,
        supervise::MUTANTS,
        waits::MUTANTS,
        work::MUTANTS,
        world::MUTANTS,
    ];
    tables.into_iter().flatten().collect()
}
