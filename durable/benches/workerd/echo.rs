//! `echo ADDRESS PATH SOCKETS OBJECTS SECONDS` lets sockets send and hear; `*` in the path is the object's number.
//!
//! Prints what `walk.lua` does: messages/s, the microseconds that 50 and 99 of 100 stayed within, and 0, as what fails ends it. For
//! `.ci/peers`.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of a bench")]

#[allow(dead_code, reason = "not every bench uses every part")]
#[path = "../frames/mod.rs"]
mod frames;
#[allow(dead_code, reason = "not every bench uses every part")]
#[path = "../load/mod.rs"]
mod load;

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

use load::Pattern;

/// The path as it was said.
static PATH: OnceLock<String> = OnceLock::new();

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let [address, path, sockets, objects, seconds] = &args[..] else {
        panic!("usage: echo ADDRESS PATH SOCKETS OBJECTS SECONDS")
    };
    let address = address.parse().expect("an address");
    let count = |said: &str| said.parse::<usize>().expect("a number");
    let pattern = Pattern { name: "echo", callers: count(sockets), objects: count(objects) };
    let time = Duration::from_secs(seconds.parse().expect("a number"));
    PATH.set(path.clone()).expect("it is set once");
    let samples = frames::drive(address, pattern, time, object_path).await;
    println!(
        "result {:.0} {:.0} {:.0} 0",
        samples.per_second(),
        samples.percentile_us(50),
        samples.percentile_us(99)
    );
}

fn object_path(object: usize) -> String {
    PATH.get().expect("it was set at the start").replace('*', &object.to_string())
}
