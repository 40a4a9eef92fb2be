//! Objects that own objects, and do not do what they should.

use crate::{Edit, KIN, Mutant};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "child_outlives_its_parent",
        bug: "an object that crashes leaves memory before its children have",
        edits: &[Edit {
            file: "durable/src/object/slot/kin.rs",
            find: "            if is_over { Poll::Ready(()) } else { Poll::Pending }",
            replace: r#"            let is_over = is_over || crate::mutant("child_outlives_its_parent");
            if is_over { Poll::Ready(()) } else { Poll::Pending }"#,
        }],
        seeds: 100,
        found_by: &["family", "tree"],
        test: KIN,
    },
    Mutant {
        name: "child_comes_without_its_parent",
        bug: "a child comes into memory and asks nobody",
        edits: &[Edit {
            file: "durable/src/object/slot/kin.rs",
            find: "        self.bell.has_kin.store(true, Ordering::Relaxed);\n        let parent",
            replace: r#"        self.bell.has_kin.store(true, Ordering::Relaxed);
        if crate::mutant("child_comes_without_its_parent") && self.host().clock.now().0 % 2 == 0 {
            return Ok(());
        }
        let parent"#,
        }],
        seeds: 100,
        found_by: &["family", "P1", "P2", "P8", "P10"],
        test: KIN,
    },
    Mutant {
        name: "deletion_leaves_the_children",
        bug: "nothing is left of an object that is deleted, and all of its children",
        edits: &[Edit {
            file: "durable/src/storage/rows/mod.rs",
            find: "    let below = kin::below(connection, id)?;",
            replace: r#"    let mut below = kin::below(connection, id)?;
    if crate::mutant("deletion_leaves_the_children") {
        below.clear();
    }"#,
        }],
        seeds: 100,
        found_by: &["P1", "P10", "P2", "test"],
        test: KIN,
    },
    Mutant {
        name: "exit_is_told_twice",
        bug: "the hook runs twice for one crash of a child",
        edits: &[Edit {
            file: "durable/src/object/slot/kin.rs",
            find: "                    ties.push_notice(notice, || self.label());",
            replace: r#"                    if crate::mutant("exit_is_told_twice") {
                        ties.push_notice(notice.clone(), || self.label());
                    }
                    ties.push_notice(notice, || self.label());"#,
        }],
        seeds: 100,
        found_by: &["family"],
        test: KIN,
    },
    Mutant {
        name: "idleness_counts_as_a_crash",
        bug: "a child that leaves memory because it is idle counts as one that has crashed",
        edits: &[Edit {
            file: "durable/src/object/slot/kin.rs",
            find: "            parent.child_left(self.id, exit);",
            replace: r#"            let exit = exit.or_else(|| {
                let reason = crate::kernel::restart::ExitReason::Error;
                crate::mutant("idleness_counts_as_a_crash").then(|| reason.into())
            });
            parent.child_left(self.id, exit);"#,
        }],
        seeds: 100,
        found_by: &["family", "tree"],
        test: KIN,
    },
    Mutant {
        name: "siblings_are_left_alone",
        bug: "a strategy that restarts all restarts one",
        edits: &[Edit {
            file: "durable/src/object/slot/kin.rs",
            find: "                let spec = family_spec::<O>(self.label());",
            replace: r#"                let mut spec = family_spec::<O>(self.label());
                if crate::mutant("siblings_are_left_alone") {
                    spec.strategy = Strategy::OneForOne;
                }"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: KIN,
    },
    Mutant {
        name: "parent_survives_its_budget",
        bug: "an object whose children were restarted too often goes on without them",
        edits: &[Edit {
            file: "durable/src/object/slot/kin.rs",
            find: "            Deed::Melt(exit) => self.ring(ties, Cut::Melted(exit)),",
            replace: r#"            Deed::Melt(_) if crate::mutant("parent_survives_its_budget") => {}
            Deed::Melt(exit) => self.ring(ties, Cut::Melted(exit)),"#,
        }],
        seeds: 100,
        found_by: &["stuck", "tree", "family", "heal"],
        test: KIN,
    },
    Mutant {
        name: "sibling_is_left_out",
        bug: "a strategy that restarts all leaves the last one alone",
        edits: &[Edit {
            file: "durable/src/kernel/restart.rs",
            find: "        let others = others.into_iter().filter(|other| *other != key).collect();",
            replace: r#"        let others = others.into_iter().filter(|other| *other != key);
        let is_all = self.strategy == Strategy::OneForAll;
        let others = others.skip((is_all && crate::mutant("sibling_is_left_out")).into()).collect();"#,
        }],
        seeds: 100,
        found_by: &["tree", "stuck"],
        test: KIN,
    },
];
