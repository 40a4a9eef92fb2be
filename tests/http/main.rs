//! Objects over HTTP, attacked through real connections.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod arguments;
mod calls;
mod client;
mod dials;
mod fetch;
mod fuzz;
mod guards;
mod openapi;
mod remote;
mod server;
mod shop;
mod sockets;
mod streams;
mod tls;
mod typescript;
mod values;

use std::net::SocketAddr;
use std::time::Duration;

use durable::http::{Edge, Server};
use durable::prelude::*;
use durable::{IncomingCall, Interceptor, Refusal};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use client::Reply;

#[derive(Debug, Serialize, Deserialize)]
pub struct Overdrawn {
    missing_cents: u64,
}

/// What is served.
#[derive(Default, DurableState)]
pub struct Account {
    cents: u64,
}

#[durable_object(name = "edge.Account", http)]
impl Account {
    pub fn deposit(&mut self, cents: u64) -> u64 {
        self.cents += cents;
        self.cents
    }

    pub fn withdraw(&mut self, cents: u64, note: Option<String>) -> Result<u64, Overdrawn> {
        let _ = note;
        let left = self.cents.checked_sub(cents);
        // It is undone.
        self.cents = left.unwrap_or_default();
        left.ok_or(Overdrawn { missing_cents: cents })
    }

    #[rpc(http = "GET")]
    pub fn balance(&self) -> u64 {
        self.cents
    }

    #[rpc(http = "GET")]
    pub fn above(&self, cents: u64, strictly: Option<bool>) -> bool {
        if strictly.unwrap_or_default() { self.cents > cents } else { self.cents >= cents }
    }

    pub fn nothing(&self) {}

    pub fn called(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.name().map(str::to_owned)
    }

    pub fn carried(&self, cx: &Context<'_, Self>, key: String) -> Option<String> {
        cx.metadata().get(&key).map(str::to_owned)
    }

    pub async fn deposit_slowly(&mut self, cents: u64, ms: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.deposit(cents)
    }

    pub fn panic(&mut self) {
        self.cents = 0;
        panic!("the combination is 1234")
    }

    #[rpc(http = "off")]
    pub fn seize(&mut self) {
        self.cents = 0;
    }

    #[rpc(skip)]
    pub fn burn(&mut self) {
        self.cents = 0;
    }
}

/// What has not opted in.
#[derive(Default, DurableState)]
pub struct Vault {
    opened: u64,
}

#[durable_object(name = "edge.Vault")]
impl Vault {
    pub fn open(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    pub fn opened(&self) -> u64 {
        self.opened
    }
}

/// Takes few calls.
#[derive(Default, DurableState)]
pub struct Booth {
    visits: u64,
}

#[durable_object(name = "edge.Booth", http, rate = "2/h", in_flight = 1, key = u32)]
impl Booth {
    pub async fn visit(&mut self, ms: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.visits += 1;
        self.visits
    }
}

/// Lets nobody call `mallory`.
struct NotMallory;

impl Interceptor for NotMallory {
    fn on_turn(&self, call: &IncomingCall<'_>) -> Result<(), Refusal> {
        match call.name() {
            Some("mallory") => Err(Refusal::new("not mallory")),
            _ => Ok(()),
        }
    }
}

/// A runtime that is served.
pub struct Served {
    pub runtime: Runtime,
    pub server: Server,
    /// The data.
    pub dir: TempDir,
}

impl Served {
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub async fn post(&self, path: &str, body: &str) -> Reply {
        client::post(self.address(), path, body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        client::ask(self.address(), &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }
}

pub async fn started() -> (TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Account>().register::<Vault>();
    let runtime = builder.register::<Booth>().intercept(NotMallory).start().await.unwrap();
    (dir, runtime)
}

pub async fn served_as(settings: impl FnOnce(Edge) -> Edge) -> Served {
    let (dir, runtime) = started().await;
    let server = settings(Edge::new(&runtime)).serve(([127, 0, 0, 1], 0)).await.unwrap();
    Served { runtime, server, dir }
}

pub async fn served() -> Served {
    served_as(|edge| edge).await
}
