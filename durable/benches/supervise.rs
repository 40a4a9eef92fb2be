//! Supervision: how fast a child that crashes is there again, how many restarts there are in a second, what it takes to
//! restart a thousand children together and to start ten thousand.
//!
//! And what an object that always crashes costs those that do not.
//!
//! Beside this crate the same is done by two other crates for actors, and by Erlang's own supervisor where `erl` is
//! installed. Each crash is a child that ends with an error, which all of them know.
#![allow(clippy::disallowed_methods, reason = "a bench measures the real clock")]

#[allow(dead_code, reason = "not every bench uses every part")]
mod load;
mod poison;
#[allow(dead_code, reason = "not every bench uses every part")]
mod report;
mod trees;

use std::time::Duration;

use report::{Goal, Options, Report, Row, median};
use trees::Trees;
use trees::durable_tree::Durable;
use trees::program::Program;

/// What the rows of Erlang's supervisor are called.
const ERLANG: &str = "erlang";

/// Restarts per second, against Erlang's.
const OF_ERLANG: f64 = 0.5;

/// Restarts of a short burst.
const BURST: u32 = 500;

/// Something that is measured, of each system.
struct Case {
    name: String,
    metric: &'static str,
    measure: Measure,
    /// Whether a small figure is a good one.
    is_time: bool,
    /// What Erlang is asked; `None` where only the crates are compared.
    of_erlang: Option<f64>,
}

/// How one round of one system is measured.
type Measure = Box<dyn Fn(&dyn Trees) -> f64>;

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("supervise", &options);
    if options.wants("poison") {
        // Panics are the subject here, and are not printed.
        std::panic::set_hook(Box::new(|_| {}));
        trees::probe::runtime().block_on(poison::poison(&options, &mut report));
        drop(std::panic::take_hook());
    }
    let stores = options.stores("supervise");
    let ours = Durable::new(stores.dir());
    let mut others: Vec<_> =
        ["ractor-supervisor", "kameo"].map(|name| (name, Program::peer(name))).into();
    match Program::erlang(stores.dir()) {
        Some(erlang) => others.push((ERLANG, erlang)),
        None => report.note("no erl here: install Debian's erlang-base for a comparison with it"),
    }
    for case in cases(&options) {
        if options.wants(&case.name) {
            report.note(&case.name);
            compare(&options, &case, &ours, &others, &mut report);
        }
    }
    report.print();
}

fn cases(options: &Options) -> Vec<Case> {
    let long = options.pick(20_000, 4_000);
    let crashes = options.pick(1_000, 200);
    let together = options.pick(1_000, 200);
    let many = options.pick(10_000, 2_000);
    let quantile = |share: f64| -> Measure {
        Box::new(move |trees| {
            let mut late = trees.latencies(crashes);
            late.sort();
            micros(late[(late.len() as f64 * share) as usize])
        })
    };
    let burst = |restarts: u32| -> Measure {
        Box::new(move |trees| f64::from(restarts) / trees.restarts(restarts).as_secs_f64())
    };
    let case = |name: String, metric, measure, is_time, of_erlang| Case {
        name,
        metric,
        measure,
        is_time,
        of_erlang,
    };
    vec![
        case("latency".into(), "p50_us", quantile(0.5), true, None),
        case("latency".into(), "p99_us", quantile(0.99), true, None),
        // Erlang looks at all restarts of the last second at each, so that a long burst shows little else of it.
        case(format!("burst_{BURST}"), "restarts_per_s", burst(BURST), false, Some(OF_ERLANG)),
        case(format!("burst_{long}"), "restarts_per_s", burst(long), false, Some(OF_ERLANG)),
        case(
            format!("one_for_all_{together}"),
            "ms",
            Box::new(move |trees| micros(trees.one_for_all(together)) / 1_000.0),
            true,
            None,
        ),
        case(
            format!("start_{many}"),
            "ms",
            Box::new(move |trees| micros(trees.start(many)) / 1_000.0),
            true,
            None,
        ),
    ]
}

fn compare(
    options: &Options,
    case: &Case,
    ours: &dyn Trees,
    others: &[(&'static str, Program)],
    report: &mut Report<'_>,
) {
    let mut mine = Vec::new();
    let mut theirs = vec![Vec::new(); others.len()];
    // The first round finds nothing in memory.
    for round in 0..=options.pick(7, 3) {
        let figure = (case.measure)(ours);
        let figures: Vec<f64> = others.iter().map(|(_, other)| (case.measure)(other)).collect();
        if round == 0 {
            continue;
        }
        mine.push(figure);
        theirs.iter_mut().zip(figures).for_each(|(rounds, figure)| rounds.push(figure));
    }
    for ((name, _), rounds) in others.iter().zip(theirs) {
        let goal = match (*name, case.is_time) {
            (ERLANG, _) => case.of_erlang.map(Goal::AtLeast),
            (_, true) => Some(Goal::AtMost(1.0)),
            (_, false) => Some(Goal::AtLeast(1.0)),
        };
        report.push(Row {
            case: case.name.clone(),
            metric: case.metric,
            ours: median(mine.iter().copied()),
            baseline: median(rounds),
            baseline_name: name,
            goal,
        });
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
