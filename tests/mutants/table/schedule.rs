//! Schedules that run when they should not, or do not run.

use crate::{Edit, Mutant, SCHEDULES};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "schedule_runs_early",
        bug: "a schedule runs half a second before its time",
        edits: &[
            Edit {
                file: "durable/src/object/recur.rs",
                find: "    let number = live.number();",
                replace: r#"    let early = if crate::mutant("schedule_runs_early") { 500 } else { 0 };
    let now = crate::time::WallMs(now.0 + early);
    let number = live.number();"#,
            },
            Edit {
                file: "durable/src/alarm/mod.rs",
                find: "            let refused_until = self.fire(now, wall);",
                replace: r#"            let early = if crate::mutant("schedule_runs_early") { 500 } else { 0 };
            let wall = WallMs(wall.0 + early);
            let refused_until = self.fire(now, wall);"#,
            },
        ],
        seeds: 100,
        found_by: &["P6"],
        test: SCHEDULES,
    },
    Mutant {
        name: "schedule_not_used_up",
        bug: "a run leaves its schedule as it was",
        edits: &[Edit {
            file: "durable/src/object/recur.rs",
            find: "        let all = replaced(live.schedules(), &self.name, left);",
            replace: r#"        let is_left = crate::mutant("schedule_not_used_up");
        let left = if is_left { Some(self.clone()) } else { left };
        let all = replaced(live.schedules(), &self.name, left);"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: SCHEDULES,
    },
    Mutant {
        name: "schedule_lost_with_its_last_retry",
        bug: "a schedule whose run becomes a dead letter does not go on",
        edits: &[Edit {
            file: "durable/src/object/recur.rs",
            find: "                (left, Some(letter))",
            replace: r#"                let left = left.filter(|_| !crate::mutant("schedule_lost_with_its_last_retry"));
                (left, Some(letter))"#,
        }],
        seeds: 300,
        found_by: &["P6"],
        test: SCHEDULES,
    },
    Mutant {
        name: "schedule_of_rolled_back_turn",
        bug: "the schedule of a turn that refused is set",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "    let_out(slot, live, running, answer);\n    Ok(Left::Undone)",
            replace: r#"    let schedules = beside.as_ref().and_then(|beside| beside.schedules.clone());
    if crate::mutant("schedule_of_rolled_back_turn") && schedules.is_some() {
        live.submit(slot, Changes { schedules, ..Changes::default() }, crate::object::activation::HOOK);
    }
    let_out(slot, live, running, answer);
    Ok(Left::Undone)"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: SCHEDULES,
    },
    Mutant {
        name: "schedule_misfire_runs_for_the_first",
        bug: "of the times that were missed it runs for the first, and not for the last",
        edits: &[Edit {
            file: "durable/src/kernel/schedule.rs",
            find: "            Misfire::Once => Due::Run(run(last)),",
            replace: r#"            Misfire::Once if crate::mutant("schedule_misfire_runs_for_the_first") => {
                Due::Run(run(self.scheduled))
            }
            Misfire::Once => Due::Run(run(last)),"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: SCHEDULES,
    },
    Mutant {
        name: "schedule_deed_of_a_run_dropped",
        bug: "what a run does to its own schedule is not kept",
        edits: &[Edit {
            file: "durable/src/object/recur.rs",
            find: "        let schedules = ScheduleChange { all: changed(&all, schedules), letter: None };",
            replace: r#"        let none = crate::kernel::schedule::Deeds::new();
        let is_dropped = crate::mutant("schedule_deed_of_a_run_dropped");
        let schedules = if is_dropped { &none } else { schedules };
        let schedules = ScheduleChange { all: changed(&all, schedules), letter: None };"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: SCHEDULES,
    },
    Mutant {
        name: "schedule_notice_lost",
        bug: "nobody hears of a schedule that is set while the runtime runs",
        edits: &[Edit {
            file: "durable/src/storage/notices.rs",
            find: "    fn push(&self, kind: Kind, object_no: ObjectNo, notice: Notice) {",
            replace: r#"    fn push(&self, kind: Kind, object_no: ObjectNo, notice: Notice) {
        if kind == Kind::Schedule && crate::mutant("schedule_notice_lost") {
            return;
        }"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: SCHEDULES,
    },
];
