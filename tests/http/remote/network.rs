//! Servers that go, come back, say nothing, or are something else.

use std::net::SocketAddr;
use std::time::Duration;

use durable::http::Edge;
use durable::limits::CLIENT_CALLS_MAX;
use durable::{Client, Error, ErrorKind, Outcome};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Journal, with_journal};

async fn client_of(address: SocketAddr) -> Client {
    Client::connect(&format!("http://{address}"))
}

/// An address that nobody listens at.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn said(error: &Error) -> (&'static str, Outcome) {
    (error.code(), error.outcome())
}

#[tokio::test]
async fn a_call_waits_for_a_server_that_comes_back() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let address = server.address();
    let journal = client_of(address).await.get::<Journal>("x");
    for entry in 0..3 {
        assert_eq!(journal.push(entry).await.unwrap(), entry);
    }
    server.shutdown().await;
    let calls: Vec<_> = (3..20).map(|entry| journal.push(entry).into_future()).collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let server = Edge::new(&runtime).serve(address).await.unwrap();
    for call in calls {
        call.await.unwrap();
    }
    assert!(journal.entries().await.unwrap().into_iter().eq(0..20));
    drop(server);
}

#[tokio::test]
async fn what_was_under_way_when_a_connection_broke_is_unknown() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let address = server.address();
    let journal = client_of(address).await.get::<Journal>("x");
    journal.push(0).await.unwrap();
    let slow = tokio::spawn(journal.push_slowly(1, 300).into_future());
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(server);
    let error = slow.await.unwrap().unwrap_err();
    assert_eq!(said(&error), ("server.unreachable", Outcome::Unknown));
    assert_eq!(error.object(), Some("edge.Journal(x)"));
    let again = loop {
        match Edge::new(&runtime).serve(address).await {
            Ok(server) => break server,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(journal.push(2).await.unwrap(), 2, "the client has connected again");
    drop(again);
}

#[tokio::test]
async fn a_server_that_shuts_down_answers_what_it_has() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let journal = client_of(server.address()).await.get::<Journal>("x");
    journal.push(0).await.unwrap();
    let slow = tokio::spawn(journal.push_slowly(1, 200).into_future());
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.shutdown().await;
    assert_eq!(slow.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn nobody_there_is_an_error_after_a_few_tries() {
    let journal = client_of(free().await).await.get::<Journal>("x");
    let error = journal.push(1).await.unwrap_err();
    assert_eq!(said(&error), ("server.unreachable", Outcome::NotStarted));
    assert!(error.message().contains("127.0.0.1"), "{error}");
    let error = journal.push(1).timeout(Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(said(&error), ("call.expired", Outcome::NotStarted));
    for url in ["", "nonsense", "https://127.0.0.1", "http://"] {
        let error = Client::connect(url).get::<Journal>("x").push(1).await.unwrap_err();
        assert_eq!(said(&error), ("config.invalid", Outcome::NotStarted), "{url}");
    }
}

/// It takes what it is sent, and says no more than that it speaks HTTP/2.
#[tokio::test]
async fn a_server_that_says_nothing_costs_the_call_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&SETTINGS).await.unwrap();
        let mut heard = [0; 1024];
        while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
    });
    let journal = client_of(address).await.get::<Journal>("x");
    let error = journal.push(1).timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(said(&error), ("server.unreachable", Outcome::Unknown));
    assert_eq!(error.object(), Some("edge.Journal(x)"));
}

/// Settings without a setting: as much as a server has to say.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Reads until a request begins, and gives its stream.
async fn next_request(stream: &mut TcpStream) -> Option<[u8; 4]> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body).await.ok()?;
        if head[3] == 1 {
            return Some([head[5], head[6], head[7], head[8]]);
        }
    }
}

async fn greeted(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&SETTINGS).await.unwrap();
    stream.read_exact(&mut [0; 24]).await.unwrap();
    stream
}

#[tokio::test]
async fn what_a_server_refuses_is_sent_again_a_few_times() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refusing = tokio::spawn(async move {
        let mut stream = greeted(&listener).await;
        let mut refused = 0;
        while let Some(id) = next_request(&mut stream).await {
            refused += 1;
            // A reset, because the stream is refused.
            let reset = [&[0, 0, 4, 3, 0][..], &id, &[0, 0, 0, 7]].concat();
            stream.write_all(&reset).await.unwrap();
        }
        refused
    });
    let journal = client_of(address).await.get::<Journal>("x");
    let error = journal.push(1).await.unwrap_err();
    assert_eq!(said(&error), ("server.unreachable", Outcome::NotStarted));
    drop(journal);
    assert_eq!(refusing.await.unwrap(), durable::limits::CLIENT_TRIES);
}

/// It is going and takes no more, after which another one is there.
#[tokio::test]
async fn what_a_server_that_goes_has_not_taken_is_sent_to_the_next_one() {
    let (_dir, runtime) = with_journal().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let going = tokio::spawn(async move {
        let mut stream = greeted(&listener).await;
        // Nobody connects to somebody who does not read.
        drop(listener);
        next_request(&mut stream).await.unwrap();
        // It goes, and stream 0 was the last one that it took.
        let goes = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        stream.write_all(&goes).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    let journal = client_of(address).await.get::<Journal>("x");
    let calls: Vec<_> =
        (0..5).map(|entry| tokio::spawn(journal.push(entry).into_future())).collect();
    going.await.unwrap();
    let server = Edge::new(&runtime).serve(address).await.unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(journal.entries().await.unwrap().into_iter().eq(0..5));
    drop(server);
}

#[tokio::test]
async fn one_call_too_many_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_of(listener.local_addr().unwrap()).await;
    let calls = CLIENT_CALLS_MAX as u64 + 10;
    let stubs: Vec<_> =
        (0..calls).map(|number| client.get::<Journal>(number.to_string())).collect();
    let mut waiting: FuturesUnordered<_> =
        stubs.iter().map(|journal| journal.push(1).into_future()).collect();
    for _ in 0..10 {
        let error = waiting.next().await.unwrap().unwrap_err();
        assert_eq!(said(&error), ("client.overloaded", Outcome::NotStarted));
        assert_eq!(error.kind(), ErrorKind::Backoff);
    }
    assert!(waiting.next().now_or_never().is_none());
}

#[tokio::test]
async fn what_is_no_server_of_objects_is_said_to_be_none() {
    let app = axum::Router::new().fallback(async || "hello");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let error = client_of(address).await.get::<Journal>("x").push(1).await.unwrap_err();
    assert_eq!(said(&error), ("server.foreign", Outcome::Unknown));
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let below = Client::connect(&format!("http://{}/a/b", server.address()));
    let error = below.get::<Journal>("x").push(1).await.unwrap_err();
    assert_eq!(said(&error), ("server.foreign", Outcome::NotStarted));
    // It speaks another protocol altogether.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    let error = client_of(address).await.get::<Journal>("x").push(1).await.unwrap_err();
    assert_eq!(error.code(), "server.unreachable");
}

/// Bytes behind the beginning of HTTP/2, and bodies that are no calls.
#[tokio::test]
async fn garbage_leaves_the_server_serving() {
    let (_dir, runtime) = with_journal().await;
    let server = Edge::new(&runtime).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let address = server.address();
    let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    for _ in 0..500 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begun = (next() % 25) as usize;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..begun].to_vec();
        if begun == 24 || next() % 4 > 0 {
            bytes.extend((0..next() % 64).map(|_| next().to_le_bytes()[0]));
        }
        let _ = stream.write_all(&bytes).await;
    }
    for size in 0..200_u64 {
        let body: String = (0..size).map(|_| char::from(next().to_le_bytes()[0] & 127)).collect();
        let head = format!(
            "POST /edge.Journal/x/push HTTP/1.1\r\nhost: x\r\ndurable-stub: {}\r\n\
             content-type: application/vnd.durable.call.v1\r\ncontent-length: {size}\r\n\r\n{body}",
            next() % 3
        );
        let reply = crate::client::ask(address, &head).await;
        assert_eq!(reply.status, 400, "{reply:?}");
    }
    let journal = client_of(address).await.get::<Journal>("x");
    assert_eq!(journal.entries().await.unwrap(), Vec::<u64>::new());
}
