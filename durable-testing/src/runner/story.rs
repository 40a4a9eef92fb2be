//! What is said about a world that failed: what was wrong, what led to it, how to see it again.

use std::fmt::Write as _;

use crate::plan::shrink::Shrunk;
use crate::report::{Report, Verdict};

/// The first and the last line of every story, by which it is found among what libtest says.
pub(super) const BEGIN: &str = "simulation of ";
pub(super) const END: &str = "end of the simulation";

/// Lines of a timeline.
const LINES_MAX: usize = 40;

/// Lines at the end of a timeline that are shown whatever they say.
const LAST_LINES: usize = 10;

/// A world that failed.
pub(super) struct Failing<'a> {
    pub(super) name: &'a str,
    pub(super) seed: u64,
    /// How many worlds passed before.
    pub(super) number: u32,
    pub(super) report: &'a Report,
    /// How many faults there were, and which are needed.
    pub(super) faults: (usize, &'a Shrunk),
    /// Whether it went the same way twice.
    pub(super) is_same: bool,
    /// Where its plan is kept. `None`: nowhere new.
    pub(super) stored: Option<&'a str>,
}

/// The whole story.
pub(super) fn failed(failing: &Failing<'_>) -> String {
    let Failing { name, seed, number, report, faults: (count, shrunk), is_same, stored } = failing;
    let (check, text) = report.failed().unwrap_or(("", "it failed once, and not again"));
    let plan = &shrunk.plan;
    let mut story = format!("{BEGIN}{name} failed, seed {seed:x}, after {number} that passed\n");
    let _ = writeln!(story, "  {check}: {text}");
    let _ = writeln!(
        story,
        "  faults: {count} -> {}, in {} runs: {plan}",
        plan.faults.len(),
        shrunk.runs
    );
    let _ = write!(story, "{}", timeline(&report.trace));
    let short = name.rsplit("::").next().unwrap_or(name);
    let _ = writeln!(story, "  replay: DURABLE_SIM={seed:x}:{plan} cargo test {short}");
    if let Some(path) = stored {
        let _ = writeln!(
            story,
            "  stored: {path}; keep it with the code, it is run again with every test"
        );
    }
    if !is_same {
        let _ = writeln!(
            story,
            "  two runs of it differ: something in the test or its objects does not come from the seed"
        );
    }
    story + END
}

/// A world that did not come to its end, and so cannot say what happened.
pub(super) fn lost(name: &str, seed: u64, plan: Option<&str>, report: &Report) -> String {
    let (check, text) = report.failed().unwrap_or_default();
    let world = plan.map_or_else(|| format!("{seed:x}"), |plan| format!("{seed:x}:{plan}"));
    let short = name.rsplit("::").next().unwrap_or(name);
    format!(
        "{BEGIN}{name} failed, seed {seed:x}\n  {check}: {text}\n  replay: DURABLE_SIM={world} cargo test {short}\n{END}"
    )
}

/// A world that was run because somebody asked for it.
pub(super) fn replayed(name: &str, seed: u64, report: &Report) -> String {
    let verdict = match &report.verdict {
        Verdict::Passed => "passed".to_owned(),
        Verdict::GaveUp(why) => format!("gave up: {why}"),
        Verdict::Failed { check, text } => format!("failed, {check}: {text}"),
    };
    let plan = &report.plan;
    format!(
        "{BEGIN}{name}, seed {seed:x}, faults {plan}: {verdict}\n{}  trace {:016x}\n{END}",
        report.trace, report.hash
    )
}

/// Something about all worlds.
pub(super) fn plain(name: &str, text: &str) -> String {
    format!("{BEGIN}{name} failed\n  {text}\n{END}")
}

/// Two runs of one seed that went different ways.
pub(super) fn parted(name: &str, seed: u64, one: &str, other: &str) -> String {
    let mut pairs = one.lines().zip(other.lines()).enumerate();
    let parting = pairs.find(|(_, (one, other))| one != other);
    let (line, one, other) = parting.map_or((0, "", ""), |(line, (one, other))| (line, one, other));
    format!(
        "{BEGIN}{name} is not a function of its seed {seed:x}\n  the runs part at line {line}:\n  {one}\n  {other}\n  \
         look for a clock, a random number, an unordered map or a thread that does not come from the world\n{END}"
    )
}

/// The lines that tell most.
fn timeline(trace: &str) -> String {
    let all: Vec<&str> = trace.lines().collect();
    let tells = |line: &str| {
        let point = line.split_whitespace().nth(1).unwrap_or_default();
        ["client.", "node.", "fault", "disk.", "clock.", "FAILED"]
            .iter()
            .any(|begin| point.starts_with(begin))
    };
    let last = all.len().saturating_sub(LAST_LINES);
    let chosen: Vec<&str> = all
        .iter()
        .enumerate()
        .filter(|(index, line)| *index >= last || tells(line))
        .map(|(_, line)| *line)
        .collect();
    let skipped = chosen.len().saturating_sub(LINES_MAX);
    let mut text = String::new();
    if skipped > 0 {
        let _ = writeln!(text, "    … {skipped} more before");
    }
    for line in &chosen[skipped..] {
        let _ = writeln!(text, "    {line}");
    }
    text
}
