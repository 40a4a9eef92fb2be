//! Objects that are erased: nothing is left, in one commit, and they begin anew.

use durable::prelude::*;
use futures_util::future::join_all;
use tests::WriterGate;
use tests::classes::{Account, Register, Shelf, bank};

use super::Counter;

#[tokio::test]
async fn nothing_is_left_of_an_erased_object_and_it_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bank(Runtime::builder(dir.path())).start().await.unwrap();
    let shelf = runtime.get::<Shelf>("s");
    shelf.fill(0, 50).await.unwrap();
    assert_eq!(shelf.burn("099".to_owned()).await.unwrap(), 51, "the turn goes on as usual");
    assert_eq!(super::rows_of_objects(dir.path()), 0);
    assert!(runtime.list::<Shelf>().page().await.unwrap().is_empty());
    assert_eq!(shelf.check().await.unwrap(), (0, String::new()));
    shelf.put("001".to_owned(), 1).await.unwrap();
    assert_eq!(shelf.check().await.unwrap(), (1, String::new()));
    runtime.shutdown().await.unwrap();
    let runtime = bank(Runtime::builder(dir.path())).start().await.unwrap();
    assert_eq!(runtime.get::<Shelf>("s").check().await.unwrap(), (1, String::new()));
}

#[tokio::test]
async fn a_turn_that_fails_erases_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bank(Runtime::builder(dir.path())).start().await.unwrap();
    let shelf = runtime.get::<Shelf>("s");
    shelf.fill(0, 5).await.unwrap();
    assert!(shelf.burn_and_refuse().await.unwrap_err().rejection().is_some());
    assert_eq!(shelf.check().await.unwrap(), (5, String::new()));
}

#[tokio::test]
async fn an_object_is_erased_from_outside_with_tables_and_keys_awake_or_cold() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bank(Runtime::builder(dir.path())).start().await.unwrap();
    let (shelf, register) = (runtime.get::<Shelf>("s"), runtime.get::<Register>("r"));
    for is_cold in [false, true] {
        shelf.fill(0, 5).await.unwrap();
        register.enter("ada".to_owned(), 3).await.unwrap();
        let ids = [shelf.id().unwrap(), register.id().unwrap()];
        for id in ids {
            if is_cold {
                runtime.evict(id).await.unwrap();
            }
            assert!(runtime.delete(id).await.unwrap());
            assert!(!runtime.delete(id).await.unwrap(), "there is nothing left to erase");
        }
        assert_eq!(super::rows_of_objects(dir.path()), 0);
    }
    assert_eq!(shelf.check().await.unwrap(), (0, String::new()));
    let other = tempfile::tempdir().unwrap();
    let other = bank(Runtime::builder(other.path())).start().await.unwrap();
    let foreign = other.delete(shelf.id().unwrap()).await.unwrap_err();
    assert_eq!(foreign.code(), "id.foreign");
}

#[tokio::test]
async fn an_object_that_cannot_start_can_be_erased() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = super::counters(dir.path()).await;
    runtime.get::<Counter>("ada").add(5).await.unwrap();
    runtime.get::<Counter>("bob").add(6).await.unwrap();
    runtime.shutdown().await.unwrap();
    let shard = rusqlite::Connection::open(dir.path().join("shards/000.db")).unwrap();
    let torn = "UPDATE snapshots SET body = x'00' WHERE object_no =
        (SELECT object_no FROM objects WHERE name = 'ada')";
    assert_eq!(shard.execute(torn, []).unwrap(), 1);
    let lost = "DELETE FROM snapshots WHERE object_no =
        (SELECT object_no FROM objects WHERE name = 'bob')";
    assert_eq!(shard.execute(lost, []).unwrap(), 1);
    drop(shard);
    let runtime = super::counters(dir.path()).await;
    for name in ["ada", "bob"] {
        let counter = runtime.get::<Counter>(name);
        assert!(counter.count().await.is_err());
        assert!(runtime.delete(counter.id().unwrap()).await.unwrap());
        assert_eq!(counter.count().await.unwrap(), 0);
        assert_eq!(counter.add(1).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_erasure_is_answered_when_it_is_durable_and_calls_that_wait_see_a_new_object() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let builder = bank(Runtime::builder(dir.path())).host(gate.host());
    let runtime = builder.start().await.unwrap();
    let shelf = runtime.get::<Shelf>("s");
    shelf.fill(0, 3).await.unwrap();
    gate.close();
    let burning = tokio::spawn(shelf.burn("x".to_owned()).into_future());
    let checking = tokio::spawn(shelf.check().into_future());
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!burning.is_finished() && !checking.is_finished());
    gate.open();
    assert_eq!(burning.await.unwrap().unwrap(), 4);
    assert_eq!(checking.await.unwrap().unwrap(), (0, String::new()));
}

#[tokio::test]
async fn erasures_and_calls_race_and_every_call_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bank(Runtime::builder(dir.path())).start().await.unwrap();
    let account = runtime.get::<Account>("ada");
    let id = account.id().unwrap();
    let calls = join_all((0..200).map(|_| account.deposit(1).into_future()));
    let erasures = join_all((0..20).map(|_| runtime.delete(id)));
    let (answers, erased) = tokio::join!(calls, erasures);
    assert!(answers.into_iter().all(|answer| answer.is_ok()), "no call is lost to an erasure");
    assert!(erased.into_iter().all(|erased| erased.is_ok()));
}
