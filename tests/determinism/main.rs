//! P12: a world is a function of its seed, in one process and in two.

#![allow(clippy::disallowed_methods, reason = "processes are real")]

use std::process::Command;
use std::{env, fs};

use durable_testing::prelude::*;
use tests::alarms::{bells, ring_and_work};
use tests::classes::bank;
use tests::schedules::{clocks, tick_and_work};
use tests::sends::{offices, send_and_work};
use tests::tree::{supervised, work_in_a_tree};
use tests::workload::work;

/// Where a process is to leave its traces, if it was started for that.
const LEAVE_AT: &str = "TWIN_LEAVES_ITS_TRACE_AT";

const SEEDS: u64 = 12;

/// Of a tree of supervisors.
const SEEDS_OF_TREES: u64 = 6;

/// The traces of a few worlds in which everything goes wrong.
fn traces() -> String {
    let world = |seed| {
        let simulation = Simulation::new().allow_panics();
        let trace = simulation.trace(seed, bank, async |sim| work(sim, Faults::all()).await);
        trace.unwrap_or_else(|failed| panic!("{failed}"))
    };
    let tree = |seed| {
        let simulation = Simulation::new().allow_panics();
        let body = async |sim| work_in_a_tree(sim, Faults::all()).await;
        simulation.trace(seed, supervised, body).unwrap_or_else(|failed| panic!("{failed}"))
    };
    let alarms = |seed| {
        let simulation = Simulation::new().allow_panics();
        let ring = async |sim| ring_and_work(sim, Faults::all()).await;
        simulation.trace(seed, bells, ring).unwrap_or_else(|failed| panic!("{failed}"))
    };
    let schedules = |seed| {
        let simulation = Simulation::new().allow_panics();
        let tick = async |sim| tick_and_work(sim, Faults::all()).await;
        simulation.trace(seed, clocks, tick).unwrap_or_else(|failed| panic!("{failed}"))
    };
    let sends = |seed| {
        let simulation = Simulation::new().allow_panics();
        let send = async |sim| send_and_work(sim, Faults::all()).await;
        simulation.trace(seed, offices, send).unwrap_or_else(|failed| panic!("{failed}"))
    };
    let worlds = (0..SEEDS).map(world).chain((0..SEEDS).map(alarms));
    let worlds = worlds.chain((0..SEEDS).map(schedules)).chain((0..SEEDS).map(sends));
    worlds.chain((0..SEEDS_OF_TREES).map(tree)).collect()
}

#[test]
fn one_seed_is_one_run_in_one_process_and_in_two() {
    let here = traces();
    if let Some(path) = env::var_os(LEAVE_AT) {
        fs::write(path, here).expect("the trace is left");
        return;
    }
    assert!(here.lines().count() > 1_000, "something happens in these worlds");
    assert!(here.contains("node.crashes"), "and something goes wrong");
    assert!(here.contains("alarm.fires"), "and objects wake themselves");
    assert!(here.contains("schedule.fires"), "also by the calendar");
    assert!(here.contains("send.arrives"), "and each other, without waiting");
    let again = traces();
    assert_eq!(parting(&here, &again), None, "twice in one process");
    let dir = tempfile::tempdir().expect("a directory");
    for twin in ["one", "other"] {
        let path = dir.path().join(twin);
        let program = env::current_exe().expect("this program");
        let status = Command::new(program)
            .args(["one_seed_is_one_run_in_one_process_and_in_two", "--exact", "--quiet"])
            .env(LEAVE_AT, &path)
            .env("WHATEVER_ELSE", "x".repeat(twin.len() * 1_000))
            .status();
        assert!(status.expect("it runs").success());
        let there = fs::read_to_string(path).expect("it left a trace");
        assert_eq!(parting(&here, &there), None, "in two processes");
    }
}

/// The first lines that differ.
fn parting<'t>(one: &'t str, other: &'t str) -> Option<(&'t str, &'t str)> {
    if one.len() != other.len() {
        return Some(("their lengths", "differ"));
    }
    one.lines().zip(other.lines()).find(|(one, other)| one != other)
}
