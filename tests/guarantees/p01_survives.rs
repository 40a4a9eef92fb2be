//! P1: a change whose call returned `Ok` survives SIGKILL, and one that was rolled back never shows.
//!
//! A child process adds to a few counters and writes every acknowledged count to a pipe. It is killed at random moments
//! and started again on the same directory, which must then hold everything that was acknowledged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;

use super::{Counter, counters};

const KILLS: usize = 50;
const OBJECTS: usize = 4;
const DIR: &str = "DURABLE_TEST_CHILD_DIR";

/// Not a test of its own: what the child process runs. Without its directory it is done at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_acknowledges_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = counters(Path::new(&dir)).await;
    let tasks: Vec<_> = (0..OBJECTS)
        .map(|index| {
            let counter = runtime.get::<Counter>(format!("c{index}"));
            tokio::spawn(async move {
                loop {
                    // A large number that must never show: the turn is refused.
                    let _ = counter.add_and_refuse(1_000_000).await;
                    let count = counter.add(1).await.expect("the store works");
                    println!("ack {index} {count}");
                }
            })
        })
        .collect();
    join_all(tasks).await;
}

fn spawn_child(dir: &Path) -> Child {
    let child_test = "p01_survives::child_that_acknowledges_until_it_is_killed";
    Command::new(std::env::current_exe().unwrap())
        .args([child_test, "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test program runs itself")
}

/// Lets a child work, kills it after `acks` acknowledgements and `pause` more, and notes what it acknowledged.
fn run_until_killed(dir: &Path, acks: usize, pause: Duration, acknowledged: &mut [u64; OBJECTS]) {
    let mut child = spawn_child(dir);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe was asked for")).lines();
    let mut seen = 0;
    let mut note = |line: String| {
        let mut words = line.split(' ').skip_while(|word| !word.ends_with("ack")).skip(1);
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        if let (Some(index), Some(count)) = (number(), number()) {
            let highest = &mut acknowledged[index as usize];
            *highest = count.max(*highest);
            return true;
        }
        false
    };
    while seen < acks {
        let line = lines.next().expect("the child works until it is killed").expect("text");
        seen += usize::from(note(line));
    }
    std::thread::sleep(pause);
    child.kill().expect("the child runs");
    child.wait().expect("the child ended");
    // The last line may have been cut by the kill; then its count was cut, too, and is at most what was meant.
    for line in lines.map_while(Result::ok) {
        note(line);
    }
}

#[tokio::test]
async fn no_acknowledged_change_is_lost_and_no_refused_one_shows_over_fifty_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = [0; OBJECTS];
    for round in 0..KILLS {
        // Spread over the start of the process, its first commits, and many commits later.
        let (acks, pause) =
            (round * 7 % 60, Duration::from_micros((round as u64 * 7_919) % 20_000));
        run_until_killed(dir.path(), acks, pause, &mut acknowledged);
    }
    let runtime = counters(dir.path()).await;
    assert!(acknowledged.iter().all(|count| *count > 0), "every object was used: {acknowledged:?}");
    for (index, acknowledged) in acknowledged.into_iter().enumerate() {
        let count = runtime.get::<Counter>(format!("c{index}")).count().await.unwrap();
        assert!(
            count >= acknowledged,
            "object {index}: {acknowledged} was acknowledged, {count} is stored"
        );
        // Each kill can have cut at most one acknowledgement of a stored change off.
        assert!(
            count <= acknowledged + KILLS as u64,
            "object {index}: a refused change shows in {count}"
        );
    }
}
