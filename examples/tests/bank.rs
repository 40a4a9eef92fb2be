//! The bank, as a person uses it, and as it is killed.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::path::Path;
use std::process::Command;

/// What the program prints, or says is wrong.
fn bank(data: &Path, command: &str) -> Result<String, String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_bank"));
    let output = program.arg("--data").arg(data).args(command.split(' ')).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn money_is_paid_in_transferred_and_earns_interest() {
    let dir = tempfile::tempdir().unwrap();
    let bank = |command| bank(dir.path(), command);
    assert_eq!(bank("open ada").unwrap(), "ada has an account");
    assert_eq!(bank("open bob").unwrap(), "bob has an account");
    assert_eq!(bank("pay-in ada 1000000").unwrap(), "balance 10000.00");
    assert_eq!(bank("transfer ada bob 250050").unwrap(), "payment 2");
    assert_eq!(bank("balance bob").unwrap(), "balance 2500.50");
    assert_eq!(bank("day ada").unwrap(), "balance 7500.24");
    assert_eq!(
        bank("entries ada").unwrap(),
        "10000.00 paid in \n-2500.50 sent bob\n0.74 interest the house"
    );
    assert_eq!(
        bank("audit").unwrap(),
        "the books balance: 10000.00 in accounts, 0.00 in flight, 10000.00 paid in"
    );
    for (command, problem) in [
        ("transfer ada cyd 1", "bank: there is no account `cyd`; open it"),
        ("balance cyd", "bank: there is no account `cyd`; open it"),
        ("transfer bob ada 250051", "bank: there are 250050 cents, not 250051; take less"),
        ("transfer bob ada 0", "bank: 0 cents cannot be booked; say 1 to 100000000"),
    ] {
        assert_eq!(bank(command).unwrap_err(), problem);
    }
    assert!(bank("rob bob").unwrap_err().starts_with("bank: usage: "));
}

#[test]
fn the_books_balance_after_any_number_of_deaths() {
    let dir = tempfile::tempdir().unwrap();
    let told = bank(dir.path(), "--chaos 6 --seed 7").unwrap();
    assert!(told.starts_with("killed 6 times, "), "{told}");
    assert!(told.contains("\nthe books balance: "), "{told}");
}
