//! Work that begins too early, for turns that were undone, and that outlives its object's activation.

use crate::{Edit, Mutant, STREAMS, WORK};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "work_begins_before_its_commit",
        bug: "what a turn has spawned begins when the turn has ended, durable or not",
        edits: &[Edit {
            file: "durable/src/object/work.rs",
            find: "        Gate::Open => waiting.begin(),",
            replace: r#"        _ if crate::mutant("work_begins_before_its_commit") => waiting.begin(),
        Gate::Open => waiting.begin(),"#,
        }],
        seeds: 30,
        found_by: &["work"],
        test: WORK,
    },
    Mutant {
        name: "work_of_failed_commit",
        bug: "what a turn has spawned begins although the turn's commit has failed",
        edits: &[Edit {
            file: "durable/src/object/work.rs",
            find: "        if durable.is_ok() {\n            self.begin();",
            replace: r#"        if durable.is_ok() || crate::mutant("work_of_failed_commit") {
            self.begin();"#,
        }],
        seeds: 200,
        found_by: &["work"],
        test: WORK,
    },
    Mutant {
        name: "work_of_failed_turn",
        bug: "what a turn has spawned that refused begins",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "beside.filter(|_| ended == Ended::Kept)",
            replace: r#"beside
                .filter(|_| ended == Ended::Kept || crate::mutant("work_of_failed_turn"))"#,
        }],
        seeds: 30,
        found_by: &["work"],
        test: WORK,
    },
    Mutant {
        name: "work_outlives_its_activation",
        bug: "work goes on when its activation has ended",
        edits: &[Edit {
            file: "durable/src/object/slot/work.rs",
            find: "        let pieces = std::mem::take(&mut self.0).into_values();",
            replace: r#"        if crate::mutant("work_outlives_its_activation") {
            return std::mem::forget(std::mem::take(&mut self.0));
        }
        let pieces = std::mem::take(&mut self.0).into_values();"#,
        }],
        seeds: 30,
        found_by: &["work"],
        test: WORK,
    },
    Mutant {
        name: "work_does_not_keep_its_object",
        bug: "an object is idle although its work is under way",
        edits: &[Edit {
            file: "durable/src/object/slot/work.rs",
            find: "        self.ties.as_ref().is_some_and(|ties| ties.works.is_any())",
            replace: r#"        self.ties.as_ref().is_some_and(|ties| ties.works.is_any())
            && !crate::mutant("work_does_not_keep_its_object")"#,
        }],
        seeds: 30,
        found_by: &["panic"],
        test: WORK,
    },
    Mutant {
        name: "stream_is_cut_in_silence",
        bug: "a stream that was cut looks as if it was done",
        edits: &[Edit {
            file: "durable/src/item_stream.rs",
            find: "            Some(None) => None,",
            replace: r#"            Some(None) => None,
            None if crate::mutant("stream_is_cut_in_silence") => None,"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: STREAMS,
    },
];
