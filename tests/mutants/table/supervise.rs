//! Supervisors that do not do what OTP's do.

use crate::{Edit, Mutant, TREE};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "edge_of_the_period_is_forgotten",
        bug: "a restart that is exactly a period old does not count",
        edits: &[Edit {
            file: "durable/src/kernel/restart/intensity.rs",
            find: "is_some_and(|time| now - *time > period)",
            replace: r#"is_some_and(|time| {
            now - *time > period
                || (crate::mutant("edge_of_the_period_is_forgotten") && now - *time == period)
        })"#,
        }],
        seeds: 200,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "stopped_in_the_order_of_the_start",
        bug: "a supervisor that ends stops its first child first",
        edits: &[Edit {
            file: "durable/src/kernel/restart.rs",
            find: "        let rest = rest.collect();",
            replace: r#"        let mut rest: VecDeque<_> = rest.collect();
        if crate::mutant("stopped_in_the_order_of_the_start") {
            rest.make_contiguous().reverse();
        }"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "killed_task_is_not_waited_for",
        bug: "a task that is killed counts as gone before it is",
        edits: &[Edit {
            file: "durable/src/supervise/node.rs",
            find: "            Some(Run::Task(order)) if is_kill => order.kill(),",
            replace: r#"            Some(Run::Task(_)) if is_kill && crate::mutant("killed_task_is_not_waited_for") => {
                self.node.post(Event::Exited(incarnation, ExitReason::Killed.into()));
            }
            Some(Run::Task(order)) if is_kill => order.kill(),"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "killed_supervisor_leaves_orphans",
        bug: "a supervisor that is killed counts as gone, and what is below it goes on",
        edits: &[Edit {
            file: "durable/src/supervise/node.rs",
            find: "            Some(Run::Supervisor(_, node)) => {\n",
            replace: r#"            Some(Run::Supervisor(..)) if is_kill && crate::mutant("killed_supervisor_leaves_orphans") => {
                self.node.post(Event::Exited(incarnation, ExitReason::Killed.into()));
            }
            Some(Run::Supervisor(_, node)) => {
"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "failed_try_costs_nothing",
        bug: "a restart that follows a failed start is not counted",
        edits: &[Edit {
            file: "durable/src/kernel/restart.rs",
            find: "                if *is_counted {",
            replace: r#"                if *is_counted || crate::mutant("failed_try_costs_nothing") {"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "temporary_child_comes_back",
        bug: "a temporary child that fails is restarted",
        edits: &[Edit {
            file: "durable/src/kernel/restart.rs",
            find: "            Restart::Temporary => false,",
            replace: r#"            Restart::Temporary => {
                crate::mutant("temporary_child_comes_back") && exit.reason.is_abnormal()
            }"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "meltdown_looks_like_a_shutdown",
        bug: "a supervisor that gives up ends as if it had been asked to",
        edits: &[Edit {
            file: "durable/src/kernel/restart.rs",
            find: "        self.end(Exit::new(ExitReason::Meltdown, text), false);",
            replace: r#"        let is_hidden = crate::mutant("meltdown_looks_like_a_shutdown");
        let reason = if is_hidden { ExitReason::Shutdown } else { ExitReason::Meltdown };
        self.end(Exit::new(reason, text), false);"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
    Mutant {
        name: "killed_before_its_time",
        bug: "a child that is to stop is killed after half of its time",
        edits: &[Edit {
            file: "durable/src/kernel/restart/work.rs",
            find: "(self.given.now + time, Timer::Kill(incarnation))",
            replace: r#"{
                    let half = if crate::mutant("killed_before_its_time") { time / 2 } else { time };
                    (self.given.now + half, Timer::Kill(incarnation))
                }"#,
        }],
        seeds: 100,
        found_by: &["tree"],
        test: TREE,
    },
];
