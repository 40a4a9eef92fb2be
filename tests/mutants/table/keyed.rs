//! Calls with idempotency keys that take effect twice, or are answered too early, too late or wrongly.

use crate::{Edit, FORGETFUL, KEYED, Mutant};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "result_not_stored",
        bug: "the result of a call with a key is not stored with its effect",
        edits: &[Edit {
            file: "durable/src/storage/writer/tables.rs",
            find: "        let results = run.results.last().map(|write| &write.open.body[..]);",
            replace: r#"        let results = run.results.last().map(|write| &write.open.body[..]);
        let results = results.filter(|_| !crate::mutant("result_not_stored"));"#,
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
            find: "        self.shelf.set_open(open.head.clone());",
            replace: r#"        if !crate::mutant("result_handed_over_unseen") {
            self.shelf.set_open(open.head.clone());
        }"#,
        }],
        seeds: 20,
        found_by: &["P2"],
        test: KEYED,
    },
    Mutant {
        name: "sealed_results_not_stored",
        bug: "results are forgotten when there are so many that they no longer fit beside the state",
        edits: &[Edit {
            file: "durable/src/storage/writer/later.rs",
            find: "        run.results.iter().try_for_each(store)",
            replace: r#"        let is_lost = crate::mutant("sealed_results_not_stored");
        run.results.iter().filter(|_| !is_lost).try_for_each(store)"#,
        }],
        seeds: 20,
        found_by: &["P2"],
        test: KEYED,
    },
    Mutant {
        name: "sealed_results_unseen",
        bug: "a call that is made again does not find its result in a chunk that is about to be stored",
        edits: &[Edit {
            file: "durable/src/object/keyed.rs",
            find: "            Place::Sealed(chunk) => match results.overlay.get(&chunk).flatten() {",
            replace: r#"            Place::Sealed(_) if crate::mutant("sealed_results_unseen") => continue,
            Place::Sealed(chunk) => match results.overlay.get(&chunk).flatten() {"#,
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
