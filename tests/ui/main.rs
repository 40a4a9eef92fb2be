//! The macros as a user meets them: what they accept, and what they say when they refuse.
//!
//! Each case in `fail/` breaks the rule that it is named after; its `.stderr` is what the user
//! reads. After a wished change, `TRYBUILD=overwrite cargo test -p tests --test ui` writes them
//! anew, and each has to be read again.

#[test]
fn every_accepted_form_compiles_and_every_refusal_names_its_fix() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
}
