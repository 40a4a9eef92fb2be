//! A chat whose rooms are objects: `chat [--data DIR] [--port N]`, and then a browser at the address that it prints.
//!
//! A message that a page shows as sent is on the disk, and stays there whenever this is killed; started again with the same
//! directory and port, pages that are open come back by themselves, miss nothing and show nothing twice. Anybody may take
//! any name: who is who is not this example's subject (`Edge::authorize` is), so it listens at 127.0.0.1 only.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod frames;
mod pace;
mod room;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use axum::routing::get;
use durable::http::{Edge, Server};
use durable::prelude::*;
use durable::{Code, RuntimeBuilder};

use room::Room;

const USAGE: &str = "usage: chat [--data DIR] [--port N]";

/// The port, if none is asked for. When that one is taken, any.
const PORT: u16 = 8080;

const PAGE: &str = include_str!("page.html");

/// The page brings everything along, and may talk to its own server only.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Failure = Box<dyn std::error::Error>;

/// What runs, here and in simulated worlds.
fn rooms(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Room>()
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("chat: {problem}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Err(failure) = run(arguments).await {
        eprintln!("chat: {failure}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Serves until it is interrupted.
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = rooms(Runtime::builder(arguments.data)).start().await?;
    let server = serve(&runtime, arguments.port).await?;
    println!("http://{}", server.address());
    interrupted().await;
    // Sockets are told, turns end, and what they did is on the disk.
    server.shutdown().await;
    runtime.shutdown().await?;
    Ok(())
}

/// Serves the objects, and beside them the page.
async fn serve(runtime: &Runtime, port: Option<u16>) -> Result<Server, Error> {
    let pages = Router::new().route("/", get(page)).route("/room/{name}", get(page));
    let edge =
        |port: u16| Edge::new(runtime).routes(pages.clone()).serve((Ipv4Addr::LOCALHOST, port));
    match edge(port.unwrap_or(PORT)).await {
        Err(error) if port.is_none() && error.is(Code::ServerUnbound) => edge(0).await,
        served => served,
    }
}

/// One page for all rooms: which one it is stands in its address.
async fn page() -> ([(HeaderName, &'static str); 2], &'static str) {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, PAGE)
}

/// Ends with Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Nobody can interrupt it but by killing it.
        std::future::pending().await
    }
}

struct Arguments {
    data: PathBuf,
    /// `None`: none was asked for.
    port: Option<u16>,
}

impl Arguments {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let (mut data, mut port) = (PathBuf::from("chat-data"), None);
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--data") => data = args.next().ok_or("--data needs a directory")?.into(),
                Some("--port") => {
                    let said = args.next().and_then(|arg| arg.to_str()?.parse().ok());
                    port = Some(said.ok_or("--port needs a number from 0 to 65535")?);
                }
                _ => return Err(format!("`{}` is not known", arg.display())),
            }
        }
        Ok(Arguments { data, port })
    }
}
