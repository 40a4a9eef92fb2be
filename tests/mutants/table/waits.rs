//! Calls that wait for themselves, and those that only seem to.

use crate::{Edit, Mutant, WAITS};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "reads_are_not_waited_for",
        bug: "a write of an object that reads waits for nobody, it is thought",
        edits: &[Edit {
            file: "durable/src/kernel/waits.rs",
            find: "                let is_alone = wait.access == Access::Write || is_behind_write;",
            replace: r#"                let is_alone = wait.access == Access::Write || is_behind_write;
                let is_alone = is_alone && !crate::mutant("reads_are_not_waited_for");"#,
        }],
        seeds: 100,
        found_by: &["P13"],
        test: WAITS,
    },
    Mutant {
        name: "call_that_runs_seems_to_wait",
        bug: "a call whose turn has begun is still thought to wait for all turns of its object",
        edits: &[Edit {
            file: "durable/src/kernel/waits.rs",
            find: "            wait.phase = Phase::Begun(None);\n        }",
            replace: r#"            if !crate::mutant("call_that_runs_seems_to_wait") {
                wait.phase = Phase::Begun(None);
            }
        }"#,
        }],
        seeds: 100,
        found_by: &["P13"],
        test: WAITS,
    },
    Mutant {
        name: "call_given_up_is_still_awaited",
        bug: "a turn is thought to wait for a call that it has given up",
        edits: &[Edit {
            file: "durable/src/kernel/waits.rs",
            find: "        self.waits.remove(&wait);\n    }\n\n    /// Nothing runs",
            replace: r#"        if !crate::mutant("call_given_up_is_still_awaited") {
            self.waits.remove(&wait);
        }
    }

    /// Nothing runs"#,
        }],
        seeds: 100,
        found_by: &["P13"],
        test: WAITS,
    },
    Mutant {
        name: "nobody_is_called_back",
        bug: "a read that may be called back waits behind a write like any other",
        edits: &[Edit {
            file: "durable/src/kernel/waits.rs",
            find: "        let is_sound = ",
            replace: r#"        let is_reentrant = is_reentrant && !crate::mutant("nobody_is_called_back");
        let is_sound = "#,
        }],
        seeds: 100,
        found_by: &["P13"],
        test: WAITS,
    },
    Mutant {
        name: "read_waits_for_an_end_that_waits_for_it",
        bug: "a read that came before its object was to leave memory waits until the reads that run have ended",
        edits: &[Edit {
            file: "durable/src/object/slot.rs",
            find: "        if readers > 0 && (has_notice || end_wish.is_some()) && state.has_beside() {",
            replace: r#"        let is_blind = crate::mutant("read_waits_for_an_end_that_waits_for_it");
        if !is_blind && readers > 0 && (has_notice || end_wish.is_some()) && state.has_beside() {"#,
        }],
        seeds: 300,
        found_by: &["P13", "panic"],
        test: WAITS,
    },
];
