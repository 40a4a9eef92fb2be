//! What every bench shares: its arguments, medians, the table for people, the one line for
//! machines.
//!
//! It knows nothing of what is measured.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use serde::Serialize;
use tempfile::TempDir;

const USAGE: &str =
    "usage: cargo bench -p durable --bench NAME -- [--json] [--quick] [--data DIR] [CASE]
  --json      one JSON object on one line in place of the table
  --quick     a short run: fewer and shorter rounds, smaller stores
  --data DIR  keep the stores in DIR, and use again what an earlier run left there
  CASE        only the cases whose name contains this text";

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) is_json: bool,
    pub(crate) is_quick: bool,
    /// `None`: a temporary directory beside the build, removed at the end.
    pub(crate) data: Option<PathBuf>,
    /// `None`: every case.
    pub(crate) only: Option<String>,
}

impl Options {
    /// Reads the command line; a wrong one ends the process with the usage on stderr.
    pub(crate) fn from_args() -> Self {
        Self::parse(std::env::args().skip(1)).unwrap_or_else(|problem| {
            let _ = writeln!(io::stderr(), "{problem}\n{USAGE}");
            process::exit(2);
        })
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // Cargo passes it to every bench.
                "--bench" => {}
                "--json" => options.is_json = true,
                "--quick" => options.is_quick = true,
                "--data" => {
                    let dir = args.next().ok_or("--data needs a directory")?;
                    options.data = Some(dir.into());
                }
                flag if flag.starts_with('-') => return Err(format!("`{flag}` is not known")),
                _ => options.only = Some(arg),
            }
        }
        Ok(options)
    }

    /// Whether the command line asks for this case.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|only| case.contains(only.as_str()))
    }

    /// `full`, or `quick` in a short run.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }

    /// Where the bench called `bench` keeps its stores.
    pub(crate) fn stores(&self, bench: &str) -> Stores {
        let temporary = || {
            // Beside the build, because the system's temporary directory may be memory, where a
            // sync costs nothing.
            tempfile::Builder::new()
                .prefix(bench)
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .expect("the build directory can be written")
        };
        match &self.data {
            Some(dir) => {
                fs::create_dir_all(dir).expect("the --data directory can be made");
                Stores { dir: dir.clone(), _temporary: None }
            }
            None => {
                let temporary = temporary();
                Stores { dir: temporary.path().to_owned(), _temporary: Some(temporary) }
            }
        }
    }
}

/// The directory of a run's stores.
#[derive(Debug)]
pub(crate) struct Stores {
    dir: PathBuf,
    /// `None`: the user gave the directory, and keeps it.
    _temporary: Option<TempDir>,
}

impl Stores {
    /// The directory itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// What a ratio of ours to the baseline should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// More is better.
    AtLeast(f64),
    /// Less is better.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Goal::AtLeast(bound) => ratio >= bound,
            Goal::AtMost(bound) => ratio <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Goal::AtLeast(bound) => format!("≥ {bound}"),
            Goal::AtMost(bound) => format!("≤ {bound}"),
        }
    }
}

/// One figure against its baseline.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) metric: &'static str,
    pub(crate) ours: f64,
    pub(crate) baseline: f64,
    pub(crate) baseline_name: &'static str,
    /// `None`: told for information only.
    pub(crate) goal: Option<Goal>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.baseline
    }
}

/// The rows of one bench.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    bench: &'static str,
    options: &'a Options,
    rows: Vec<Row>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(bench: &'static str, options: &'a Options) -> Self {
        Report { bench, options, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Tells on stderr what the bench is busy with, so that a long run is not a silent one.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}: {text}", self.bench);
    }

    /// Prints the table, or the one JSON line.
    pub(crate) fn print(&self) {
        let text = if self.options.is_json { self.json() } else { self.table() };
        io::stdout().write_all(text.as_bytes()).expect("stdout takes the report");
    }

    fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| JsonRow {
            case: &row.case,
            metric: row.metric,
            ours: rounded(row.ours),
            baseline: rounded(row.baseline),
            baseline_name: row.baseline_name,
            ratio: rounded(row.ratio()),
        });
        let report = Json { bench: self.bench, machine: Machine::this(), rows: rows.collect() };
        serde_json::to_string(&report).expect("a report is plain data") + "\n"
    }

    fn table(&self) -> String {
        let machine = Machine::this();
        let mut lines = vec![format!(
            "{}: {} × {}, {} {}; medians of interleaved rounds",
            self.bench, machine.cpus, machine.cpu, machine.os, machine.kernel
        )];
        let head = ["case", "metric", "ours", "baseline", "ratio", "goal", ""];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.rows.iter().map(|row| {
            let met = row.goal.map(|goal| if goal.is_met(row.ratio()) { "met" } else { "MISSED" });
            [
                row.case.clone(),
                row.metric.to_owned(),
                figure(row.ours),
                format!("{} ({})", figure(row.baseline), row.baseline_name),
                format!("{:.2}", row.ratio()),
                row.goal.map(Goal::text).unwrap_or_default(),
                met.unwrap_or_default().to_owned(),
            ]
        }));
        let widths: Vec<usize> = (0..head.len())
            .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
            .collect();
        for row in rows {
            let padded = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
            lines.push(padded.collect::<Vec<_>>().join("  ").trim_end().to_owned());
        }
        lines.join("\n") + "\n"
    }
}

#[derive(Serialize)]
struct Json<'a> {
    bench: &'a str,
    machine: Machine,
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    case: &'a str,
    metric: &'a str,
    ours: f64,
    baseline: f64,
    baseline_name: &'a str,
    ratio: f64,
}

/// What the figures were measured on.
#[derive(Serialize)]
struct Machine {
    cpus: usize,
    /// Empty where the system does not tell.
    cpu: String,
    os: &'static str,
    /// Empty where the system does not tell.
    kernel: String,
}

impl Machine {
    fn this() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Machine {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
            os: std::env::consts::OS,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map(|text| text.trim().to_owned())
                .unwrap_or_default(),
        }
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    assert!(!values.is_empty(), "a median needs at least one round");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// Three decimals are more than any figure here is worth.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn figure(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
