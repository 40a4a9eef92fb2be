//! A world that breaks its own rules.

use crate::{Edit, Mutant, PLAIN};

pub const MUTANTS: &[Mutant] = &[Mutant {
    name: "clock_goes_back",
    bug: "the world's clock goes back to the last whole millisecond",
    edits: &[Edit {
        file: "durable-testing/src/world/mod.rs",
        find: "        self.now_ns.fetch_max(at_ns, Ordering::AcqRel);",
        replace: r#"        if crate::mutant("clock_goes_back") {
            self.now_ns.store(at_ns, Ordering::Release);
        }
        self.now_ns.fetch_max(at_ns, Ordering::AcqRel);"#,
    }],
    seeds: 200,
    found_by: &["clock"],
    test: PLAIN,
}];
