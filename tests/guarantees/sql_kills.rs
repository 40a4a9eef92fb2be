//! Struct, KV and SQL survive SIGKILL together: what was acknowledged is there, and the three are of one commit.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::sql::{Triple, triples};

const KILLS: usize = 15;
const OBJECTS: usize = 3;
const DIR: &str = "DURABLE_TEST_SQL_CHILD_DIR";

/// Not a test of its own: what the child process runs. Without its directory it is done at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_adds_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = triples(Path::new(&dir)).await;
    let tasks: Vec<_> = (0..OBJECTS)
        .map(|index| {
            let triple = runtime.get::<Triple>(format!("t{index}"));
            tokio::spawn(async move {
                loop {
                    let _ = triple.add_and("refuse".to_owned()).await;
                    let count = triple.add().await.expect("the store works");
                    println!("ack {index} {count}");
                }
            })
        })
        .collect();
    futures_util::future::join_all(tasks).await;
}

fn run_until_killed(dir: &Path, acks: usize, pause: Duration, acknowledged: &mut [i64; OBJECTS]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["sql_kills::child_that_adds_until_it_is_killed", "--exact", "--nocapture"])
        .arg("--test-threads=1")
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test program runs itself");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe was asked for")).lines();
    let mut note = |line: String| {
        let mut words = line.split(' ').skip_while(|word| !word.ends_with("ack")).skip(1);
        let mut number = || words.next().and_then(|word| word.parse::<i64>().ok());
        let (Some(index), Some(count)) = (number(), number()) else { return false };
        let highest = &mut acknowledged[usize::try_from(index).unwrap()];
        *highest = count.max(*highest);
        true
    };
    let mut seen = 0;
    while seen < acks {
        let line = lines.next().expect("the child works until it is killed").expect("text");
        seen += usize::from(note(line));
    }
    std::thread::sleep(pause);
    child.kill().expect("the child runs");
    child.wait().expect("the child ended");
    for line in lines.map_while(Result::ok) {
        note(line);
    }
}

#[tokio::test]
async fn struct_keys_and_tables_survive_kills_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = [0; OBJECTS];
    for round in 0..KILLS {
        let (acks, pause) = (round * 37 % 200, Duration::from_micros(round as u64 * 1_319 % 9_000));
        run_until_killed(dir.path(), acks, pause, &mut acknowledged);
    }
    let runtime = triples(dir.path()).await;
    assert!(acknowledged.iter().all(|count| *count > 0), "every object was used: {acknowledged:?}");
    for (index, acknowledged) in acknowledged.into_iter().enumerate() {
        let triple = runtime.get::<Triple>(format!("t{index}"));
        let (n, key, row) = triple.three().await.unwrap();
        assert!(n == key && n == row, "object {index}: {n}, {key} and {row} are of other commits");
        let is_there = n >= acknowledged && n <= acknowledged + KILLS as i64;
        assert!(is_there, "object {index}: {acknowledged} was acknowledged, {n} is stored");
        let whole =
            "SELECT count(*) = max(a), (SELECT * FROM pragma_quick_check) FROM t".to_owned();
        assert_eq!(triple.rows(whole).await.unwrap(), [r#"[Integer(1), Text("ok")]"#]);
    }
}
