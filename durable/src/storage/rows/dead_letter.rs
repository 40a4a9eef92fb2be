//! Dead letters: what has used up its retries, until somebody retries or drops it.
//!
//! Layout: `letter_no` counted from 1; `object_no`; `kind` 1 for an alarm, 2 for a run of a schedule,
//! 3 for a send to the object;
//! `error` what the last run failed with; `at_ms` wall clock of that; `attempts` how many runs there
//! were; `scheduled_ms` what the alarm was set to, the time that the schedule ran for, or when the
//! send was to leave; `name`, `method` and `args` of the schedule, or the text of the send's id and
//! its call, NULL for an alarm; `metadata` a [frame](super::frame) of state version 1 and fingerprint 0
//! around what travels with a send, also one that was retried and is of kind 2 then, NULL for what
//! nobody has sent.
//!
//! What travels is looked into only by whoever lists letters or retries one, so one that is damaged
//! costs no other.
//!
//! Never reuse: a `letter_no`, which SQLite counts, is not given again, and a kind's number stays.

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::frame::{self, Codec, FrameError, HEADER_BYTES, Header};
use super::schedule::Unreadable;
use super::{signed, unsigned};
use crate::codec;
use crate::due::{Alarm, DeadLetter, DeadLetterId, DeadLetterKind};
use crate::error::Error;
use crate::id::ObjectId;
use crate::metadata::Metadata;
use crate::schedule::{Misfire, Overlap, Schedule, Target};
use crate::send::SendId;
use crate::state::Fingerprint;
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;
use crate::when::When;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS dead_letters (
    letter_no INTEGER PRIMARY KEY AUTOINCREMENT,
    object_no INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    error TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    scheduled_ms INTEGER NOT NULL,
    name TEXT,
    method TEXT,
    args BLOB,
    metadata BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS dead_letters_by_object ON dead_letters (object_no)";

const ALARM: i64 = 1;
const SCHEDULE: i64 = 2;
const SEND: i64 = 3;

const VERSION: u32 = 1;

/// What becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewLetter {
    pub(crate) what: LetterOf,
    pub(crate) error: String,
    pub(crate) at: WallMs,
    pub(crate) attempts: u32,
    pub(crate) scheduled: WallMs,
}

/// What it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LetterOf {
    Alarm,
    Schedule {
        name: String,
        method: String,
        /// Encoded.
        args: Vec<u8>,
        /// What travels with it, if it was a send that was retried. `None`: it was none, and nothing does.
        sent: Option<Carried>,
    },
    Send {
        id: SendId,
        method: String,
        /// Encoded.
        args: Vec<u8>,
        /// What travels with it.
        carried: Carried,
    },
}

/// What travels with a send: encoded, with its frame, and not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried(Vec<u8>);

impl Carried {
    pub(crate) fn new(metadata: &Metadata) -> Self {
        let body = codec::encode(metadata, HEADER_BYTES, usize::MAX);
        let mut body = body.expect("metadata is plain data");
        let header =
            Header { codec: Codec::Postcard, state_version: VERSION, fingerprint: Fingerprint(0) };
        frame::finish(header, &mut body);
        Carried(body)
    }

    pub(crate) fn decode(&self) -> Result<Metadata, Unreadable> {
        let (header, payload) = frame::decode(&self.0).map_err(|error: FrameError| {
            let text = error.to_string();
            if error.is_newer() { Unreadable::Newer(text) } else { Unreadable::Damaged(text) }
        })?;
        match header.state_version {
            VERSION => codec::decode(payload).map_err(Unreadable::Damaged),
            newer => Err(Unreadable::Newer(format!(
                "its layout has version {newer}, this code knows up to {VERSION}"
            ))),
        }
    }
}

impl LetterOf {
    /// What travels with it. `None`: nobody has sent it.
    fn carried(&self) -> Option<&Carried> {
        match self {
            LetterOf::Alarm => None,
            LetterOf::Schedule { sent, .. } => sent.as_ref(),
            LetterOf::Send { carried, .. } => Some(carried),
        }
    }
}

impl NewLetter {
    /// How much of what waits it is.
    pub(crate) fn bytes(&self) -> usize {
        let call = match &self.what {
            LetterOf::Alarm => 0,
            LetterOf::Schedule { name, method, args, .. } => name.len() + method.len() + args.len(),
            LetterOf::Send { method, args, .. } => method.len() + args.len(),
        };
        self.error.len() + call + self.what.carried().map_or(0, |carried| carried.0.len())
    }
}

/// A dead letter, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLetter {
    pub(crate) letter_no: i64,
    pub(crate) object_no: ObjectNo,
    pub(crate) letter: NewLetter,
    /// `None`: of no object that is stored.
    pub(crate) owner: Option<LetterOwner>,
}

impl StoredLetter {
    /// What it was, from its first try on. `shard`: where it is stored.
    ///
    /// # Errors
    /// Why what travels with it cannot be used.
    pub(crate) fn again(&self, shard: u16, now: WallMs) -> Result<Again, Unreadable> {
        let NewLetter { scheduled, .. } = self.letter;
        let (name, method, args) = match &self.letter.what {
            LetterOf::Alarm => return Ok(Again::Alarm(Alarm { due: now, scheduled, retries: 0 })),
            LetterOf::Schedule { name, method, args, .. } => (name.clone(), method, args),
            LetterOf::Send { id, method, args, .. } => (format!("send {id}"), method, args),
        };
        let sent = self.letter.what.carried().map(Carried::decode).transpose()?;
        let id = DeadLetterId { shard, number: self.letter_no };
        Ok(Again::Schedule(Schedule {
            // The schedule itself has gone on, under its name.
            name: format!("{name} (dead letter {id})"),
            when: When::once(scheduled),
            misfire: Misfire::Once,
            overlap: Overlap::Skip,
            jitter_ms: 0,
            target: Target::Me,
            method: method.clone(),
            args: args.clone(),
            scheduled,
            due: now,
            retries: 0,
            put_off_to: WallMs(0),
            sent,
        }))
    }

    /// As it is told to those who ask for it. `None`: it is of no object. `class`: the name of a class by its number.
    pub(crate) fn told(self, shard: u16, class: impl Fn(u32) -> String) -> Option<DeadLetter> {
        let StoredLetter { letter_no, letter, owner, .. } = self;
        let LetterOwner { id, class_no, name } = owner?;
        let NewLetter { what, error, at, attempts, scheduled } = letter;
        let metadata = what.carried().map_or(Ok(Metadata::new()), Carried::decode);
        let metadata = metadata.map_err(Unreadable::into_text);
        let (kind, schedule, send, method) = match what {
            LetterOf::Alarm => (DeadLetterKind::Alarm, None, None, None),
            LetterOf::Schedule { name, method, .. } => {
                (DeadLetterKind::Schedule, Some(name), None, Some(method))
            }
            LetterOf::Send { id, method, .. } => {
                (DeadLetterKind::Send, None, Some(id), Some(method))
            }
        };
        Some(DeadLetter {
            id: DeadLetterId { shard, number: letter_no },
            class: class(class_no),
            object: id,
            name,
            kind,
            schedule,
            send,
            method,
            error,
            at,
            attempts,
            scheduled_at: scheduled,
            metadata,
        })
    }
}

/// What a dead letter becomes that is retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Alarm(Alarm),
    Schedule(Schedule),
}

/// Whose a dead letter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LetterOwner {
    pub(crate) id: ObjectId,
    pub(crate) class_no: u32,
    pub(crate) name: Option<String>,
}

/// The statements that write dead letters, looked up once per batch.
pub(crate) struct Writes<'c> {
    insert: CachedStatement<'c>,
    remove: CachedStatement<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            insert: connection.prepare_cached(
                "INSERT INTO dead_letters
                     (object_no, kind, error, at_ms, attempts, scheduled_ms, name, method, args,
                      metadata)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?,
            remove: connection.prepare_cached(
                "DELETE FROM dead_letters WHERE letter_no = ?1 AND object_no = ?2",
            )?,
        })
    }

    pub(crate) fn insert(
        &mut self,
        object_no: ObjectNo,
        letter: &NewLetter,
    ) -> rusqlite::Result<()> {
        let NewLetter { what, error, at, attempts, scheduled } = letter;
        let (at, scheduled) = (signed(at.0), signed(scheduled.0));
        let (kind, name, method, args) = match what {
            LetterOf::Alarm => (ALARM, None, None, None),
            LetterOf::Schedule { name, method, args, .. } => {
                (SCHEDULE, Some(name.clone()), Some(method), Some(args))
            }
            LetterOf::Send { id, method, args, .. } => {
                (SEND, Some(id.to_string()), Some(method), Some(args))
            }
        };
        let metadata = what.carried().map(|carried| &carried.0);
        self.insert
            .execute(params![
                object_no.0,
                kind,
                error,
                at,
                attempts,
                scheduled,
                name,
                method,
                args,
                metadata
            ])
            .map(drop)
    }

    /// Takes one of an object's away, if it is there.
    pub(crate) fn remove(&mut self, object_no: ObjectNo, letter_no: i64) -> rusqlite::Result<()> {
        self.remove.execute([letter_no, object_no.0]).map(drop)
    }
}

/// Takes away all of an object's.
pub(crate) fn erase(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<()> {
    let sql = "DELETE FROM dead_letters WHERE object_no = ?1";
    connection.prepare_cached(sql)?.execute([object_no.0]).map(drop)
}

const COLUMNS: &str = "SELECT l.letter_no, l.object_no, l.kind, l.error, l.at_ms, l.attempts, \
                       l.scheduled_ms, o.id, o.class_no, o.name, l.name, l.method, l.args, l.metadata \
                       FROM dead_letters l LEFT JOIN objects o ON o.object_no = l.object_no";

fn read(row: &Row<'_>) -> rusqlite::Result<StoredLetter> {
    let what = match row.get(2)? {
        ALARM => LetterOf::Alarm,
        SCHEDULE => {
            let sent = row.get::<_, Option<_>>(13)?.map(Carried);
            LetterOf::Schedule {
                name: row.get(10)?,
                method: row.get(11)?,
                args: row.get(12)?,
                sent,
            }
        }
        SEND => {
            let id = row.get::<_, String>(10)?.parse().map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(10, Type::Text, Box::<Error>::new(error))
            })?;
            // What is missing cannot be decoded, which costs this one only.
            let carried = Carried(row.get::<_, Option<_>>(13)?.unwrap_or_default());
            LetterOf::Send { id, method: row.get(11)?, args: row.get(12)?, carried }
        }
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(2, other)),
    };
    let id = row.get::<_, Option<[u8; ObjectId::BYTES]>>(7)?.map(ObjectId::from_bytes);
    let owner = match id {
        Some(id) => Some(LetterOwner { id, class_no: row.get(8)?, name: row.get(9)? }),
        None => None,
    };
    Ok(StoredLetter {
        letter_no: row.get(0)?,
        object_no: ObjectNo(row.get(1)?),
        letter: NewLetter {
            what,
            error: row.get(3)?,
            at: WallMs(unsigned(row, 4)?),
            attempts: row.get(5)?,
            scheduled: WallMs(unsigned(row, 6)?),
        },
        owner,
    })
}

/// One of them.
pub(crate) fn get(
    connection: &Connection,
    letter_no: i64,
) -> rusqlite::Result<Option<StoredLetter>> {
    let mut select = connection.prepare_cached(&format!("{COLUMNS} WHERE l.letter_no = ?1"))?;
    select.query_row([letter_no], read).optional()
}

/// Those after one number, in the order of their numbers, at most `limit`.
pub(crate) fn list(
    connection: &Connection,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredLetter>> {
    let sql = format!("{COLUMNS} WHERE l.letter_no > ?1 ORDER BY l.letter_no LIMIT ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let rows = select.query_map([after, signed(limit as u64)], read)?;
    rows.collect()
}

/// How many one object has.
pub(crate) fn count_of(connection: &Connection, object_no: ObjectNo) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM dead_letters WHERE object_no = ?1";
    connection.prepare_cached(sql)?.query_row([object_no.0], |row| unsigned(row, 0))
}

/// What is wrong with those of stored objects that cannot be read.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<(ObjectNo, String)>> {
    let mut select =
        connection.prepare(&format!("{COLUMNS} WHERE o.id IS NOT NULL ORDER BY l.letter_no"))?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let wrong = match read(row) {
            Err(cause) => cause.to_string(),
            Ok(read) => match read.letter.what.carried().map(Carried::decode) {
                Some(Err(unreadable)) => {
                    format!("what travels with it cannot be read: {}", unreadable.into_text())
                }
                Some(Ok(_)) | None => continue,
            },
        };
        let letter_no: i64 = row.get(0)?;
        found.push((ObjectNo(row.get(1)?), format!("its dead letter {letter_no}: {wrong}")));
    }
    Ok(found)
}

/// The numbers of those that are of no object.
pub(crate) fn orphans(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut select = connection.prepare(
        "SELECT letter_no FROM dead_letters
         WHERE object_no NOT IN (SELECT object_no FROM objects) ORDER BY letter_no",
    )?;
    let rows = select.query_map([], |row| row.get(0))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;

    const MAX: u64 = i64::MAX as u64;

    fn carried(tenant: Option<&str>) -> Carried {
        let mut metadata = Metadata::new();
        tenant.into_iter().for_each(|tenant| metadata.set("tenant", tenant).expect("it may"));
        Carried::new(&metadata)
    }

    proptest! {
        #[test]
        fn a_dead_letter_round_trips(
            error: String, at in 0..=MAX, attempts: u32, scheduled in 0..=MAX, object_no: i64,
            call: Option<(String, String, Vec<u8>)>, send: Option<(u16, u64, u32)>,
            tenant in prop::option::of("[a-z]{0,9}"),
        ) {
            // SQLite's text ends nowhere but at its end; what is given is what is read.
            let (at, scheduled) = (WallMs(at), WallMs(scheduled));
            let what = call.map_or(LetterOf::Alarm, |(name, method, args)| match send {
                Some((shard, epoch, number)) => {
                    let id = SendId { shard, epoch, number: number.max(1) };
                    LetterOf::Send { id, method, args, carried: carried(tenant.as_deref()) }
                }
                None => {
                    let sent = tenant.as_deref().map(|tenant| carried(Some(tenant)));
                    LetterOf::Schedule { name, method, args, sent }
                }
            });
            let letter = NewLetter { what, error, at, attempts, scheduled };
            let connection = in_memory();
            let mut writes = Writes::prepare(&connection).expect("our own tables");
            writes.insert(ObjectNo(object_no), &letter).expect("stored");
            let object_no = ObjectNo(object_no);
            let stored = StoredLetter { letter_no: 1, object_no, letter, owner: None };
            prop_assert_eq!(get(&connection, 1).expect("read"), Some(stored.clone()));
            prop_assert_eq!(list(&connection, 0, 9).expect("read"), vec![stored]);
            prop_assert_eq!(orphans(&connection).expect("read"), vec![1]);
            writes.remove(object_no, 1).expect("taken away");
            prop_assert_eq!(list(&connection, 0, 9).expect("read"), vec![]);
        }
    }

    fn of_send(carried: Carried) -> StoredLetter {
        let id = SendId { shard: 0, epoch: 7, number: 1 };
        let what = LetterOf::Send { id, method: "take".to_owned(), args: vec![1], carried };
        let (at, scheduled, error) = (WallMs(9), WallMs(5), "no".to_owned());
        let letter = NewLetter { what, error, at, attempts: 3, scheduled };
        StoredLetter { letter_no: 1, object_no: ObjectNo(1), letter, owner: None }
    }

    #[test]
    fn a_send_that_is_retried_carries_what_it_did_also_after_it_has_died_again() {
        let again = |letter: StoredLetter| match letter.again(0, WallMs(20)) {
            Ok(Again::Schedule(schedule)) => schedule,
            other => panic!("{other:?}"),
        };
        for tenant in [None, Some("acme")] {
            let first = again(of_send(carried(tenant)));
            let sent = first.sent.clone().expect("it was sent");
            assert_eq!((sent.get("tenant"), sent.len()), (tenant, tenant.iter().len()));
            let Schedule { name, method, args, sent, .. } = first.clone();
            let mut dead = of_send(carried(None));
            let sent = sent.as_ref().map(Carried::new);
            dead.letter.what = LetterOf::Schedule { name, method, args, sent };
            assert_eq!(again(dead.clone()).sent, first.sent);
            let LetterOf::Schedule { sent, .. } = &mut dead.letter.what else { panic!("it is") };
            *sent = None;
            assert_eq!(again(dead).sent, None, "nobody sends what an object has planned itself");
        }
    }

    #[test]
    fn what_travels_with_it_and_cannot_be_read_is_no_metadata() {
        let whole = carried(Some("acme"));
        for bit in 0..whole.0.len() * 8 {
            let mut torn = whole.clone();
            torn.0[bit / 8] ^= 1 << (bit % 8);
            assert!(
                matches!(of_send(torn).again(0, WallMs(1)), Err(Unreadable::Damaged(_))),
                "{bit}"
            );
        }
        let framed = |state_version, payload: &[u8]| {
            let mut body = vec![0; HEADER_BYTES];
            body.extend(payload);
            let codec = Codec::Postcard;
            frame::finish(Header { codec, state_version, fingerprint: Fingerprint(0) }, &mut body);
            Carried(body).decode()
        };
        assert!(framed(VERSION, &[0]).is_ok_and(|metadata| metadata.is_empty()));
        let error = framed(VERSION + 1, &[0]).expect_err("it is newer");
        assert!(matches!(&error, Unreadable::Newer(text) if text.contains("version 2")), "{error}");
        let upper = framed(VERSION, &[1, 1, b'A', 0]).expect_err("it is no key");
        assert!(matches!(upper, Unreadable::Damaged(_)), "{upper}");
        assert!(Carried(Vec::new()).decode().is_err(), "nor is nothing");
    }

    #[test]
    fn a_number_is_not_given_again() {
        let letter = NewLetter {
            what: LetterOf::Alarm,
            error: "no".to_owned(),
            at: WallMs(1),
            attempts: 7,
            scheduled: WallMs(0),
        };
        let connection = in_memory();
        let mut writes = Writes::prepare(&connection).expect("our own tables");
        for number in 1..=3 {
            writes.insert(ObjectNo(9), &letter).expect("stored");
            assert_eq!(list(&connection, 0, 9).expect("read")[0].letter_no, number);
            assert_eq!(count_of(&connection, ObjectNo(9)).expect("read"), 1);
            erase(&connection, ObjectNo(9)).expect("erased");
        }
    }
}
