//! Quarantines that let out what they should keep, and forget what they should know.

use crate::{Edit, Mutant, POISON};

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
];
