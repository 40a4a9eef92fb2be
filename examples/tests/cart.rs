//! The cart, as a person uses it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::path::Path;
use std::process::Command;

/// What the program prints, or says is wrong.
fn cart(data: &Path, command: &str) -> Result<String, String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cart"));
    let output = program.arg("--data").arg(data).args(command.split(' ')).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn a_cart_is_filled_ordered_and_empty() {
    let dir = tempfile::tempdir().unwrap();
    let cart = |command| cart(dir.path(), command);
    assert_eq!(cart("add pen 2 150").unwrap(), "total 3.00");
    assert_eq!(cart("add ink 1 705").unwrap(), "total 10.05");
    assert_eq!(cart("add pen 1 100").unwrap(), "total 10.05", "all pens have one price");
    assert_eq!(cart("show").unwrap(), "1 x ink at 7.05\n3 x pen at 1.00\ntotal 10.05");
    assert_eq!(cart("remove ink").unwrap(), "total 3.00");
    let problem = cart("checkout 1005").unwrap_err();
    assert_eq!(problem, "cart: the cart costs 300 cents, not 1005; look at it again");
    assert_eq!(cart("checkout 300").unwrap(), "order 1");
    assert_eq!(cart("show").unwrap(), "total 0.00");
    assert_eq!(cart("order 1").unwrap(), "3 x pen at 1.00\ntotal 3.00");
    assert_eq!(cart("checkout 0").unwrap_err(), "cart: the cart is empty");
    assert_eq!(cart("--customer bob show").unwrap(), "total 0.00");
    assert!(cart("fill").unwrap_err().starts_with("cart: usage: "));
}
