//! Objects whose storage fails when they come into memory, and that are tried again too seldom, too often or out of order.

use crate::{BEDS, Edit, Mutant};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "start_is_not_tried_again",
        bug: "callers are told at once that their object could not be read",
        edits: &[Edit {
            file: "durable/src/kernel/retry.rs",
            find: "        if !is_passing || failed == START_TRIES_MAX {",
            replace: r#"        let is_last = crate::mutant("start_is_not_tried_again");
        if !is_passing || is_last || failed == START_TRIES_MAX {"#,
        }],
        seeds: 20,
        found_by: &["P8", "panic"],
        test: BEDS,
    },
    Mutant {
        name: "start_is_tried_too_often",
        bug: "an object that cannot be read is tried once more than it may be",
        edits: &[Edit {
            file: "durable/src/kernel/retry.rs",
            find: "        assert!(failed <= START_TRIES_MAX, \"it was given up after {START_TRIES_MAX} tries\");",
            replace: r#"        if failed == START_TRIES_MAX && crate::mutant("start_is_tried_too_often") {
            self.failed = failed;
            return Next::Again { failed };
        }"#,
        }],
        seeds: 20,
        found_by: &["P8"],
        test: BEDS,
    },
    Mutant {
        name: "calls_wait_for_a_start_in_another_order",
        bug: "calls that wait for an object that is tried again begin in another order",
        edits: &[Edit {
            file: "durable/src/object/slot/retry.rs",
            find: "        self.state.lock().retry.on_failed(is_passing, now, u64::from_le_bytes(chance))",
            replace: r#"        let mut state = self.state.lock();
        if crate::mutant("calls_wait_for_a_start_in_another_order") {
            state.inbox.make_contiguous().reverse();
        }
        state.retry.on_failed(is_passing, now, u64::from_le_bytes(chance))"#,
        }],
        seeds: 200,
        found_by: &["P5"],
        test: BEDS,
    },
];
