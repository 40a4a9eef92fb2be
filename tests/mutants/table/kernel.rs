//! Wrong decisions.

use crate::{Edit, Mutant, PLAIN};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "two_activations",
        bug: "a call that comes while the activation ends starts another one beside it",
        edits: &[Edit {
            file: "durable/src/kernel/activation.rs",
            find: "Phase::Busy | Phase::Ending => Action::None,",
            replace: r#"Phase::Ending if crate::mutant("two_activations") => self.start(),
            Phase::Busy | Phase::Ending => Action::None,"#,
        }],
        seeds: 200,
        found_by: &["P3"],
        test: PLAIN,
    },
    Mutant {
        name: "rejected_turn_is_stored",
        bug: "what a method did that returned `Err` is committed",
        edits: &[Edit {
            file: "durable/src/kernel/commit.rs",
            find: "(Ended::Rejected, ..) => Verdict::RollBack,",
            replace: r#"(Ended::Rejected, Encoded::Different, _)
            if crate::mutant("rejected_turn_is_stored") =>
        {
            Verdict::Commit
        }
        (Ended::Rejected, ..) => Verdict::RollBack,"#,
        }],
        seeds: 200,
        found_by: &["P2"],
        test: PLAIN,
    },
    Mutant {
        name: "read_does_not_wait",
        bug: "a read is answered before the commits that it saw are durable",
        edits: &[Edit {
            file: "durable/src/kernel/gate.rs",
            find: "    let is_behind = durable < submitted &&",
            replace: r#"    let is_behind = !crate::mutant("read_does_not_wait") && durable < submitted &&"#,
        }],
        seeds: 200,
        found_by: &["P4"],
        test: PLAIN,
    },
    Mutant {
        name: "write_beside_reads",
        bug: "a write begins while reads run",
        edits: &[Edit {
            file: "durable/src/kernel/turn.rs",
            find: "(_, Some(Access::Write)) => Next::AwaitReader,",
            replace: r#"(_, Some(Access::Write)) if crate::mutant("write_beside_reads") => Next::BeginWrite,
        (_, Some(Access::Write)) => Next::AwaitReader,"#,
        }],
        seeds: 200,
        found_by: &["P3"],
        test: PLAIN,
    },
];
