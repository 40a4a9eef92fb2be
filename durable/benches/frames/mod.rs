//! Clients of WebSockets that do hardly anything: one short text, written as it lies in memory, and what comes back read as far as it
//! must be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::{Pattern, Samples, nanos_between};

/// Sixteen characters, as a client sends them: masked, by zeros.
const MESSAGE: &[u8] = b"\x81\x90\0\0\0\0sixteen letters!";

/// What comes back: the same, not masked.
const ANSWER: &[u8] = b"\x81\x10sixteen letters!";

/// What a server asks that has heard nothing for a while, and what it is answered.
const PING: &[u8] = b"\x89\0";
const PONG: &[u8] = b"\x8a\x80\0\0\0\0";

/// An open socket.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    /// Opens a socket.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("the server takes requests");
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            let count = stream.read_buf(&mut read).await.expect("the server answers");
            assert!(count > 0, "the server has hung up");
        }
        let text = String::from_utf8_lossy(&read);
        assert!(text.starts_with("HTTP/1.1 101"), "{text}");
        Client { stream, read: Vec::new() }
    }

    /// Sends a message and waits for it to come back.
    pub(crate) async fn echo(&mut self) {
        self.stream.write_all(MESSAGE).await.expect("the server takes messages");
        self.hear().await;
    }

    /// Waits for the next message.
    pub(crate) async fn hear(&mut self) {
        while self.read.len() < ANSWER.len() || self.read.starts_with(PING) {
            if self.read.starts_with(PING) {
                self.read.drain(..PING.len());
                self.stream.write_all(PONG).await.expect("the server takes messages");
                continue;
            }
            let read = self.stream.read_buf(&mut self.read).await.expect("the server answers");
            assert!(read > 0, "the server has hung up");
        }
        let rest = self.read.split_off(ANSWER.len());
        assert_eq!(self.read, ANSWER);
        self.read = rest;
    }
}

/// Lets `pattern.callers` sockets send and hear for `time`. `path`: of an object.
pub(crate) async fn drive(
    address: SocketAddr,
    pattern: Pattern,
    time: Duration,
    path: fn(usize) -> String,
) -> Samples {
    let mut clients = Vec::new();
    for caller in 0..pattern.callers {
        clients.push(Client::open(address, &path(pattern.target(caller, 0))).await);
    }
    let begun = Instant::now();
    let end = begun + time;
    let mut callers = JoinSet::new();
    for mut client in clients {
        callers.spawn(async move {
            let mut nanos = Vec::with_capacity(1 << 16);
            let mut now = Instant::now();
            while now < end {
                client.echo().await;
                let answered = Instant::now();
                nanos.push(nanos_between(now, answered));
                now = answered;
            }
            nanos
        });
    }
    let nanos = callers.join_all().await.concat();
    Samples::new(nanos, begun.elapsed())
}

/// Opens so many sockets, some at a time. `path`: of the nth.
pub(crate) async fn open_many(
    address: SocketAddr,
    count: usize,
    path: fn(usize) -> String,
) -> Vec<Client> {
    let path = Arc::new(path);
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let some = all.len()..count.min(all.len() + 256);
        let mut opening = JoinSet::new();
        for nth in some {
            let path = Arc::clone(&path);
            opening.spawn(async move { Client::open(address, &path(nth)).await });
        }
        all.extend(opening.join_all().await);
    }
    all
}

/// Waits until each of them has heard something.
pub(crate) async fn hear_all(clients: Vec<Client>) -> Vec<Client> {
    let mut hearing = JoinSet::new();
    for mut client in clients {
        hearing.spawn(async move {
            client.hear().await;
            client
        });
    }
    hearing.join_all().await
}
