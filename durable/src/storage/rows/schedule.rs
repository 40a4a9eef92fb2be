//! The schedules that are set: one row for each object that has any, with all of them.
//!
//! Layout: `object_no`; `due_ms` wall clock from which on the first of them runs; `set_by` the
//! object's commit that stored the row; `body` a [frame](super::frame) of state version 1 and
//! fingerprint 0 around the schedules in the order of their names. The index `schedules_by_due`
//! gives the objects in the order in which they have something to run.
//!
//! They stand in one row because an activation reads them all with its object, and every run
//! changes one of them: their number and their calls are bounded, so the row stays small.
//!
//! Never reuse: a row is replaced or taken away only by a commit of its object, and `set_by` tells
//! it from every other row of the object. In the body a field is added at the end only, with
//! another state version, and a variant keeps its number.

use std::fmt;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::due::{Dues, dues, set};
use super::frame::{self, Codec, FrameError, HEADER_BYTES, Header};
use super::{signed, unsigned};
use crate::codec;
use crate::id::ObjectId;
use crate::kernel::schedule::first_due;
use crate::schedule::{Schedule, ScheduleView};
use crate::state::Fingerprint;
use crate::storage::numbers::ObjectNo;
use crate::time::WallMs;

pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS schedules (
    object_no INTEGER PRIMARY KEY,
    due_ms INTEGER NOT NULL,
    set_by INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS schedules_by_due ON schedules (due_ms, object_no)";

pub(crate) const DUES: Dues = dues!("schedules");

const VERSION: u32 = 1;

/// The schedules of an object as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredSchedules {
    /// Not looked into.
    pub(crate) body: Arc<[u8]>,
    /// Number of the object's commit that stored it.
    pub(crate) set_by: u64,
}

/// The schedules of an object as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchedulesRow {
    /// When the first of them runs.
    pub(crate) due: WallMs,
    pub(crate) body: Arc<[u8]>,
}

/// Why a stored body cannot be used, of schedules or of what travels with a dead letter.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// Newer code wrote it.
    Newer(String),
    Damaged(String),
}

/// Encodes all schedules of an object. `None`: it has none.
pub(crate) fn encode(schedules: &[Schedule]) -> Option<SchedulesRow> {
    let due = first_due(schedules)?.due;
    let body = codec::encode(&schedules, HEADER_BYTES, usize::MAX);
    let mut body = body.expect("schedules are plain data");
    let header =
        Header { codec: Codec::Postcard, state_version: VERSION, fingerprint: Fingerprint(0) };
    frame::finish(header, &mut body);
    Some(SchedulesRow { due, body: body.into() })
}

/// The schedules in a stored body.
pub(crate) fn decode(body: &[u8]) -> Result<Vec<Schedule>, Unreadable> {
    let (header, payload) = frame::decode(body).map_err(|error: FrameError| {
        let text = error.to_string();
        if error.is_newer() { Unreadable::Newer(text) } else { Unreadable::Damaged(text) }
    })?;
    match header.state_version {
        VERSION => {
            let all: Vec<_> = codec::decode(payload).map_err(Unreadable::Damaged)?;
            fault(&all).map_or(Ok(all), |text| Err(Unreadable::Damaged(text)))
        }
        newer => Err(Unreadable::Newer(format!(
            "its layout has version {newer}, this code knows up to {VERSION}"
        ))),
    }
}

/// What no object's schedules are, although each can be read.
fn fault(all: &[Schedule]) -> Option<String> {
    if all.is_empty() {
        return Some("there are none, and an object without schedules has no row".to_owned());
    }
    if let Some(pair) = all.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        let [one, next] = [0, 1].map(|at| pair[at].name.escape_debug());
        return Some(format!("`{one}` stands before `{next}`, and names are in order"));
    }
    let times = |one: &Schedule| [one.scheduled, one.due, one.put_off_to].into_iter().max();
    let late = all.iter().find(|one| times(one) > Some(WallMs::MAX))?;
    Some(format!(
        "`{}` has a time of {}, the last one possible is {}",
        late.name.escape_debug(),
        times(late).unwrap_or_default(),
        WallMs::MAX
    ))
}

impl Unreadable {
    pub(crate) fn into_text(self) -> String {
        let (Unreadable::Newer(text) | Unreadable::Damaged(text)) = self;
        text
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Newer(text) => write!(f, "newer code wrote them: {text}"),
            Unreadable::Damaged(text) => write!(f, "they are damaged: {text}"),
        }
    }
}

/// What one sees of stored schedules.
pub(crate) fn views(stored: Option<&StoredSchedules>) -> Result<Vec<ScheduleView>, Unreadable> {
    let Some(stored) = stored else { return Ok(Vec::new()) };
    Ok(decode(&stored.body)?.iter().map(Schedule::view).collect())
}

/// The statements that write schedules, looked up once per batch.
pub(crate) struct Writes<'c> {
    set: CachedStatement<'c>,
    clear: CachedStatement<'c>,
}

impl<'c> Writes<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Writes {
            set: connection.prepare_cached(
                "INSERT INTO schedules (object_no, due_ms, set_by, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (object_no) DO UPDATE SET due_ms = ?2, set_by = ?3, body = ?4",
            )?,
            clear: connection.prepare_cached("DELETE FROM schedules WHERE object_no = ?1")?,
        })
    }

    /// Stores all schedules of an object, in place of the earlier ones. `None`: it has none.
    pub(crate) fn set(
        &mut self,
        object_no: ObjectNo,
        row: Option<&SchedulesRow>,
        set_by: u64,
    ) -> rusqlite::Result<()> {
        match row {
            Some(SchedulesRow { due, body }) => {
                let (due, set_by) = (signed(due.0), signed(set_by));
                self.set.execute(params![object_no.0, due, set_by, &body[..]]).map(drop)
            }
            None => self.clear.execute([object_no.0]).map(drop),
        }
    }
}

/// Reads `set_by` and `body` from `first` on; they are NULL together if the object has none.
pub(crate) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<StoredSchedules>> {
    let Some(body) = row.get_ref(first + 1)?.as_blob_or_null()? else { return Ok(None) };
    let body = Arc::from(body);
    Ok(Some(StoredSchedules { body, set_by: unsigned(row, first)? }))
}

/// The schedules of an object. `None`: it has none.
pub(crate) fn of(
    connection: &Connection,
    id: &ObjectId,
) -> rusqlite::Result<Option<StoredSchedules>> {
    let mut select = connection.prepare_cached(
        "SELECT s.set_by, s.body FROM objects o JOIN schedules s ON s.object_no = o.object_no
         WHERE o.lookup_hash = ?1 AND o.id = ?2",
    )?;
    let key = params![id.lookup_hash(), &id.as_bytes()[..]];
    Ok(select.query_row(key, |row| read(row, 0)).optional()?.flatten())
}

/// The numbers of those whose row or body cannot be read, or contradict each other, with the reason.
pub(crate) fn damaged(connection: &Connection) -> rusqlite::Result<Vec<(ObjectNo, String)>> {
    let mut select = connection.prepare(
        "SELECT t.object_no, t.due_ms, t.set_by, s.commit_no, t.body
         FROM schedules t LEFT JOIN snapshots s ON s.object_no = t.object_no ORDER BY t.object_no",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (object_no, due) = (ObjectNo(row.get(0)?), row.get::<_, i64>(1)?);
        let is_of_state = row.get_ref(3)?.as_i64_or_null()?.is_some();
        let wrong = match decode(row.get_ref(4)?.as_blob()?) {
            Err(unreadable) => unreadable.into_text(),
            Ok(schedules) => match first_due(&schedules).map(|first| first.due) {
                Some(first) if u64::try_from(due) != Ok(first.0) => {
                    format!("its row is due at {due} ms, the first of them at {first}")
                }
                // An object without a state is a problem of its own.
                _ => match set(row, 2, 3) {
                    Err(text) if is_of_state => text,
                    _ => continue,
                },
            },
        };
        found.push((object_no, wrong));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::in_memory;
    use super::*;
    use crate::kernel::alarm::Place;
    use crate::metadata::Metadata;
    use crate::schedule::{Misfire, Overlap, Target};
    use crate::storage::numbers::ClassNo;
    use crate::storage::rows::object;
    use crate::storage::write_set::Birth;
    use crate::when::When;

    const MAX: u64 = i64::MAX as u64;

    fn whens() -> impl Strategy<Value = When> {
        prop_oneof![
            any::<u64>().prop_map(|at| When::once(WallMs(at))),
            (1_000..u64::from(u32::MAX)).prop_map(|ms| {
                When::every(Duration::from_millis(ms)).expect("long enough").set_at(WallMs(7))
            }),
            Just(When::cron("*/5 1 L * *", "Asia/Tokyo").expect("it is well formed")),
        ]
    }

    fn sents() -> impl Strategy<Value = Option<Metadata>> {
        prop::option::of(prop::option::of("[a-z]{0,9}")).prop_map(|sent| {
            sent.map(|value| {
                let mut metadata = Metadata::new();
                value.iter().for_each(|value| metadata.set("tenant", value).expect("it may"));
                metadata
            })
        })
    }

    fn schedules() -> impl Strategy<Value = Schedule> {
        let policies = (
            prop_oneof![
                Just(Misfire::Once),
                Just(Misfire::Skip),
                any::<u32>().prop_map(Misfire::All)
            ],
            prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue)],
        );
        let call = (any::<String>(), any::<Vec<u8>>(), sents());
        (any::<String>(), whens(), policies, call, (any::<u64>(), 0..=MAX, any::<u32>(), 0..=MAX))
            .prop_map(|(name, when, (misfire, overlap), (method, args, sent), numbers)| {
                let (jitter_ms, due, retries, put_off_to) = numbers;
                Schedule {
                    name,
                    when,
                    misfire,
                    overlap,
                    jitter_ms,
                    target: Target::Me,
                    method,
                    args,
                    scheduled: WallMs(due / 2),
                    due: WallMs(due),
                    retries,
                    put_off_to: WallMs(put_off_to),
                    sent,
                }
            })
    }

    /// Some, in the order of their names.
    fn several(end: usize) -> impl Strategy<Value = Vec<Schedule>> {
        prop::collection::btree_map(any::<String>(), schedules(), 1..end)
            .prop_map(|all| all.into_iter().map(|(name, one)| Schedule { name, ..one }).collect())
    }

    fn bear(connection: &Connection, object_no: i64) -> ObjectId {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&object_no.to_be_bytes());
        let id = ObjectId::from_bytes(bytes);
        let birth = Birth {
            id,
            class_no: ClassNo(3),
            name: None,
            placement: Default::default(),
            lineage: None,
        };
        let mut objects = object::Writes::prepare(connection).expect("our own tables");
        assert!(objects.insert(ObjectNo(object_no), &birth, WallMs(1)).expect("stored"));
        id
    }

    proptest! {
        #[test]
        fn schedules_round_trip(
            all in several(4), set_by in 1..=MAX,
        ) {
            let connection = in_memory();
            let id = bear(&connection, 1);
            let mut writes = Writes::prepare(&connection).expect("our own tables");
            let row = encode(&all).expect("there are some");
            prop_assert_eq!(row.due, all.iter().map(|schedule| schedule.due).min().expect("some"));
            writes.set(ObjectNo(1), encode(&all[..1]).as_ref(), 1).expect("set");
            writes.set(ObjectNo(1), Some(&row), set_by).expect("replaced");
            let stored = of(&connection, &id).expect("read").expect("stored");
            prop_assert_eq!(stored.set_by, set_by);
            prop_assert_eq!(decode(&stored.body).expect("whole"), all);
            prop_assert!(DUES.is_any_set(&connection).expect("read"));
            prop_assert!(damaged(&connection).expect("read").is_empty());
            let (first, is_last) = DUES.first(&connection, None, 9).expect("read");
            prop_assert!(is_last);
            prop_assert_eq!(first[0].place, Place { due: row.due, object_no: 1 });
            writes.set(ObjectNo(1), None, 3).expect("taken away");
            prop_assert_eq!(of(&connection, &id).expect("read"), None);
            prop_assert!(!DUES.is_any_set(&connection).expect("read"));
        }

        #[test]
        fn every_flipped_bit_is_found(all in several(3)) {
            let body = encode(&all).expect("there are some").body;
            for bit in 0..body.len() * 8 {
                let mut torn = body.to_vec();
                torn[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(matches!(decode(&torn), Err(Unreadable::Damaged(_))), "bit {}", bit);
            }
        }
    }

    fn once(name: &str, at: u64) -> Schedule {
        Schedule {
            name: name.to_owned(),
            when: When::once(WallMs(at)),
            misfire: Misfire::Once,
            overlap: Overlap::Skip,
            jitter_ms: 0,
            target: Target::Me,
            method: "bill".to_owned(),
            args: Vec::new(),
            scheduled: WallMs(at),
            due: WallMs(at),
            retries: 0,
            put_off_to: WallMs(0),
            sent: None,
        }
    }

    #[test]
    fn what_can_be_read_and_is_no_objects_is_damage() {
        let read = |all: &[Schedule]| {
            let mut body = codec::encode(&all, HEADER_BYTES, usize::MAX).expect("plain data");
            let header = Header {
                codec: Codec::Postcard,
                state_version: VERSION,
                fingerprint: Fingerprint(0),
            };
            frame::finish(header, &mut body);
            decode(&body)
        };
        assert!(read(&[once("a", 1), once("b", MAX)]).is_ok());
        for (all, told) in [
            (&[][..], "there are none"),
            (&[once("b", 1), once("a", 1)], "`b` stands before `a`"),
            (&[once("a", 1), once("a", 1)], "`a` stands before `a`"),
            (&[once("a", 1), once("b", MAX + 1)], "`b` has a time of 9223372036854775808 ms"),
        ] {
            let error = read(all).expect_err(told);
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn those_of_nobody_and_those_that_contradict_themselves_are_found() {
        let connection = in_memory();
        bear(&connection, 1);
        let rows = "INSERT INTO schedules VALUES (1, 5, 1, x'00'), (2, 5, 1, x'')";
        connection.execute_batch(rows).expect("stored");
        assert_eq!(DUES.orphans(&connection).expect("read"), [ObjectNo(2)]);
        assert_eq!(damaged(&connection).expect("read").len(), 2);
    }
}
