//! Ids: cases 01 to 05 of the behaviour that Cloudflare's objects have.

use durable::prelude::*;
use durable::{ErrorKind, Placement};

use super::{Counter, counters};

#[derive(Default, DurableState)]
pub struct Other {
    n: u64,
}

#[durable_object(name = "test.Other")]
impl Other {
    pub fn n(&self) -> u64 {
        self.n
    }
}

#[tokio::test]
async fn a_name_is_one_object_in_its_class_and_another_in_another_class() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path())
        .register::<Counter>()
        .register::<Other>()
        .start()
        .await
        .unwrap();
    let foo = runtime.get::<Counter>("foo").id().unwrap();
    assert_eq!(runtime.get::<Counter>("foo").id().unwrap(), foo);
    assert_ne!(runtime.get::<Other>("foo").id().unwrap(), foo);
    assert_ne!(
        runtime.unique::<Counter>().id().unwrap(),
        runtime.unique::<Counter>().id().unwrap()
    );
}

#[tokio::test]
async fn an_id_survives_its_text_and_knows_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let named = runtime.get::<Counter>("foo");
    named.add(3).await.unwrap();
    let text = named.id().unwrap().to_string();
    let parsed: ObjectId = text.parse().unwrap();
    let again = runtime.get_by_id::<Counter>(parsed).unwrap();
    assert_eq!(again.id().unwrap().to_string(), text);
    assert_eq!(again.name(), None);
    assert_eq!(again.count().await.unwrap(), 3, "it is the same object");
}

#[tokio::test]
async fn text_that_is_no_id_and_an_id_of_another_class_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path())
        .register::<Counter>()
        .register::<Other>()
        .start()
        .await
        .unwrap();
    let error = "goodbye".parse::<ObjectId>().unwrap_err();
    assert_eq!(error.code(), "id.malformed");
    assert!(error.message().contains("must be 64 hex digits, got 7"), "{error}");
    let foreign = runtime.get::<Other>("foo").id().unwrap();
    let error = runtime.get_by_id::<Counter>(foreign).unwrap_err();
    assert_eq!(error.code(), "id.foreign");
    assert_eq!(error.kind(), ErrorKind::FixCall);
    assert!(error.message().contains("test.Counter"), "{error}");
}

#[tokio::test]
async fn three_calls_on_a_cold_object_begin_in_order_in_one_activation() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("cold");
    let (first, second, third) = tokio::join!(counter.add(1), counter.add(1), counter.add(1));
    assert_eq!((first.unwrap(), second.unwrap(), third.unwrap()), (1, 2, 3));
}

#[tokio::test]
async fn an_error_of_a_method_leaves_stub_and_object_usable() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let counter = runtime.get::<Counter>("ada");
    counter.add(2).await.unwrap();
    let error = counter.add_and_refuse(5).await.unwrap_err();
    assert_eq!(error.rejection().map(String::as_str), Some("refused 5"));
    assert_eq!(counter.count().await.unwrap(), 2);
}

#[tokio::test]
async fn ids_differ_between_data_directories() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (counters(here.path()).await, counters(there.path()).await);
    let id = here.get::<Counter>("foo").id().unwrap();
    assert_ne!(there.get::<Counter>("foo").id().unwrap(), id);
    assert_eq!(there.get_by_id::<Counter>(id).unwrap_err().code(), "id.foreign");
}

#[tokio::test]
async fn a_jurisdiction_is_part_of_the_object_and_a_location_hint_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let plain = runtime.get::<Counter>("foo").id().unwrap();
    let placed = |placement| runtime.client().placed(placement).get::<Counter>("foo").id().unwrap();
    assert_eq!(placed(Placement::new().location_hint("weur")), plain);
    assert_ne!(placed(Placement::new().jurisdiction("eu")), plain);
}

#[tokio::test]
async fn a_name_over_the_limit_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let name = "n".repeat(1_025);
    let error = runtime.get::<Counter>(&name).add(1).await.unwrap_err();
    assert_eq!(error.code(), "name.too_long");
    assert!(error.message().contains("1025 bytes, the limit is 1024"), "{error}");
    assert_eq!(runtime.get::<Counter>(&name[1..]).add(1).await.unwrap(), 1);
    assert_eq!(runtime.get::<Counter>("").add(1).await.unwrap(), 1, "the empty name is a name");
}
