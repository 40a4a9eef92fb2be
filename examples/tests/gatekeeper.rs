//! The safes, as a person uses them.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::process::Command;

#[test]
fn a_safe_is_opened_by_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let mut gatekeeper = Command::new(env!("CARGO_BIN_EXE_gatekeeper"));
        let output = gatekeeper.arg(dir.path()).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(run(&["ada", "put", "ring"]).starts_with("1 things\n"));
    let refused = run(&["eve", "take-from", "ada"]);
    assert!(refused.starts_with("call.refused: "), "{refused}");
    assert!(refused.contains("example.Safe.take: 0 turns, 1 refused"), "{refused}");
    assert!(run(&["ada"]).starts_with("ring\n"));
}
