//! Rows that are written, read or numbered wrongly.

use crate::{CROWD, Edit, Mutant, PLAIN, STARTS};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "boot_counted_in_one_statement",
        bug: "a boot is counted by a statement whose commit fails without a word, so that its epochs come again",
        edits: &[Edit {
            file: "durable/src/storage/rows/meta.rs",
            find: "    // Two statements: one with `RETURNING`",
            replace: r#"    if crate::mutant("boot_counted_in_one_statement") {
        let sql = "UPDATE meta SET boot = boot + 1 WHERE one = 1 RETURNING boot";
        return connection.query_row(sql, [], |row| unsigned(row, 0));
    }
    // Two statements: one with `RETURNING`"#,
        }],
        seeds: 20,
        found_by: &["P3"],
        test: STARTS,
    },
    Mutant {
        name: "torn_row_accepted",
        bug: "the last byte of a state is damaged on its way to the disk, and no checksum is looked at",
        edits: &[
            Edit {
                file: "durable/src/storage/rows/snapshot.rs",
                find: "        let Snapshot { object_no: ObjectNo(object_no), epoch, commit_no, body, beside } = new;",
                replace: r#"        let mut torn = new.body.to_vec();
        if crate::mutant("torn_row_accepted") {
            *torn.last_mut().expect("a frame has a header") ^= 1;
        }
        let new = Snapshot { body: &torn, ..new };
        let Snapshot { object_no: ObjectNo(object_no), epoch, commit_no, body, beside } = new;"#,
            },
            Edit {
                file: "durable/src/storage/rows/frame.rs",
                find: "    if stored != computed {",
                replace: r#"    if stored != computed && !crate::mutant("torn_row_accepted") {"#,
            },
        ],
        seeds: 200,
        found_by: &["P10"],
        test: PLAIN,
    },
    Mutant {
        name: "failed_read_is_absence",
        bug: "an object that cannot be read is taken for one that is not stored",
        edits: &[Edit {
            file: "durable/src/storage/reader.rs",
            find: "        let found = object::load(connection, id).map_err(|cause| self.failed(&cause))?;",
            replace: r#"        let found = match object::load(connection, id) {
            Err(_) if crate::mutant("failed_read_is_absence") => None,
            found => found.map_err(|cause| self.failed(&cause))?,
        };"#,
        }],
        seeds: 200,
        found_by: &["P1"],
        test: PLAIN,
    },
    Mutant {
        name: "reads_see_the_past",
        bug: "a reader's transaction is never ended, so that it goes on seeing what was stored when it began",
        edits: &[Edit {
            file: "durable/src/storage/reader.rs",
            find: "    ) -> Result<Loaded, Error> {",
            replace: r#"    ) -> Result<Loaded, Error> {
        if crate::mutant("reads_see_the_past") {
            let _ = connection.execute_batch("BEGIN");
        }"#,
        }],
        seeds: 200,
        found_by: &["P1", "P2", "panic"],
        test: PLAIN,
    },
    Mutant {
        name: "snapshot_of_another_object",
        bug: "an object is loaded with the state of the oldest object of its class",
        edits: &[
            Edit {
                file: "durable/src/storage/rows/object.rs",
                find: "        \"SELECT o.object_no, o.class_no, o.name, o.jurisdiction, o.location_hint,",
                replace: r#"        if crate::mutant("snapshot_of_another_object") {
            "SELECT o.object_no, o.class_no, o.name, o.jurisdiction, o.location_hint,
                 s.epoch, s.commit_no, s.body, a.due_ms, a.scheduled_ms, a.retries, a.set_by, o.lineage,
                 t.set_by, t.body
             FROM objects o LEFT JOIN snapshots s ON s.object_no =
                 (SELECT min(object_no) FROM objects WHERE class_no = o.class_no)
                 LEFT JOIN alarms a ON a.object_no = o.object_no
                 LEFT JOIN schedules t ON t.object_no = o.object_no
             WHERE o.lookup_hash = ?1 AND o.id = ?2"
        } else {
        "SELECT o.object_no, o.class_no, o.name, o.jurisdiction, o.location_hint,"#,
            },
            Edit {
                file: "durable/src/storage/rows/object.rs",
                find: "         WHERE o.lookup_hash = ?1 AND o.id = ?2\",\n    )?;",
                replace: r#"         WHERE o.lookup_hash = ?1 AND o.id = ?2"
        // The other end of `crate::mutant("snapshot_of_another_object")`.
        },
    )?;"#,
            },
        ],
        seeds: 200,
        found_by: &["P1", "P10"],
        test: PLAIN,
    },
    Mutant {
        name: "object_numbers_given_twice",
        bug: "two new objects get the same number",
        edits: &[Edit {
            file: "durable/src/storage/shared.rs",
            find: "ObjectNo(self.highest.fetch_add(1, Ordering::Relaxed) + 1)",
            replace: r#"if crate::mutant("object_numbers_given_twice") {
            return ObjectNo(self.highest.fetch_add(1, Ordering::Relaxed) / 2 + 1);
        }
        ObjectNo(self.highest.fetch_add(1, Ordering::Relaxed) + 1)"#,
        }],
        seeds: 200,
        found_by: &["P8"],
        test: PLAIN,
    },
    Mutant {
        name: "epoch_not_raised",
        bug: "an object has the same epoch in all activations of a boot",
        edits: &[Edit {
            file: "durable/src/object/live.rs",
            find: "        let fence = Fence::new(shard.next_epoch());",
            replace: r#"        let mut epoch = shard.next_epoch();
        if crate::mutant("epoch_not_raised") {
            epoch.0 = (epoch.0 | 0xffff) + object_no.0.unsigned_abs();
        }
        let fence = Fence::new(epoch);"#,
        }],
        seeds: 200,
        found_by: &["P3"],
        test: PLAIN,
    },
    Mutant {
        name: "boot_not_counted",
        bug: "a boot is not counted, so that the epochs of the one before come again",
        edits: &[Edit {
            file: "durable/src/storage/rows/meta.rs",
            find: "SET boot = boot + 1 WHERE one = 1\", [])?;",
            replace: r#"SET boot = boot + ?1 WHERE one = 1", [
        i64::from(!crate::mutant("boot_not_counted")),
    ])?;"#,
        }],
        seeds: 200,
        found_by: &["P3"],
        test: PLAIN,
    },
    Mutant {
        name: "stale_writer_is_not_fenced",
        bug: "an activation that has failed stores its later commits, over whatever is stored",
        edits: &[
            Edit {
                file: "durable/src/storage/batch.rs",
                find: "                item.failed = item.fence.broken().is_some();",
                replace: r#"                item.failed = item.fence.broken().is_some()
                    && !crate::mutant("stale_writer_is_not_fenced");"#,
            },
            Edit {
                file: "durable/src/storage/batch.rs",
                find: "        if first.fence.broken().is_some() {",
                replace: r#"        if first.fence.broken().is_some() && !crate::mutant("stale_writer_is_not_fenced") {"#,
            },
            Edit {
                file: "durable/src/storage/rows/snapshot.rs",
                find: r#"                "UPDATE snapshots SET epoch = ?2, commit_no = ?3, body = ?4
                 WHERE object_no = ?1 AND commit_no = ?5 AND epoch <= ?2","#,
                replace: r#"                if crate::mutant("stale_writer_is_not_fenced") {
                    "UPDATE snapshots SET epoch = ?2, commit_no = ?3, body = ?4
                     WHERE object_no = ?1 AND ?5 = ?5"
                } else {
                    "UPDATE snapshots SET epoch = ?2, commit_no = ?3, body = ?4
                     WHERE object_no = ?1 AND commit_no = ?5 AND epoch <= ?2"
                },"#,
            },
        ],
        seeds: 1100,
        found_by: &["P1", "P2", "P4", "history"],
        test: CROWD,
    },
    Mutant {
        name: "keys_of_a_run_lost",
        bug: "of many commits of one object in a batch only the last one's keys are stored",
        edits: &[Edit {
            file: "durable/src/storage/batch.rs",
            find: "            kv: newest(changes().flat_map(|change| &change.kv)),",
            replace: r#"            kv: {
                let is_lossy = crate::mutant("keys_of_a_run_lost");
                let skipped = if is_lossy { changes().count() - 1 } else { 0 };
                newest(changes().skip(skipped).flat_map(|change| &change.kv))
            },"#,
        }],
        seeds: 400,
        found_by: &["P1", "P2", "panic", "history"],
        test: PLAIN,
    },
    Mutant {
        name: "keys_not_seen_until_durable",
        bug: "a turn does not see what the turn before it put under a key, as long as it is not durable",
        edits: &[Edit {
            file: "durable/src/object/kv/desk.rs",
            find: "        if !changes.is_empty() {",
            replace: r#"        if !changes.is_empty() && !crate::mutant("keys_not_seen_until_durable") {"#,
        }],
        seeds: 200,
        found_by: &["P2", "panic"],
        test: PLAIN,
    },
];
