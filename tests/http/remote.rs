//! Objects through typed clients: what is as it is in one process, and what a network does to it.

mod network;
mod skew;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::http::{Asking, Authorize, Denial, Edge};
use durable::prelude::*;
use durable::remote::Remote;
use durable::{CallError, Client, Metadata, Outcome, Placement, Stub, TraceContext};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::{Account, Booth, Served, Vault, served, served_as};

/// Writes down what it is told.
#[derive(Default, DurableState)]
pub struct Journal {
    entries: Vec<u64>,
}

#[durable_object(name = "edge.Journal", http)]
impl Journal {
    pub fn push(&mut self, entry: u64) -> u64 {
        self.entries.push(entry);
        entry
    }

    pub async fn push_slowly(&mut self, entry: u64, ms: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.push(entry)
    }

    #[rpc(http = "GET")]
    pub fn entries(&self) -> Vec<u64> {
        self.entries.clone()
    }

    pub fn sized(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}

/// A runtime with a journal.
pub async fn with_journal() -> (TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Journal>().start().await.unwrap();
    (dir, runtime)
}

fn client_of(served: &Served) -> Client {
    Client::connect(&format!("http://{}", served.address()))
}

#[tokio::test]
async fn a_stub_is_the_same_here_and_elsewhere() {
    let served = served().await;
    let client = client_of(&served);
    for name in ["ada", "", "a/b", "id:x", "name:x", "50 %", "日本", "..", "a?b#c"] {
        let (there, here) = (client.get::<Account>(name), served.runtime.get::<Account>(name));
        assert_eq!(there.deposit(5).await.unwrap(), 5, "{name}");
        assert_eq!(here.deposit(1).await.unwrap(), 6, "{name}");
        assert_eq!(there.balance().await.unwrap(), 6, "{name}");
        assert_eq!(there.called().await.unwrap().as_deref(), Some(name));
        let rejected = there.withdraw(9, Some("much".to_owned())).await.unwrap_err();
        let CallError::Rejected(overdrawn) = rejected else { panic!("{rejected:?}") };
        assert_eq!(overdrawn.missing_cents, 9);
        let by_id = client.get_by_id::<Account>(here.id().unwrap()).unwrap();
        assert_eq!(by_id.balance().await.unwrap(), 6, "what was rejected is undone");
        by_id.nothing().await.unwrap();
    }
    assert_eq!(client.get::<Booth>(7).visit(0).await.unwrap(), 1);
    let placed = client.clone().placed(Placement::new().jurisdiction("eu"));
    assert_eq!(placed.get::<Account>("ada").balance().await.unwrap(), 0, "it is another object");
}

#[tokio::test]
async fn what_calls_can_say_travels() {
    let served = served().await;
    let ada = client_of(&served).get::<Account>("ada");
    for _ in 0..3 {
        assert_eq!(ada.deposit(5).idempotency_key("once \n 日").await.unwrap(), 5);
    }
    let mismatched = ada.deposit(6).idempotency_key("once \n 日").await.unwrap_err();
    assert_eq!(mismatched.code(), "call.mismatched");
    assert_eq!(ada.deposit(1).relaxed().wait_for_capacity().await.unwrap(), 6);
    let expired =
        ada.deposit_slowly(1, 5_000).timeout(Duration::from_millis(30)).await.unwrap_err();
    assert_eq!((expired.code(), expired.outcome()), ("call.expired", Outcome::RolledBack));
    let error = ada.panic().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.panicked", Outcome::RolledBack));
    assert_eq!(error.object(), Some("edge.Account(ada)"));
    assert!(!error.message().contains("1234"), "{error}");
    assert_eq!(ada.balance().await.unwrap(), 6);
}

#[tokio::test]
async fn sends_are_kept_there() {
    let served = served().await;
    let ada = client_of(&served).get::<Account>("ada");
    ada.deposit(5).send().await.unwrap();
    let later = ada.deposit(1_000).send_after(Duration::from_secs(3_600)).await.unwrap();
    served.runtime.cancel_send(later).await.unwrap();
    while ada.balance().await.unwrap() != 5 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Lets pass after a while, the sooner the later it is asked.
struct Hesitant;

impl Authorize for Hesitant {
    async fn authorize(&self, asking: &Asking<'_>) -> Result<Metadata, Denial> {
        let stub = asking.headers()["durable-stub"].to_str().unwrap().len();
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        tokio::time::sleep(Duration::from_micros(u64::from(nanos % 3_000) / stub as u64)).await;
        Ok(Metadata::new())
    }
}

/// Makes many calls of two stubs at once, and looks at the order in which they have run.
async fn many_in_order(runtime: &Runtime, client: &Client) {
    let (one, other) = (client.get::<Journal>("x"), client.get::<Journal>("x"));
    let calls = (0..1_000).map(|entry| {
        let stub = if entry % 2 == 0 { &one } else { &other };
        stub.push(entry).into_future()
    });
    let answers = join_all(calls).await;
    assert!(answers.into_iter().map(Result::unwrap).eq(0..1_000));
    let entries = runtime.get::<Journal>("x").entries().await.unwrap();
    for rest in [0, 1] {
        let of_one = entries.iter().filter(|entry| *entry % 2 == rest);
        assert!(of_one.is_sorted(), "{entries:?}");
    }
    assert_eq!(entries.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_of_a_stub_begin_in_the_order_in_which_they_are_made() {
    let (_dir, runtime) = with_journal().await;
    let edge = Edge::new(&runtime).authorize(Hesitant);
    let server = edge.serve(([127, 0, 0, 1], 0)).await.unwrap();
    let client = Client::connect(&format!("http://{}", server.address()));
    many_in_order(&runtime, &client).await;
}

/// A server that is not this crate's knows nothing of the order, so that a client sends one call of a stub at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn so_they_do_at_a_server_that_keeps_no_order() {
    let (_dir, runtime) = with_journal().await;
    let routes = Edge::new(&runtime).authorize(Hesitant).into_router();
    let app = axum::Router::new().nest("/v1/objects", routes);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::connect(&format!("http://{address}/v1/objects/"));
    many_in_order(&runtime, &client).await;
}

/// Remembers how many calls it was asked about at a time.
#[derive(Clone, Default)]
struct Crowd(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Authorize for Crowd {
    async fn authorize(&self, _: &Asking<'_>) -> Result<Metadata, Denial> {
        let Crowd(now, most) = self;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(Metadata::new())
    }
}

/// Whoever stands between may have several connections, and bring calls in any order.
#[tokio::test]
async fn nor_does_a_server_behind_somebody_else() {
    let (_dir, runtime) = with_journal().await;
    let crowd = Crowd::default();
    let edge = Edge::new(&runtime).authorize(crowd.clone());
    let server = edge.serve(([127, 0, 0, 1], 0)).await.unwrap();
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (direct, indirect) = (server.address(), between.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut one, _)) = between.accept().await {
            tokio::spawn(async move {
                let mut other = tokio::net::TcpStream::connect(direct).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut one, &mut other).await;
            });
        }
    });
    let most = async |address, name: &str| {
        let journal = Client::connect(&format!("http://{address}")).get::<Journal>(name);
        crowd.1.store(0, Ordering::SeqCst);
        let calls = join_all((0..50).map(|entry| journal.push(entry).into_future())).await;
        assert!(calls.into_iter().map(Result::unwrap).eq(0..50));
        assert!(runtime.get::<Journal>(name).entries().await.unwrap().into_iter().eq(0..50));
        crowd.1.load(Ordering::SeqCst)
    };
    assert!(most(direct, "direct").await > 5);
    assert_eq!(most(indirect, "indirect").await, 1);
}

#[tokio::test]
async fn a_call_that_is_taken_back_before_it_begins_does_not_run() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let client = Client::connect(&format!("http://{}", server.address()));
    let journal = client.get::<Journal>("x");
    journal.push(0).await.unwrap();
    let slow = tokio::spawn(journal.push_slowly(1, 150).into_future());
    tokio::time::sleep(Duration::from_millis(30)).await;
    let waits = journal.push(2).into_future();
    tokio::time::sleep(Duration::from_millis(30)).await;
    drop(waits);
    slow.await.unwrap().unwrap();
    journal.push(3).await.unwrap();
    assert_eq!(journal.entries().await.unwrap(), [0, 1, 3]);
}

#[tokio::test]
async fn nothing_is_reached_that_has_not_opted_in() {
    let served = served().await;
    let client = client_of(&served);
    let error = client.get::<Vault>("v").open().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("class.unknown", Outcome::NotStarted));
    let error = client.get::<Account>("ada").seize().await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.unknown_method", Outcome::NotStarted));
    assert_eq!(served.runtime.get::<Vault>("v").opened().await.unwrap(), 0);
    let error = client.get::<Account>("mallory").deposit(1).await.unwrap_err();
    assert_eq!(error.code(), "call.refused");
}

#[tokio::test]
async fn who_may_not_call_is_told_so() {
    let served = served_as(|edge| {
        edge.authorize(|asking: &Asking<'_>| match (asking.has_bearer("secret"), asking.is_get()) {
            (true, _) => Ok(Metadata::new()),
            (false, true) => Err(Denial::forbidden("not even that")),
            (false, false) => Err(Denial::unauthenticated("Bearer")),
        })
    })
    .await;
    let stranger = client_of(&served).get::<Account>("ada");
    let error = stranger.deposit(1).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.denied", Outcome::NotStarted));
    let error = stranger.balance().await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("call.denied", "not even that"));
    let remote = Remote::new(&format!("http://{}", served.address()));
    let known = remote.clone().bearer("secret").unwrap().connect();
    assert_eq!(known.get::<Account>("ada").deposit(1).await.unwrap(), 1);
    assert!(!format!("{:?}", remote.bearer("secret").unwrap()).contains("secret"));
}

#[tokio::test]
async fn only_the_trace_is_believed_unless_the_server_says_otherwise() {
    let carried = async |served: &Served, key: &str| {
        let ada = client_of(served).get::<Account>("ada");
        let trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let call = ada.carried(key.to_owned()).trace(&trace.unwrap());
        call.metadata("principal", "root").metadata("tenant", "t").await.unwrap()
    };
    let principal = |_: &Asking<'_>| {
        let mut metadata = Metadata::new();
        metadata.set("principal", "ada").unwrap();
        Ok(metadata)
    };
    let doubting = served().await;
    assert_eq!(carried(&doubting, "principal").await, None);
    assert!(carried(&doubting, "traceparent").await.unwrap().contains("4bf92f35"));
    let believing = served_as(|edge| edge.authorize(principal).believe_metadata()).await;
    assert_eq!(carried(&believing, "principal").await.as_deref(), Some("ada"));
    assert_eq!(carried(&believing, "tenant").await.as_deref(), Some("t"));
    assert!(carried(&believing, "traceparent").await.is_some());
}

#[tokio::test]
async fn large_values_go_up_to_the_servers_limit() {
    let (_dir, runtime) = with_journal().await;
    let edge = Edge::new(&runtime).body_bytes_max(4 * 1024 * 1024);
    let server = edge.serve(([127, 0, 0, 1], 0)).await.unwrap();
    let journal = Client::connect(&format!("http://{}", server.address())).get::<Journal>("x");
    let sized = async |size: usize| journal.sized(vec![7; size]).await;
    assert_eq!(sized(4_000_000).await.unwrap().len(), 4_000_000);
    let error = sized(5_000_000).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.unencodable", Outcome::NotStarted));
    let error = sized(40_000_000).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.unencodable", Outcome::NotStarted));
    assert_eq!(sized(1).await.unwrap(), [7]);
}

#[tokio::test]
async fn what_is_known_there_only_is_said() {
    let served = served().await;
    let client = client_of(&served);
    let here = served.runtime.get::<Account>("ada").id().unwrap();
    assert_eq!(client.get::<Account>("ada").id().unwrap_err().code(), "id.away");
    assert_eq!(client.unique::<Account>().nothing().await.unwrap_err().code(), "id.away");
    assert_eq!(client.get_by_id::<Account>(here).unwrap().id().unwrap(), here);
    let reference = served.runtime.get::<Account>("ada").to_ref().unwrap();
    let bound = client.bind(&reference).unwrap();
    assert_eq!(bound.called().await.unwrap().as_deref(), Some("ada"));
    let long = client.get::<Account>("x".repeat(100_000)).nothing().await.unwrap_err();
    assert_eq!((long.code(), long.outcome()), ("name.too_long", Outcome::NotStarted));
    let below = format!("http://{}/{}", served.address(), "x".repeat(70_000));
    let below = Client::connect(&below).get::<Account>("ada").nothing().await.unwrap_err();
    assert_eq!(below.code(), "config.invalid");
    let foreign = client.get_by_id::<Vault>(here).unwrap().open().await.unwrap_err();
    assert_eq!(foreign.code(), "class.unknown");
    let foreign = client.get_by_id::<Booth>(here).unwrap().visit(0).await.unwrap_err();
    assert_eq!((foreign.code(), foreign.outcome()), ("id.foreign", Outcome::NotStarted));
}

#[tokio::test]
async fn a_stream_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<crate::shop::Shop>();
    let runtime = builder.start().await.unwrap();
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let client = Client::connect(&format!("http://{}", server.address()));
    let error = client.get::<crate::shop::Shop>("x").each(3).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.unencodable", Outcome::NotStarted));
    let here = runtime.get::<crate::shop::Shop>("x").each(3).await.unwrap();
    assert_eq!(here.filter(|item| ready(item.is_ok())).count().await, 3);
}

/// One client for many, from several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_objects_share_a_connection() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let client = Arc::new(Client::connect(&format!("http://{}", server.address())));
    let tasks = (0..64).map(|task: u64| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            for entry in 0..50 {
                let journal = client.get::<Journal>(format!("j{}", (task + entry) % 40));
                assert_eq!(journal.push(entry).await.unwrap(), entry);
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
    let counts = (0..40).map(|number| runtime.get::<Journal>(format!("j{number}")));
    let counts = join_all(counts.map(async |journal| journal.entries().await.unwrap().len())).await;
    assert_eq!(counts.iter().sum::<usize>(), 64 * 50);
}
