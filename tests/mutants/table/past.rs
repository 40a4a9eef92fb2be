//! A past that is not what was, or from which nobody comes back whole.

use crate::{Edit, Mutant};

/// Diaries that are brought back, and the same where little of the past is kept.
const PAST: &str = "workload::what_was_is_brought_back";
const FORGETFUL: &str = "workload::what_was_is_brought_back_as_far_as_it_is_kept";

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "past_read_after_the_write",
        bug: "what a commit replaces is read when it has been replaced",
        edits: &[Edit {
            file: "durable/src/storage/writer/tables.rs",
            find: "            if let Some(before) = before {",
            replace: r#"            let before = if crate::mutant("past_read_after_the_write") {
                history::before(self.connection, run, &mut self.memory.present)?
            } else {
                before
            };
            if let Some(before) = before {"#,
        }],
        seeds: 100,
        found_by: &["past", "panic"],
        test: PAST,
    },
    Mutant {
        name: "new_keys_survive_a_restore",
        bug: "keys that were not there then are left when an object is brought back",
        edits: &[Edit {
            file: "durable/src/storage/history/rewind.rs",
            find: "    let kv = kv.into_iter().map(|(key, value)| KvChange { key, value }).collect();",
            replace: r#"    let is_kept = |value: &Option<Framed>| {
        value.is_some() || !crate::mutant("new_keys_survive_a_restore")
    };
    let kv = kv.into_iter().filter(|(_, value)| is_kept(value));
    let kv = kv.map(|(key, value)| KvChange { key, value }).collect();"#,
        }],
        seeds: 100,
        found_by: &["past"],
        test: PAST,
    },
    Mutant {
        name: "one_row_too_few_laid_over",
        bug: "going back ends before the last row is laid over",
        edits: &[Edit {
            file: "durable/src/storage/history/rewind.rs",
            find: "        back.step(head, past.undo);",
            replace: r#"        let is_last = head.after_no == to.commit();
        if !is_last || !crate::mutant("one_row_too_few_laid_over") {
            back.step(head, past.undo);
        }"#,
        }],
        seeds: 100,
        found_by: &["past"],
        test: PAST,
    },
    Mutant {
        name: "pruned_in_the_middle",
        bug: "the row after those that are too much goes, too, and leaves a gap when these stay",
        edits: &[Edit {
            file: "durable/src/storage/history/record.rs",
            find: "        history::expire(connection, object_no, commits[last])?;",
            replace: r#"        if crate::mutant("pruned_in_the_middle") {
            let sql = "DELETE FROM history WHERE object_no = ?1 AND after_no = ?2";
            let after = i64::try_from(commits[last]).expect("small");
            connection.execute(sql, params![object_no.0, after])?;
        } else {
            history::expire(connection, object_no, commits[last])?;
        }"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: FORGETFUL,
    },
    Mutant {
        name: "restored_beside_the_activation",
        bug: "an object is brought back while an activation of it may run",
        edits: &[Edit {
            file: "durable/src/directory/group/class_group.rs",
            find: "        self.place(id, name.as_ref(), placement.as_ref()).send(errand);",
            replace: r#"        let slot = self.place(id, name.as_ref(), placement.as_ref());
        if crate::mutant("restored_beside_the_activation") {
            let tasks = Arc::clone(&self.shared.host.tasks);
            tasks.spawn(Box::pin(async move { crate::object::errand::run_all(&slot, vec![errand]).await }));
        } else {
            slot.send(errand);
        }"#,
        }],
        seeds: 100,
        found_by: &["P1", "P2", "P3", "P8", "panic"],
        test: PAST,
    },
    Mutant {
        name: "struct_left_out_of_a_restore",
        bug: "keys and tables are brought back, and the struct stays as it is",
        edits: &[Edit {
            file: "durable/src/storage/history/rewind.rs",
            find: "    Ok(Restoring { snapshot, kv, sql })",
            replace: r#"    let snapshot = snapshot.filter(|_| !crate::mutant("struct_left_out_of_a_restore"));
    Ok(Restoring { snapshot, kv, sql })"#,
        }],
        seeds: 100,
        found_by: &["past"],
        test: PAST,
    },
];
