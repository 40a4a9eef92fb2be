//! `peers SYSTEM CASE COUNT` prints the times of one round, in nanoseconds, one on a line.

mod kameo_tree;
#[path = "../../trees/probe.rs"]
mod probe;
mod ractor_tree;

use std::env;

use probe::Trees;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let [system, case, count] = &args[..] else { panic!("usage: peers SYSTEM CASE COUNT") };
    let trees: Box<dyn Trees> = match system.as_str() {
        "kameo" => Box::new(kameo_tree::Kameo::new()),
        "ractor-supervisor" => Box::new(ractor_tree::Ractor::new()),
        _ => panic!("{system} is not known"),
    };
    let count = count.parse().expect("a number");
    let times = match case.as_str() {
        "latencies" => trees.latencies(count),
        "restarts" => vec![trees.restarts(count)],
        "one_for_all" => vec![trees.one_for_all(count)],
        "start" => vec![trees.start(count)],
        _ => panic!("{case} is not known"),
    };
    for time in times {
        println!("{}", time.as_nanos());
    }
}
