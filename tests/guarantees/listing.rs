//! Listing pages through the objects that exist, idle ones too.

use durable::prelude::*;

use super::{Counter, counters};
use crate::ids::Other;

async fn names(runtime: &Runtime, prefix: &str, limit: usize) -> Vec<Option<String>> {
    let mut names = Vec::new();
    let mut last = None;
    loop {
        let mut listing = runtime.list::<Counter>().prefix(prefix).limit(limit);
        if let Some(last) = &last {
            listing = listing.after(last);
        }
        let page = listing.page().await.unwrap();
        names.extend(page.iter().map(|listed| listed.name().map(str::to_owned)));
        let is_last = page.len() < limit;
        last = page.into_iter().next_back().or(last);
        if is_last {
            return names;
        }
    }
}

#[tokio::test]
async fn pages_hold_every_stored_object_once_in_the_order_of_names() {
    for shards in [1, 7] {
        let dir = tempfile::tempdir().unwrap();
        let builder = Runtime::builder(dir.path()).register::<Counter>().register::<Other>();
        let runtime = builder.shards(shards).start().await.unwrap();
        let mut expected: Vec<_> = (0..25).map(|n| format!("user/{n}")).collect();
        expected.extend(["", "u", "user", "user0", "ü", "z%_"].map(str::to_owned));
        for name in &expected {
            runtime.get::<Counter>(name).add(1).await.unwrap();
        }
        let unnamed = runtime.unique::<Counter>();
        unnamed.add(1).await.unwrap();
        runtime.get::<Counter>("only read").count().await.unwrap();
        runtime.evict(runtime.get::<Counter>("u").id().unwrap()).await.unwrap();

        expected.sort();
        let all: Vec<_> = std::iter::once(None).chain(expected.iter().cloned().map(Some)).collect();
        for limit in [1, 3, 1_000] {
            assert_eq!(names(&runtime, "", limit).await, all, "{shards} shards, pages of {limit}");
            let users: Vec<_> = expected
                .iter()
                .filter(|name| name.starts_with("user/"))
                .cloned()
                .map(Some)
                .collect();
            assert_eq!(names(&runtime, "user/", limit).await, users);
            assert_eq!(names(&runtime, "z%", limit).await, [Some("z%_".to_owned())]);
        }
        assert!(runtime.list::<Other>().page().await.unwrap().is_empty(), "another class");
    }
}

#[tokio::test]
async fn listed_ids_lead_to_their_objects_and_names_are_known_inside() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    runtime.get::<Counter>("ada").add(7).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let runtime = counters(dir.path()).await;
    let page = runtime.list::<Counter>().page().await.unwrap();
    assert_eq!(page.len(), 1);
    let stub = runtime.get_by_id::<Counter>(page[0].id()).unwrap();
    assert_eq!(stub.count().await.unwrap(), 7);
}

#[tokio::test]
async fn an_object_first_called_by_id_gets_its_name_when_one_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let id = runtime.get::<Counter>("late").id().unwrap();
    runtime.get_by_id::<Counter>(id).unwrap().add(1).await.unwrap();
    assert_eq!(runtime.list::<Counter>().page().await.unwrap()[0].name(), None);
    runtime.evict(id).await.unwrap();
    runtime.get::<Counter>("late").add(1).await.unwrap();
    assert_eq!(runtime.list::<Counter>().page().await.unwrap()[0].name(), Some("late"));
}

#[tokio::test]
async fn a_name_that_is_used_while_the_object_is_in_memory_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    let named = runtime.get::<Counter>("ada");
    runtime.get_by_id::<Counter>(named.id().unwrap()).unwrap().add(1).await.unwrap();
    named.add(1).await.unwrap();
    assert_eq!(runtime.list::<Counter>().page().await.unwrap()[0].name(), Some("ada"));
}

#[tokio::test]
async fn listings_count_as_calls_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Counter>().in_flight_max(8);
    let runtime = builder.start().await.unwrap();
    let pages =
        futures_util::future::join_all((0..1_000).map(|_| runtime.list::<Counter>().page()));
    let refused: Vec<_> = pages.await.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|error| error.code() == "runtime.overloaded"));
}

#[tokio::test]
async fn a_page_has_a_limit() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    for limit in [0, 1_001] {
        let error = runtime.list::<Counter>().limit(limit).page().await.unwrap_err();
        assert_eq!(error.code(), "config.invalid");
    }
}
