//! Calls with idempotency keys that take effect twice, or are answered too early, too late or wrongly.

use crate::{Edit, FORGETFUL, KEYED, Mutant};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "result_not_stored",
        bug: "the result of a call with a key is not stored with its effect",
        edits: &[Edit {
            file: "durable/src/storage/writer/later.rs",
            find: "        run.results.iter().try_for_each(store)",
            replace: r#"        let is_lost = crate::mutant("result_not_stored");
        run.results.iter().filter(|_| !is_lost).try_for_each(store)"#,
        }],
        seeds: 20,
        found_by: &["P2"],
        test: KEYED,
    },
    Mutant {
        name: "result_handed_over_unseen",
        bug: "a call that is made again does not find the result that is about to be stored",
        edits: &[Edit {
            file: "durable/src/object/keyed.rs",
            find: "        Some(stored) => stored,",
            replace: r#"        Some(stored) if !crate::mutant("result_handed_over_unseen") => stored,
        Some(_) => None,"#,
        }],
        seeds: 20,
        found_by: &["P2"],
        test: KEYED,
    },
    Mutant {
        name: "repeat_leaves_early",
        bug: "a call that is made again is answered before the effect of the first is durable",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "        let_out(slot, live, running, answer);\n        discard(message);",
            replace: r#"        if crate::mutant("repeat_leaves_early") {
            running.answer(answer);
        } else {
            let_out(slot, live, running, answer);
        }
        discard(message);"#,
        }],
        seeds: 20,
        found_by: &["P4"],
        test: KEYED,
    },
    Mutant {
        name: "result_of_other_arguments",
        bug: "a call with other arguments gets the result of the one whose key it has",
        edits: &[Edit {
            file: "durable/src/kernel/keyed.rs",
            find: "    } else if kept.args != args {",
            replace: r#"    } else if kept.args != args && !crate::mutant("result_of_other_arguments") {"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: KEYED,
    },
    Mutant {
        name: "result_outlives_its_time",
        bug: "a result is given to callers after its time",
        edits: &[Edit {
            file: "durable/src/kernel/keyed.rs",
            find: "    until <= now\n}",
            replace: "    until <= now && !crate::mutant(\"result_outlives_its_time\")\n}",
        }],
        seeds: 20,
        found_by: &["P2"],
        test: FORGETFUL,
    },
];
