//! P7 and P10: damage to a send that waits, or to the note that one was received, is found by a verification, holds up what
//! was sent behind it and nothing else, and stays on disk as it is until somebody takes the send back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use durable::prelude::*;
use durable::{DataDirectory, ProblemKind, SendId};

use crate::damage::copy;

/// Whether letters are taken. Before that each fails once, and waits.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Letters that have failed.
static TURNED_AWAY: AtomicUsize = AtomicUsize::new(0);

#[derive(Default, DurableState)]
struct Desk {
    came: Vec<(String, u64)>,
}

#[durable_object(name = "damage.Desk", visibility = "pub(crate)", alarm_delay = "1h")]
impl Desk {
    /// Sends so many letters, from this desk.
    pub fn post(&mut self, cx: &mut Context<'_, Self>, to: String, count: u64) -> Vec<SendId> {
        let from = cx.name().expect("it has one").to_owned();
        let letters = 1..=count;
        letters.map(|number| cx.send(cx.get::<Desk>(&to).take(from.clone(), number))).collect()
    }

    pub fn take(&mut self, from: String, number: u64) -> Result<(), String> {
        if !IS_OPEN.load(Ordering::Acquire) {
            TURNED_AWAY.fetch_add(1, Ordering::AcqRel);
            return Err("closed".to_owned());
        }
        self.came.push((from, number));
        Ok(())
    }

    pub fn came(&self) -> Vec<(String, u64)> {
        self.came.clone()
    }
}

async fn start(dir: &Path) -> Runtime {
    Runtime::builder(dir).register::<Desk>().start().await.unwrap()
}

/// Sends that wait: 1 to 3 from ada to bob, 4 from ada to dan, 5 to 7 from cyd to bob. Gives their names.
async fn fill(dir: &Path) -> Vec<SendId> {
    let runtime = start(dir).await;
    let [ada, cyd] = ["ada", "cyd"].map(|name| runtime.get::<Desk>(name));
    let mut sent = ada.post("bob".to_owned(), 3).await.unwrap();
    sent.extend(ada.post("dan".to_owned(), 1).await.unwrap());
    sent.extend(cyd.post("bob".to_owned(), 3).await.unwrap());
    while TURNED_AWAY.load(Ordering::Acquire) < 3 {
        tokio::task::yield_now().await;
    }
    runtime.shutdown().await.unwrap();
    let shard = tests::first_shard(dir);
    let at_once = "UPDATE outbox SET due_ms = 0, retries = 0 WHERE due_ms IS NOT NULL";
    assert_eq!(shard.execute(at_once, []).unwrap(), 3, "one of each pair");
    sent
}

/// Everything that a damaged row can be in, but for when it is due, which is a matter of those before it.
fn rows(dir: &Path) -> Vec<String> {
    let tables = [
        ("outbox", "send_no, epoch, number, target, class_no, retries, body"),
        ("received", "shard, epoch, number"),
    ];
    tests::rows_of(dir, &tables)
}

/// What is planted, how many problems are found, and how many of the letters of ada to bob come all the same.
type Planted = (&'static str, usize, u64);

const TABLE: &[Planted] = &[
    // The first of a pair.
    ("UPDATE outbox SET body = substr(body, 1, 20) WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET body = zeroblob(length(body)) WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET target = x'00' WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET target = zeroblob(32) WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET class_no = 900 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET class_no = 1 << 40 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET class_no = -1 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET retries = 1 << 40 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET retries = -1 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET due_ms = -1 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET due_ms = NULL WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET epoch = -1 WHERE send_no = 1", 1, 0),
    ("UPDATE outbox SET number = -1 WHERE send_no = 1", 1, 0),
    // One that the first of its pair makes the next.
    ("UPDATE outbox SET body = substr(body, 1, 20) WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET target = x'00' WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET target = zeroblob(32) WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET class_no = 900 WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET class_no = 1 << 40 WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET retries = -1 WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET due_ms = -1 WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET epoch = -1 WHERE send_no = 2", 1, 1),
    ("UPDATE outbox SET number = -1 WHERE send_no = 2", 1, 1),
    // It goes with an object that there is not.
    ("UPDATE outbox SET object_no = 900 WHERE send_no = 1", 1, 3),
    // Notes that no send can have left.
    ("INSERT INTO received VALUES (-1, 1, 1)", 1, 3),
    ("INSERT INTO received VALUES (1 << 20, 1, 1)", 1, 3),
    ("INSERT INTO received VALUES (0, -1, 1)", 1, 3),
    ("INSERT INTO received VALUES (0, 1, -1)", 1, 3),
    ("INSERT INTO received VALUES (0, 1, 1 << 40)", 1, 3),
];

#[tokio::test]
async fn a_damaged_send_holds_up_those_behind_it_and_nobody_else() {
    let whole = tempfile::tempdir().unwrap();
    let sent = fill(whole.path()).await;
    let verified = DataDirectory::open(whole.path()).unwrap().verify().unwrap();
    assert!(verified.is_sound(), "{:?}", verified.problems);
    IS_OPEN.store(true, Ordering::Release);
    let mut wrong = Vec::new();
    for planted in TABLE {
        if let Err(text) = plant(whole.path(), *planted).await {
            wrong.push(format!("{}: {text}", planted.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    take_back(whole.path(), sent[0]).await;
}

async fn plant(whole: &Path, (sql, problems, of_ada): Planted) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    copy(whole, dir.path());
    tests::first_shard(dir.path()).execute_batch(sql).unwrap();
    let before = rows(dir.path());
    let damaged: Vec<_> = {
        let sound = rows(whole);
        before.iter().filter(|row| !sound.contains(row)).collect()
    };
    assert!(damaged.len() <= 1, "{damaged:?}");
    let found = DataDirectory::open(dir.path()).unwrap().verify().unwrap().problems;
    let is_told = |problem: &durable::Problem| {
        problem.kind == ProblemKind::SendDamaged && problem.to_string().contains("send ")
    };
    if found.len() != problems || !found.iter().all(is_told) {
        return Err(format!("found {found:?}"));
    }
    let runtime = start(dir.path()).await;
    let bob = came(&runtime, "bob", 3 + of_ada).await?;
    let dan = came(&runtime, "dan", 1).await?;
    // Others still send, and the one whose letter it is.
    runtime
        .get::<Desk>("ada")
        .post("dan".to_owned(), 1)
        .await
        .map_err(|error| error.to_string())?;
    came(&runtime, "dan", 2).await?;
    runtime.shutdown().await.map_err(|error| error.to_string())?;
    let of = |from: &str| -> Vec<u64> {
        bob.iter().filter(|(by, _)| by == from).map(|(_, number)| *number).collect()
    };
    let wanted: Vec<u64> = (1..=of_ada).collect();
    if of("ada") != wanted || of("cyd") != [1, 2, 3] || dan.len() != 1 {
        return Err(format!("{bob:?} came to bob and {dan:?} to dan"));
    }
    let after = rows(dir.path());
    if let Some(changed) = damaged.into_iter().find(|row| !after.contains(row)) {
        return Err(format!("{changed} was changed: {after:?}"));
    }
    Ok(())
}

/// What has come to a desk when so many letters have.
async fn came(runtime: &Runtime, desk: &str, count: u64) -> Result<Vec<(String, u64)>, String> {
    let desk = runtime.get::<Desk>(desk);
    // As many looks as it takes to see that a letter is not coming, without looking at a clock.
    for _ in 0..200_000 {
        let came = desk.came().await.map_err(|error| error.to_string())?;
        if came.len() as u64 >= count {
            return Ok(came);
        }
        tokio::task::yield_now().await;
    }
    Err(format!("{:?} came to {desk:?}, not {count}", desk.came().await))
}

/// One that cannot be delivered goes when somebody says so, and those behind it come.
async fn take_back(whole: &Path, first: SendId) {
    let dir = tempfile::tempdir().unwrap();
    copy(whole, dir.path());
    let torn = "UPDATE outbox SET body = substr(body, 1, 20) WHERE send_no = 1";
    tests::first_shard(dir.path()).execute_batch(torn).unwrap();
    let runtime = start(dir.path()).await;
    came(&runtime, "bob", 3).await.unwrap();
    assert!(runtime.cancel_send(first).await.unwrap(), "it waits");
    let bob = came(&runtime, "bob", 5).await.unwrap();
    let of_ada: Vec<_> = bob.iter().filter(|(from, _)| from == "ada").collect();
    assert_eq!(of_ada, [&("ada".to_owned(), 2), &("ada".to_owned(), 3)]);
    runtime.shutdown().await.unwrap();
    assert!(DataDirectory::open(dir.path()).unwrap().verify().unwrap().is_sound());
}
