//! Backups that are not what they say.

use crate::{CROWD, Edit, Mutant, PLAIN};

/// A crash at every step, those of a backup included.
const EVERYWHERE: &str = "workload::no_promise_breaks_wherever_the_node_crashes";

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "backup_whole_from_the_start",
        bug: "a backup says that it is whole before anything is copied",
        edits: &[Edit {
            file: "durable/src/storage/copy.rs",
            find: "        let written = host.disk.write_atomically(&path, Manifest::copying().as_bytes());",
            replace: r#"        let mut text = Manifest::copying().to_owned();
        if crate::mutant("backup_whole_from_the_start") {
            text = manifest.encode();
        }
        let written = host.disk.write_atomically(&path, text.as_bytes());"#,
        }],
        seeds: 5_000,
        found_by: &["backup"],
        test: EVERYWHERE,
    },
    Mutant {
        name: "backup_without_keys",
        bug: "a backup leaves out what objects keep under keys",
        edits: &[Edit {
            file: "durable/src/storage/copy.rs",
            find: "    sqlite::checkpoint(&connection, Checkpoint::Truncate)?;",
            replace: r#"    if crate::mutant("backup_without_keys") {
        connection.execute("DELETE FROM kv", [])?;
    }
    sqlite::checkpoint(&connection, Checkpoint::Truncate)?;"#,
        }],
        seeds: 200,
        found_by: &["backup"],
        test: PLAIN,
    },
    Mutant {
        name: "backup_without_the_last_shard",
        bug: "the last of several shards is not copied",
        edits: &[Edit {
            file: "durable/src/storage/copy.rs",
            find: "        Some(self.made.shards).filter(|next| *next < self.manifest.shards)",
            replace: r#"        let left_out =
            u16::from(self.manifest.shards > 1 && crate::mutant("backup_without_the_last_shard"));
        Some(self.made.shards).filter(|next| *next < self.manifest.shards - left_out)"#,
        }],
        seeds: 200,
        found_by: &["backup"],
        test: CROWD,
    },
];
