//! The pool, as a person runs it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::process::Command;

#[test]
fn all_jobs_are_done_and_a_second_run_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    for (jobs, done) in [("10", "10 jobs done, sum 67"), ("20", "20 jobs done, sum 196")] {
        let mut pool = Command::new(env!("CARGO_BIN_EXE_worker_pool"));
        let output = pool.arg(dir.path()).arg(jobs).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("workers: supervisor, running, one_for_one, 20 in 1s"), "{stdout}");
        assert!(stdout.ends_with(&format!("{done}\n")), "{stdout}");
    }
}
