//! What the macros say when they refuse. What they accept is the test target `accepted`.
//!
//! Each case breaks the rule that it is named after; its `.stderr` is what the user reads. After a
//! wished change, `TRYBUILD=overwrite cargo test --workspace --test ui` writes them anew, and each
//! has to be read again.

#[test]
fn every_refusal_names_its_fix() {
    trybuild::TestCases::new().compile_fail("ui/refused/*.rs");
}
