//! Callers that ask over HTTP/1.1, each over a connection of its own, and the servers that a user would write by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};

use crate::group_commit::GroupCommit;
use crate::handwritten::Handwritten;
use crate::load::{Pattern, Samples, nanos_between};

/// Serves these routes at a free port, as long as the runtime lives.
async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// Reads a counter in memory: the least that an answer can cost here.
pub(crate) async fn atomic() -> SocketAddr {
    let count = Arc::new(AtomicU64::new(0));
    let value = async move |Path(_): Path<String>| count.load(Ordering::Relaxed).to_string();
    serve(Router::new().route("/bench.Counter/{name}/value", get(value))).await
}

/// One synced transaction for each request.
pub(crate) async fn transactions(store: Arc<Handwritten>) -> SocketAddr {
    let add = async move |Path(name): Path<String>| {
        let store = Arc::clone(&store);
        let object = name.parse().expect("objects are numbers");
        let added = spawn_blocking(move || store.bump(object));
        added.await.expect("the store works").to_string()
    };
    serve(Router::new().route("/bench.Counter/{name}/add", post(add))).await
}

/// One synced transaction for all requests that wait.
pub(crate) async fn groups(store: GroupCommit) -> SocketAddr {
    let add = async move |Path(name): Path<String>| store.add(name).await.to_string();
    serve(Router::new().route("/bench.Counter/{name}/add", post(add))).await
}

/// Lets `pattern.callers` connections ask for `time`. `request`: what asks an object.
pub(crate) async fn drive(
    address: SocketAddr,
    pattern: Pattern,
    time: Duration,
    request: fn(usize) -> String,
) -> Samples {
    let requests: Arc<[String]> = (0..pattern.objects).map(request).collect();
    let begun = Instant::now();
    let end = begun + time;
    let mut callers = JoinSet::new();
    for caller in 0..pattern.callers {
        let requests = Arc::clone(&requests);
        callers.spawn(async move {
            let stream = TcpStream::connect(address).await.expect("the server listens");
            stream.set_nodelay(true).expect("it is a connection");
            let mut connection = Asking { stream, read: Vec::new() };
            let mut nanos = Vec::with_capacity(1 << 16);
            let mut now = Instant::now();
            for nth in 0.. {
                connection.ask(requests[pattern.target(caller, nth)].as_bytes()).await;
                let answered = Instant::now();
                nanos.push(nanos_between(now, answered));
                now = answered;
                if now >= end {
                    break;
                }
            }
            nanos
        });
    }
    let nanos = callers.join_all().await.concat();
    Samples::new(nanos, begun.elapsed())
}

/// A connection that asks one thing at a time.
struct Asking {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Asking {
    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the server takes requests");
        self.read.clear();
        while !is_whole(&self.read) {
            let read = self.stream.read_buf(&mut self.read).await.expect("the server answers");
            assert!(read > 0, "the server has hung up");
        }
        assert!(self.read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.read));
    }
}

/// Whether an answer has come, whose body is as long as it says. Its head is looked for from its end, which is near.
fn is_whole(answer: &[u8]) -> bool {
    const LENGTH: &[u8] = b"content-length: ";
    let Some(head) = answer.windows(4).rposition(|four| four == b"\r\n\r\n") else { return false };
    let mut lines = answer[..head].split(|byte| *byte == b'\n');
    let digits = lines.find_map(|line| line.strip_prefix(LENGTH)).expect("it says its length");
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
    answer.len() >= head + 4 + length
}
