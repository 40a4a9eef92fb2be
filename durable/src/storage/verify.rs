//! Reads everything that a data directory holds, and says what is wrong with it. Changes nothing.
//!
//! What is checked, in this order: the files are there and are the directory's; SQLite finds them whole; the shards agree on
//! the classes; every row leads to an object; every id, name, place, checksum and number fits. A shard is read in one
//! moment, so that commits which come meanwhile are no problems.

mod alarms;
mod kept;
mod objects;
mod past;
mod tables;
mod values;

use rusqlite::{Connection, ErrorCode};

use super::look::{Look, asked};
use super::rows::class;
use super::sqlite::{Fault, Place, Role};
use super::store::{check_meta, failed};
use crate::error::{Code, Error};
use crate::inspection::{Problem, ProblemKind, Verified};
use crate::kernel::lifecycle::{self, Class, Misfit};
use crate::limits::PROBLEMS_MAX;

/// Everything.
pub(super) fn verify(look: &Look) -> Result<Verified, Error> {
    run(look, &Depth::Rows)
}

/// Only that the files are there, are the directory's, and are whole in SQLite's eyes.
pub(super) fn verify_files(look: &Look) -> Result<Verified, Error> {
    run(look, &Depth::Files)
}

/// How deep to look.
#[derive(PartialEq, Eq)]
enum Depth {
    Files,
    Rows,
}

/// What was found until now.
#[derive(Default)]
struct Findings {
    verified: Verified,
    /// `None`: of the whole directory.
    shard: Option<u16>,
}

impl Findings {
    fn add(&mut self, kind: ProblemKind, what: impl Into<String>) {
        self.push(kind, None, what.into());
    }

    fn add_of(&mut self, kind: ProblemKind, object: String, what: impl Into<String>) {
        self.push(kind, Some(object), what.into());
    }

    fn push(&mut self, kind: ProblemKind, object: Option<String>, what: String) {
        if self.verified.problems.len() >= PROBLEMS_MAX {
            self.verified.problems_left_out += 1;
            return;
        }
        self.verified.problems.push(Problem { kind, shard: self.shard, object, what });
    }

    /// What an error while reading means. What comes after it in the shard is not known.
    fn add_error(&mut self, cause: &rusqlite::Error) {
        let kind = match Fault::of(cause) {
            Fault::Damaged => ProblemKind::ShardDamaged,
            Fault::Row => ProblemKind::RowUnreadable,
            // A table that should be there is not.
            _ if cause.sqlite_error_code() == Some(ErrorCode::Unknown) => ProblemKind::ShardDamaged,
            _ => ProblemKind::ShardUnreadable,
        };
        self.add(kind, cause.to_string());
    }
}

fn run(look: &Look, depth: &Depth) -> Result<Verified, Error> {
    let mut findings = Findings::default();
    unknown_files(look, &mut findings)?;
    let mut classes = Vec::new();
    let mut opened = Vec::new();
    for index in 0..look.manifest.shards {
        findings.shard = Some(index);
        let place = look.place(index);
        let Some(connection) = open(look, &place, index, &mut findings) else { continue };
        match class::all(&connection) {
            Ok(known) => classes.push(known),
            Err(cause) => findings.add_error(&cause),
        }
        opened.push(index);
    }
    findings.shard = None;
    let classes = agreed(classes, &mut findings);
    for index in opened {
        findings.shard = Some(index);
        // Opened anew, so that a directory of many shards needs few files at a time.
        let place = look.place(index);
        let Some(connection) = open(look, &place, index, &mut findings) else { continue };
        match read_shard(look, &connection, &classes, depth, &mut findings) {
            Ok(()) => findings.verified.shards += 1,
            Err(cause) => findings.add_error(&cause),
        }
    }
    Ok(findings.verified)
}

/// Databases that are no shard's.
fn unknown_files(look: &Look, findings: &mut Findings) -> Result<(), Error> {
    let folder = look.folder();
    let names = look.host.disk.names_in(&folder);
    let names = names.map_err(|cause| asked(failed(&folder, cause)))?.unwrap_or_default();
    let is_shard = |stem: &str| {
        let index = stem.parse::<u16>().ok().filter(|index| *index < look.manifest.shards);
        index.is_some_and(|index| format!("{index:03}") == stem)
    };
    for name in names {
        if name.strip_suffix(".db").is_some_and(|stem| !is_shard(stem)) {
            let shards = look.manifest.shards;
            findings.add(
                ProblemKind::FileUnknown,
                format!("shards/{name} is none of the {shards} shards"),
            );
        }
    }
    Ok(())
}

fn open(look: &Look, place: &Place, index: u16, findings: &mut Findings) -> Option<Connection> {
    let connection = match place.open(Role::Reader) {
        Ok(connection) => connection,
        Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            let path = place.path.display();
            findings.add(ProblemKind::ShardMissing, format!("{path} is missing or not permitted"));
            return None;
        }
        Err(cause) => {
            findings.add_error(&cause);
            return None;
        }
    };
    match check_meta(place, &connection, index, &look.manifest) {
        Ok(()) => Some(connection),
        Err(error) => {
            let kind = match error.code() {
                code if code == Code::StorageFailed.as_str() => ProblemKind::ShardUnreadable,
                _ if is_damaged(&connection) => ProblemKind::ShardDamaged,
                _ => ProblemKind::ShardForeign,
            };
            findings.add(kind, error.message());
            None
        }
    }
}

/// Whether SQLite cannot even read what tables there are.
fn is_damaged(connection: &Connection) -> bool {
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    read.is_err_and(|cause| Fault::of(&cause) == Fault::Damaged)
}

/// The classes as all shards have them.
fn agreed(shards: Vec<Vec<Class>>, findings: &mut Findings) -> Vec<Class> {
    match lifecycle::merge(shards.iter().cloned()) {
        Ok(merged) => merged.into_values().collect(),
        Err(misfit) => {
            findings.add(ProblemKind::ClassContradictory, explained(&misfit));
            // What follows is checked against the first shard that knows a class.
            let mut classes: Vec<Class> = Vec::new();
            for class in shards.into_iter().flatten() {
                if classes.iter().all(|known| known.class_no != class.class_no) {
                    classes.push(class);
                }
            }
            classes
        }
    }
}

fn explained(misfit: &Misfit) -> String {
    match misfit {
        Misfit::Contradiction { class_no, names } => {
            let name = |name: &Option<String>| {
                name.as_deref().map_or_else(|| "deleted".to_owned(), |name| format!("`{name}`"))
            };
            format!("class {class_no} is {} and {}", name(&names[0]), name(&names[1]))
        }
        Misfit::Taken { from, to } => format!("`{from}` and `{to}` are one name"),
    }
}

fn read_shard(
    look: &Look,
    connection: &Connection,
    classes: &[Class],
    depth: &Depth,
    findings: &mut Findings,
) -> rusqlite::Result<()> {
    let moment = connection.unchecked_transaction()?;
    let is_whole = read_pages(connection, depth, findings)?;
    if *depth == Depth::Rows {
        let shard = objects::Shard::read(look, connection, classes)?;
        let rows = objects::verify(&shard, connection, findings)
            .and_then(|()| values::verify(&shard, connection, findings))
            .and_then(|()| tables::verify(&shard, connection, findings))
            .and_then(|()| past::verify(&shard, connection, findings))
            .and_then(|()| alarms::verify(&shard, connection, findings))
            .and_then(|()| kept::verify(&shard, connection, findings));
        match rows {
            // The damage that stopped it has been told.
            Err(cause) if !is_whole && Fault::of(&cause) == Fault::Damaged => {}
            rows => rows?,
        }
    }
    moment.finish()
}

/// Whether SQLite finds every page, and every index, as it should be.
fn read_pages(
    connection: &Connection,
    depth: &Depth,
    findings: &mut Findings,
) -> rusqlite::Result<bool> {
    let mut check = connection.prepare(match depth {
        Depth::Files => "PRAGMA quick_check",
        Depth::Rows => "PRAGMA integrity_check",
    })?;
    let mut rows = check.query([])?;
    let mut is_whole = true;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            is_whole = false;
            findings.add(ProblemKind::ShardDamaged, line.replace('\n', ", "));
        }
    }
    Ok(is_whole)
}
