//! Lanes that store too little, too late, or say that they did.

use crate::{CROWD, Edit, Mutant, PLAIN, SMALL};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "sync_skipped",
        bug: "commits are not synced",
        edits: &[Edit {
            file: "durable/src/storage/sqlite.rs",
            find: r#"        connection.pragma_update(None, "synchronous", "FULL")?;
        let level: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        require(&level.to_string(), "2", "synchronous")?;"#,
            replace: r#"        if crate::mutant("sync_skipped") {
            connection.pragma_update(None, "synchronous", "NORMAL")?;
        } else {
            connection.pragma_update(None, "synchronous", "FULL")?;
        }"#,
        }],
        seeds: 200,
        found_by: &["P1"],
        test: PLAIN,
    },
    Mutant {
        name: "watermark_runs_ahead",
        bug: "the watermark passes commits when they are handed over",
        edits: &[Edit {
            file: "durable/src/storage/shared.rs",
            find: "        CommitSeq(self.durable.load(Ordering::Acquire))",
            replace: r#"        if crate::mutant("watermark_runs_ahead") {
            return CommitSeq(self.queue().submitted);
        }
        CommitSeq(self.durable.load(Ordering::Acquire))"#,
        }],
        seeds: 200,
        found_by: &["P4", "panic"],
        test: PLAIN,
    },
    Mutant {
        name: "commit_error_swallowed",
        bug: "an error of `COMMIT` counts as success",
        edits: &[Edit {
            file: "durable/src/storage/writer.rs",
            find: "    commit.map(|_| applied).map_err(Failure::Commit)",
            replace: r#"    if crate::mutant("commit_error_swallowed") {
        return Ok(applied);
    }
    commit.map(|_| applied).map_err(Failure::Commit)"#,
        }],
        seeds: 200,
        found_by: &["P1", "P8"],
        test: PLAIN,
    },
    Mutant {
        name: "sync_failure_said_rolled_back",
        bug: "callers of a commit whose sync failed are told that it was rolled back, and it may be stored",
        edits: &[Edit {
            file: "durable/src/storage/writer.rs",
            find: "            let error = Code::StorageSyncFailed.error(error.message());",
            replace: r#"            let mut error = Code::StorageSyncFailed.error(error.message());
            if crate::mutant("sync_failure_said_rolled_back") {
                error = error.with_outcome(Outcome::RolledBack);
            }"#,
        }],
        seeds: 200,
        found_by: &["history", "P2"],
        test: PLAIN,
    },
    Mutant {
        name: "failure_released_as_success",
        bug: "those who wait for a commit that failed are told that it is durable",
        edits: &[Edit {
            file: "durable/src/storage/batch.rs",
            find: "            item.release(broken.map_or(Ok(()), Err));",
            replace: r#"            let broken = broken.filter(|_| !crate::mutant("failure_released_as_success"));
            item.release(broken.map_or(Ok(()), Err));"#,
        }],
        seeds: 200,
        found_by: &["P4"],
        test: PLAIN,
    },
    Mutant {
        name: "released_in_reverse",
        bug: "those who wait for a batch are told in the wrong order",
        edits: &[
            Edit {
                file: "durable/src/storage/batch.rs",
                find: "        for item in self.items.drain(..) {",
                replace: r#"        let is_reversed = crate::mutant("released_in_reverse");
        if is_reversed {
            // What the director hears is in order, so that only those who wait can tell.
            for item in &self.items {
                let settled = !item.failed && stored.is_ok();
                item.change.iter().for_each(|change| tell(change, settled));
            }
            self.items.reverse();
        }
        for item in self.items.drain(..) {"#,
            },
            Edit {
                file: "durable/src/storage/batch.rs",
                find: "            if let Some(change) = &item.change {\n                tell(",
                replace: r#"            // See `crate::mutant("released_in_reverse")`.
            if let Some(change) = item.change.as_ref().filter(|_| !is_reversed) {
                tell("#,
            },
        ],
        seeds: 200,
        found_by: &["P5"],
        test: PLAIN,
    },
    Mutant {
        name: "fence_never_breaks",
        bug: "a commit that failed does not break its activation's fence",
        edits: &[Edit {
            file: "durable/src/storage/write_set.rs",
            find: "        self.broken.get_or_init(|| error.clone());",
            replace: r#"        if !crate::mutant("fence_never_breaks") {
            self.broken.get_or_init(|| error.clone());
        }"#,
        }],
        seeds: 200,
        found_by: &["P4"],
        test: PLAIN,
    },
    Mutant {
        name: "write_set_dropped",
        bug: "the second write set of a batch is not applied",
        edits: &[Edit {
            file: "durable/src/storage/batch.rs",
            find: "                    self.order.push((change.object_no, index));",
            replace: r#"                    if index != 1 || !crate::mutant("write_set_dropped") {
                        self.order.push((change.object_no, index));
                    }"#,
        }],
        seeds: 200,
        found_by: &["P1", "P8", "P2"],
        test: PLAIN,
    },
    Mutant {
        name: "first_of_a_run_stored",
        bug: "of many commits of one object in a batch the first one is stored, not the last",
        edits: &[Edit {
            file: "durable/src/storage/batch.rs",
            find: "        let last = changes().next_back().expect(\"a run has a change\");",
            replace: r#"        let last = changes().next_back().expect("a run has a change");
        let earliest = changes().next().expect("a run has a change");
        let last = if crate::mutant("first_of_a_run_stored") { earliest } else { last };"#,
        }],
        seeds: 200,
        found_by: &["P1", "P8"],
        test: PLAIN,
    },
    Mutant {
        name: "checkpoint_without_sync",
        bug: "a log starts over before the database that it was copied into is synced",
        edits: &[Edit {
            file: "durable/src/storage/checkpoint.rs",
            find: "    match sqlite::checkpoint(connection, mode) {",
            replace: r#"    let level = |level| connection.pragma_update(None, "synchronous", level);
    if crate::mutant("checkpoint_without_sync") {
        let _ = level("OFF");
    }
    let copied = sqlite::checkpoint(connection, mode);
    let _ = level("FULL");
    match copied {"#,
        }],
        seeds: 200,
        found_by: &["P1", "P2", "P3", "P10"],
        test: CROWD,
    },
    Mutant {
        name: "goes_on_after_a_failed_sync",
        bug: "a shard takes more writes after a sync of its log has failed",
        edits: &[
            Edit {
                file: "durable/src/storage/writer.rs",
                find: "        if in_commit && fault != Fault::Full {",
                replace: r#"        let is_final = !crate::mutant("goes_on_after_a_failed_sync");
        if in_commit && fault != Fault::Full && is_final {"#,
            },
            Edit {
                file: "durable/src/storage/writer.rs",
                find: "        if matches!(fault, Fault::Unsynced | Fault::Damaged) {",
                replace: r#"        let is_final = !crate::mutant("goes_on_after_a_failed_sync");
        if matches!(fault, Fault::Unsynced | Fault::Damaged) && is_final {"#,
            },
        ],
        seeds: 3_000,
        found_by: &["P2"],
        test: SMALL,
    },
    Mutant {
        name: "stopped_shard_is_read",
        bug: "a shard that has stopped is read, and shows commits whose sync has failed",
        edits: &[Edit {
            file: "durable/src/storage/reader.rs",
            find: "            Some(error) => Err(error.clone().with_outcome(Outcome::NotStarted)),",
            replace: r#"            Some(_) if crate::mutant("stopped_shard_is_read") => Ok(()),
            Some(error) => Err(error.clone().with_outcome(Outcome::NotStarted)),"#,
        }],
        seeds: 300,
        found_by: &["P1", "P2", "P10"],
        test: SMALL,
    },
];
