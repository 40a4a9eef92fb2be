//! What the macros accept, each form in a program that allows no warning.
//!
//! Built without a harness: what is built for one is not asked for its documentation.

pub mod alarms;
pub mod bounds;
pub mod classes;
pub mod codec;
pub mod crashes;
pub mod http;
pub mod methods;
pub mod schedules;
pub mod states;
pub mod streams;
pub mod supervisors;

fn main() {
    alarms::check();
    bounds::check();
    classes::check();
    codec::check();
    crashes::check();
    methods::check();
    states::check();
    streams::check();
    supervisors::check();
}
