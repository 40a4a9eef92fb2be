//! Sockets of objects, against what a user would write by hand in axum: a handler that sends back what comes, and tasks that wait for
//! what a channel brings.
//!
//! `echo` is a message there and back. `memory` is what an open socket costs the server's process while nothing happens, and its object
//! is not in memory; `broadcast` one message to all of them. The server of those two has a process of its own.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock and disk")]

mod frames;
#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
mod memory;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use durable::http::Server;
use durable::prelude::*;
use durable::socket::{Message, Socket};
use futures_util::future::{Either, select};
use tokio::io::{AsyncBufReadExt, BufReader as Lines};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use load::{Pattern, Samples};
use memory::resident_bytes;
use report::{Goal, Options, Report, Row, median};

/// Open sockets beside [`BEFORE`]: ten thousand together.
const MANY: usize = 9_900;

/// Sockets that are open before the first reading, so that what every process has once is not counted.
const BEFORE: usize = 100;

/// What goes over a socket.
const TEXT: &str = "sixteen letters!";

/// Tells a process that it is to serve: what, and where its store is.
const SERVING: &str = "--serving";

const PATTERNS: [Pattern; 3] = [
    Pattern { name: "1x1", callers: 1, objects: 1 },
    Pattern { name: "64x1", callers: 64, objects: 1 },
    Pattern { name: "64x64", callers: 64, objects: 64 },
];

/// Sends back what comes, and counts nothing.
#[derive(Default, DurableState)]
struct Echo {}

#[durable_object(name = "bench.Echo", http, idle = "1s")]
impl Echo {
    #[on_message]
    fn hear(&self, cx: &Context<'_, Self>, from: Socket, message: Message) {
        cx.sockets().send(from, message).expect("it is short");
    }

    /// Sends something to all sockets.
    pub fn tell(&self, cx: &Context<'_, Self>) {
        cx.sockets().send_all(TEXT).expect("it is short");
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, what, dir] = args.as_slice()
        && flag == SERVING
    {
        return serve(what, Path::new(dir)).await;
    }
    let options = Options::from_args();
    let stores = options.stores("sockets");
    let mut report = Report::new("sockets", &options);
    if options.wants("echo") {
        let (runtime, server) = ours(&stores.dir().join("echo")).await;
        let by_hand = by_hand(broadcast::channel(1).0).await;
        for pattern in PATTERNS {
            if options.wants(&format!("echo/{}", pattern.name)) {
                echo(&options, (server.address(), by_hand), pattern, &mut report).await;
            }
        }
        server.shutdown().await;
        runtime.shutdown().await.expect("the store closes");
    }
    if options.wants("memory") || options.wants("broadcast") {
        many(&options, stores.dir(), &mut report).await;
    }
    report.print();
}

async fn ours(dir: &Path) -> (Runtime, Server) {
    let runtime = Runtime::builder(dir).register::<Echo>().start().await.expect("the store opens");
    let server = durable::http::serve(&runtime, ([127, 0, 0, 1], 0)).await;
    (runtime, server.expect("there is a free port"))
}

async fn by_hand(told: broadcast::Sender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let open = async move |upgrade: WebSocketUpgrade| {
        let told = told.subscribe();
        upgrade.on_upgrade(|socket| attend(socket, told))
    };
    let routes = axum::Router::new().route("/{*path}", any(open));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn attend(mut socket: WebSocket, mut told: broadcast::Receiver<()>) {
    loop {
        let frame = {
            let (comes, goes) = (pin!(socket.recv()), pin!(told.recv()));
            match select(comes, goes).await {
                Either::Left((frame, _)) => frame,
                Either::Right((told, _)) => told.is_ok().then(|| Ok(Frame::text(TEXT))),
            }
        };
        let Some(Ok(frame)) = frame else { return };
        if let Frame::Text(_) = frame
            && socket.send(frame).await.is_err()
        {
            return;
        }
    }
}

fn path(object: usize) -> String {
    format!("/bench.Echo/{object}")
}

async fn echo(
    options: &Options,
    (ours, by_hand): (SocketAddr, SocketAddr),
    pattern: Pattern,
    report: &mut Report<'_>,
) {
    report.note(&format!("echo/{}", pattern.name));
    let time = options.pick(Duration::from_secs(4), Duration::from_secs(1));
    let (mut here, mut there) = (Vec::new(), Vec::new());
    // The first round warms both sides, and is not counted.
    for nth in 0..=options.pick(5, 3) {
        let samples = frames::drive(ours, pattern, time, path).await;
        let baseline = frames::drive(by_hand, pattern, time, path).await;
        if nth > 0 {
            here.push(samples);
            there.push(baseline);
        }
    }
    for (metric, read) in [
        ("messages_per_second", Samples::per_second as fn(&Samples) -> f64),
        ("p50_us", |samples: &Samples| samples.percentile_us(50)),
        ("p99_us", |samples: &Samples| samples.percentile_us(99)),
    ] {
        report.push(Row {
            case: format!("echo/{}", pattern.name),
            metric,
            ours: median(here.iter().map(read)),
            baseline: median(there.iter().map(read)),
            baseline_name: "axum, a handler",
            goal: None,
        });
    }
}

/// Many sockets that rest, and one message to all of them.
async fn many(options: &Options, dir: &Path, report: &mut Report<'_>) {
    let count = options.pick(MANY, MANY / 9);
    report.note(&format!("{count} sockets"));
    let own = reading("ours", &dir.join("own"), count, path).await;
    let shared = reading("ours", &dir.join("shared"), count, |_| path(0)).await;
    let by_hand = reading("axum", dir, count, |_| path(0)).await;
    let memory = |case: &str, bytes, baseline, baseline_name, goal| Row {
        case: format!("memory/{case}"),
        metric: "bytes_per_socket",
        ours: bytes,
        baseline,
        baseline_name,
        goal,
    };
    let most = Some(Goal::AtMost(1.0));
    report.push(memory("own", own.bytes, 12.0 * 1_024.0, "12 KiB", most));
    report.push(memory("own", own.bytes, by_hand.bytes, "axum, a handler", None));
    report.push(memory("shared", shared.bytes, 12.0 * 1_024.0, "12 KiB", most));
    report.push(memory("shared", shared.bytes, by_hand.bytes, "axum, a handler", None));
    report.push(Row {
        case: "broadcast".to_owned(),
        metric: "messages_per_second",
        ours: shared.told_per_second,
        baseline: by_hand.told_per_second,
        baseline_name: "axum, a task each that waits at a channel",
        goal: None,
    });
}

/// What a server with many sockets costs.
struct Reading {
    bytes: f64,
    told_per_second: f64,
}

async fn reading(what: &str, dir: &Path, count: usize, path: fn(usize) -> String) -> Reading {
    let mut server = Served::start(what, dir);
    let first = frames::open_many(server.address, BEFORE, path).await;
    let before = server.resident();
    let rest = frames::open_many(server.address, count, path).await;
    // Objects leave memory after a second without a turn.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let bytes = (server.resident() - before) / count as f64;
    let mut clients: Vec<_> = first.into_iter().chain(rest).collect();
    let mut rates = Vec::new();
    if path(0) == path(1) {
        for _ in 0..5 {
            let begun = Instant::now();
            server.ask("tell");
            clients = frames::hear_all(clients).await;
            rates.push(clients.len() as f64 / begun.elapsed().as_secs_f64());
        }
    } else {
        rates.push(0.0);
    }
    Reading { bytes, told_per_second: median(rates) }
}

/// A server in a process of its own.
struct Served {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Served {
    fn start(what: &str, dir: &Path) -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut child = Command::new(program)
            .arg(SERVING)
            .arg(what)
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts once more");
        let input = child.stdin.take().expect("it is piped");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says where it is");
        let address = line.trim().parse().expect("it is an address");
        Served { child, input, output, address }
    }

    /// Has something done, and gives what is said of it.
    fn ask(&mut self, what: &str) -> String {
        writeln!(self.input, "{what}").expect("it listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        line.trim().to_owned()
    }

    fn resident(&mut self) -> f64 {
        self.ask("resident").parse().expect("it is a number")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until its input ends, and does what that says.
async fn serve(what: &str, dir: &Path) {
    let (told, _) = broadcast::channel(16);
    let (running, address) = if what == "ours" {
        let (runtime, server) = ours(dir).await;
        let address = server.address();
        (Some((runtime, server)), address)
    } else {
        (None, by_hand(told.clone()).await)
    };
    let mut out = std::io::stdout();
    writeln!(out, "{address}").expect("the parent reads");
    let mut lines = Lines::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "resident" {
            writeln!(out, "{}", resident_bytes()).expect("the parent reads");
            continue;
        }
        match &running {
            Some((runtime, _)) => {
                let echo = runtime.get::<Echo>("0");
                tokio::spawn(async move { echo.tell().await });
            }
            None => drop(told.send(())),
        }
        writeln!(out, "told").expect("the parent reads");
    }
}
