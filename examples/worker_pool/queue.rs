//! The jobs: which wait, who holds which, what came of them.

use std::collections::{BTreeMap, BTreeSet};

use durable::prelude::*;

/// A job in somebody's hands.
#[derive(Clone, Debug, PartialEq, DurableState)]
pub(crate) struct Job {
    pub number: u64,
    /// From 1; more if its worker crashed with it.
    pub attempt: u32,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, DurableState)]
pub(crate) struct Progress {
    pub open: u64,
    pub done: u64,
    /// Attempts that came to nothing.
    pub crashes: u64,
    /// Of all results.
    pub sum: u64,
}

/// Jobs that are done once, whoever crashes meanwhile.
#[derive(Default, DurableState)]
pub(crate) struct Queue {
    waiting: BTreeSet<u64>,
    /// By the name of the worker.
    held: BTreeMap<String, Job>,
    results: BTreeMap<u64, u64>,
    crashes: u64,
}

#[durable_object(name = "example.Queue", visibility = "pub(crate)")]
impl Queue {
    /// Adds the jobs from 1 to `last`, but for those that it knows.
    pub fn fill(&mut self, last: u64) {
        let known: BTreeSet<u64> = self.held.values().map(|job| job.number).collect();
        let is_new = |number: &u64| !known.contains(number) && !self.results.contains_key(number);
        self.waiting.extend((1..=last).filter(is_new));
    }

    /// A job for a worker. One that took a job and did not finish it has crashed with it, and gets it again.
    pub fn take(&mut self, worker: String) -> Option<Job> {
        if let Some(job) = self.held.get_mut(&worker) {
            job.attempt += 1;
            self.crashes += 1;
            return Some(job.clone());
        }
        let job = Job { number: self.waiting.pop_first()?, attempt: 1 };
        self.held.insert(worker, job.clone());
        Some(job)
    }

    /// The job that the worker holds is done.
    pub fn finish(&mut self, worker: String, result: u64) {
        if let Some(job) = self.held.remove(&worker) {
            self.results.insert(job.number, result);
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress {
            open: (self.waiting.len() + self.held.len()) as u64,
            done: self.results.len() as u64,
            crashes: self.crashes,
            sum: self.results.values().sum(),
        }
    }
}
