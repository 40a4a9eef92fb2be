//! Runs the copy's workload with one mutant at a time, and reads what it says.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where its seeds begin. Fixed, so that the number of seeds that a mutant needs is fixed as well; every mutant may take
/// three times the seeds that the worst of the bases 1, 2 and 3 needs, so that another one would do as well.
const BASE: &str = "1";

/// Runs beside each other.
const PROCESSES: usize = 2;

/// The built workload of the copy.
pub struct Workload {
    pub binary: PathBuf,
    /// Where it is run.
    pub folder: PathBuf,
}

/// How a run went.
pub enum Course {
    /// No world failed.
    Passed,
    /// A world failed.
    Found {
        check: String,
        text: String,
        /// How many seeds it took. `None`: that was not said, because the world never came to its end.
        seeds: Option<u32>,
    },
    /// It failed otherwise, and said this.
    Unclear(String),
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Course::Passed => f.write_str("nothing is found"),
            Course::Found { check, text, seeds } => {
                let short: String = text.chars().take(110).collect();
                match seeds {
                    Some(seeds) => write!(f, "{check} finds it in seed {seeds}: {short}"),
                    None => write!(f, "{check} finds it: {short}"),
                }
            }
            Course::Unclear(said) => write!(f, "the run fails in another way:\n{said}"),
        }
    }
}

/// One run.
pub struct Job<'a> {
    /// `None`: there is no mutant in it.
    pub mutant: Option<&'a str>,
    pub test: &'a str,
    pub seeds: u32,
}

impl Workload {
    fn run(&self, job: &Job<'_>) -> Course {
        let Job { mutant, test, seeds } = *job;
        let mut command = Command::new(&self.binary);
        command
            .args([test, "--exact"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            // Without it the plans of worlds that fail are not kept: they are of no use where bugs are wanted.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("DURABLE_SIM")
            .env_remove("DURABLE_MUTANT")
            .env("DURABLE_SIM_BASE", BASE)
            .env("DURABLE_SIM_SEEDS", seeds.to_string());
        if let Some(mutant) = mutant {
            command.env("DURABLE_MUTANT", mutant);
        }
        let ended = match command.output() {
            Ok(ended) => ended,
            Err(error) => return Course::Unclear(error.to_string()),
        };
        let said = String::from_utf8_lossy(&ended.stdout);
        if !ended.status.success() {
            return found(&said).unwrap_or_else(|| Course::Unclear(said.into_owned()));
        }
        if said.contains("1 passed") {
            return Course::Passed;
        }
        Course::Unclear(format!("there is no test {test}:\n{said}"))
    }

    /// Runs all of them, some beside each other, and gives their courses in the order of the jobs.
    pub fn run_all(&self, jobs: &[Job<'_>]) -> Vec<Course> {
        let next = AtomicUsize::new(0);
        let courses: Vec<_> = jobs.iter().map(|_| Mutex::new(Course::Passed)).collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::AcqRel);
                let Some(job) = jobs.get(index) else { return };
                *courses[index].lock().expect("no run panics") = self.run(job);
            }
        };
        std::thread::scope(|scope| {
            (0..PROCESSES).for_each(|_| drop(scope.spawn(work)));
        });
        courses.into_iter().map(|course| course.into_inner().expect("no run panics")).collect()
    }
}

/// Reads the story of a world that failed: two lines, of which the first may say how many passed before it and the second
/// begins with the check.
fn found(said: &str) -> Option<Course> {
    let mut lines = said.lines().skip_while(|line| !line.contains(" failed, seed "));
    let passed = lines.next()?.rsplit_once(", after ").map(|(_, passed)| passed);
    let passed = passed.and_then(|passed| passed.split(' ').next()?.parse::<u32>().ok());
    let (check, text) = lines.next()?.trim_start().split_once(": ")?;
    let seeds = passed.map(|passed| passed + 1);
    Some(Course::Found { check: check.to_owned(), text: text.to_owned(), seeds })
}
