//! A disk that fails, and files that are not what they were: a typed error, one object or one shard, nothing acknowledged
//! lost, nothing overwritten. What is attacked elsewhere: a death at every operation and torn pages after a power cut in
//! `p01_power`, damaged states in `p10_bad_state_is_never_overwritten`, damaged values in `kv`, backups in `backup`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use durable::host::Host;
use durable::prelude::*;
use durable::{DataDirectory, ErrorKind, Outcome};
use durable_testing::disk::{Crash, Fault, FaultKind, SimDisk};

use super::{Counter, CounterStub};

/// Takes room.
#[derive(Default, DurableState)]
pub struct Sack {
    bytes: Vec<u8>,
}

#[durable_object(name = "test.Sack")]
impl Sack {
    pub fn fill(&mut self, bytes: usize) -> usize {
        // Not all alike, as a file system might store that in no room.
        self.bytes.extend((0..bytes).map(|n| (n % 251) as u8));
        self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// So many that each shard has several, whatever the key of their ids.
const OBJECTS: u64 = 64;

async fn start(disk: &SimDisk) -> Result<Runtime, Error> {
    let host = Host { disk: Arc::new(disk.clone()), ..Host::os() };
    let builder = Runtime::builder("/data").register::<Counter>().shards(2).log_pages(8);
    builder.host(host).start().await
}

/// The counters by shard, and where they are.
fn by_shard(runtime: &Runtime) -> [Vec<CounterStub>; 2] {
    let mut shards = [Vec::new(), Vec::new()];
    for index in 0..OBJECTS {
        let counter = runtime.get::<Counter>(format!("c{index}"));
        let shard = usize::from(counter.id().unwrap().slot() >= 512);
        shards[shard].push(counter);
    }
    assert!(shards.iter().all(|shard| shard.len() > 1), "each shard has some");
    shards
}

async fn filled(disk: &SimDisk) -> Runtime {
    let runtime = start(disk).await.unwrap();
    for counter in by_shard(&runtime).iter().flatten() {
        counter.add(1).await.unwrap();
    }
    runtime
}

/// What a fault is, where it strikes, and what callers see.
struct Case {
    kind: FaultKind,
    file: &'static str,
    code: &'static str,
    outcome: Outcome,
    /// Whether the shard takes writes again when the disk works again.
    goes_on: bool,
}

#[tokio::test]
async fn a_disk_that_fails_to_store_fails_one_shard_and_loses_nothing() {
    let cases = [
        Case {
            kind: FaultKind::NoSpace,
            file: "000.db-wal",
            code: "storage.full",
            outcome: Outcome::RolledBack,
            goes_on: true,
        },
        Case {
            kind: FaultKind::WriteError,
            file: "000.db-wal",
            code: "storage.sync_failed",
            outcome: Outcome::Unknown,
            goes_on: false,
        },
        Case {
            kind: FaultKind::SyncError,
            file: "000.db-wal",
            code: "storage.sync_failed",
            outcome: Outcome::Unknown,
            goes_on: false,
        },
    ];
    for (nth, case) in cases.into_iter().enumerate() {
        let disk = SimDisk::new(nth as u64);
        let runtime = filled(&disk).await;
        let [struck, spared] = by_shard(&runtime);
        let file = case.file;
        disk.arm(Fault::new(case.kind).on(move |path: &Path| path.ends_with(file)));
        let error = struck[0].add(1).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (case.code, case.outcome), "{error}");
        assert!(error.message().contains("000.db"), "it names the file: {error}");
        disk.disarm();
        for counter in &spared {
            assert_eq!(counter.add(1).await.unwrap(), 2, "{:?}: the other shard", case.kind);
        }
        let again = struck[1].add(1).await;
        assert_eq!(again.is_ok(), case.goes_on, "{:?}: {again:?}", case.kind);
        drop(runtime);
        disk.crash(Crash::PowerDropAll, &mut || 7);
        let runtime = start(&disk.revive()).await.unwrap();
        let [struck, spared] = by_shard(&runtime);
        for counter in &spared {
            assert_eq!(counter.count().await.unwrap(), 2);
        }
        for counter in &struck {
            // What ended as unknown may be there or not; nothing else may.
            let count = counter.count().await.unwrap();
            assert!((1..=2).contains(&count), "{:?}: {count}", case.kind);
        }
    }
}

#[tokio::test]
async fn a_read_that_fails_fails_its_call_and_the_next_one_reads_again() {
    let disk = SimDisk::new(3);
    filled(&disk).await.shutdown().await.unwrap();
    let runtime = start(&disk).await.unwrap();
    let [struck, spared] = by_shard(&runtime);
    let read = Fault::new(FaultKind::ReadError).lasting();
    disk.arm(read.on(|path: &Path| path.ends_with("000.db")));
    let error = struck[0].count().await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("storage.failed", ErrorKind::Backoff));
    assert_eq!(error.outcome(), Outcome::NotStarted, "{error}");
    assert_eq!(spared[0].count().await.unwrap(), 1, "the other shard");
    disk.disarm();
    for counter in spared.iter().chain(&struck) {
        assert_eq!(counter.add(1).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_copied_is_kept_and_read_again() {
    for (kind, stops) in
        [(FaultKind::WriteError, false), (FaultKind::NoSpace, false), (FaultKind::SyncError, true)]
    {
        let disk = SimDisk::new(4);
        let runtime = filled(&disk).await;
        let [struck, _] = by_shard(&runtime);
        disk.arm(Fault::new(kind).lasting().on(|path: &Path| path.ends_with("000.db")));
        let mut acknowledged = 1;
        let mut stopped = None;
        for _ in 0..200 {
            match struck[0].add(1).await {
                Ok(count) => acknowledged = count,
                Err(error) => stopped = Some(error),
            }
        }
        assert_eq!(stopped.is_some(), stops, "{kind:?}: {stopped:?}");
        drop(runtime);
        disk.disarm();
        disk.crash(Crash::PowerDropAll, &mut || 7);
        let runtime = start(&disk.revive()).await.unwrap();
        let count = by_shard(&runtime)[0][0].count().await.unwrap();
        assert!(
            count == acknowledged || (stops && count == acknowledged + 1),
            "{kind:?}: {count} of {acknowledged}"
        );
    }
}

/// Counters in two shards, shut down, with no logs beside the databases.
async fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let runtime = on_files(dir.path()).await.unwrap();
    for counter in by_shard(&runtime).iter().flatten() {
        counter.add(1).await.unwrap();
    }
    for index in 0..300 {
        runtime.get::<Counter>(format!("more{index}")).add(1).await.unwrap();
    }
    runtime.shutdown().await.unwrap();
    drop(runtime);
    for log in ["000.db-wal", "000.db-shm", "001.db-wal", "001.db-shm"] {
        drop(fs::remove_file(shard(dir.path(), log)));
    }
    dir
}

async fn on_files(dir: &Path) -> Result<Runtime, Error> {
    Runtime::builder(dir).register::<Counter>().shards(2).start().await
}

fn shard(dir: &Path, file: &str) -> PathBuf {
    dir.join("shards").join(file)
}

fn databases(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = ["000.db", "001.db"].map(|file| shard(dir, file));
    files.into_iter().filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect()
}

/// What is done to a data directory.
type Harm<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn a_shard_that_is_missing_or_another_one_refuses_the_start_and_nothing_is_made_anew() {
    let other = files().await;
    let wrong: [(&str, Harm<'_>, &str); 4] = [
        ("missing", &|dir| fs::remove_file(shard(dir, "001.db")).unwrap(), "missing"),
        (
            "of another directory",
            &|dir| assert!(fs::copy(shard(other.path(), "001.db"), shard(dir, "001.db")).is_ok()),
            "belongs to another data directory",
        ),
        (
            "in the place of another",
            &|dir| assert!(fs::copy(shard(dir, "000.db"), shard(dir, "001.db")).is_ok()),
            "is shard 0 of 2, in its place belongs shard 1 of 2",
        ),
        ("emptied", &|dir| fs::write(shard(dir, "001.db"), "").unwrap(), "001.db"),
    ];
    for (what, harm, text) in wrong {
        let dir = files().await;
        let whole = databases(dir.path());
        harm(dir.path());
        let harmed = fs::read(shard(dir.path(), "001.db")).ok();
        let error = on_files(dir.path()).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), ("storage.corrupt", ErrorKind::Corrupt), "{what}");
        assert!(
            error.message().contains("001.db") && error.message().contains(text),
            "{what}: {error}"
        );
        assert_eq!(
            fs::read(shard(dir.path(), "001.db")).ok(),
            harmed,
            "{what}: nothing is touched"
        );
        // What an operator does: put the right file back.
        fs::write(shard(dir.path(), "001.db"), &whole[&shard(dir.path(), "001.db")]).unwrap();
        for log in ["001.db-wal", "001.db-shm"] {
            drop(fs::remove_file(shard(dir.path(), log)));
        }
        let runtime = on_files(dir.path()).await.unwrap();
        for counter in by_shard(&runtime).iter().flatten() {
            assert_eq!(counter.count().await.unwrap(), 1, "{what}");
        }
    }
}

#[tokio::test]
async fn a_lost_manifest_is_found_in_any_backup() {
    let dir = files().await;
    let saved = tempfile::tempdir().unwrap();
    DataDirectory::open(dir.path()).unwrap().backup(saved.path()).unwrap();
    let manifest = dir.path().join("durable.toml");
    fs::remove_file(&manifest).unwrap();
    assert_eq!(on_files(dir.path()).await.unwrap_err().code(), "storage.corrupt");
    assert!(!manifest.exists(), "nothing is made anew");
    fs::copy(saved.path().join("durable.toml"), &manifest).unwrap();
    let runtime = on_files(dir.path()).await.unwrap();
    for counter in by_shard(&runtime).iter().flatten() {
        assert_eq!(counter.count().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn pages_that_are_torn_stop_their_shard_and_are_left_as_they_are() {
    let dir = files().await;
    let path = shard(dir.path(), "000.db");
    let mut bytes = fs::read(&path).unwrap();
    // The first half of every page but the first three: what begins there is no page any more.
    for page in bytes.chunks_mut(1_024).skip(3) {
        page[..512].fill(0xa5);
    }
    fs::write(&path, &bytes).unwrap();
    let refused = match on_files(dir.path()).await {
        Err(error) => error,
        Ok(runtime) => {
            let [struck, spared] = by_shard(&runtime);
            for counter in &spared {
                assert_eq!(counter.add(1).await.unwrap(), 2, "the other shard goes on");
            }
            let mut refused = None;
            for counter in &struck {
                refused = counter.add(1).await.err().or(refused);
            }
            refused.expect("no state is found in what is left")
        }
    };
    assert_eq!(
        (refused.code(), refused.kind()),
        ("storage.corrupt", ErrorKind::Corrupt),
        "{refused}"
    );
    let left = fs::read(&path).unwrap();
    for (page, before) in left.chunks(1_024).zip(bytes.chunks(1_024)).skip(3) {
        assert!(page == before, "a damaged page was written to");
    }
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(!found.is_sound());
}

#[tokio::test]
async fn a_log_that_was_cut_off_shows_whole_commits_up_to_there() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = Runtime::builder(&data).register::<Counter>().start().await.unwrap();
    for n in 1..=20 {
        assert_eq!(runtime.get::<Counter>("ada").add(1).await.unwrap(), n);
        runtime.get::<Counter>("bob").add(1).await.unwrap();
    }
    let log = fs::read(shard(&data, "000.db-wal")).unwrap();
    let mut last = 0;
    for part in 0..=16 {
        let left = dir.path().join(format!("left{part}"));
        fs::create_dir_all(left.join("shards")).unwrap();
        for file in ["durable.toml", "shards/000.db"] {
            fs::copy(data.join(file), left.join(file)).unwrap();
        }
        // Most cuts are in the middle of a frame.
        fs::write(shard(&left, "000.db-wal"), &log[..log.len() * part / 16]).unwrap();
        assert!(DataDirectory::open(&left).unwrap().verify().unwrap().is_sound(), "{part} of 16");
        let cut = Runtime::builder(&left).register::<Counter>().start().await.unwrap();
        let [ada, bob] = [cut.get::<Counter>("ada"), cut.get::<Counter>("bob")];
        let (one, two) = (ada.count().await.unwrap(), bob.count().await.unwrap());
        assert!(one == two || one == two + 1, "the commits end at one place: {one} and {two}");
        assert!(one >= last, "a longer log shows more");
        last = one;
        assert_eq!(ada.add(1).await.unwrap(), one + 1, "and it goes on from there");
    }
    assert_eq!(last, 20, "the whole log shows everything");
}

const FULL_DIR: &str = "DURABLE_TEST_FULL_DIR";
const LIMITED_DIR: &str = "DURABLE_TEST_LIMITED_DIR";

/// Runs a test of this program by a shell, in `script`, as `"$@"`; gives what it prints.
fn in_shell(program: &[&str], script: &str, test: &str, dir: (&str, &Path)) -> String {
    let output = Command::new(program[0])
        .args(&program[1..])
        .args(["sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(dir.0, dir.1)
        .output();
    match output {
        Ok(output) => format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_real_disk_that_is_full_fails_the_call_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("mount -t tmpfs -o size=2m none \"${FULL_DIR}\" && echo mounted && exec \"$@\"");
    let unshare = ["unshare", "--map-root-user", "--mount"];
    let test = "faults::child_on_a_small_file_system";
    let said = in_shell(&unshare, &script, test, (FULL_DIR, dir.path()));
    if said.lines().any(|line| line == "mounted") {
        assert!(said.contains("the full disk was survived"), "{said}");
    } else {
        println!("not run: a small file system cannot be mounted here: {said}");
    }
}

/// Not a test of its own: what runs on the small file system. Without its directory it is done at once.
#[tokio::test]
async fn child_on_a_small_file_system() {
    let Some(dir) = std::env::var_os(FULL_DIR).map(PathBuf::from) else { return };
    let ballast = dir.join("ballast");
    fs::write(&ballast, vec![1; 1_000_000]).unwrap();
    let data = dir.join("data");
    let runtime = Runtime::builder(&data).register::<Sack>().start().await.unwrap();
    let mut full = 0;
    let error = loop {
        match runtime.get::<Sack>(format!("s{full}")).fill(20_000).await {
            Ok(_) => full += 1,
            Err(error) => break error,
        }
    };
    assert!(full > 5, "{full} fitted");
    assert_eq!((error.code(), error.outcome()), ("storage.full", Outcome::RolledBack), "{error}");
    for index in 0..full {
        assert_eq!(runtime.get::<Sack>(format!("s{index}")).len().await.unwrap(), 20_000);
    }
    let backup = runtime.backup(dir.join("backup")).await.unwrap_err();
    assert_eq!(backup.code(), "storage.full", "{backup}");
    fs::remove_dir_all(dir.join("backup")).unwrap();
    fs::remove_file(ballast).unwrap();
    assert_eq!(runtime.get::<Sack>(format!("s{full}")).fill(20_000).await.unwrap(), 20_000);
    runtime.shutdown().await.unwrap();
    drop(runtime);
    assert!(DataDirectory::open(&data).unwrap().verify().unwrap().is_sound());
    let runtime = Runtime::builder(&data).register::<Sack>().start().await.unwrap();
    for index in 0..=full {
        assert_eq!(runtime.get::<Sack>(format!("s{index}")).len().await.unwrap(), 20_000);
    }
    println!("the full disk was survived");
}

#[cfg(unix)]
#[tokio::test]
async fn a_real_write_that_fails_stops_the_shard_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // No privilege is needed for a limit of the files' length: 400 blocks, of 512 or 1,024 bytes.
    let script = "ulimit -f 400 && trap '' XFSZ && exec \"$@\"";
    let test = "faults::child_whose_files_may_not_grow";
    let said = in_shell(&["env"], script, test, (LIMITED_DIR, dir.path()));
    let stored = said.lines().find_map(|line| line.split_once("acknowledged: "));
    let (_, stored) = stored.unwrap_or_else(|| panic!("{said}"));
    let stored: usize = stored.trim().parse().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Sack>().start().await.unwrap();
    for index in 0..stored {
        assert_eq!(runtime.get::<Sack>(format!("s{index}")).len().await.unwrap(), 20_000);
    }
    assert_eq!(runtime.get::<Sack>("late").fill(20_000).await.unwrap(), 20_000);
}

/// Not a test of its own: what runs under the limit. Without its directory it is done at once.
#[tokio::test]
async fn child_whose_files_may_not_grow() {
    let Some(dir) = std::env::var_os(LIMITED_DIR) else { return };
    let runtime = Runtime::builder(dir).register::<Sack>().start().await.unwrap();
    let mut stored = 0;
    let error = loop {
        match runtime.get::<Sack>(format!("s{stored}")).fill(20_000).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(
        ["storage.failed", "storage.full", "storage.sync_failed"].contains(&error.code()),
        "{error}"
    );
    println!("acknowledged: {stored}");
}
