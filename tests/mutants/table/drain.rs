//! Shutdowns that wait too long, let in too many, and keep what they cut off.

use crate::{DRAIN, Edit, Mutant, TOGETHER};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "deadline_is_ignored",
        bug: "a shutdown waits for what does not end far beyond its time",
        edits: &[Edit {
            file: "durable/src/registry.rs",
            find: "        let deadline = host.clock.now() + config.shutdown_deadline;",
            replace: r#"        let patience = if crate::mutant("deadline_is_ignored") { 4 } else { 1 };
        let deadline = host.clock.now() + config.shutdown_deadline * patience;"#,
        }],
        seeds: 100,
        found_by: &["drain"],
        test: DRAIN,
    },
    Mutant {
        name: "cut_turn_is_stored",
        bug: "what a turn had changed that was cut off is stored",
        edits: &[
            Edit {
                file: "durable/src/object/activation.rs",
                find: "    let turns = async move { run(&own, &mut live).await };",
                replace: r#"    let is_stored = crate::mutant("cut_turn_is_stored");
    let mut kept = Kept(Arc::clone(&own), live, is_stored);
    let turns = async move { run(&own, &mut kept.1).await };"#,
            },
            Edit {
                file: "durable/src/object/activation.rs",
                find: "/// Runs turns until the object leaves memory.\n",
                replace: r#"/// An object in memory, and what becomes of it when it is dropped.
struct Kept<O: Object>(Arc<Slot<O>>, Live<O>, bool);

impl<O: Object> Drop for Kept<O> {
    fn drop(&mut self) {
        let Kept(slot, live, is_stored) = self;
        if *is_stored
            && crate::mutant("cut_turn_is_stored")
            && !slot.is_resident()
            && let Ok(Some(encoded)) = live.encode()
        {
            let (encoded, cause) = (Some(encoded), crate::history::Cause::Method("cut".into()));
            let changes = crate::object::live::Changes { encoded, cause, ..Default::default() };
            live.submit(slot, changes, HOOK);
        }
    }
}

/// Runs turns until the object leaves memory.
"#,
            },
        ],
        seeds: 100,
        found_by: &["drain"],
        test: DRAIN,
    },
    Mutant {
        name: "late_call_is_let_in",
        bug: "a call that comes after a shutdown began is admitted",
        edits: &[Edit {
            file: "durable/src/directory/group/admit.rs",
            find: "        if self.shared.is_closed_to(is_from_turn) {",
            replace: r#"        let is_open = crate::mutant("late_call_is_let_in");
        if self.shared.is_closed_to(is_from_turn || is_open) {"#,
        }],
        seeds: 100,
        found_by: &["drain"],
        test: DRAIN,
    },
    Mutant {
        name: "parents_are_stopped_first",
        bug: "an object that is asked to leave by a shutdown does not wait for its children",
        edits: &[
            Edit {
                file: "durable/src/object/slot.rs",
                find: "                .filter(|wish| !has_children && !has_notice && !state.is_kept_by_work(*wish)),",
                replace: r#"                .filter(|wish| {
                let is_hasty =
                    *wish == EndWish::Drained && crate::mutant("parents_are_stopped_first");
                (!has_children || is_hasty) && !has_notice && !state.is_kept_by_work(*wish)
            }),"#,
            },
            Edit {
                file: "durable/src/object/slot/kin.rs",
                find: "            state.is_up = false;\n            let Some(ties) = state.ties.as_mut().filter",
                replace: r#"            state.is_up = false;
            if state.life.end_wish() == Some(EndWish::Drained)
                && crate::mutant("parents_are_stopped_first")
            {
                return;
            }
            let Some(ties) = state.ties.as_mut().filter"#,
            },
        ],
        seeds: 100,
        found_by: &["family"],
        test: TOGETHER,
    },
];
