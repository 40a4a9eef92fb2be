//! `serve --data DIR` serves counters that are objects, `serve --ceiling` one counter in memory by axum alone, either with `--port PORT`.
//!
//! Prints where, and ends with its input. For `.ci/peers`; `worker.js` is the same for workerd.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of a bench")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;
use durable::prelude::*;
use durable::socket::{Message, Socket};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// What is served.
#[derive(Default, DurableState)]
struct Counter {
    count: u64,
}

#[durable_object(name = "bench.Counter", http)]
impl Counter {
    /// Adds one.
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The count.
    #[rpc(http = "GET")]
    pub fn value(&self) -> u64 {
        self.count
    }

    /// Sends back what comes.
    #[on_message]
    fn hear(&self, cx: &Context<'_, Self>, from: Socket, message: Message) {
        cx.sockets().send(from, message).expect("it is short");
    }
}

/// What the command line says.
struct Options {
    /// 0 for any that is free.
    port: u16,
    /// Where the objects are; `None` if there are none.
    data: Option<PathBuf>,
}

#[tokio::main]
async fn main() {
    let options = options();
    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    let Some(data) = options.data else { return ceiling(address).await };
    let runtime = Runtime::builder(data).register::<Counter>().start().await;
    let runtime = runtime.expect("the store opens");
    let server = durable::http::serve(&runtime, address).await.expect("the port is free");
    println!("{}", server.address());
    end().await;
    server.shutdown().await;
    runtime.shutdown().await.expect("the store closes");
}

fn options() -> Options {
    const USAGE: &str = "usage: serve [--port PORT] (--data DIR | --ceiling)";
    let mut options = Options { port: 0, data: None };
    let mut is_ceiling = false;
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--port" => options.port = args.next().expect(USAGE).parse().expect("a port"),
            "--data" => options.data = Some(args.next().expect(USAGE).into()),
            "--ceiling" => is_ceiling = true,
            _ => panic!("{USAGE}"),
        }
    }
    assert!(is_ceiling != options.data.is_some(), "{USAGE}");
    options
}

/// Serves a counter in memory: the least that an answer can cost here.
async fn ceiling(address: SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("the port is free");
    println!("{}", listener.local_addr().expect("it is bound"));
    let count = Arc::new(AtomicU64::new(0));
    let value = async move || count.load(Ordering::Relaxed).to_string();
    let routes = Router::new().route("/bench.Counter/{name}/value", get(value));
    let served = axum::serve(listener, routes).with_graceful_shutdown(end());
    served.await.expect("it listens until the end");
}

/// Waits for the end of the input.
async fn end() {
    let mut input = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut input).await;
}
