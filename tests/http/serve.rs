//! `shop FILE` writes the client of the shop, serves the shop, prints where, and ends with its input. For `.ci/typescript`.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

mod shop;

use std::io::Read;

use durable::Runtime;

#[tokio::main]
async fn main() {
    let file = std::env::args().nth(1).expect("the file that the client is written to");
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<shop::Shop>().start().await.unwrap();
    std::fs::write(file, shop::client(&runtime)).unwrap();
    let server = durable::http::serve(&runtime, ([127, 0, 0, 1], 0)).await.unwrap();
    println!("http://{}", server.address());
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    input.await.unwrap().unwrap();
    server.shutdown().await;
    runtime.shutdown().await.unwrap();
}
