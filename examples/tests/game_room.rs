//! The game, as a person runs it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::process::Command;

#[test]
fn a_game_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for (rounds, points, clumsy) in [("4", 10, 10), ("10", 55, 40)] {
        let mut game = Command::new(env!("CARGO_BIN_EXE_game_room"));
        let output = game.arg(dir.path()).arg(rounds).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains(&format!("ada has {points} points")), "{stdout}");
        assert!(stdout.contains(&format!("bob has {clumsy} points")), "{stdout}");
    }
}
