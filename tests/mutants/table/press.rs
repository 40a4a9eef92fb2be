//! Bounds that do not hold.

use crate::{Edit, HURRY, Mutant, PRESS};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "rate_forgotten",
        bug: "a call takes nothing of its object's rate",
        edits: &[Edit {
            file: "durable/src/kernel/rate.rs",
            find: "            self.parts = left;",
            replace: r#"            self.parts = if crate::mutant("rate_forgotten") { self.parts } else { left };"#,
        }],
        seeds: 100,
        found_by: &["P11"],
        test: PRESS,
    },
    Mutant {
        name: "class_without_bound",
        bug: "a class has as many calls under way as its runtime",
        edits: &[Edit {
            file: "durable/src/directory/group/admit.rs",
            find: "    (max < config.in_flight_calls_max).then(|| Places::new(max, threads))",
            replace: r#"    let is_bounded = max < config.in_flight_calls_max;
    (is_bounded && !crate::mutant("class_without_bound")).then(|| Places::new(max, threads))"#,
        }],
        seeds: 100,
        found_by: &["P11"],
        test: PRESS,
    },
    Mutant {
        name: "line_overtaken",
        bug: "a call that does not wait for room gets what others wait for",
        edits: &[Edit {
            file: "durable/src/object/slot/arrival.rs",
            find: "        if state.has_line() && !is_inside {",
            replace: r#"        if state.has_line() && !is_inside && !crate::mutant("line_overtaken") {"#,
        }],
        seeds: 200,
        found_by: &["P11"],
        test: PRESS,
    },
    Mutant {
        name: "line_from_its_end",
        bug: "whoever came last gets room first",
        edits: &[Edit {
            file: "durable/src/object/slot/line.rs",
            find: r#"            let call = state.crowd().line.pop_front().expect("it was seen");"#,
            replace: r#"            let line = &mut state.crowd().line;
            let is_last = crate::mutant("line_from_its_end");
            let call = if is_last { line.pop_back() } else { line.pop_front() };
            let call = call.expect("it was seen");"#,
        }],
        seeds: 100,
        found_by: &["P11", "P5"],
        test: PRESS,
    },
    Mutant {
        name: "dead_take_up_room",
        bug: "calls that nobody waits for any more take up room where others are turned away",
        edits: &[Edit {
            file: "durable/src/object/slot/arrival.rs",
            find: "            self.shed(state, overdue);\n            look(state)",
            replace: r#"            if !crate::mutant("dead_take_up_room") {
                self.shed(state, overdue);
            }
            look(state)"#,
        }],
        seeds: 300,
        found_by: &["P11"],
        test: HURRY,
    },
    Mutant {
        name: "late_without_measure",
        bug: "a call that has little time is turned away although nobody knows how long it would wait",
        edits: &[Edit {
            file: "durable/src/object/slot/shed.rs",
            find: "        if waiting < PACE_WAITING_MIN {",
            replace: r#"        if crate::mutant("late_without_measure") && waiting > 0 {
            return Err(TooLate { waiting, wait: 3 * time, time });
        }
        if waiting < PACE_WAITING_MIN {"#,
        }],
        seeds: 300,
        found_by: &["P11"],
        test: PRESS,
    },
    Mutant {
        name: "place_wakes_nobody",
        bug: "a place that is given back wakes none of those who wait for one",
        edits: &[Edit {
            file: "durable/src/object/places.rs",
            find: "        self.row = None;",
            replace: r#"        self.row = None;
        if crate::mutant("place_wakes_nobody") {
            return;
        }"#,
        }],
        seeds: 100,
        found_by: &["stuck"],
        test: PRESS,
    },
];
