//! Mutants: small bugs, one at a time, each of which the simulated workload must find by the check that is there for it.
//!
//! The code that ships knows nothing of them. They are planted in a copy of the workspace, all at once, each behind a
//! switch that the environment turns; the copy is built once, and its workload is run once for every mutant.

#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod build;
mod copy;
mod plant;
mod run;
mod table;

use std::fmt::Write as _;

use run::{Course, Job};

/// A bug.
struct Mutant {
    name: &'static str,
    /// What it does wrong.
    bug: &'static str,
    /// Where it is planted.
    edits: &'static [Edit],
    /// How many seeds find it at the latest.
    seeds: u32,
    /// The checks that may find it; any one will do.
    found_by: &'static [&'static str],
    /// The test of the workload that finds it.
    test: &'static str,
}

/// One place of a mutant.
struct Edit {
    /// From the workspace's root.
    file: &'static str,
    /// Occurs once in the file.
    find: &'static str,
    /// Does what `find` does unless `crate::mutant` says that it is this mutant's turn.
    replace: &'static str,
}

/// The workload: in a runtime with room for everything, a few calls of it in each of many worlds, over two releases of a
/// program, with alarms, with schedules, and in a runtime with hardly any room.
const PLAIN: &str = "workload::the_workload_keeps_every_promise";
const SMALL: &str = "workload::many_small_worlds_keep_every_promise";
const RELEASE: &str = "workload::what_one_release_stored_the_next_one_reads";
const ALARMS: &str = "workload::alarms_keep_every_promise";
const SCHEDULES: &str = "workload::schedules_keep_every_promise";
/// Objects that send each other calls.
const SENDS: &str = "workload::sends_keep_every_promise";
/// Objects that read streams of each other.
const STREAMS: &str = "workload::a_stream_that_ends_without_an_error_is_whole";
/// A crash at every point, and a send that is taken back after it.
const RECALLING: &str = "workload::a_send_is_not_taken_back_after_its_effect";
/// Objects that are erased while what they have sent waits.
const LEAVING: &str = "workload::what_an_erased_object_has_sent_goes_with_it";
/// Calls with idempotency keys, whose results are kept for long, and for hardly any time.
const KEYED: &str = "workload::calls_with_keys_keep_every_promise";
const FORGETFUL: &str = "workload::results_that_are_forgotten_keep_every_promise";
/// More calls than there is room for.
const PRESS: &str = "workload::what_is_bounded_stays_bounded";
/// More calls than have time for it.
const HURRY: &str = "workload::whoever_comes_too_late_is_turned_away_and_nobody_else";
/// Objects that crash and do not start.
const POISON: &str = "workload::poison_stays_put_whatever_fails";
/// Objects that crash when the period of their budget ends.
const EDGE: &str = "workload::crashes_are_counted_to_the_edge_of_their_period";
/// Turns and tasks that never end, in a node that is asked to.
const DRAIN: &str = "workload::what_does_not_end_is_cut_off_when_the_node_is_asked_to";
/// A tree of supervisors, whose children crash, hang and start slowly.
const TREE: &str = "workload::a_tree_of_supervisors_does_what_otp_does";
/// Objects that own objects.
const KIN: &str = "workload::objects_that_own_objects_keep_every_promise";
/// Objects that own objects, act later, crash and are shut in.
const TOGETHER: &str = "workload::families_that_act_later_and_are_poisoned_keep_every_promise";
/// Objects that call each other in circles.
const WAITS: &str = "workload::calls_that_would_wait_for_themselves_are_refused_and_no_others";
/// Objects whose sockets go over a network that fails.
const SOCKETS: &str = "workload::sockets_keep_every_promise";
/// Objects that open sockets themselves.
const DIALS: &str = "workload::sockets_that_objects_open_keep_every_promise";
/// Events that are followed by sockets that break.
const FEEDS: &str = "workload::whoever_follows_a_feed_misses_nothing";
/// Objects that spawn work.
const WORK: &str = "workload::work_that_turns_spawn_begins_after_them_and_ends_with_their_object";
/// Objects that cannot be read at once.
const BEDS: &str = "workload::objects_that_cannot_be_read_are_tried_again_and_nobody_hears_of_it";
const STARTS: &str = "workload::starts_that_fail_keep_every_promise";
const CROWD: &str = "workload::the_workload_keeps_every_promise_in_a_crowd";

/// Seeds that find nothing where there is no mutant.
const HEALTHY_SEEDS: u32 = 100;

#[test]
fn mutants_apply_to_the_code_as_it_is() {
    let mutants = table::all();
    let mut wrong = plant::check(&mutants);
    for edit in mutants.iter().flat_map(|mutant| mutant.edits) {
        let text = std::fs::read_to_string(copy::workspace().join(edit.file)).unwrap_or_default();
        wrong.extend(plant::plant(&mutants, edit.file, &text).err());
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Names the mutants that are to be run, with commas between them, while somebody works on them.
const ONLY: &str = "DURABLE_MUTANTS";

#[test]
fn every_mutant_is_found_by_the_check_that_is_there_for_it() {
    let mutants = table::all();
    let workload = match copy::make(&mutants).and_then(|copy| build::build(&copy)) {
        Ok(workload) => workload,
        Err(why) => panic!("\n{why}\n"),
    };
    let healthy = [
        CROWD, PLAIN, SMALL, RELEASE, STARTS, ALARMS, SCHEDULES, SENDS, LEAVING, KEYED, FORGETFUL,
        PRESS, HURRY, POISON, EDGE, DRAIN, TREE, KIN, TOGETHER, WAITS, WORK, STREAMS, SOCKETS,
        DIALS, FEEDS, BEDS,
    ];
    let healthy = healthy.map(|test| Job { mutant: None, test, seeds: HEALTHY_SEEDS });
    for (job, course) in healthy.iter().zip(workload.run_all(&healthy)) {
        let is_good = matches!(course, Course::Passed);
        assert!(is_good, "\nwithout any mutant the copy's {} must pass; {course}\n", job.test);
    }
    let only = std::env::var(ONLY).ok();
    let mutants = mutants.iter().filter(|mutant| {
        only.as_deref().is_none_or(|all| all.split(',').any(|name| name == mutant.name))
    });
    let mutants: Vec<_> = mutants.collect();
    let jobs: Vec<_> = mutants
        .iter()
        .map(|mutant| Job { mutant: Some(mutant.name), test: mutant.test, seeds: mutant.seeds })
        .collect();
    let courses = workload.run_all(&jobs);
    let (mut all, mut wrong) = (String::new(), Vec::new());
    for (mutant, course) in mutants.iter().zip(&courses) {
        let Mutant { name, seeds, found_by, .. } = mutant;
        let _ = writeln!(all, "{name:34} {course}");
        match course {
            Course::Found { check, .. } if found_by.contains(&check.as_str()) => {}
            Course::Passed => wrong.push(format!(
                "mutant {name} survives {seeds} seeds, although {}; \
                 find out what keeps {found_by:?} from seeing it",
                mutant.bug
            )),
            other => wrong.push(format!("mutant {name} is for {found_by:?}, but {other}")),
        }
    }
    println!("{all}");
    assert!(wrong.is_empty(), "\n{}\n\nall of them:\n{all}", wrong.join("\n"));
}
