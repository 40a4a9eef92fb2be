//! Tables that are not of one commit with the struct.

use crate::{CROWD, Edit, Mutant, PLAIN};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "refused_sql_is_kept",
        bug: "what a turn that refuses has done in SQL is kept, and stored with the next commit",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "    let end = if ended == Ended::Kept && encoded.is_ok() { Fate::Keep } else { Fate::Undo };",
            replace: r#"    let is_kept = ended == Ended::Kept || crate::mutant("refused_sql_is_kept");
    let end = if is_kept && encoded.is_ok() { Fate::Keep } else { Fate::Undo };"#,
        }],
        seeds: 200,
        found_by: &["P2", "history", "panic"],
        test: PLAIN,
    },
    Mutant {
        name: "log_row_lost",
        bug: "what a commit adds to the log of a database is not stored",
        edits: &[Edit {
            file: "durable/src/storage/rows/sql.rs",
            find: "            SqlWrite::Log { deltas } => {",
            replace: r#"            SqlWrite::Log { .. } if crate::mutant("log_row_lost") => Ok(()),
            SqlWrite::Log { deltas } => {"#,
        }],
        seeds: 100,
        found_by: &["P1"],
        test: PLAIN,
    },
    Mutant {
        name: "log_end_forgotten",
        bug: "a snapshot goes on naming the row of the log that was the newest before",
        edits: &[Edit {
            file: "durable/src/storage/writer/tables.rs",
            find: "        let log_end = chain.map(|chain| sql::log::seal_end(object_no, chain.highest + run.logs()));",
            replace: r#"        let chain = chain.filter(|chain| !(crate::mutant("log_end_forgotten") && chain.end > 0));
        let log_end = chain.map(|chain| sql::log::seal_end(object_no, chain.highest + run.logs()));"#,
        }],
        seeds: 200,
        found_by: &["P1", "backup", "panic", "history"],
        test: PLAIN,
    },
    Mutant {
        name: "sweep_takes_what_is_needed",
        bug: "a sweep of the log takes the oldest rows away, folded or not",
        edits: &[Edit {
            file: "durable/src/storage/log.rs",
            find: "        Ok(row.log_no <= folded && folded < self.until)",
            replace: r#"        let is_needed = row.log_no > folded && !crate::mutant("sweep_takes_what_is_needed");
        Ok(!is_needed && folded < self.until)"#,
        }],
        seeds: 200,
        found_by: &["P1", "backup", "panic", "history"],
        test: CROWD,
    },
    Mutant {
        name: "fold_forgets_a_page",
        bug: "a fold takes the log away and stores all pages of it but the last",
        edits: &[Edit {
            file: "durable/src/storage/rows/sql.rs",
            find: "        for (number, page) in pages {",
            replace: r#"        let forgotten = usize::from(crate::mutant("fold_forgets_a_page"));
        for (number, page) in pages.iter().take(pages.len() - forgotten) {"#,
        }],
        seeds: 200,
        found_by: &["P1", "backup", "panic"],
        test: PLAIN,
    },
    Mutant {
        name: "page_let_go_early",
        bug: "pages that a fold is to store are let go before it is durable",
        edits: &[Edit {
            file: "durable/src/storage/sql/pages.rs",
            find: "        let durable = shard.durable();",
            replace: r#"        let durable = shard.durable();
        let early = CommitSeq(u64::MAX - 1);
        let durable = if crate::mutant("page_let_go_early") { early } else { durable };"#,
        }],
        seeds: 200,
        found_by: &["panic", "history", "P8"],
        test: PLAIN,
    },
    Mutant {
        name: "savepoint_kept",
        bug: "what a savepoint is to take back stays",
        edits: &[Edit {
            file: "durable/src/object/sql/desk.rs",
            find: "            Fate::Undo => Savepoint::Undo,",
            replace: r#"            Fate::Undo if crate::mutant("savepoint_kept") => Savepoint::Keep,
            Fate::Undo => Savepoint::Undo,"#,
        }],
        seeds: 200,
        found_by: &["panic"],
        test: PLAIN,
    },
    Mutant {
        name: "broken_constraint_is_news_to_nobody",
        bug: "a turn whose constraint fails in the end is answered as if it had been kept",
        edits: &[Edit {
            file: "durable/src/object/activation.rs",
            find: "        Err(error) => (Ended::Failed, Err(error), false),",
            replace: r#"        Err(_) if crate::mutant("broken_constraint_is_news_to_nobody") => {
            (ended, encoded, false)
        }
        Err(error) => (Ended::Failed, Err(error), false),"#,
        }],
        seeds: 200,
        found_by: &["history"],
        test: PLAIN,
    },
];
