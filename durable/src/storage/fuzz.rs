//! Rows of which columns say something, too, fed to what reads them from a database.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::codec::{decode_wire, encode_wire};
use crate::id::Lineage;
use crate::kernel::pages::{Found, PageOverlay};
use crate::kernel::schedule::{Due, first_due};
use crate::keyed::KeptResult;
use crate::limits::{IDEMPOTENCY_KEY_BYTES_MAX, SQL_PAGE_BYTES};
use crate::sql::Page;
use crate::storage::rows::result::Chunk;
use crate::storage::rows::sql::{self, log};
use crate::storage::rows::{create_tables, kin, object, outbox, quarantine, result};
use crate::storage::{ClassNo, ObjectNo, frame, schedule};
use crate::time::WallMs;
use crate::when::When;

/// The object whose rows are read.
pub(crate) const OBJECT: ObjectNo = ObjectNo(7);

thread_local! {
    /// Its tables are empty before and after each run.
    static SHARD: Connection = {
        let connection = Connection::open_in_memory().expect("a database in memory");
        create_tables(&connection).expect("our own tables");
        connection
    };
}

/// Runs on tables that are empty, and empties them.
fn on_shard(run: impl FnOnce(&Connection)) {
    SHARD.with(|connection| {
        let moment = connection.unchecked_transaction().expect("it is nobody else's");
        run(connection);
        moment.rollback().expect("nothing is kept");
    });
}

/// The number of eight bytes in front, little-endian.
fn number(bytes: &mut &[u8]) -> Option<i64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i64::from_le_bytes(*number))
}

/// Numbers of eight bytes: `log_end` of an object's snapshot, and up to where its rows are folded; then rows of `sql_log`,
/// each as its four columns of eight bytes, and its deltas behind their length in two. They are followed as when a database
/// is opened. All numbers are little-endian.
pub fn sql_log(mut bytes: &[u8]) {
    let (Some(end), Some(folded)) = (number(&mut bytes), number(&mut bytes)) else { return };
    let mut rows = Vec::new();
    while let Some(row) = log_row(&mut bytes) {
        rows.push(row);
    }
    on_shard(|connection| follow(connection, (end, folded), &rows, false));
    on_shard(|connection| follow(connection, (end, folded), &rows, true));
}

type LogRow<'a> = ([i64; 4], &'a [u8]);

fn log_row<'a>(bytes: &mut &'a [u8]) -> Option<LogRow<'a>> {
    let columns = [number(bytes)?, number(bytes)?, number(bytes)?, number(bytes)?];
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (deltas, rest) = rest.split_at(length);
    *bytes = rest;
    Some((columns, deltas))
}

/// Stores rows, with checksums that fit if they are `sealed`, and reads them as an object's database.
fn follow(connection: &Connection, (end, folded): (i64, i64), rows: &[LogRow<'_>], sealed: bool) {
    let end = if sealed { log::reseal_end(OBJECT, end) } else { end };
    let state = params![OBJECT.0, end];
    connection
        .execute("INSERT INTO snapshots VALUES (?1, 1, 1, ?2, x'', NULL)", state)
        .expect("stored");
    if let Some(head) = u64::try_from(folded).ok().filter(|folded| *folded > 0) {
        let row = params![sql::place(OBJECT, 0), sql::head(OBJECT, 0, 1, head)];
        connection.execute("INSERT INTO sql_pages VALUES (?1, ?2)", row).expect("stored");
    }
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO sql_log VALUES (?1, ?2, ?3, ?4, ?5)")
        .expect("our own table");
    for ([log_no, object_no, commit_no, before_no], deltas) in rows {
        let mut deltas = deltas.to_vec();
        if let ([Ok(log), Ok(commit), Ok(before)], true) =
            ([*log_no, *commit_no, *before_no].map(u64::try_from), sealed)
        {
            let object_no = ObjectNo(*object_no);
            let head = log::Head { log_no: log, object_no, commit_no: commit, before_no: before };
            log::seal(&head, &mut deltas);
        }
        insert.execute(params![log_no, object_no, commit_no, before_no, deltas]).expect("stored");
    }
    drop(insert);
    let loaded = sql::load(connection, OBJECT);
    let owners = sql::owners(connection).expect("every number is one that can be stored");
    let found = owners.get(&OBJECT).map(|rows| sql::check(connection, OBJECT, *rows));
    let is_sound = matches!(found, None | Some(Ok(Ok(()))));
    let is_open = loaded.is_ok_and(|stored| stored.is_ok_and(open));
    assert!(is_open || !is_sound, "what cannot be opened is found");
    sql::erase(connection, OBJECT).expect("rows are erased, whatever they say");
    let left = sql::owners(connection).expect("every number is one that can be stored");
    // A row that nothing leads to may be left, and nothing says of one that is folded that it is such a row.
    let may_be_left = !is_sound || folded > 0;
    let rows = left.get(&OBJECT).copied().unwrap_or(0);
    assert!(may_be_left || rows == 0, "nothing of it is left");
}

/// Lays rows over each other, as an object that opens its database does. `false`: they cannot be followed.
fn open(stored: sql::StoredSql) -> bool {
    let mut overlay = PageOverlay::<Page>::new(stored.count);
    for (bytes, (count, pages)) in stored.log {
        // Every number that is read for a page must be one that pages have.
        let _ = sql::place(OBJECT, count);
        if overlay.replay((count, bytes), pages).is_err() {
            return false;
        }
    }
    for (number, page) in overlay.image() {
        assert!(page.len() == SQL_PAGE_BYTES, "page {number} is whole");
        let found = overlay.find(number);
        assert_eq!(found, Found::Page(page), "page {number} is one that can be read");
    }
    assert_eq!(overlay.find(overlay.count() + 1), Found::Beyond, "the database ends");
    true
}

/// The moment at which schedules are due.
const NOW: WallMs = WallMs(1_767_268_800_000);

/// The body of a row of `schedules`.
pub fn schedules(bytes: &[u8]) {
    let _ = schedule::decode(bytes);
    let mut sealed = bytes.to_vec();
    frame::reseal(&mut sealed);
    let Ok(all) = schedule::decode(&sealed) else { return };
    let row = schedule::encode(&all).expect("a body is of some schedules");
    assert_eq!(schedule::decode(&row.body).ok().as_ref(), Some(&all), "written as it was read");
    for one in &all {
        let view = one.view();
        assert!(view.next(3).is_sorted(), "{view:?} has its times in order");
        let now = one.due.max(NOW);
        if let Due::Run(run) | Due::Pass(Some(run)) = one.on_due(now, &mut || 1 << 63) {
            assert!(run.scheduled >= one.scheduled, "{view:?} never goes back");
            store(run.after_run(now, &mut || u64::MAX));
            store(Some(run));
        }
    }
    assert!(first_due(&all).is_some_and(|first| first.due == row.due), "the row says when");
}

/// What a schedule has become is stored again.
fn store(left: Option<crate::schedule::Schedule>) {
    let Some(left) = left else { return };
    let row = schedule::encode(&[left]).expect("it is one");
    on_shard(|connection| {
        let mut writes = schedule::Writes::prepare(connection).expect("our own table");
        writes.set(OBJECT, Some(&row), 1).expect("stored");
        assert!(schedule::damaged(connection).expect("read").is_empty(), "it can be read again");
    });
}

/// The body of a row of `outbox`.
pub fn send(bytes: &[u8]) {
    let _ = outbox::decode(bytes);
    let mut sealed = bytes.to_vec();
    frame::reseal(&mut sealed);
    let Ok(call) = outbox::decode(&sealed) else { return };
    let again = outbox::encode(&call);
    assert_eq!(outbox::decode(&again).as_ref(), Ok(&call), "written as it was read");
    let _ = (call.placement(), call.lineage());
    on_shard(|connection| {
        let sql = "INSERT INTO outbox (epoch, number, target, class_no, due_ms, retries, body)
            VALUES (1, 1, zeroblob(32), 1, 0, 0, ?1)";
        connection.execute(sql, params![sealed]).expect("stored");
        assert!(outbox::damaged(connection).expect("read").is_empty(), "it can be read");
    });
}

/// A chunk of results that are kept.
pub fn result(bytes: &[u8]) {
    let _ = result::decode(bytes);
    let mut sealed = bytes.to_vec();
    frame::reseal(&mut sealed);
    let Ok(all) = result::decode(&sealed) else { return };
    let written =
        all.iter().fold(Chunk::default(), |chunk, kept| chunk.with(kept, &result::encode(kept)));
    assert_eq!(result::decode(&written.body).as_ref(), Ok(&all), "written as it was read");
    let is_key = |kept: &KeptResult| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&kept.key.len());
    let is_time = |kept: &KeptResult| kept.until <= WallMs::MAX;
    if all.is_empty() || !all.iter().all(|kept| is_key(kept) && is_time(kept)) {
        return;
    }
    on_shard(|connection| {
        let write = result::ResultWrite {
            now: WallMs(1),
            open: Chunk::default(),
            sealed: vec![(0, written.clone())],
            over: vec![],
        };
        result::apply(connection, OBJECT, &write).expect("stored");
        assert_eq!(result::damaged(connection).expect("read"), vec![], "it can be read");
        let found = result::find(connection, OBJECT).expect("read").sealed;
        assert_eq!(found, vec![(0, Ok(written.head))], "as it was stored");
        let body = result::body(connection, OBJECT, 0).expect("read");
        assert_eq!(body, Some(written.body), "as it was stored");
    });
}

/// A cron expression, a line break, and the name of a time zone.
pub fn cron(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (expression, zone) = text.split_once('\n').unwrap_or((text, "UTC"));
    let Ok(when) = When::cron(expression, zone) else { return };
    let again = encode_wire(&when).ok().and_then(|bytes| decode_wire::<When>(&bytes).ok());
    assert_eq!(again.as_ref(), Some(&when), "it is written as it was read");
    let times = when.next(NOW, 3);
    assert!(times.is_sorted(), "{when} has its times in order: {times:?}");
    let Some(last) = times.last().copied() else { return };
    assert!(times[0] > NOW, "{when} goes on");
    assert!(when.last(times[0], last) >= times[0], "{when} never goes back");
}

/// The `lineage` of an object's row.
pub fn lineage(bytes: &[u8]) {
    let read = Lineage::decode(bytes);
    if let Some(lineage) = &read {
        assert_eq!(Lineage::decode(&lineage.encode()).as_ref(), read.as_ref(), "as it was read");
    }
    on_shard(|connection| {
        let id = crate::id::ObjectId::from_bytes([9; 32]);
        let row = params![OBJECT.0, id.lookup_hash(), &id.as_bytes()[..], bytes];
        let sql = "INSERT INTO objects VALUES (?1, ?2, ?3, 1, 1, NULL, NULL, NULL, 1, ?4)";
        connection.execute(sql, row).expect("stored");
        let loaded = object::load(connection, &id).map(|found| found.expect("it is stored").2);
        let above = read.as_ref().map_or(0, |lineage| lineage.ancestors().len());
        assert_eq!(loaded.ok().and_then(|stored| stored.lineage), read, "one reader as the other");
        // Every ancestor is missed, and those that were stored are not.
        assert_eq!(kin::wrong(connection).expect("read").len(), above.max(1));
        if let Some(lineage) = &read {
            kin::insert(connection, OBJECT, &id, lineage).expect("stored");
            assert_eq!(kin::wrong(connection).expect("read"), Vec::<String>::new());
        }
        kin::erase(connection, OBJECT).expect("erased");
        let left = connection.query_row("SELECT count(*) FROM kin", [], |row| row.get::<_, i64>(0));
        assert_eq!(left, Ok(0), "nothing is left that says who is above it");
    });
}

/// The columns of a row of `quarantines`, of the types that the table demands; texts are any bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QuarantineRow {
    pub(crate) id: Vec<u8>,
    pub(crate) class_no: i64,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) reason: Vec<u8>,
    /// `since_ms`, `retry_ms`, `delay_ms`, `failed_trials` and `code`.
    pub(crate) numbers: [i64; 5],
}

/// A row of `quarantines`.
pub fn quarantine(bytes: &[u8]) {
    let Ok(row) = decode_wire::<QuarantineRow>(bytes) else { return };
    let QuarantineRow { id, class_no, name, reason, numbers: [since, retry, delay, trials, code] } =
        row;
    on_shard(|connection| {
        let sql = "INSERT INTO quarantines
            VALUES (?1, ?2, CAST(?3 AS TEXT), NULL, CAST(?4 AS TEXT), ?5, ?6, ?7, ?8, ?9, NULL)";
        let row = params![id, class_no, name, reason, since, retry, delay, trials, code];
        connection.execute(sql, row).expect("stored");
        let all = quarantine::all(connection).expect("read");
        let [found] = &all[..] else { panic!("it is there") };
        let class_no = found.as_ref().ok().map(|stored| ClassNo(stored.class_no.0));
        let listed = quarantine::list(connection, class_no, None, 2).expect("read");
        match found {
            Ok(stored) => {
                assert_eq!(listed, all, "one reader as the other");
                quarantine::put(connection, stored).expect("stored again");
                assert_eq!(quarantine::all(connection).as_ref(), Ok(&all), "as it was read");
                let _ = stored.sentence.retry_at.0.saturating_sub(stored.sentence.since.0);
            }
            Err(damaged) if damaged.id.is_some() => {
                assert_eq!(listed, all, "it is told whose it is")
            }
            Err(_) => assert_eq!(listed, [], "whose it is nobody knows"),
        }
    });
}
