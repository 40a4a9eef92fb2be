//! Backup, restore and verification: a copy is whole or refused, nothing is overwritten, and damage is found and named.

use std::collections::BTreeMap;
use std::fs;
use std::future::IntoFuture;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use durable::host::Host;
use durable::prelude::*;
use durable::{DataDirectory, ProblemKind};
use durable_testing::disk::{Crash, Fault, FaultKind, SimDisk};

use super::{Counter, counters};

/// Keeps a number in its struct and the same number under a key.
#[derive(Default, DurableState)]
pub struct Pair {
    n: u64,
}

#[durable_object(name = "test.Pair")]
impl Pair {
    pub fn add(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        self.n += 1;
        cx.kv().put("n", &self.n)?;
        cx.kv().put(format!("turn/{}", self.n % 8), &self.n)?;
        Ok(self.n)
    }

    /// Both numbers.
    pub async fn both(&self, cx: &Context<'_, Self>) -> Result<(u64, u64), Error> {
        Ok((self.n, cx.kv().get("n").await?.unwrap_or(0)))
    }
}

async fn pairs(dir: &Path) -> Runtime {
    let builder = Runtime::builder(dir).register::<Pair>().register::<Counter>();
    builder.shards(3).log_pages(16).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_what_was_acknowledged_and_no_half_of_a_turn() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = pairs(&dir.path().join("data")).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..12)
        .map(|index| {
            let (pair, is_over) = (runtime.get::<Pair>(format!("p{index}")), is_over.clone());
            tokio::spawn(async move {
                let mut last = 0;
                while !is_over.load(Ordering::Acquire) {
                    last = pair.add().await.unwrap();
                }
                last
            })
        })
        .collect();
    for round in 0..3 {
        let mut before = Vec::new();
        for index in 0..12 {
            before.push(runtime.get::<Pair>(format!("p{index}")).add().await.unwrap());
        }
        let to = dir.path().join(format!("backup{round}"));
        let made = runtime.backup(&to).await.unwrap();
        assert_eq!((made.shards, made.objects), (3, 12));
        let verified = DataDirectory::open(&to).unwrap().verify().unwrap();
        assert!(verified.is_sound(), "{:?}", verified.problems);
        let copy = pairs(&to).await;
        for (index, before) in before.into_iter().enumerate() {
            let name = format!("p{index}");
            let (n, kept) = copy.get::<Pair>(name.as_str()).both().await.unwrap();
            assert_eq!(n, kept, "struct and keys are of one commit");
            let after = runtime.get::<Pair>(name.as_str()).both().await.unwrap().0;
            assert!(before <= n && n <= after, "{before} before, {n} in the backup, {after} after");
        }
        copy.shutdown().await.unwrap();
    }
    is_over.store(true, Ordering::Release);
    for (index, client) in clients.into_iter().enumerate() {
        let last = client.await.unwrap();
        let n = runtime.get::<Pair>(format!("p{index}")).both().await.unwrap().0;
        assert_eq!(n, last, "the source goes on as if nothing had been");
    }
}

#[tokio::test]
async fn a_copy_goes_on_with_the_same_ids_and_higher_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let (data, saved, again) =
        (dir.path().join("data"), dir.path().join("saved"), dir.path().join("again"));
    let runtime = pairs(&data).await;
    for name in ["ada", "bob"] {
        runtime.get::<Pair>(name).add().await.unwrap();
    }
    let ids = ["ada", "bob"].map(|name| runtime.get::<Pair>(name).id().unwrap());
    runtime.shutdown().await.unwrap();
    DataDirectory::open(&data).unwrap().backup(&saved).unwrap();
    DataDirectory::restore(&saved, &again).unwrap();
    let epoch = |dir: &Path, name| {
        let directory = DataDirectory::open(dir).unwrap();
        directory.object("test.Pair", name).unwrap().unwrap().epoch
    };
    let runtime = pairs(&again).await;
    for (name, id) in ["ada", "bob"].into_iter().zip(ids) {
        assert_eq!(runtime.get::<Pair>(name).id().unwrap(), id);
        assert_eq!(runtime.get_by_id::<Pair>(id).unwrap().add().await.unwrap(), 2);
        assert!(epoch(&again, name) > epoch(&saved, name));
        assert_eq!(epoch(&saved, name), epoch(&data, name), "a copy is a copy");
    }
    let found = DataDirectory::open(&again).unwrap().verify().unwrap();
    assert!(found.is_sound(), "a running directory: {:?}", found.problems);
    assert_eq!((found.shards, found.objects, found.keys), (3, 2, 6));
}

#[tokio::test]
async fn nothing_is_ever_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (data, taken) = (dir.path().join("data"), dir.path().join("taken"));
    let runtime = pairs(&data).await;
    runtime.get::<Pair>("ada").add().await.unwrap();
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("letter"), "dear").unwrap();
    let file = taken.join("letter");
    let directory = DataDirectory::open(&data).unwrap();
    for to in [&taken, &data, &file] {
        let error = runtime.backup(to).await.unwrap_err();
        assert_eq!(error.code(), "backup.exists", "{error}");
        assert_eq!(directory.backup(to).unwrap_err().code(), "backup.exists");
        assert_eq!(DataDirectory::restore(&data, to).unwrap_err().code(), "backup.exists");
    }
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
    assert_eq!(runtime.backup("").await.unwrap_err().code(), "config.invalid");
    let error = DataDirectory::open(&taken).unwrap_err();
    assert_eq!(error.code(), "storage.missing", "{error}");
    // An empty directory is as good as none.
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    runtime.backup(&empty).await.unwrap();
    assert_eq!(runtime.backup(&empty).await.unwrap_err().code(), "backup.exists");
}

#[tokio::test]
async fn one_backup_at_a_time_and_none_after_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = pairs(&dir.path().join("data")).await;
    runtime.get::<Pair>("ada").add().await.unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let (first, second) = tokio::join!(runtime.backup(&one), runtime.backup(&two));
    assert_eq!(second.unwrap_err().code(), "backup.running");
    first.unwrap();
    // A backup that nobody waits for is cut off, and what there is of it is refused.
    let cut = Box::pin(runtime.backup(&two));
    assert!(futures_util::poll!(cut).is_pending());
    let three = dir.path().join("three");
    loop {
        match runtime.backup(&three).await {
            Err(error) => assert_eq!(error.code(), "backup.running"),
            Ok(made) => break assert_eq!(made.objects, 1),
        }
        tokio::task::yield_now().await;
    }
    if let Err(error) = DataDirectory::open(&two) {
        assert!(["backup.incomplete", "storage.missing"].contains(&error.code()), "{error}");
    }
    runtime.shutdown().await.unwrap();
    let error = runtime.backup(dir.path().join("late")).await.unwrap_err();
    assert_eq!(error.code(), "runtime.closed");
}

fn on(disk: &SimDisk) -> Host {
    Host { disk: Arc::new(disk.clone()), ..Host::os() }
}

async fn start(disk: &SimDisk, dir: &str) -> Result<Runtime, Error> {
    let builder = Runtime::builder(dir).register::<Counter>().shards(2);
    builder.host(on(disk)).start().await
}

/// Counters on a disk, shut down.
async fn filled(disk: &SimDisk) {
    let runtime = start(disk, "/data").await.unwrap();
    for index in 0..6 {
        runtime.get::<Counter>(format!("c{index}")).add(index + 1).await.unwrap();
    }
    runtime.shutdown().await.unwrap();
}

async fn counts(disk: &SimDisk, dir: &str) -> Result<Vec<u64>, Error> {
    let runtime = start(disk, dir).await?;
    let mut counts = Vec::new();
    for index in 0..6 {
        counts.push(runtime.get::<Counter>(format!("c{index}")).count().await?);
    }
    runtime.shutdown().await?;
    Ok(counts)
}

/// Numbers that look random and are the same in every run.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn full() -> Vec<u64> {
    (1..=6).collect()
}

const MODES: [Crash; 3] = [Crash::Process, Crash::PowerDropAll, Crash::PowerTorn];

#[tokio::test]
async fn a_backup_that_is_cut_off_anywhere_is_whole_or_refused() {
    let whole = SimDisk::new(1);
    filled(&whole).await;
    let begun = whole.ops();
    DataDirectory::open_on(on(&whole), "/data").unwrap().backup("/saved").unwrap();
    // What the shards are like differs a little from run to run, as their lanes are threads here.
    let last = whole.ops() - begun + 4;
    let (mut refused, mut kept) = (0, 0);
    for op in 1..=last {
        for (nth, mode) in MODES.into_iter().enumerate() {
            let disk = SimDisk::new(1);
            filled(&disk).await;
            disk.die_at_op(disk.ops() + op);
            let made = DataDirectory::open_on(on(&disk), "/data").unwrap().backup("/saved");
            assert!(made.is_err() || disk.is_alive());
            disk.crash(mode, &mut random(op * 3 + nth as u64));
            let disk = disk.revive();
            let what = format!("{mode:?} at operation {op} of {last}");
            assert_eq!(counts(&disk, "/data").await.unwrap(), full(), "the source: {what}");
            match DataDirectory::open_on(on(&disk), "/saved") {
                Ok(saved) => {
                    kept += 1;
                    let found = saved.verify().unwrap();
                    assert!(found.is_sound(), "{what}: {:?}", found.problems);
                    assert_eq!(counts(&disk, "/saved").await.unwrap(), full(), "{what}");
                }
                Err(error) => {
                    assert!(made.is_err(), "{what}: a backup that was made is gone");
                    refused += 1;
                    is_refused(&disk, &error, &what).await;
                }
            }
        }
    }
    assert!(refused > 100 && kept >= 3, "{refused} were refused, {kept} kept");
}

async fn is_refused(disk: &SimDisk, error: &Error, what: &str) {
    let names = durable::host::Disk::names_in(disk, Path::new("/saved/shards")).unwrap();
    match error.code() {
        // Nothing has been copied yet, so that a start finds an empty directory.
        "storage.missing" => {
            assert_eq!(names.unwrap_or_default(), Vec::<String>::new(), "{what}");
        }
        "backup.incomplete" => {
            let error = start(disk, "/saved").await.unwrap_err();
            assert_eq!(error.code(), "backup.incomplete", "{what}");
            let source = DataDirectory::open_on(on(disk), "/data").unwrap();
            assert_eq!(source.backup("/saved").unwrap_err().code(), "backup.exists", "{what}");
        }
        other => panic!("{what}: {other}"),
    }
}

#[tokio::test]
async fn a_disk_that_fails_under_a_backup_fails_the_backup_alone() {
    let faults = [
        (FaultKind::NoSpace, "storage.full"),
        (FaultKind::WriteError, "storage.failed"),
        (FaultKind::SyncError, "storage.failed"),
    ];
    for (nth, (kind, code)) in faults.into_iter().enumerate() {
        let disk = SimDisk::new(2);
        filled(&disk).await;
        let runtime = start(&disk, "/data").await.unwrap();
        disk.arm(Fault::new(kind).lasting().on(|path| path.starts_with("/saved/shards")));
        let error = runtime.backup("/saved").await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.outcome(), durable::Outcome::NotStarted);
        assert_eq!(runtime.get::<Counter>("c0").add(1).await.unwrap(), 2, "{kind:?}");
        let open = DataDirectory::open_on(on(&disk), "/saved").unwrap_err();
        assert_eq!(open.code(), "backup.incomplete");
        disk.disarm();
        let made = runtime.backup(format!("/other{nth}")).await.unwrap();
        assert_eq!(made.objects, 6);
    }
}

/// A directory with three objects in one shard, shut down.
async fn small(dir: &Path) {
    let runtime = Runtime::builder(dir).register::<Pair>().start().await.unwrap();
    for name in ["ada", "bob", "cyd"] {
        runtime.get::<Pair>(name).add().await.unwrap();
    }
    runtime.unique::<Pair>().add().await.unwrap();
    runtime.shutdown().await.unwrap();
}

fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir.join("shards")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "db") {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

/// What is planted, and what is found.
type Planted = (&'static str, &'static [ProblemKind]);

#[tokio::test]
async fn every_kind_of_damage_to_rows_is_found() {
    use ProblemKind::*;

    let ada = "(SELECT object_no FROM objects WHERE name = 'ada')";
    let table: [Planted; 25] = [
        ("UPDATE snapshots SET body = CAST(body || x'00' AS BLOB) WHERE object_no = ADA", &[SnapshotTorn]),
        ("UPDATE snapshots SET body = x'' WHERE object_no = ADA", &[SnapshotTorn]),
        ("DELETE FROM snapshots WHERE object_no = ADA", &[SnapshotMissing]),
        (
            "INSERT INTO snapshots VALUES (900, 1, 1, 0, x'00', NULL)",
            &[SnapshotOrphaned, TablesOrphaned],
        ),
        ("UPDATE snapshots SET epoch = 5 << 40 WHERE object_no = ADA", &[SnapshotAhead]),
        ("UPDATE snapshots SET epoch = -1 WHERE object_no = ADA", &[RowUnreadable]),
        ("UPDATE kv SET value = CAST(value || x'00' AS BLOB) WHERE object_no = ADA AND key = CAST('n' AS BLOB)", &[KvTorn]),
        ("UPDATE kv SET key = CAST('m' AS BLOB) WHERE object_no = ADA AND key = CAST('n' AS BLOB)", &[KvTorn]),
        ("INSERT INTO kv VALUES (900, x'01', x'00'), (900, x'02', x'00')", &[KvOrphaned]),
        ("INSERT INTO sql_pages VALUES (ADA << 24, x'00')", &[TablesTorn]),
        ("INSERT INTO sql_log VALUES (900, ADA, 1, 0, x'00')", &[TablesTorn]),
        ("UPDATE snapshots SET log_end = 1 << 16 WHERE object_no = ADA", &[TablesTorn]),
        ("INSERT INTO sql_log VALUES (900, 900, 1, 0, x'00')", &[TablesOrphaned]),
        ("UPDATE objects SET name = 'eve' WHERE object_no = ADA", &[ObjectMisnamed]),
        ("UPDATE objects SET jurisdiction = 'eu' WHERE object_no = ADA", &[ObjectMisnamed]),
        ("UPDATE objects SET slot = (slot + 1) % 1024 WHERE object_no = ADA", &[ObjectMisplaced]),
        ("UPDATE objects SET lookup_hash = 7 WHERE object_no = ADA", &[ObjectMisplaced]),
        ("UPDATE objects SET id = CAST(substr(id, 1, 16) || zeroblob(16) AS BLOB) WHERE object_no = ADA", &[ObjectForeign]),
        ("UPDATE objects SET id = x'00' WHERE object_no = ADA", &[RowUnreadable]),
        ("UPDATE objects SET class_no = 9 WHERE object_no = ADA", &[ClassUnknown, SchemaUnknown]),
        ("INSERT INTO kin VALUES (x'00', 1, x'00', ADA)", &[KinWrong]),
        ("UPDATE snapshots SET results = x'00' WHERE object_no = ADA", &[ResultDamaged]),
        ("INSERT INTO results VALUES (900, 0, 1, x'00', x'00')", &[ResultOrphaned]),
        ("DELETE FROM schemas", &[SchemaUnknown, SchemaUnknown, SchemaUnknown, SchemaUnknown]),
        (
            "INSERT INTO objects SELECT 900, lookup_hash, id, class_no, slot, name, jurisdiction, location_hint, born_ms, NULL
                 FROM objects WHERE object_no = ADA",
            &[SnapshotMissing, ObjectDoubled],
        ),
    ];
    for (sql, kinds) in table {
        let dir = tempfile::tempdir().unwrap();
        small(dir.path()).await;
        tests::first_shard(dir.path()).execute_batch(&sql.replace("ADA", ada)).unwrap();
        let before = bytes_of(dir.path());
        let verified = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
        let found: Vec<_> = verified.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(found, kinds, "{sql}: {:?}", verified.problems);
        assert!(verified.problems.iter().all(|problem| problem.shard == Some(0)));
        assert_eq!(bytes_of(dir.path()), before, "{sql}: nothing is changed");
    }
}

#[tokio::test]
async fn a_problem_names_the_object_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path()).await;
    tests::first_shard(dir.path()).execute("UPDATE snapshots SET body = x''", []).unwrap();
    let verified = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    let texts: Vec<_> = verified.problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 4);
    let ada = texts.iter().find(|text| text.contains("test.Pair(ada)")).unwrap();
    assert!(ada.starts_with("snapshot.torn: shard 0: test.Pair(ada): its state: 0 bytes"), "{ada}");
    assert!(ada.contains("restore the object from a backup"), "{ada}");
}

/// What is done to a data directory's folder of shards.
type Harm<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn damage_to_files_is_found() {
    let damage: [(&str, Harm<'_>, ProblemKind); 6] = [
        (
            "missing",
            &|shards| fs::remove_file(shards.join("001.db")).unwrap(),
            ProblemKind::ShardMissing,
        ),
        (
            "in the place of another",
            &|shards| assert!(fs::copy(shards.join("000.db"), shards.join("001.db")).is_ok()),
            ProblemKind::ShardForeign,
        ),
        (
            "empty",
            &|shards| fs::write(shards.join("001.db"), "").unwrap(),
            ProblemKind::ShardForeign,
        ),
        (
            "not a database",
            &|shards| fs::write(shards.join("001.db"), "text ".repeat(2_000)).unwrap(),
            ProblemKind::ShardDamaged,
        ),
        (
            "one too many",
            &|shards| fs::write(shards.join("002.db"), "").unwrap(),
            ProblemKind::FileUnknown,
        ),
        (
            "a page of zeros",
            &|shards| {
                let path = shards.join("001.db");
                let mut bytes = fs::read(&path).unwrap();
                let pages = bytes.len() / 1_024;
                bytes[(pages - 1) * 1_024..].fill(0);
                fs::write(path, bytes).unwrap();
            },
            ProblemKind::ShardDamaged,
        ),
    ];
    for (what, damage, kind) in damage {
        let dir = tempfile::tempdir().unwrap();
        let builder = Runtime::builder(dir.path()).register::<Counter>().shards(2);
        let runtime = builder.start().await.unwrap();
        for index in 0..200 {
            runtime.get::<Counter>(format!("c{index}")).add(1).await.unwrap();
        }
        runtime.shutdown().await.unwrap();
        drop(runtime);
        for log in ["001.db-wal", "001.db-shm"] {
            drop(fs::remove_file(dir.path().join("shards").join(log)));
        }
        damage(&dir.path().join("shards"));
        let directory = DataDirectory::open(dir.path()).unwrap();
        let verified = directory.verify().unwrap();
        let kinds: Vec<_> = verified.problems.iter().map(|problem| problem.kind).collect();
        assert!(kinds.contains(&kind), "{what}: {:?}", verified.problems);
        assert!(verified.objects > 50, "the other shard is read");
        let again = dir.path().join("again");
        let error = DataDirectory::restore(dir.path(), &again).unwrap_err();
        assert_eq!(error.code(), "storage.corrupt", "{what}: {error}");
        assert!(!again.exists(), "nothing is made of a damaged backup");
    }
}

#[tokio::test]
async fn shards_that_contradict_each_other_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>().shards(2);
    builder.start().await.unwrap().shutdown().await.unwrap();
    tests::first_shard(dir.path()).execute("UPDATE classes SET name = 'test.Other'", []).unwrap();
    let verified = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    let kinds: Vec<_> = verified.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::ClassContradictory], "{:?}", verified.problems);
    assert_eq!(verified.problems[0].shard, None);
}

#[tokio::test]
async fn a_running_directory_is_sound_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = pairs(dir.path()).await;
    let directory = DataDirectory::open(dir.path()).unwrap();
    for round in 0..10 {
        let calls: Vec<_> = (0..20)
            .map(|index| runtime.get::<Pair>(format!("{round}/{}", index % 7)).add().into_future())
            .collect();
        let calls = tokio::spawn(futures_util::future::join_all(calls));
        let verified = directory.verify().unwrap();
        assert!(verified.is_sound(), "{:?}", verified.problems);
        for call in calls.await.unwrap() {
            call.unwrap();
        }
    }
    let before = fs::metadata(dir.path().join("shards/000.db-wal")).unwrap().len();
    assert!(before > 0);
    drop(directory);
    // Readers do not copy the log when they go.
    assert_eq!(fs::metadata(dir.path().join("shards/000.db-wal")).unwrap().len(), before);
    assert_eq!(runtime.get::<Pair>("0/0").both().await.unwrap(), (3, 3));
}

#[tokio::test]
async fn a_reader_that_takes_long_does_not_stop_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>().log_pages(64);
    let runtime = builder.start().await.unwrap();
    let counter = runtime.get::<Counter>("ada");
    counter.add(1).await.unwrap();
    // As another process reads that verifies the directory, or copies it: the log cannot start over meanwhile.
    let reader = tests::first_shard(dir.path());
    let moment = reader.unchecked_transaction().unwrap();
    let objects = || {
        reader.query_row("SELECT count(*) FROM objects", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(objects(), 1);
    // Far beyond the length at which the writer waits for the log; it waits a moment, once in a while.
    for n in 2..=1_500 {
        assert_eq!(counter.add(1).await.unwrap(), n);
    }
    runtime.get::<Counter>("bob").add(1).await.unwrap();
    assert_eq!(objects(), 1, "one moment");
    moment.finish().unwrap();
    for n in 1_501..=1_600 {
        assert_eq!(counter.add(1).await.unwrap(), n);
    }
    let log = fs::metadata(dir.path().join("shards/000.db-wal")).unwrap().len();
    for n in 1_601..=1_900 {
        assert_eq!(counter.add(1).await.unwrap(), n);
    }
    let later = fs::metadata(dir.path().join("shards/000.db-wal")).unwrap().len();
    assert_eq!(later, log, "the log has started over");
}

#[tokio::test]
async fn what_a_process_left_that_died_is_looked_at_without_being_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, left) = (dir.path().join("data"), dir.path().join("left"));
    let runtime = counters(&data).await;
    runtime.get::<Counter>("ada").add(5).await.unwrap();
    // As it is on disk in this moment: a database, and a log with everything in it.
    fs::create_dir_all(left.join("shards")).unwrap();
    for file in ["durable.toml", "shards/000.db", "shards/000.db-wal"] {
        fs::copy(data.join(file), left.join(file)).unwrap();
    }
    runtime.shutdown().await.unwrap();
    let log = fs::read(left.join("shards/000.db-wal")).unwrap();
    let before = bytes_of(&left);
    let directory = DataDirectory::open(&left).unwrap();
    assert!(directory.verify().unwrap().is_sound());
    assert_eq!(directory.summary().unwrap().objects, 1);
    directory.backup(dir.path().join("saved")).unwrap();
    assert_eq!(bytes_of(&left), before);
    assert_eq!(fs::read(left.join("shards/000.db-wal")).unwrap(), log);
    let runtime = counters(&dir.path().join("saved")).await;
    assert_eq!(runtime.get::<Counter>("ada").count().await.unwrap(), 5);
}

#[tokio::test]
async fn what_is_stored_can_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = pairs(dir.path()).await;
    for index in 0..5 {
        for _ in 0..=index {
            runtime.get::<Pair>(format!("p{index}")).add().await.unwrap();
        }
    }
    let unique = runtime.unique::<Pair>();
    unique.add().await.unwrap();
    let directory = DataDirectory::open(dir.path()).unwrap();
    let summary = directory.summary().unwrap();
    assert_eq!((summary.format, summary.objects, summary.shards.len()), (1, 6, 3));
    assert!(summary.holder.unwrap().contains(&format!("pid {}", std::process::id())));
    let classes = directory.classes().unwrap();
    let names: Vec<_> = classes.iter().map(|class| class.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["test.Counter", "test.Pair"]);
    assert_eq!((classes[1].objects, classes[1].fingerprints.len()), (6, 1));

    let all = directory.objects("test.Pair", "", None, 1_000).unwrap();
    assert_eq!(all.len(), 6);
    assert_eq!(all[0].id(), unique.id().unwrap(), "the nameless come first");
    let page = directory.objects("test.Pair", "p", Some(&all[2]), 2).unwrap();
    assert_eq!(page, all[3..5]);
    assert_eq!(directory.objects("test.Pair", "p", None, 0).unwrap_err().code(), "config.invalid");
    assert_eq!(directory.objects("no.Such", "", None, 1).unwrap_err().code(), "class.unknown");

    let p3 = directory.object("test.Pair", "p3").unwrap().unwrap();
    assert_eq!((p3.name.as_deref(), p3.class.as_str(), p3.commits), (Some("p3"), "test.Pair", 4));
    assert_eq!((p3.keys_count, p3.keys.len(), p3.keys[0].key.as_str()), (5, 5, Some("n")));
    let state = p3.state.clone().unwrap();
    assert_eq!((state.version, state.bytes), (1, vec![4]));
    assert!(state.schema.is_some());
    let by_id = directory.object("test.Pair", &p3.id.to_string()).unwrap();
    assert_eq!(by_id, Some(p3));
    assert_eq!(directory.object("test.Pair", "nobody").unwrap(), None);
}
