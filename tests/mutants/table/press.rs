//! Bounds that do not hold.

use crate::{Edit, Mutant, PRESS};

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
            find: "    (max < config.in_flight_calls_max).then(|| Places::new(max))",
            replace: r#"    let is_bounded = max < config.in_flight_calls_max;
    (is_bounded && !crate::mutant("class_without_bound")).then(|| Places::new(max))"#,
        }],
        seeds: 100,
        found_by: &["P11"],
        test: PRESS,
    },
];
