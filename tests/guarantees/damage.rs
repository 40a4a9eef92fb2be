//! P10: damage to a column of any table is found by a verification that names whose it is, fails the objects that need it with
//! a typed error and no others, and stays on disk as it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use durable::ProblemKind::*;
use durable::prelude::*;
use durable::{DataDirectory, ErrorKind, ProblemKind, StubRef};

/// Keeps something in every table, and owns more of its kind.
#[derive(Default, DurableState)]
struct Hoarder {
    n: u64,
}

#[durable_object(name = "damage.Hoarder", visibility = "pub(crate)")]
impl Hoarder {
    pub fn fill(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        cx.alarm().set_after(Duration::from_secs(3_600));
        cx.schedule("bill").every(Duration::from_secs(3_600)).call(cx.me().write());
        self.write(cx)
    }

    /// Into a table.
    pub fn write(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        self.n += 1;
        cx.sql().exec("CREATE TABLE IF NOT EXISTS t (n)", ())?;
        cx.sql().exec("INSERT INTO t VALUES (1)", ())?;
        cx.sql().query_one("SELECT count(*) FROM t", ())
    }

    pub fn kid(&self, cx: &Context<'_, Self>) -> Result<StubRef<Hoarder>, Error> {
        cx.child::<Hoarder>("kid").to_ref()
    }

    pub fn n(&self) -> u64 {
        self.n
    }

    #[alarm]
    fn rings(&mut self) {
        self.n += 1_000;
    }
}

async fn start(dir: &Path) -> Result<Runtime, Error> {
    Runtime::builder(dir).register::<Hoarder>().start().await
}

/// Two objects, of which one has a child.
async fn fill(dir: &Path) {
    let runtime = start(dir).await.unwrap();
    for name in ["ada", "bob"] {
        runtime.get::<Hoarder>(name).fill().await.unwrap();
    }
    let kid = runtime.get::<Hoarder>("ada").kid().await.unwrap();
    runtime.bind(&kid).unwrap().write().await.unwrap();
    runtime.get::<Hoarder>("ada").write().await.unwrap();
    runtime.shutdown().await.unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("shards")).unwrap();
    for file in ["durable.toml", "shards/000.db"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// Everything that a damaged row can be in, but for what a start counts.
fn rows(dir: &Path) -> Vec<String> {
    let tables = [
        ("objects", "object_no, id, name, born_ms, lineage"),
        ("kin", "ancestor, distance, id, object_no"),
        ("alarms", "object_no, due_ms, retries, set_by"),
        ("schedules", "object_no, due_ms, set_by, body"),
        ("dead_letters", "letter_no, kind"),
        ("quarantines", "id, class_no, retry_ms, delay_ms, failed_trials"),
        ("sql_log", "log_no, object_no, before_no, deltas"),
        ("sql_pages", "place, page"),
        ("meta", "erased_no, erased_log"),
    ];
    tests::rows_of(dir, &tables)
}

/// What a call of an object fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing: it needs nothing of the row.
    Works,
    /// Every call of `ada`.
    Ada(&'static str),
    /// A call of `ada` that uses its tables.
    Tables(&'static str),
    /// Every call of `ada`'s child.
    Kid(&'static str),
    /// The start.
    Start(&'static str),
}

use Then::{Ada, Kid, Start, Tables, Works};

/// What is planted, what is found, of whom, and what follows.
type Planted = (&'static str, &'static [ProblemKind], &'static str, Then);

const CORRUPT: &str = "storage.corrupt";

/// `ADA` and `KID` stand for the numbers of these objects.
const TABLE: &[Planted] = &[
    ("UPDATE alarms SET due_ms = -1 WHERE object_no = ADA", &[RowUnreadable], "ada", Ada(CORRUPT)),
    (
        "UPDATE alarms SET scheduled_ms = -1 WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    (
        "UPDATE alarms SET retries = 1 << 40 WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    ("UPDATE alarms SET set_by = -3 WHERE object_no = ADA", &[RowUnreadable], "ada", Ada(CORRUPT)),
    ("UPDATE alarms SET set_by = 900 WHERE object_no = ADA", &[RowUnreadable], "ada", Works),
    ("UPDATE schedules SET due_ms = -1 WHERE object_no = ADA", &[ScheduleDamaged], "ada", Works),
    (
        "UPDATE schedules SET due_ms = due_ms + 1 WHERE object_no = ADA",
        &[ScheduleDamaged],
        "ada",
        Works,
    ),
    (
        "UPDATE schedules SET set_by = -1 WHERE object_no = ADA",
        &[ScheduleDamaged],
        "ada",
        Ada(CORRUPT),
    ),
    ("UPDATE schedules SET set_by = 900 WHERE object_no = ADA", &[ScheduleDamaged], "ada", Works),
    (
        "UPDATE schedules SET body = substr(body, 1, 30) WHERE object_no = ADA",
        &[ScheduleDamaged],
        "ada",
        Ada("schedule.torn"),
    ),
    (
        "UPDATE schedules SET object_no = 900 WHERE object_no = ADA",
        &[ScheduleOrphaned],
        "900",
        Works,
    ),
    (
        "INSERT INTO dead_letters VALUES (1, ADA, 7, 'no', 1, 1, 1, NULL, NULL, NULL, NULL)",
        &[RowUnreadable],
        "ada",
        Works,
    ),
    (
        "INSERT INTO dead_letters VALUES (1, ADA, 2, 'no', 1, 1, 1, NULL, NULL, NULL, NULL)",
        &[RowUnreadable],
        "ada",
        Works,
    ),
    (
        "INSERT INTO dead_letters VALUES (1, ADA, 1, 'no', -1, 1, 1, NULL, NULL, NULL, NULL)",
        &[RowUnreadable],
        "ada",
        Works,
    ),
    (
        "INSERT INTO dead_letters VALUES (1, ADA, 3, 'no', 1, 1, 1, '0-1-1', 'n', x'', x'00')",
        &[RowUnreadable],
        "ada",
        Works,
    ),
    (
        "INSERT INTO dead_letters VALUES (1, ADA, 2, 'no', 1, 1, 1, 'a', 'n', x'', x'00')",
        &[RowUnreadable],
        "ada",
        Works,
    ),
    (
        "INSERT INTO quarantines SELECT x'00', class_no, name, NULL, 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Works,
    ),
    (
        "INSERT INTO quarantines SELECT id, class_no, name, NULL, 'no', 1, -1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    (
        "INSERT INTO quarantines SELECT id, class_no, name, NULL, 'no', 1, 1, -1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    (
        "INSERT INTO quarantines SELECT id, class_no, name, NULL, 'no', 1, 1, 1, -1, 1, NULL FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    (
        "INSERT INTO quarantines SELECT id, 9, name, NULL, 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[ClassUnknown],
        "ada",
        Works,
    ),
    (
        "INSERT INTO quarantines SELECT zeroblob(32), class_no, 'eve', NULL, 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[ObjectForeign],
        "eve",
        Works,
    ),
    (
        "INSERT INTO quarantines SELECT id, 1 << 40, name, NULL, 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    (
        "INSERT INTO quarantines
         SELECT id, class_no, CAST(x'ff' AS TEXT), NULL, 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "damage.Hoarder(",
        Ada(CORRUPT),
    ),
    (
        "INSERT INTO quarantines SELECT id, class_no, name, NULL, 'no', 1, 1, 1, 1, 1, x'00' FROM objects WHERE object_no = ADA",
        &[RowUnreadable],
        "ada",
        Ada(CORRUPT),
    ),
    (
        "INSERT INTO quarantines SELECT id, class_no, 'eve', NULL, 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[ObjectMisnamed],
        "eve",
        Works,
    ),
    (
        "INSERT INTO quarantines SELECT id, class_no, name, 'eu', 'no', 1, 1, 1, 1, 1, NULL FROM objects WHERE object_no = ADA",
        &[ObjectMisnamed],
        "ada",
        Works,
    ),
    ("UPDATE kin SET object_no = ADA", &[KinWrong, KinWrong], "kin", Works),
    ("UPDATE kin SET distance = 2", &[KinWrong, KinWrong], "kin", Works),
    ("DELETE FROM kin", &[KinWrong], "kin", Works),
    (
        "UPDATE objects SET lineage = x'00' WHERE object_no = KID",
        &[RowUnreadable, KinWrong, KinWrong],
        "KID",
        Kid(CORRUPT),
    ),
    (
        "UPDATE objects SET lineage = NULL WHERE object_no = KID",
        &[KinWrong, KinWrong],
        "kid",
        Works,
    ),
    (
        "UPDATE objects SET lineage = (SELECT CAST(id || x'0000' AS BLOB) FROM objects WHERE name = 'bob') WHERE object_no = KID",
        &[ObjectMisnamed, KinWrong, KinWrong],
        "kid",
        Works,
    ),
    ("UPDATE objects SET born_ms = -1 WHERE object_no = ADA", &[RowUnreadable], "ADA", Works),
    (
        "UPDATE objects SET object_no = 1 << 50 WHERE object_no = ADA",
        &[RowUnreadable, SnapshotOrphaned, TablesOrphaned, AlarmOrphaned, ScheduleOrphaned],
        "object number",
        Ada(CORRUPT),
    ),
    (
        "UPDATE snapshots SET log_end = log_end + 1 WHERE object_no = ADA",
        &[TablesTorn],
        "ada",
        Tables(CORRUPT),
    ),
    (
        "UPDATE snapshots SET log_end = -log_end WHERE object_no = ADA",
        &[TablesTorn],
        "ada",
        Tables(CORRUPT),
    ),
    // An object without rows has another end than 0, so it is not taken for one.
    (
        "UPDATE snapshots SET log_end = 0 WHERE object_no = ADA",
        &[TablesTorn],
        "ada",
        Tables(CORRUPT),
    ),
    (
        "UPDATE sql_log SET before_no = -1 WHERE object_no = ADA",
        &[TablesTorn],
        "ada",
        Tables(CORRUPT),
    ),
    (
        "UPDATE sql_log SET commit_no = 900 WHERE object_no = ADA",
        &[TablesTorn],
        "ada",
        Tables(CORRUPT),
    ),
    (
        "UPDATE sql_log SET log_no = -log_no WHERE object_no = ADA",
        &[TablesTorn],
        "ada",
        Tables(CORRUPT),
    ),
    (
        "UPDATE sql_log SET object_no = 1 << 50 WHERE object_no = ADA",
        &[TablesTorn, TablesOrphaned],
        "ada",
        Tables(CORRUPT),
    ),
    ("UPDATE meta SET erased_no = -1", &[RowUnreadable], "erased", Works),
    ("UPDATE meta SET erased_no = 1 << 50", &[RowUnreadable], "erased", Start(CORRUPT)),
    ("UPDATE meta SET erased_log = -1", &[RowUnreadable], "erased", Works),
    ("UPDATE meta SET erased_log = 1 << 60", &[RowUnreadable], "erased", Tables(CORRUPT)),
];

#[tokio::test]
async fn damage_is_found_and_named_and_left_as_it_is() {
    let whole = tempfile::tempdir().unwrap();
    fill(whole.path()).await;
    let verified = DataDirectory::open(whole.path()).unwrap().verify().unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
    let mut wrong = Vec::new();
    for (sql, kinds, named, then) in TABLE {
        if let Err(text) = plant(whole.path(), sql, kinds, named, *then).await {
            wrong.push(format!("{sql}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn plant(
    whole: &Path,
    sql: &str,
    kinds: &[ProblemKind],
    named: &str,
    then: Then,
) -> Result<(), String> {
    let number = |name| {
        let sql = "SELECT object_no FROM objects WHERE name = ?1";
        tests::first_shard(whole).query_row(sql, [name], |row| row.get::<_, i64>(0)).unwrap()
    };
    let [ada, kid] = ["ada", "kid"].map(|name| number(name).to_string());
    let numbered = |text: &str| text.replace("ADA", &ada).replace("KID", &kid);
    let dir = tempfile::tempdir().unwrap();
    copy(whole, dir.path());
    tests::first_shard(dir.path()).execute_batch(&numbered(sql)).unwrap();
    let before = rows(dir.path());
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap().problems;
    let seen: Vec<_> = found.iter().map(|problem| problem.kind).collect();
    let is_named = found.iter().any(|problem| problem.to_string().contains(&numbered(named)));
    let mut wrong = String::new();
    if seen != kinds || !is_named {
        wrong += &format!("found {found:?}; ");
    }
    let seen = outcome(dir.path()).await;
    if seen != then {
        wrong += &format!("then {seen:?}; ");
    }
    if rows(dir.path()).iter().filter(|row| before.contains(row)).count() < before.len()
        && then != Works
    {
        wrong += "rows were changed; ";
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What follows, in the order in which it would be seen. Those that need nothing of the row notice nothing.
async fn outcome(dir: &Path) -> Then {
    let runtime = match start(dir).await {
        Ok(runtime) => runtime,
        Err(error) => return Start(error.code()),
    };
    let ada = runtime.get::<Hoarder>("ada");
    let seen = match ada.kid().await {
        Err(CallError::Rejected(error) | CallError::Failed(error)) => {
            Ada(typed(&error, "damage.Hoarder(ada)"))
        }
        Ok(kid) => {
            let by_id = runtime.get_by_id::<Hoarder>(kid.id()).unwrap();
            match (by_id.n().await, ada.write().await) {
                (Err(error), _) => Kid(typed(&error, &kid.id().to_string())),
                (_, Err(CallError::Rejected(error) | CallError::Failed(error))) => {
                    Tables(error.code())
                }
                _ => Works,
            }
        }
    };
    assert_eq!(runtime.get::<Hoarder>("bob").n().await.unwrap(), 1, "others notice nothing");
    drop(runtime.shutdown().await);
    seen
}

fn typed(error: &Error, object: &str) -> &'static str {
    let is_named = error.object().is_some_and(|named| named.contains(object));
    if is_named && error.kind() == ErrorKind::Corrupt { error.code() } else { "untyped" }
}

/// A quarantine of `ada` whose time is none.
const UNREADABLE: &str = "INSERT INTO quarantines
    SELECT id, class_no, name, NULL, 'no', 1, -1, 1, 1, 1, NULL FROM objects WHERE name = 'ada'";

#[tokio::test]
async fn a_quarantine_that_cannot_be_read_stands_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path()).await;
    tests::first_shard(dir.path()).execute_batch(UNREADABLE).unwrap();
    let directory = DataDirectory::open(dir.path()).unwrap();
    let runtime = start(dir.path()).await.unwrap();
    let (ada, bob) = (runtime.get::<Hoarder>("ada"), runtime.get::<Hoarder>("bob"));
    let id = ada.id().unwrap();
    let listed = runtime.quarantined(None, None).await.unwrap();
    assert_eq!(directory.quarantined(None).unwrap(), listed);
    let [one] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(
        (one.id, one.class.as_str(), one.name.as_deref()),
        (id, "damage.Hoarder", Some("ada"))
    );
    assert!(one.reason.contains("cannot be read"), "{}", one.reason);
    assert_eq!(runtime.quarantined(None, Some(id)).await.unwrap(), []);
    for _ in 0..3 {
        let error = ada.n().await.unwrap_err();
        assert_eq!(typed(&error, "damage.Hoarder(ada)"), CORRUPT);
        assert!(error.message().contains("until somebody releases it"), "{error}");
        assert!(runtime.retry(id).unwrap(), "which does not make it readable");
    }
    assert_eq!(bob.n().await.unwrap(), 1);
    assert!(runtime.release(id).await.unwrap());
    assert_eq!((ada.n().await.unwrap(), runtime.release(id).await.unwrap()), (2, false));
    runtime.shutdown().await.unwrap();
    assert!(directory.verify().unwrap().is_sound());
    tests::first_shard(dir.path()).execute_batch(UNREADABLE).unwrap();
    let runtime = start(dir.path()).await.unwrap();
    assert!(runtime.delete(id).await.unwrap(), "it takes its quarantine along");
    assert_eq!(runtime.get::<Hoarder>("ada").n().await.unwrap(), 0);
    runtime.shutdown().await.unwrap();
    assert!(directory.verify().unwrap().is_sound());
}
