//! They look at the files that a store leaves, and damage them.

#![allow(clippy::disallowed_methods)]

use std::fs;

use rusqlite::params;
use tokio::sync::oneshot;

use super::*;

use crate::id::{ClassKey, Placement};
use crate::state::Fingerprint;
use crate::storage::rows::class::ClassRow;
use crate::storage::write_set::{Birth, Fence, Release, WriteSet};

const CLASS: &str = "bank.Account";

fn open(directory: &Path, shards: Option<u16>) -> Result<Store, Error> {
    open_with(directory, shards, &[row(CLASS)])
}

fn open_with(
    directory: &Path,
    shards: Option<u16>,
    classes: &[ClassRow<'_>],
) -> Result<Store, Error> {
    Store::open(
        &Host::os(),
        directory,
        &Config { shards, ..Config::default() },
        Declared { rows: classes, steps: &[] },
    )
}

fn row(name: &str) -> ClassRow<'_> {
    ClassRow { name, fingerprint: Fingerprint(1), schema: b"schema", keeps_history: false }
}

/// The number of the class of all tests but one.
fn class_of(store: &Store) -> ClassNo {
    store.class(CLASS).expect("every test opens with it").class_no
}

/// Sends the outcome to whoever waits.
struct Told(Mutex<Option<oneshot::Sender<Result<(), Error>>>>);

impl Release for Told {
    fn release(&self, durable: Result<(), &Error>) {
        let waiter = self.0.lock().expect("no panic").take().expect("released once");
        let _ = waiter.send(durable.map_err(Clone::clone));
    }
}

fn told() -> (Arc<Told>, oneshot::Receiver<Result<(), Error>>) {
    let (sender, receiver) = oneshot::channel();
    (Arc::new(Told(Mutex::new(Some(sender)))), receiver)
}

/// Loads an object, stores `body` as its next state, and gives the number of the commit.
async fn put(store: &Store, class_no: ClassNo, name: &str, body: &[u8]) -> Result<u64, Error> {
    let id = ClassKey::new(store.id_key(), CLASS).named(name, None);
    let shard = store.shard(&id);
    let loaded = shard.load(&id, class_no).await?;
    let commit_no = loaded.stored.as_ref().map_or(0, |stored| stored.commit_no) + 1;
    let birth =
        Birth { id, class_no, name: Some(name.into()), placement: Placement::new(), lineage: None };
    let (release, outcome) = told();
    let seq = shard.submit(WriteSet {
        fence: Fence::new(shard.next_epoch()),
        object_no: loaded.object_no,
        commit_no,
        birth: loaded.stored.is_none().then(|| Box::new(birth)),
        snapshot: Some(body.into()),
        kv: Vec::new(),
        sql: None,
        alarm: None,
        schedules: None,
        sends: None,
        result: None,
        erases: false,
        history: None,
        release: Some(release),
    });
    outcome.await.expect("every write is released")?;
    let (barrier, passed) = told();
    shard.release_after(&Fence::new(shard.next_epoch()), barrier);
    passed.await.expect("every barrier is released")?;
    assert!(shard.durable() >= seq, "a barrier passes after the watermark");
    Ok(commit_no)
}

async fn get(store: &Store, class_no: ClassNo, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let id = ClassKey::new(store.id_key(), CLASS).named(name, None);
    let loaded = store.shard(&id).load(&id, class_no).await?;
    Ok(loaded.stored.and_then(|stored| stored.body).map(|body| body.to_vec()))
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let mut epochs = Vec::new();
    for round in 0_u8..3 {
        let store = open(&data, Some(4)).expect("opened");
        let class_no = class_of(&store);
        assert_eq!(class_no, ClassNo(1));
        for name in ["ada", "bob", "cyd", "dan", "eve"] {
            let before = get(&store, class_no, name).await.expect("read");
            assert_eq!(before, round.checked_sub(1).map(|round| vec![round]));
            let commit_no = put(&store, class_no, name, &[round]).await.expect("stored");
            assert_eq!(commit_no, u64::from(round) + 1);
        }
        epochs.push(store.shards()[0].next_epoch());
        store.close();
        store.close();
        let late = put(&store, class_no, "ada", b"late").await.expect_err("closed");
        assert_eq!(late.code(), "runtime.closed");
        let log = fs::metadata(data.join("shards/000.db-wal"));
        assert!(log.is_ok_and(|log| log.len() == 0), "the log is empty after a clean end");
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
}

#[tokio::test]
async fn a_write_after_the_end_is_released_with_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), None).expect("opened");
    store.close();
    let (release, outcome) = told();
    let shard = &store.shards()[0];
    let fence = Fence::new(shard.next_epoch());
    shard.submit(WriteSet {
        fence: fence.clone(),
        object_no: ObjectNo(1),
        commit_no: 1,
        birth: None,
        snapshot: Some(Arc::new([])),
        kv: Vec::new(),
        sql: None,
        alarm: None,
        schedules: None,
        sends: None,
        result: None,
        erases: false,
        history: None,
        release: Some(release),
    });
    let error = outcome.await.expect("released").expect_err("closed");
    assert_eq!(error.code(), "runtime.closed");
    assert!(fence.broken().is_some());
}

#[tokio::test]
async fn a_second_holder_is_told_who_the_first_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), None).expect("opened");
    let error = open(directory.path(), None).expect_err("held");
    assert_eq!(error.code(), "storage.locked");
    let path = directory.path().display().to_string();
    for part in ["another runtime of this process", path.as_str()] {
        assert!(error.message().contains(part), "`{part}` is missing: {error}");
    }
    drop(store);
    open(directory.path(), None).expect("free again");
}

#[tokio::test]
async fn another_count_of_shards_is_refused_with_both_numbers() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(directory.path(), Some(3)).expect("created"));
    let error = open(directory.path(), Some(5)).expect_err("refused");
    assert_eq!(error.code(), "config.invalid");
    assert!(error.message().contains('5') && error.message().contains('3'), "{error}");
    assert_eq!(open(directory.path(), None).expect("opened").shards().len(), 3);
    for shards in [0, SLOTS + 1] {
        let error = open(directory.path(), Some(shards)).expect_err("out of range");
        assert_eq!(error.code(), "config.invalid");
    }
}

#[tokio::test]
async fn every_slot_has_a_shard_and_the_shares_are_even() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), Some(3)).expect("created");
    let mut shares = [0; 3];
    for slot in 0..SLOTS {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&slot.to_be_bytes());
        let shard = store.shard(&ObjectId::from_bytes(bytes));
        let index = store.shards().iter().position(|other| Arc::ptr_eq(shard, other));
        shares[index.expect("one of them")] += 1;
    }
    assert!(shares.iter().all(|share| (341..=342).contains(share)), "{shares:?}");
}

#[tokio::test]
async fn a_directory_that_a_crash_left_half_created_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(directory.path(), Some(2)).expect("created"));
    fs::remove_file(directory.path().join("durable.toml")).expect("removed");
    fs::write(directory.path().join("shards/001.db"), b"").expect("cut off");
    let store = open(directory.path(), Some(3)).expect("started");
    let class_no = class_of(&store);
    put(&store, class_no, "ada", b"1").await.expect("stored");
    drop(store);
    // With objects in it, the same loss is damage: a new key would make them unreachable.
    fs::remove_file(directory.path().join("durable.toml")).expect("removed");
    for shards in 1..=3 {
        let error = open(directory.path(), Some(shards)).expect_err("refused");
        assert_eq!(error.code(), "storage.corrupt");
        assert!(error.message().contains("durable.toml"), "{error}");
    }
}

#[tokio::test]
async fn a_missing_or_empty_shard_is_damage_and_is_not_created_again() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(directory.path(), Some(2)).expect("created"));
    let path = directory.path().join("shards/001.db");
    fs::remove_file(&path).expect("removed");
    let error = open(directory.path(), None).expect_err("refused");
    assert_eq!(error.code(), "storage.corrupt");
    assert!(error.message().contains("001.db") && !path.exists(), "{error}");
    for bytes in [&b""[..], &[7; 8_192]] {
        fs::write(&path, bytes).expect("written");
        let error = open(directory.path(), None).expect_err("refused");
        assert_eq!(error.code(), "storage.corrupt", "{error}");
        assert_eq!(fs::read(&path).expect("readable"), bytes, "it was left as it was");
    }
}

#[tokio::test]
async fn shards_of_other_directories_and_places_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    drop(open(&one, Some(2)).expect("created"));
    drop(open(&other, Some(2)).expect("created"));
    let shard = |data: &Path, index: u16| data.join(format!("shards/{index:03}.db"));
    fs::copy(shard(&one, 0), shard(&other, 0)).expect("copied");
    let error = open(&other, None).expect_err("refused");
    assert!(error.message().contains("another data directory"), "{error}");
    fs::copy(shard(&one, 0), shard(&one, 1)).expect("copied");
    let error = open(&one, None).expect_err("refused");
    assert_eq!(error.code(), "storage.corrupt");
    assert!(error.message().contains("shard 0 of 2"), "{error}");
}

#[tokio::test]
async fn a_newer_format_is_refused_with_both_versions() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(directory.path(), None).expect("created"));
    let shard = Connection::open(directory.path().join("shards/000.db")).expect("opened");
    shard.execute("UPDATE meta SET format = ?1", params![9]).expect("changed");
    drop(shard);
    let error = open(directory.path(), None).expect_err("refused");
    assert_eq!(error.code(), "storage.newer");
    assert!(
        error.message().contains("format 9") && error.message().contains("format 1"),
        "{error}"
    );
}

#[tokio::test]
async fn classes_keep_their_numbers_and_schemas_are_stored_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let classes = [row(CLASS), row("shop.Cart")];
    let store = open_with(directory.path(), Some(2), &classes).expect("created");
    let number = |store: &Store, name| store.class(name).expect("known").class_no.0;
    assert_eq!((number(&store, CLASS), number(&store, "shop.Cart")), (1, 2));
    drop(store);
    // A crash may leave a class in one shard only.
    let shard = Connection::open(directory.path().join("shards/000.db")).expect("opened");
    shard
        .execute("INSERT INTO classes VALUES (3, 'late.Class', 'late.Class', 0)", [])
        .expect("added");
    drop(shard);
    let newer = ClassRow {
        name: CLASS,
        fingerprint: Fingerprint(u64::MAX),
        schema: b"newer",
        keeps_history: false,
    };
    let classes = [newer, row("new.Class"), row("late.Class")];
    let store = open_with(directory.path(), None, &classes).expect("opened");
    let names = [CLASS, "shop.Cart", "late.Class", "new.Class"];
    assert_eq!(names.map(|name| number(&store, name)), [1, 2, 3, 4]);
    assert!(store.class("no.Class").is_none());
    drop(store);
    for index in 0..2 {
        let path = directory.path().join(format!("shards/{index:03}.db"));
        let shard = Connection::open(path).expect("opened");
        let count =
            |sql: &str| -> i64 { shard.query_row(sql, [], |row| row.get(0)).expect("a count") };
        assert_eq!(count("SELECT count(*) FROM classes"), 4);
        assert_eq!(count("SELECT count(*) FROM schemas WHERE class_no = 1"), 2);
    }
}

#[tokio::test]
async fn a_listing_merges_the_shards() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), Some(4)).expect("created");
    let class_no = class_of(&store);
    let mut wanted: Vec<String> = (0..30).map(|number| format!("user/{number}")).collect();
    for name in wanted.iter().map(String::as_str).chain(["admin", "zoe"]) {
        put(&store, class_no, name, b"1").await.expect("stored");
    }
    wanted.sort();
    let (mut found, mut after) = (Vec::new(), None::<After>);
    let prefix = Arc::from("user/");
    loop {
        let page = store.list(class_no, &prefix, after.as_ref(), 7).await.expect("read");
        found.extend(page.iter().map(|row| row.name.as_deref().expect("named").to_owned()));
        let Some(last) = page.last() else { break };
        after = Some(After { name: last.name.clone(), id: last.id });
    }
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn an_object_that_is_not_stored_gets_a_number_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path(), None).expect("created");
    let class_no = class_of(&store);
    put(&store, class_no, "ada", b"1").await.expect("stored");
    let shard = &store.shards()[0];
    let key = ClassKey::new(store.id_key(), CLASS);
    let one = shard.load(&key.named("bob", None), class_no).await.expect("read");
    let other = shard.load(&key.named("cyd", None), class_no).await.expect("read");
    assert!(one.stored.is_none() && other.stored.is_none());
    assert_ne!(one.object_no, other.object_no);
    let ada = shard.load(&key.named("ada", None), class_no).await.expect("read");
    assert!(ada.object_no != one.object_no && ada.stored.is_some());
    let wrong = shard.load(&key.named("ada", None), ClassNo(9)).await.expect_err("another class");
    assert_eq!(wrong.code(), "storage.corrupt");
}
