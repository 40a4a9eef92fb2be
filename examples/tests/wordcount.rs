//! The word count, as a person runs it: against a count in memory, killed at many points, and given
//! nonsense.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn wordcount() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wordcount"))
}

fn run(data: &Path, file: &Path) -> Output {
    wordcount().arg("--data").arg(data).arg(file).output().unwrap()
}

/// What `tr | tr | sed | sort | uniq -c` counts, as the program prints it.
fn expected(text: &[u8]) -> String {
    let mut words = BTreeMap::<Vec<u8>, u64>::new();
    for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_ascii_lowercase()).or_default() += 1;
    }
    let line = |(word, times)| format!("{}\t{times}\n", String::from_utf8(word).unwrap());
    words.into_iter().map(line).collect()
}

/// Xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Text in which a few words are common and most are rare, with bytes that are not UTF-8.
fn text(random: &mut Random, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 16);
    while text.len() < bytes {
        let range = 1 << random.below(13);
        let mut rank = random.below(range);
        loop {
            text.push(b"etaoinshrdETAOIN"[(rank % 16) as usize]);
            rank /= 16;
            if rank == 0 {
                break;
            }
        }
        text.push(b" \n.\xff\0"[random.below(5) as usize]);
    }
    text
}

#[track_caller]
fn assert_counted(output: &Output, text: &[u8]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.is_empty(), "progress is for terminals: {stderr}");
    assert!(output.stdout == expected(text).as_bytes(), "the counts differ");
}

/// Runs until `lines` lines of progress were seen, then kills. Returns the first position that was
/// shown, or `None` if the run ended before.
fn run_and_kill(data: &Path, file: &Path, lines: u64) -> Option<u64> {
    let mut child = wordcount()
        .arg("--progress")
        .arg("--data")
        .args([data, file])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let seen: Vec<String> = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .take(lines as usize)
        .collect();
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let first = seen.first().unwrap().split(' ').next().unwrap();
    let first = first.parse().unwrap_or_else(|_| panic!("no progress but `{}`", seen[0]));
    (!status.success()).then_some(first)
}

#[test]
fn a_run_that_is_killed_again_and_again_counts_every_word_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("file"));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let text = text(&mut random, 6 << 20);
    fs::write(&file, &text).unwrap();
    let mut resumed = Vec::new();
    for _ in 0..12 {
        resumed.extend(run_and_kill(&data, &file, 2 + random.below(24)));
    }
    assert!(resumed.len() > 3, "too few runs were killed: {resumed:?}");
    assert!(resumed.is_sorted(), "a run begins where the one before it was: {resumed:?}");
    assert!(resumed.last() > Some(&0), "no run went on where another one was");
    assert_counted(&run(&data, &file), &text);
    // A run that has nothing left to do prints the same.
    assert_counted(&run(&data, &file), &text);
}

#[test]
fn any_bytes_are_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let long = "LongWord".repeat(50_000);
    let texts: [&[u8]; 5] = [
        b"",
        b"\n\n123 ...\n",
        b"no newline at the end",
        b"\xff\xfeZ\0a\xc3\xa4A-z'Z\n",
        &[long.as_bytes(), b"x longa longx ", long.as_bytes(), b"\nx ", long.as_bytes()].concat(),
    ];
    for (nth, text) in texts.into_iter().enumerate() {
        let (data, file) = (dir.path().join(format!("data-{nth}")), dir.path().join("file"));
        fs::write(&file, text).unwrap();
        assert_counted(&run(&data, &file), text);
    }
}

#[test]
fn a_directory_that_counts_another_file_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file, other) =
        (dir.path().join("data"), dir.path().join("file"), dir.path().join("other"));
    fs::write(&file, "one two").unwrap();
    fs::write(&other, "one six").unwrap();
    assert_counted(&run(&data, &file), b"one two");
    let refused = run(&data, &other);
    assert_eq!(refused.status.code(), Some(1));
    assert_problem(&refused, "counts another file (7 bytes");
    assert_counted(&run(&data, &file), b"one two");
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for (file, problem) in
        [(dir.path().join("missing"), "No such file"), (dir.path().into(), "not a regular file")]
    {
        let output = run(&data, &file);
        assert_eq!(output.status.code(), Some(1));
        assert_problem(&output, problem);
    }
    for (args, problem) in [
        (&["--data"][..], "--data needs a directory"),
        (&["file"], "--data is missing"),
        (&["--data", "data"], "one FILE is needed, 0 are given"),
        (&["--data", "data", "a", "b"], "one FILE is needed, 2 are given"),
        (&["--fast", "--data", "data", "a"], "`--fast` is not known"),
    ] {
        let output = wordcount().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_problem(&output, problem);
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("file"));
    fs::write(&file, text(&mut Random(7), 4 << 20)).unwrap();
    let mut holder = wordcount()
        .args(["--progress", "--data"])
        .args([&data, &file])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut progress = BufReader::new(holder.stderr.take().unwrap());
    progress.read_line(&mut String::new()).unwrap();
    // Stopped, it holds the directory for as long as the second run needs.
    let stop = Command::new("kill").args(["-STOP", &holder.id().to_string()]).status().unwrap();
    assert!(stop.success());
    let refused = run(&data, &file);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_problem(&refused, "storage.locked");
}

#[track_caller]
fn assert_problem(output: &Output, problem: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(problem), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty(), "nothing is printed beside a problem");
}
