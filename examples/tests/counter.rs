//! The counter, as a person runs it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::process::Command;

#[test]
fn every_run_counts_on_from_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    for visit in 1..=3 {
        let output = Command::new(env!("CARGO_BIN_EXE_counter")).arg(dir.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("visit {visit}\n"));
    }
}
