//! P10: state that cannot be used gives a typed error, and the stored bytes stay as they are.

use std::path::Path;

use durable::ErrorKind;
use durable::prelude::*;

use super::{Counter, counters};

/// Stores a counter, damages its row, and looks at what calls say and what is left on disk.
async fn refuses(damage: impl Fn(Vec<u8>) -> Vec<u8>, code: &str) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    runtime.get::<Counter>("ada").add(300).await.unwrap();
    runtime.get::<Counter>("bob").add(1).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);

    let no = object_no(dir.path(), "ada");
    let damaged = damage(body(dir.path(), no));
    tests::first_shard(dir.path())
        .execute("UPDATE snapshots SET body = ?1 WHERE object_no = ?2", (&damaged, no))
        .unwrap();

    let runtime = counters(dir.path()).await;
    let ada = runtime.get::<Counter>("ada");
    let error = ada.add(1).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), (code, ErrorKind::Corrupt), "{error}");
    assert_eq!(error.object(), Some("test.Counter(ada)"));
    for error in [ada.add(1).await.unwrap_err(), ada.count().await.unwrap_err()] {
        assert_eq!(error.code(), "object.quarantined", "{error}");
        assert!(error.message().contains(code), "it says why: {error}");
        assert_eq!(error.object(), Some("test.Counter(ada)"));
    }
    assert_eq!(runtime.get::<Counter>("bob").add(1).await.unwrap(), 2, "others notice nothing");
    runtime.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), no), damaged, "the bytes were touched");
}

fn object_no(dir: &Path, name: &str) -> i64 {
    tests::first_shard(dir)
        .query_row("SELECT object_no FROM objects WHERE name = ?1", [name], |row| row.get(0))
        .unwrap()
}

fn body(dir: &Path, no: i64) -> Vec<u8> {
    tests::first_shard(dir)
        .query_row("SELECT body FROM snapshots WHERE object_no = ?1", [no], |row| row.get(0))
        .unwrap()
}

#[tokio::test]
async fn a_flipped_bit_is_torn_state() {
    refuses(
        |mut body| {
            *body.last_mut().unwrap() ^= 1;
            body
        },
        "state.torn",
    )
    .await;
}

#[tokio::test]
async fn a_truncated_row_is_torn_state() {
    refuses(|body| body[..body.len() - 1].to_vec(), "state.torn").await;
    refuses(|_| Vec::new(), "state.torn").await;
}

#[tokio::test]
async fn a_missing_snapshot_is_torn_state_and_not_a_new_object() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = counters(dir.path()).await;
    runtime.get::<Counter>("ada").add(5).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    tests::first_shard(dir.path()).execute("DELETE FROM snapshots", []).unwrap();
    let runtime = counters(dir.path()).await;
    let ada = runtime.get::<Counter>("ada");
    assert_eq!(ada.count().await.unwrap_err().code(), "state.torn");
    assert_eq!(ada.add(1).await.unwrap_err().code(), "object.quarantined");
}

/// The same class as [`Counter`] in the eyes of storage, by other code.
mod newer {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Counter {
        count: u64,
    }

    #[durable_object(name = "test.Counter", version = 2)]
    impl Counter {
        pub fn add(&mut self, n: u64) -> u64 {
            self.count += n;
            self.count
        }
    }
}

/// Other fields at the same version.
mod changed {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Counter {
        total: u32,
        label: String,
    }

    #[durable_object(name = "test.Counter")]
    impl Counter {
        pub fn add(&mut self, n: u32) -> u32 {
            self.total += n;
            self.label = n.to_string();
            self.total
        }
    }
}

#[tokio::test]
async fn state_of_newer_code_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<newer::Counter>().start().await.unwrap();
    runtime.get::<newer::Counter>("ada").add(5).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let before = body(dir.path(), object_no(dir.path(), "ada"));

    let runtime = counters(dir.path()).await;
    let error = runtime.get::<Counter>("ada").add(1).await.unwrap_err();
    assert_eq!(error.code(), "state.newer");
    assert!(error.message().contains("version 2, this code has version 1"), "{error}");
    runtime.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), object_no(dir.path(), "ada")), before);
}

#[tokio::test]
async fn state_with_other_fields_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<changed::Counter>().start().await.unwrap();
    runtime.get::<changed::Counter>("ada").add(5).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let runtime = counters(dir.path()).await;
    let error = runtime.get::<Counter>("ada").add(1).await.unwrap_err();
    assert_eq!(error.code(), "state.changed");
    assert!(error.message().contains("missing field `count`"), "{error}");
}

#[tokio::test]
async fn state_that_does_not_decode_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Picky>().start().await.unwrap();
    let picky = runtime.get::<Picky>("p");
    picky.set(13).await.unwrap();
    runtime.evict(picky.id().unwrap()).await.unwrap();
    let before = body(dir.path(), object_no(dir.path(), "p"));
    let error = picky.set(1).await.unwrap_err();
    assert_eq!(error.code(), "state.undecodable");
    assert!(error.message().contains("Picky"), "{error}");
    assert_eq!(body(dir.path(), object_no(dir.path(), "p")), before);
}

/// Encodes what it does not decode.
#[derive(Default, DurableState)]
pub struct Picky {
    choice: Choice,
}

/// A number that decodes only below ten.
#[derive(Default, Clone, Copy)]
pub struct Choice(u8);

impl serde::Serialize for Choice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Choice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            n if n < 10 => Ok(Choice(n)),
            n => Err(serde::de::Error::custom(format!("{n} is not below ten"))),
        }
    }
}

impl postcard_schema::Schema for Choice {
    const SCHEMA: &'static postcard_schema::schema::NamedType = u8::SCHEMA;
}

impl DurableState for Choice {}

#[durable_object(name = "test.Picky")]
impl Picky {
    pub fn set(&mut self, n: u8) {
        self.choice = Choice(n);
    }
}
