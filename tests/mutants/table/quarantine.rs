//! Quarantines that let out what they should keep, and forget what they should know.

use crate::{EDGE, Edit, Mutant, POISON};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "one_crash_more",
        bug: "the crash that is one too many is let pass",
        edits: &[Edit {
            file: "durable/src/kernel/quarantine.rs",
            find: "        let is_within = self.crashes.add(at.now);",
            replace: r#"        let is_more = self.crashes.count() == 5 && crate::mutant("one_crash_more");
        let is_within = self.crashes.add(at.now) || is_more;"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "everybody_on_trial",
        bug: "all who come are let through with the one call, and how it ends is not looked at",
        edits: &[
            Edit {
                file: "durable/src/object/slot/refusal.rs",
                find: "        let refused = state.refuse(error);\n        state.firings.extend(firing);",
                replace: r#"        if crate::mutant("everybody_on_trial") {
            state.firings.extend(firing);
            state.inbox.extend(call);
            return true;
        }
        let refused = state.refuse(error);
        state.firings.extend(firing);"#,
            },
            Edit {
                file: "durable/src/object/slot/refusal.rs",
                find: "        if state.trial == Some(Trial::Turn) && state.has_served {",
                replace: r#"        let is_all = crate::mutant("everybody_on_trial");
        if state.trial == Some(Trial::Turn) && state.has_served && !is_all {"#,
            },
            Edit {
                file: "durable/src/object/slot.rs",
                find: "            Some(Trial::Turn) => state.has_served && readers == 0,",
                replace: r#"            Some(Trial::Turn) if crate::mutant("everybody_on_trial") => false,
            Some(Trial::Turn) => state.has_served && readers == 0,"#,
            },
        ],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "quarantine_is_not_stored",
        bug: "a quarantine ends with the process",
        edits: &[Edit {
            file: "durable/src/storage/quarantines.rs",
            find: "        Chore::Put(stored) => quarantine::put(connection, stored),",
            replace: r#"        Chore::Put(_) if crate::mutant("quarantine_is_not_stored") => Ok(()),
        Chore::Put(stored) => quarantine::put(connection, stored),"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "gate_is_open",
        bug: "what is shut in starts all the same",
        edits: &[Edit {
            file: "durable/src/directory/wards.rs",
            find: "                Admission::Refuse => Gate::Refuse(sentence(ward)),",
            replace: r#"                Admission::Refuse if crate::mutant("gate_is_open") => Gate::Go,
                Admission::Refuse => Gate::Refuse(sentence(ward)),"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "no_probation",
        bug: "an object that was let out has its whole budget at once",
        edits: &[Edit {
            file: "durable/src/kernel/quarantine.rs",
            find: "        self.phase = Phase::Probation(sentence.clone());",
            replace: r#"        self.phase = Phase::Probation(sentence.clone());
        if crate::mutant("no_probation") {
            self.phase = Phase::Counted;
            self.crashes = Intensity::new(5, Duration::from_secs(60));
        }"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "failed_trial_passes",
        bug: "an object comes out although the call crashed that was let through",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "    if matches!(ran, Came::Returned(_)) {\n        slot.turn_ended_well();",
            replace: r#"    if matches!(ran, Came::Returned(_)) || crate::mutant("failed_trial_passes") {
        slot.turn_ended_well();"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "nobody_passes_the_trial",
        bug: "an object comes out although the caller has left whose call was let through",
        edits: &[Edit {
            file: "durable/src/object/slot/refusal.rs",
            find: "        if state.trial == Some(Trial::Turn) {\n            state.has_served = false;",
            replace: r#"        let is_taken = crate::mutant("nobody_passes_the_trial");
        if state.trial == Some(Trial::Turn) && !is_taken {
            state.has_served = false;"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: POISON,
    },
    Mutant {
        name: "edge_of_the_crash_period_is_forgotten",
        bug: "a crash of an object that is exactly a period old does not count",
        edits: &[Edit {
            file: "durable/src/kernel/quarantine.rs",
            find: "        let crashes = Intensity::new(budget.crashes, budget.period);",
            replace: r#"        let is_short = crate::mutant("edge_of_the_crash_period_is_forgotten");
        let period = budget.period - Duration::from_nanos(is_short.into());
        let crashes = Intensity::new(budget.crashes, period);"#,
        }],
        seeds: 100,
        found_by: &["P9"],
        test: EDGE,
    },
];
