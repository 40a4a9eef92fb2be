//! The leaderboards, as a person uses them.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the program prints, or says is wrong.
fn leaderboard(data: &Path, arguments: &[&str], lines: &str) -> Result<String, String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_leaderboard"));
    program.arg("--data").arg(data).args(arguments);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = program.spawn().unwrap();
    // A program that reads a file, or nothing, may be gone before it is told.
    let _ = program.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = program.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn scores_of_all_runs_are_ranked_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("scores"));
    let lines = "go ada 5\nchess ada lovelace 3\nchess bob 3\nchess cyd 2\nchess dan 1\n";
    let wanted = "chess\t1\tada lovelace\t3\nchess\t1\tbob\t3\nchess\t3\tcyd\t2\ngo\t1\tada\t5\n";
    for _ in 0..2 {
        assert_eq!(leaderboard(&data, &["--top", "3"], lines).unwrap(), wanted);
    }
    std::fs::write(&file, "chess cyd 9\nchess ada lovelace 1\n").unwrap();
    let best = leaderboard(&data, &["--top", "1", file.to_str().unwrap()], "").unwrap();
    assert_eq!(best, "chess\t1\tcyd\t9\ngo\t1\tada\t5\n");
    assert_eq!(leaderboard(&data, &["--find", "love", "chess"], "").unwrap(), "ada lovelace\n");
    let problem = leaderboard(&data, &[], "go ada 6\ngo ada\n").unwrap_err();
    assert_eq!(problem, "leaderboard: line 2 is not GAME PLAYER POINTS\n");
}
