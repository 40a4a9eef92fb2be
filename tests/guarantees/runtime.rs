//! Starting and stopping: what cannot stand together is refused, and nothing is lost at the end.

use std::future::IntoFuture;
use std::process::Command;

use durable::ErrorKind;
use durable::prelude::*;
use futures_util::future::join_all;
use futures_util::poll;

use super::{Counter, counters};
use crate::ids::Other;

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["runtime::child_that_cannot_start", "--exact", "--nocapture"])
        .env("DURABLE_TEST_LOCKED_DIR", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("storage.locked"), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "it names the holder: {text}");
    assert!(text.contains(&dir.path().display().to_string()), "it names the directory: {text}");
    runtime.shutdown().await.unwrap();
    counters(dir.path()).await;
}

/// Not a test of its own: the second process of the test above. Without its directory it is done at once.
#[tokio::test]
async fn child_that_cannot_start() {
    let Some(dir) = std::env::var_os("DURABLE_TEST_LOCKED_DIR") else { return };
    let error = Runtime::builder(dir).register::<Counter>().start().await.unwrap_err();
    println!("{error}");
}

mod twin {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Impostor {
        n: u64,
    }

    #[durable_object(name = "test.Counter")]
    impl Impostor {
        pub fn n(&self) -> u64 {
            self.n
        }
    }
}

#[tokio::test]
async fn a_class_name_registered_twice_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>().register::<twin::Impostor>();
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.code(), "class.duplicate");
    assert!(error.message().contains("test.Counter"), "{error}");
    assert!(error.message().contains("Impostor"), "{error}");
    let builder = Runtime::builder(dir.path()).register::<Counter>().register::<Counter>();
    assert_eq!(builder.start().await.unwrap_err().code(), "class.duplicate");
}

#[tokio::test]
async fn a_class_that_is_not_registered_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let stub = runtime.get::<Other>("x");
    let error = stub.n().await.unwrap_err();
    assert_eq!(error.code(), "class.unknown");
    assert_eq!(error.kind(), ErrorKind::FixCall);
    assert!(error.message().contains("register"), "{error}");
    assert_eq!(stub.id().unwrap_err().code(), "class.unknown");
    assert_eq!(runtime.list::<Other>().page().await.unwrap_err().code(), "class.unknown");
}

#[tokio::test]
async fn shutdown_serves_what_waits_and_then_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    let mut calls = join_all((0..100).map(|_| counter.add(1).into_future()));
    assert!(poll!(&mut calls).is_pending(), "the calls are queued, and none has been answered");
    let (answers, stopped) = tokio::join!(calls, runtime.shutdown());
    stopped.unwrap();
    for (count, answer) in (1..).zip(answers) {
        assert_eq!(answer.unwrap(), count);
    }
    let error = counter.add(1).await.unwrap_err();
    assert_eq!(error.code(), "runtime.closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    runtime.shutdown().await.unwrap();

    let runtime = counters(dir.path()).await;
    assert_eq!(runtime.get::<Counter>("ada").count().await.unwrap(), 100);
}

#[tokio::test]
async fn a_dropped_runtime_answers_its_callers_and_frees_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.add(5).await.unwrap();
    let stuck = tokio::spawn(counter.add_slowly(1, 3_600_000).into_future());
    let waiting = tokio::spawn(counter.add(1).into_future());
    while runtime.resident_objects() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    drop(runtime);
    let error = stuck.await.unwrap().unwrap_err();
    assert!(["call.aborted", "runtime.closed"].contains(&error.code()), "{error}");
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), "runtime.closed");
    assert_eq!(counter.add(1).await.unwrap_err().code(), "runtime.closed");
    drop(counter);
    let runtime = loop {
        match Runtime::builder(dir.path()).register::<Counter>().start().await {
            Ok(runtime) => break runtime,
            Err(error) => assert_eq!(error.code(), "storage.locked"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(runtime.get::<Counter>("ada").count().await.unwrap(), 5);
}

#[tokio::test]
async fn a_kept_stub_does_not_keep_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let kept = runtime.get::<Counter>("ada");
    kept.add(1).await.unwrap();
    let error = Runtime::builder(dir.path()).register::<Counter>().start().await.unwrap_err();
    assert!(error.message().contains("another runtime of this process"), "{error}");
    drop(runtime);
    assert_eq!(kept.add(1).await.unwrap_err().code(), "runtime.closed");
    assert_eq!(counters(dir.path()).await.get::<Counter>("ada").count().await.unwrap(), 1);
}

#[test]
fn starting_outside_of_tokio_or_without_a_directory_says_so() {
    let start = |path: &str| Runtime::builder(path).register::<Counter>().start();
    let error = futures_executor::block_on(start("data")).unwrap_err();
    assert_eq!(error.code(), "config.invalid");
    assert!(error.message().contains("tokio"), "{error}");
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let error = tokio.block_on(start("")).unwrap_err();
    assert!(error.message().contains("path is empty"), "{error}");
}

#[tokio::test]
async fn a_setting_out_of_range_is_refused_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let error = Runtime::builder(&data).shards(0).start().await.unwrap_err();
    assert_eq!(error.code(), "config.invalid");
    assert!(!data.exists());
}

#[tokio::test]
async fn the_shard_count_is_fixed_when_the_directory_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<Counter>().shards(3).start().await.unwrap();
    for n in 0..20 {
        runtime.get::<Counter>(format!("c{n}")).add(n).await.unwrap();
    }
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let builder = Runtime::builder(dir.path()).register::<Counter>();
    let error = builder.shards(2).start().await.unwrap_err();
    assert_eq!(error.code(), "config.invalid");
    assert!(error.message().contains('3') && error.message().contains('2'), "{error}");
    let runtime = counters(dir.path()).await;
    assert_eq!(runtime.get::<Counter>("c7").count().await.unwrap(), 7);
}
