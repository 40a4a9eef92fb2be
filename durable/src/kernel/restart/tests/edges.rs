//! What OTP does not have: starts that take their time, waits before restarts, orders to end that do not wait, kills.

use std::time::Duration;

use super::super::*;
use super::stage::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_order_to_end_does_not_wait_for_a_child_that_starts() {
    let mut stage = Stage::of(&spec(Strategy::OneForOne, [c("a"), c("b"), c("d")]));
    stage.slow.insert("b".into());
    stage.take(Event::Start);
    assert_eq!(stage.which(), "a:up b:starting d:down");
    stage.take(Event::Stop);
    assert_eq!(stage.done(), "+a +b -b -a", "the one that starts is stopped like the others");
    assert_eq!(stage.reason(), Some(ExitReason::Shutdown));
}

/// Ending, while `a` still starts and `b` takes its time to stop.
fn ending_while_one_restarts() -> Stage {
    let mut stage = Stage::up(&spec(Strategy::OneForOne, [c("a"), c("b")]));
    stage.deaf.insert("b".into());
    stage.slow.insert("a".into());
    stage.crash("a");
    stage.take(Event::Stop);
    assert_eq!(stage.done(), "+a -b");
    stage
}

#[test]
fn a_child_that_has_started_while_others_stop_is_stopped_in_its_turn() {
    let mut stage = ending_while_one_restarts();
    stage.ready("a");
    stage.exit("b", ExitReason::Shutdown);
    assert_eq!(stage.done(), "-a");
    assert_eq!(stage.reason(), Some(ExitReason::Shutdown));
}

#[test]
fn a_child_that_does_not_start_while_others_stop_is_not_waited_for() {
    let mut stage = ending_while_one_restarts();
    stage.crash("a");
    stage.exit("b", ExitReason::Shutdown);
    assert_eq!((stage.done().as_str(), stage.reason()), ("", Some(ExitReason::Shutdown)));
}

#[test]
fn a_child_that_ends_while_others_start_is_restarted_when_they_have() {
    let mut stage = Stage::of(&spec(Strategy::OneForOne, [c("a"), c("b")]));
    stage.slow.insert("b".into());
    stage.take(Event::Start);
    stage.crash("a");
    assert_eq!(stage.which(), "a:gone b:starting");
    stage.ready("b");
    assert_eq!(stage.done(), "+a +b +a");
}

#[test]
fn whoever_comes_late_is_told_apart_by_the_incarnation() {
    let mut stage = Stage::up(&spec(Strategy::OneForOne, [c("a")]));
    let (_, child) = stage.machine.children().next().expect("a child");
    let ChildState::Running(old) = child.state else { panic!("it runs") };
    stage.crash("a");
    stage.take(Event::Exited(old, ExitReason::Error.into()));
    stage.take(Event::Started(old));
    stage.take(Event::Timer(Timer::Kill(old)));
    assert_eq!(stage.done(), "+a");
}

#[test]
fn a_restart_waits_longer_each_time_and_begins_anew_after_a_long_run() {
    let backoff = Backoff::new(10 * MS, 30 * MS).jitter_percent(0);
    let child = with(c("a"), |child| child.backoff = Some(backoff));
    let mut patient = spec(Strategy::OneForOne, [child]);
    patient.intensity = 9;
    let mut stage = Stage::up(&patient);
    for wait in [10, 20, 30, 30] {
        stage.crash("a");
        assert_eq!(stage.which(), "a:restarting");
        stage.pass((wait - 1) * MS);
        assert_eq!(stage.done(), "");
        stage.pass(MS);
        assert_eq!(stage.done(), "+a", "after {wait} ms");
    }
    stage.pass(60 * MS);
    stage.crash("a");
    stage.pass(10 * MS);
    assert_eq!(stage.done(), "+a");
}

#[test]
fn a_wait_is_longer_by_chance_up_to_its_jitter() {
    let backoff = Backoff::new(100 * MS, SECOND).jitter_percent(50);
    assert_eq!(backoff.delay(0, 0), 100 * MS);
    assert_eq!(backoff.delay(0, u64::MAX), 150 * MS);
    assert_eq!(backoff.delay(2, u64::MAX / 2).as_millis(), 500);
    assert_eq!(backoff.delay(40, 0), SECOND);
}

#[test]
fn the_others_stop_at_once_and_start_after_the_wait() {
    let backoff = Some(Backoff::new(10 * MS, 10 * MS).jitter_percent(0));
    let child = with(c("b"), |child| child.backoff = backoff);
    let mut stage = Stage::up(&spec(Strategy::OneForAll, [c("a"), child, c("d")]));
    stage.crash("b");
    assert_eq!(stage.done(), "-d -a");
    assert_eq!(stage.which(), "a:down b:restarting d:down");
    stage.pass(10 * MS);
    assert_eq!(stage.done(), "+a +b +d");
}

#[test]
fn a_wait_is_over_when_the_child_is_stopped_meanwhile() {
    let backoff = Some(Backoff::new(10 * MS, 10 * MS));
    let child = with(c("a"), |child| child.backoff = backoff);
    let mut stage = Stage::up(&spec(Strategy::OneForOne, [child]));
    stage.crash("a");
    assert_eq!(stage.terminate("a"), "ok");
    assert_eq!(stage.restart_child("a"), "ok a");
    stage.pass(SECOND);
    assert_eq!(stage.done(), "+a", "the wait of the run before starts nothing");
}

#[test]
fn a_kill_ends_all_at_once_whatever_is_being_done() {
    let patient = [c("a"), with(c("b"), |child| child.shutdown = Shutdown::Infinity), c("d")];
    let mut stage = Stage::up(&spec(Strategy::OneForOne, patient));
    stage.deaf.insert("b".into());
    stage.take(Event::Stop);
    assert_eq!(stage.done(), "-d -b");
    stage.take(Event::Kill);
    assert_eq!(stage.done(), "!b !a");
    assert_eq!(stage.reason(), Some(ExitReason::Killed));
}

#[test]
fn those_who_wait_for_an_answer_get_one_when_the_supervisor_ends() {
    let mut stage = Stage::up(&spec(Strategy::OneForOne, [c("a")]));
    stage.slow.insert("b".into());
    assert_eq!(stage.start_child(c("b")), "");
    assert_eq!(stage.terminate("a"), "", "one thing at a time");
    stage.take(Event::Stop);
    assert_eq!(stage.answers(), "supervisor.stopped supervisor.stopped");
    assert_eq!(stage.terminate("a"), "supervisor.stopped");
}

#[test]
fn each_decision_is_told_once_with_its_incarnation() {
    let mut stage = Stage::of(&spec(Strategy::OneForOne, [c("a")]));
    stage.take(Event::Start);
    stage.crash("a");
    stage.take(Event::Stop);
    let told: Vec<_> = stage.decisions.iter().map(|decision| format!("{decision:?}")).collect();
    let told: Vec<_> = told.iter().map(|text| text.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(
        told,
        [
            "ChildStarting",
            "ChildStarted",
            "Up",
            "ChildExited",
            "Restarting",
            "ChildStarting",
            "ChildStarted",
            "Ending",
            "ChildStopping",
            "ChildStopped",
            "Ended"
        ]
    );
}
