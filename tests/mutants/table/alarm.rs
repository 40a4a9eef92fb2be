//! Alarms that fire when they should not, or do not fire.

use crate::{ALARMS, Edit, Mutant};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "alarm_fires_before_commit",
        bug: "an alarm is heard of as soon as the commit that sets it is handed over",
        edits: &[Edit {
            file: "durable/src/storage/shared.rs",
            find: "        (seq, queue.push(Item::write(write, seq)))",
            replace: r#"        if crate::mutant("alarm_fires_before_commit") {
            self.alarms.tell(super::notices::Committed {
                object_no: write.object_no,
                commit_no: write.commit_no,
                alarm: write.alarm.as_deref(),
                schedules: write.schedules.as_deref(),
                erases: write.erases,
            });
        }
        (seq, queue.push(Item::write(write, seq)))"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_used_up_before_handler",
        bug: "an alarm is used up before its handler runs, in a commit of its own",
        edits: &[Edit {
            file: "durable/src/object/ring.rs",
            find: "    witness::turn_began(slot, live, call, &HANDLER);",
            replace: r#"    if crate::mutant("alarm_used_up_before_handler") {
        let changes = Changes { alarm: Some(AlarmChange::to(None)), ..Changes::default() };
        live.submit(slot, changes, (0, None));
    }
    witness::turn_began(slot, live, call, &HANDLER);"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_retries_not_counted",
        bug: "a retry does not remember that a run has failed",
        edits: &[Edit {
            file: "durable/src/kernel/alarm.rs",
            find: "retries: attempts, ..alarm",
            replace: r#"retries: if crate::mutant("alarm_retries_not_counted") { 0 } else { attempts }, ..alarm"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_retried_too_soon",
        bug: "the wait before a retry does not grow",
        edits: &[Edit {
            file: "durable/src/kernel/alarm.rs",
            find: "    let most_ns = delay.as_nanos() / 4;",
            replace: r#"    let delay = if crate::mutant("alarm_retried_too_soon") { spec.delay / 2 } else { delay };
    let most_ns = delay.as_nanos() / 4;"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_failure_not_stored",
        bug: "a failure of a handler is not stored, so that it is run again for ever",
        edits: &[Edit {
            file: "durable/src/object/uncalled.rs",
            find: "    if !counts || live",
            replace: r#"    if crate::mutant("alarm_failure_not_stored") || !counts || live"#,
        }],
        seeds: 300,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_re_arm_dropped",
        bug: "what a handler sets is not set",
        edits: &[Edit {
            file: "durable/src/object/ring.rs",
            find: "        let next = if let Deed::Set(at) = alarm { Some(at) } else { None };",
            replace: r#"        let alarm = if crate::mutant("alarm_re_arm_dropped") { Deed::Cancelled } else { alarm };
        let next = if let Deed::Set(at) = alarm { Some(at) } else { None };"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_replaced_fires",
        bug: "an alarm that was replaced fires, too",
        edits: &[
            Edit {
                file: "durable/src/object/ring.rs",
                find: "        Some(wanted) => (live",
                replace: r#"        Some(_) if crate::mutant("alarm_replaced_fires") => true,
        Some(wanted) => (live"#,
            },
            Edit {
                file: "durable/src/kernel/alarm.rs",
                find: "        self.forget(object_no);\n        if let Notice::Set(alarmed) = notice",
                replace: r#"        if !crate::mutant("alarm_replaced_fires") {
            self.forget(object_no);
        }
        if let Notice::Set(alarmed) = notice"#,
            },
        ],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_overdue_forgotten",
        bug: "what fell due while nothing ran is not read at the start",
        edits: &[Edit {
            file: "durable/src/alarm/mod.rs",
            find: "            Ok((rows, is_last)) => {",
            replace: r#"            Ok((mut rows, is_last)) => {
                if crate::mutant("alarm_overdue_forgotten") {
                    let wall = self.host.clock.wall();
                    rows.retain(|row| row.place.due > wall);
                }"#,
        }],
        seeds: 300,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_of_rolled_back_turn",
        bug: "the alarm of a turn that refused is set",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "        (Verdict::RollBack, Came::Returned(ran), _) => Ok(ran.reply),",
            replace: r#"        (Verdict::RollBack, Came::Returned(ran), _) => {
            let alarm = beside.as_ref().and_then(|beside| beside.alarm.clone());
            if crate::mutant("alarm_of_rolled_back_turn") && alarm.is_some() {
                live.submit(slot, Changes { alarm, ..Changes::default() }, crate::object::activation::HOOK);
            }
            Ok(ran.reply)
        }"#,
        }],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
    Mutant {
        name: "alarm_fires_early",
        bug: "an alarm fires half a second before its time",
        edits: &[
            Edit {
                file: "durable/src/object/ring.rs",
                find: "    let alarm = live.alarm().filter(",
                replace: r#"    let early = if crate::mutant("alarm_fires_early") { 500 } else { 0 };
    let now = crate::time::WallMs(now.0 + early);
    let alarm = live.alarm().filter("#,
            },
            Edit {
                file: "durable/src/alarm/mod.rs",
                find: "            self.hear(&shared.store, waker, wall);",
                replace: r#"            let early = if crate::mutant("alarm_fires_early") { 500 } else { 0 };
            let wall = WallMs(wall.0 + early);
            self.hear(&shared.store, waker, wall);"#,
            },
        ],
        seeds: 100,
        found_by: &["P6"],
        test: ALARMS,
    },
];
