//! What OTP's own tests of `supervisor` ask for, as behaviour of the machine.

use std::time::Duration;

use super::super::ExitReason::{Error, Killed, Meltdown, Normal, Panic, Shutdown as Asked};
use super::super::Strategy::{Dynamic, OneForAll, OneForOne, RestForOne};
use super::super::*;
use super::stage::*;

fn abc(strategy: Strategy) -> SupervisorSpec {
    spec(strategy, [c("a"), c("b"), c("d")])
}

// Start.

#[test]
fn a_supervisor_without_children_starts() {
    let mut stage = Stage::of(&spec(OneForOne, []));
    stage.take(Event::Start);
    assert!(stage.decisions.contains(&Decision::Up));
    stage.take(Event::Stop);
    assert_eq!(stage.reason(), Some(Asked));
}

#[test]
fn children_start_in_order_each_when_the_one_before_has() {
    let mut stage = Stage::of(&abc(OneForOne));
    stage.slow.extend(["a".to_owned(), "b".to_owned()]);
    stage.take(Event::Start);
    assert_eq!(stage.done(), "+a");
    stage.ready("a");
    assert_eq!(stage.done(), "+b");
    stage.ready("b");
    assert_eq!(stage.done(), "+d");
}

#[test]
fn the_first_child_that_fails_to_start_takes_the_earlier_ones_down() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut stage = Stage::of(&abc(strategy));
        stage.failing.insert("d".into(), 1);
        stage.take(Event::Start);
        assert_eq!(stage.done(), "+a +b +d -b -a");
        let exit = stage.ended.as_ref().expect("it ends");
        assert_eq!(exit.reason, Error);
        assert!(exit.text.contains("child `d` does not start"), "{}", exit.text);
    }
}

#[test]
fn a_first_start_is_not_tried_again_and_costs_no_restart() {
    let mut stage = Stage::of(&spec(OneForOne, [temporary("a")]));
    stage.failing.insert("a".into(), 1);
    stage.take(Event::Start);
    assert_eq!(stage.done(), "+a");
    assert_eq!(stage.reason(), Some(Error));
}

#[test]
fn nothing_starts_after_a_supervisor_has_been_stopped_before_it_started() {
    let mut stage = Stage::of(&abc(OneForOne));
    stage.take(Event::Stop);
    assert_eq!((stage.done().as_str(), stage.reason()), ("", Some(Asked)));
}

// One child, each restart type with each exit.

/// Whether a child comes back, for each way to end.
fn comes_back(child: &ChildSpec) -> Vec<(ExitReason, bool)> {
    let each = |reason| {
        let mut stage = Stage::up(&spec(OneForOne, [child.clone()]));
        stage.exit("a", reason);
        (reason, stage.done() == "+a")
    };
    [Normal, Asked, Error, Panic, Killed, Meltdown].map(each).into()
}

#[test]
fn a_permanent_child_always_comes_back() {
    assert!(comes_back(&c("a")).iter().all(|(_, is_back)| *is_back));
}

#[test]
fn a_transient_child_comes_back_after_an_abnormal_end() {
    for (reason, is_back) in comes_back(&transient("a")) {
        assert_eq!(is_back, ![Normal, Asked].contains(&reason), "{reason}");
    }
}

#[test]
fn a_temporary_child_never_comes_back() {
    assert!(comes_back(&temporary("a")).iter().all(|(_, is_back)| !is_back));
}

#[test]
fn a_transient_child_that_ends_normally_keeps_its_spec() {
    let mut stage = Stage::up(&spec(OneForOne, [transient("a")]));
    stage.exit("a", Normal);
    assert_eq!(stage.which(), "a:down");
    assert_eq!(stage.restart_child("a"), "ok a");
}

#[test]
fn a_temporary_child_that_ends_is_forgotten() {
    for reason in [Normal, Asked, Error] {
        let mut stage = Stage::up(&spec(OneForOne, [temporary("a"), c("b")]));
        stage.exit("a", reason);
        assert_eq!(stage.which(), "b:up");
        assert_eq!(stage.restart_child("a"), "child.unknown");
    }
}

// Strategies.

#[test]
fn one_for_one_restarts_the_one_alone() {
    let mut stage = Stage::up(&abc(OneForOne));
    stage.crash("b");
    assert_eq!(stage.done(), "+b");
}

#[test]
fn one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() {
    let mut stage = Stage::up(&abc(OneForAll));
    stage.crash("b");
    assert_eq!(stage.done(), "-d -a +a +b +d");
}

#[test]
fn rest_for_one_restarts_the_one_and_those_behind_it() {
    let mut stage = Stage::up(&abc(RestForOne));
    stage.crash("b");
    assert_eq!(stage.done(), "-d +b +d");
    stage.crash("d");
    assert_eq!(stage.done(), "+d");
    stage.crash("a");
    assert_eq!(stage.done(), "-d -b +a +b +d");
}

#[test]
fn a_normal_end_of_a_permanent_child_restarts_the_others_as_well() {
    let mut stage = Stage::up(&abc(OneForAll));
    stage.exit("a", Normal);
    assert_eq!(stage.done(), "-d -b +a +b +d");
}

#[test]
fn an_end_that_restarts_nobody_leaves_the_others_alone() {
    for strategy in [OneForAll, RestForOne] {
        let mut stage = Stage::up(&spec(strategy, [transient("a"), c("b")]));
        stage.exit("a", Normal);
        assert_eq!(stage.done(), "");
        let mut stage = Stage::up(&spec(strategy, [temporary("a"), c("b")]));
        stage.crash("a");
        assert_eq!(stage.done(), "");
    }
}

#[test]
fn a_temporary_sibling_is_stopped_by_the_strategy_and_forgotten() {
    for (strategy, done) in [(OneForAll, "-t -a +a +b"), (RestForOne, "-t +b")] {
        let mut stage = Stage::up(&spec(strategy, [c("a"), c("b"), temporary("t")]));
        stage.crash("b");
        assert_eq!(stage.done(), done);
        assert_eq!(stage.which(), "a:up b:up");
    }
}

#[test]
fn a_transient_sibling_comes_back_with_the_others() {
    let mut stage = Stage::up(&spec(OneForAll, [c("a"), transient("t")]));
    stage.crash("a");
    assert_eq!(stage.done(), "-t +a +t");
}

#[test]
fn one_for_all_starts_also_those_that_had_been_terminated() {
    let mut stage = Stage::up(&abc(OneForAll));
    assert_eq!(stage.terminate("d"), "ok");
    stage.done();
    stage.crash("a");
    assert_eq!(stage.done(), "-b +a +b +d");
}

#[test]
fn rest_for_one_leaves_a_terminated_earlier_child_alone() {
    let mut stage = Stage::up(&abc(RestForOne));
    stage.terminate("a");
    stage.done();
    stage.crash("b");
    assert_eq!(stage.done(), "-d +b +d");
    assert_eq!(stage.which(), "a:down b:up d:up");
}

#[test]
fn a_sibling_that_ends_while_it_is_stopped_is_not_restarted_twice() {
    let mut stage = Stage::up(&abc(OneForAll));
    stage.deaf.insert("d".into());
    stage.crash("a");
    stage.crash("b");
    assert_eq!(stage.done(), "-d");
    stage.crash("d");
    assert_eq!(stage.done(), "+a +b +d", "the end of b is part of its being stopped");
    assert_eq!(stage.decisions.iter().filter(|told| is_restart(told)).count(), 1);
}

fn is_restart(decision: &Decision) -> bool {
    matches!(decision, Decision::Restarting { .. })
}

// Failed restarts.

#[test]
fn a_restart_that_fails_is_tried_again_and_each_try_counts() {
    let mut stage = Stage::up(&spec(OneForOne, [c("a")]));
    stage.failing.insert("a".into(), 2);
    stage.crash("a");
    assert_eq!(stage.done(), "+a +a +a");
    assert_eq!(stage.decisions.iter().filter(|told| is_restart(told)).count(), 3);
    stage.crash("a");
    assert_eq!(stage.reason(), Some(Meltdown), "the budget was used up by the tries");
}

#[test]
fn a_restart_that_never_succeeds_ends_in_a_meltdown() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut stage = Stage::up(&spec(strategy, [c("a")]));
        stage.failing.insert("a".into(), 99);
        stage.crash("a");
        assert_eq!(stage.done(), "+a +a +a");
        assert_eq!(stage.reason(), Some(Meltdown));
    }
}

#[test]
fn one_for_all_begins_again_when_one_of_all_fails_to_start() {
    let mut stage = Stage::up(&abc(OneForAll));
    stage.failing.insert("b".into(), 1);
    stage.crash("a");
    assert_eq!(stage.done(), "-d -b +a +b -a +a +b +d");
}

#[test]
fn rest_for_one_goes_on_from_the_one_that_fails_to_start() {
    let mut stage = Stage::up(&abc(RestForOne));
    stage.failing.insert("b".into(), 1);
    stage.crash("a");
    assert_eq!(stage.done(), "-d -b +a +b +b +d");
}

#[test]
fn a_child_can_be_terminated_between_two_tries() {
    let slow_to_come = |child: &mut ChildSpec| {
        child.backoff = Some(Backoff::new(SECOND, SECOND).jitter_percent(0));
    };
    let mut stage = Stage::up(&spec(OneForOne, [with(c("a"), slow_to_come)]));
    stage.failing.insert("a".into(), 99);
    stage.crash("a");
    stage.pass(SECOND);
    assert_eq!((stage.done().as_str(), stage.which().as_str()), ("+a", "a:restarting"));
    assert_eq!(stage.restart_child("a"), "child.restarting");
    assert_eq!(stage.delete("a"), "child.restarting");
    assert_eq!(stage.start_child(c("a")), "child.duplicate");
    assert_eq!(stage.terminate("a"), "ok");
    assert_eq!(stage.which(), "a:down");
    stage.pass(9 * SECOND);
    assert_eq!(stage.done(), "");
    assert_eq!(stage.delete("a"), "ok");
}

// Intensity.

#[test]
fn an_intensity_of_zero_gives_up_at_the_first_restart() {
    let mut strict = abc(OneForOne);
    strict.intensity = 0;
    let mut stage = Stage::up(&strict);
    stage.crash("b");
    assert_eq!(stage.done(), "-d -a", "the others are stopped in reverse");
    assert_eq!(stage.reason(), Some(Meltdown));
}

#[test]
fn as_many_restarts_as_the_intensity_are_made_and_not_one_more() {
    let mut stage = Stage::up(&spec(OneForOne, [c("a")]));
    for _ in 0..3 {
        stage.crash("a");
        assert_eq!(stage.done(), "+a");
    }
    stage.crash("a");
    assert_eq!((stage.done().as_str(), stage.reason()), ("", Some(Meltdown)));
}

#[test]
fn a_restart_exactly_a_period_ago_counts_and_an_older_one_does_not() {
    for (late, is_over) in [(0, true), (1, false)] {
        let mut stage = Stage::up(&spec(OneForOne, [c("a")]));
        for _ in 0..3 {
            stage.crash("a");
        }
        stage.pass(SECOND + Duration::from_nanos(late));
        stage.crash("a");
        assert_eq!(stage.ended.is_some(), is_over, "{late} ns beyond the period");
    }
}

#[test]
fn children_share_one_budget() {
    let mut stage = Stage::up(&abc(OneForOne));
    for name in ["a", "b", "d"] {
        stage.crash(name);
    }
    stage.crash("a");
    assert_eq!(stage.reason(), Some(Meltdown));
}

#[test]
fn one_for_all_counts_a_crash_once_however_many_it_restarts() {
    let mut stage = Stage::up(&abc(OneForAll));
    for _ in 0..3 {
        stage.crash("a");
        assert_eq!(stage.done(), "-d -b +a +b +d");
    }
    stage.crash("a");
    assert_eq!((stage.done().as_str(), stage.reason()), ("-d -b", Some(Meltdown)));
}

#[test]
fn ends_that_restart_nobody_cost_nothing() {
    let mut strict = spec(OneForOne, [transient("a"), temporary("b"), c("d")]);
    strict.intensity = 0;
    let mut stage = Stage::up(&strict);
    stage.exit("a", Normal);
    stage.crash("b");
    assert_eq!(stage.which(), "a:down d:up");
    assert_eq!(stage.ended, None);
}

#[test]
fn a_meltdown_is_abnormal_and_says_what_the_budget_was() {
    let mut strict = spec(OneForOne, [c("a")]);
    strict.intensity = 0;
    let mut stage = Stage::up(&strict);
    stage.crash("a");
    let exit = stage.ended.clone().expect("it ends");
    assert!(exit.reason.is_abnormal());
    assert_eq!(exit.text, "1 restarts within 1s, the last one of `a`");
    let told = Decision::Meltdown { child: "a".into(), restarts: 1, intensity: 0, period: SECOND };
    assert!(stage.decisions.contains(&told));
}

// Shutdown.

#[test]
fn children_stop_in_reverse_order_one_at_a_time() {
    let mut stage = Stage::up(&abc(OneForOne));
    stage.deaf.insert("b".into());
    stage.take(Event::Stop);
    assert_eq!(stage.done(), "-d -b");
    stage.exit("b", Normal);
    assert_eq!(stage.done(), "-a");
    assert_eq!(stage.reason(), Some(Asked));
}

#[test]
fn a_child_that_does_not_stop_in_its_time_is_killed() {
    let mut stage = Stage::up(&abc(OneForOne));
    stage.deaf.insert("d".into());
    stage.take(Event::Stop);
    stage.pass(Duration::from_nanos(4_999_999_999));
    assert_eq!(stage.done(), "-d");
    stage.pass(Duration::from_nanos(1));
    assert_eq!(stage.done(), "!d -b -a");
}

#[test]
fn a_child_with_all_the_time_is_never_killed() {
    let patient = with(c("a"), |child| child.shutdown = Shutdown::Infinity);
    let mut stage = Stage::up(&spec(OneForOne, [patient]));
    stage.deaf.insert("a".into());
    stage.take(Event::Stop);
    stage.pass(Duration::from_secs(1 << 30));
    assert_eq!((stage.done().as_str(), stage.ended.is_none()), ("-a", true));
    stage.exit("a", Normal);
    assert_eq!(stage.reason(), Some(Asked));
}

#[test]
fn a_child_that_is_to_be_killed_is_not_asked() {
    let brutal = with(c("a"), |child| child.shutdown = Shutdown::Kill);
    let mut stage = Stage::up(&spec(OneForOne, [brutal]));
    stage.take(Event::Stop);
    assert_eq!(stage.done(), "!a");
}

#[test]
fn a_child_that_ends_otherwise_than_asked_is_stopped_all_the_same() {
    for reason in [Normal, Error, Panic] {
        let mut stage = Stage::up(&abc(OneForOne));
        stage.last_words.insert("b".into(), reason);
        stage.take(Event::Stop);
        assert_eq!(stage.done(), "-d -b -a");
        let is_told = stage.decisions.iter().any(|decision| match decision {
            Decision::ChildStopped { child, exit, .. } => child == "b" && exit.reason == reason,
            _ => false,
        });
        assert!(is_told, "the other reason is told");
    }
}

#[test]
fn a_child_that_had_ended_before_it_is_stopped_is_not_waited_for() {
    let mut stage = Stage::up(&abc(OneForOne));
    stage.deaf.insert("d".into());
    stage.take(Event::Stop);
    stage.crash("a");
    stage.exit("d", Asked);
    assert_eq!(stage.done(), "-d -b");
    assert_eq!(stage.reason(), Some(Asked));
}

// Significant children.

/// Whether the supervisor ends by itself when `a`, which is significant, ends like this beside `b`.
fn ends(auto: AutoShutdown, a: ChildSpec, b: ChildSpec, reason: ExitReason) -> bool {
    let mut signed = spec(OneForOne, [a, b]);
    signed.auto_shutdown = auto;
    let mut stage = Stage::up(&signed);
    stage.exit("a", reason);
    if let Some(reason) = stage.reason() {
        assert_eq!(reason, Asked);
        assert_eq!(stage.done(), "-b");
    }
    stage.ended.is_some()
}

#[test]
fn the_first_significant_child_to_end_ends_a_supervisor_with_any_significant() {
    use AutoShutdown::AnySignificant as Any;
    let (tr, te) = (|name| significant(transient(name)), |name| significant(temporary(name)));
    for reason in [Normal, Asked] {
        assert!(ends(Any, tr("a"), tr("b"), reason), "{reason}");
    }
    assert!(!ends(Any, tr("a"), tr("b"), Error), "it is restarted");
    for reason in [Normal, Asked, Error, Killed] {
        assert!(ends(Any, te("a"), te("b"), reason), "{reason}");
    }
}

#[test]
fn a_child_that_is_not_significant_ends_nothing() {
    for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        assert!(!ends(auto, transient("a"), significant(transient("b")), Normal));
        assert!(!ends(auto, temporary("a"), significant(transient("b")), Error));
    }
}

#[test]
fn the_last_significant_child_to_end_ends_a_supervisor_with_all_significant() {
    let all = AutoShutdown::AllSignificant;
    assert!(!ends(all, significant(transient("a")), significant(transient("b")), Normal));
    assert!(ends(all, significant(transient("a")), c("b"), Normal));
    let mut signed = spec(OneForOne, [significant(transient("a")), significant(temporary("b"))]);
    signed.auto_shutdown = all;
    let mut stage = Stage::up(&signed);
    stage.crash("b");
    assert_eq!(stage.ended, None);
    stage.exit("a", Normal);
    assert_eq!(stage.reason(), Some(Asked));
}

#[test]
fn a_significant_child_that_somebody_terminates_ends_nothing() {
    for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
        let mut signed = spec(OneForOne, [significant(transient("a")), c("b")]);
        signed.auto_shutdown = auto;
        let mut stage = Stage::up(&signed);
        assert_eq!(stage.terminate("a"), "ok");
        assert_eq!(stage.ended, None);
    }
}

#[test]
fn a_significant_child_that_a_sibling_takes_down_ends_nothing() {
    let mut signed = spec(OneForAll, [c("a"), significant(temporary("b"))]);
    signed.auto_shutdown = AutoShutdown::AnySignificant;
    let mut stage = Stage::up(&signed);
    stage.crash("a");
    assert_eq!(stage.done(), "-b +a");
    assert_eq!(stage.ended, None);
}

#[test]
fn a_significant_child_that_waits_for_its_restart_is_not_over() {
    let backoff = |child: &mut ChildSpec| child.backoff = Some(Backoff::new(SECOND, SECOND));
    let a = significant(with(transient("a"), backoff));
    let mut signed = spec(OneForOne, [a, significant(transient("b"))]);
    signed.auto_shutdown = AutoShutdown::AllSignificant;
    let mut stage = Stage::up(&signed);
    stage.crash("a");
    stage.exit("b", Normal);
    assert_eq!(stage.ended, None);
}

// Children at run time.

#[test]
fn a_child_that_is_started_later_comes_last() {
    let mut stage = Stage::up(&abc(RestForOne));
    assert_eq!(stage.start_child(c("e")), "ok e");
    stage.done();
    stage.crash("d");
    assert_eq!(stage.done(), "-e +d +e");
    stage.take(Event::Stop);
    assert_eq!(stage.done(), "-e -d -b -a");
}

#[test]
fn a_name_is_given_once() {
    let mut stage = Stage::up(&abc(OneForOne));
    assert_eq!(stage.start_child(c("a")), "child.duplicate");
    stage.terminate("a");
    assert_eq!(stage.start_child(c("a")), "child.duplicate");
    stage.delete("a");
    assert_eq!(stage.start_child(c("a")), "ok a");
}

#[test]
fn a_child_that_fails_to_start_at_run_time_is_forgotten_and_costs_nothing() {
    let mut strict = spec(OneForOne, [c("a")]);
    strict.intensity = 0;
    let mut stage = Stage::up(&strict);
    stage.failing.insert("b".into(), 1);
    assert_eq!(stage.start_child(c("b")), "child.unstartable");
    assert_eq!((stage.which().as_str(), stage.ended.is_none()), ("a:up", true));
}

#[test]
fn a_terminated_child_keeps_its_spec_and_can_be_started_and_deleted() {
    let mut stage = Stage::up(&abc(OneForOne));
    assert_eq!(stage.delete("a"), "child.running");
    assert_eq!(stage.restart_child("a"), "child.running");
    assert_eq!(stage.terminate("a"), "ok");
    assert_eq!(stage.terminate("a"), "ok", "it is stopped already");
    assert_eq!(stage.which(), "a:down b:up d:up");
    assert_eq!(stage.restart_child("a"), "ok a");
    stage.terminate("a");
    assert_eq!(stage.delete("a"), "ok");
    assert_eq!(stage.which(), "b:up d:up");
}

#[test]
fn a_terminated_temporary_child_is_forgotten() {
    let mut stage = Stage::up(&spec(OneForOne, [temporary("a")]));
    assert_eq!(stage.terminate("a"), "ok");
    assert_eq!(stage.delete("a"), "child.unknown");
}

#[test]
fn nobody_can_ask_for_a_child_that_is_not_there() {
    let mut stage = Stage::up(&abc(OneForOne));
    assert_eq!(stage.terminate("x"), "child.unknown");
    assert_eq!(stage.restart_child("x"), "child.unknown");
    assert_eq!(stage.delete("x"), "child.unknown");
}

#[test]
fn a_restart_that_somebody_asks_for_and_that_fails_leaves_the_child_down() {
    let mut stage = Stage::up(&abc(OneForOne));
    stage.terminate("a");
    stage.failing.insert("a".into(), 1);
    assert_eq!(stage.restart_child("a"), "child.unstartable");
    assert_eq!(stage.which(), "a:down b:up d:up");
    assert_eq!(stage.restart_child("a"), "ok a");
}

// Dynamic children.

#[test]
fn dynamic_children_come_and_go_under_numbers_of_their_own() {
    let mut stage = Stage::up(&spec(Dynamic, []));
    let first = stage.start_child(temporary("w"));
    let second = stage.start_child(temporary("w"));
    assert_ne!(first, second);
    let name = first.strip_prefix("ok ").expect("it starts").to_owned();
    stage.exit(&name, Normal);
    assert_eq!(stage.which(), format!("{}:up", &second[3..]));
}

#[test]
fn a_dynamic_child_is_restarted_alone_and_within_the_budget() {
    let mut stage = Stage::up(&spec(Dynamic, []));
    let name = stage.start_child(c("w"))[3..].to_owned();
    stage.start_child(c("w"));
    stage.done();
    for _ in 0..3 {
        stage.crash(&name);
        assert_eq!(stage.done(), format!("+{name}"));
    }
    stage.crash(&name);
    assert_eq!(stage.reason(), Some(Meltdown));
}

#[test]
fn a_dynamic_supervisor_has_no_more_children_than_it_may() {
    let mut small = spec(Dynamic, []);
    small.children_max = 2;
    let mut stage = Stage::up(&small);
    let name = stage.start_child(c("w"))[3..].to_owned();
    stage.start_child(c("w"));
    assert_eq!(stage.start_child(c("w")), "supervisor.full");
    assert_eq!(stage.terminate(&name), "ok");
    assert!(stage.start_child(c("w")).starts_with("ok w#"));
}

#[test]
fn a_dynamic_child_that_does_not_run_cannot_be_restarted_or_deleted() {
    let mut stage = Stage::up(&spec(Dynamic, []));
    let name = stage.start_child(c("w"))[3..].to_owned();
    assert_eq!(stage.restart_child(&name), "child.dynamic");
    assert_eq!(stage.delete(&name), "child.dynamic");
    assert_eq!(stage.terminate(&name), "ok");
    assert_eq!(stage.terminate(&name), "child.unknown");
}

#[test]
fn dynamic_children_are_stopped_beside_each_other_within_one_time() {
    let mut stage = Stage::up(&spec(Dynamic, []));
    for _ in 0..3 {
        let name = stage.start_child(c("w"))[3..].to_owned();
        stage.deaf.insert(name);
    }
    stage.done();
    stage.take(Event::Stop);
    assert_eq!(stage.done().split(' ').filter(|done| done.starts_with('-')).count(), 3);
    stage.pass(Duration::from_secs(5));
    assert_eq!(stage.done().split(' ').filter(|done| done.starts_with('!')).count(), 3);
    assert_eq!(stage.reason(), Some(Asked));
}

#[test]
fn a_significant_dynamic_child_ends_its_supervisor() {
    let mut signed = spec(Dynamic, []);
    signed.auto_shutdown = AutoShutdown::AllSignificant;
    let mut stage = Stage::up(&signed);
    let name = stage.start_child(significant(temporary("w")))[3..].to_owned();
    stage.start_child(c("v"));
    stage.exit(&name, Normal);
    assert_eq!(stage.reason(), Some(Asked));
}

#[test]
fn a_dynamic_child_that_fails_to_restart_is_tried_again() {
    let mut stage = Stage::up(&spec(Dynamic, []));
    let name = stage.start_child(c("w"))[3..].to_owned();
    stage.done();
    stage.failing.insert(name.clone(), 1);
    stage.crash(&name);
    assert_eq!(stage.done(), format!("+{name} +{name}"));
}

// Specs.

/// What is made wrong, and what is said of it.
type Case = (fn(&mut SupervisorSpec), [&'static str; 2]);

#[test]
fn what_cannot_be_meant_is_said_with_child_and_field() {
    let wrong = |change: fn(&mut SupervisorSpec)| {
        let mut spec = abc(OneForOne);
        change(&mut spec);
        let error = spec.check().expect_err("it cannot be meant");
        format!("{}: {}", error.code(), error.message())
    };
    let cases: [Case; 14] = [
        (|spec| spec.period = Duration::ZERO, ["supervisor top", "period is 0 s"]),
        (|spec| spec.intensity = 10_001, ["supervisor top", "intensity is 10001, at most 10000"]),
        (|spec| spec.name = String::new(), ["supervisor", "name is empty"]),
        (|spec| spec.children_max = 0, ["supervisor top", "children_max is 0"]),
        (|spec| spec.children_max = 2, ["supervisor top", "children are 3, at most 2"]),
        (|spec| spec.strategy = Dynamic, ["supervisor top", "children are given"]),
        (|spec| spec.children[1].name = "a".into(), ["child.duplicate", "two children called `a`"]),
        (|spec| spec.children[1].name = "a/b".into(), ["child `a/b`", "name has '/'"]),
        (
            |spec| spec.children[1].name = "x".repeat(129),
            ["child `xx", "has 129 bytes, at most 128"],
        ),
        (
            |spec| spec.children[0].shutdown = Shutdown::Time(Duration::ZERO),
            ["child `a`", "shutdown is 0 s"],
        ),
        (|spec| spec.children[0].significant = true, ["child `a`", "significant needs a child"]),
        (
            |spec| spec.children[0] = significant(transient("a")),
            ["child `a`", "significant means nothing while auto_shutdown is never"],
        ),
        (
            |spec| spec.children[0].backoff = Some(Backoff::new(SECOND, SECOND / 2)),
            ["child `a`", "backoff goes from 1s to 500ms"],
        ),
        (
            |spec| {
                spec.children[0].backoff = Some(Backoff::new(SECOND, SECOND).jitter_percent(101))
            },
            ["child `a`", "backoff has a jitter of 101 %"],
        ),
    ];
    for (change, texts) in cases {
        let said = wrong(change);
        for text in texts {
            assert!(said.contains(text), "{said} does not say {text}");
        }
    }
}

#[test]
fn what_is_wrong_deep_in_a_tree_is_named_from_its_top() {
    let mut inner = spec(OneForOne, [c("a")]);
    (inner.name, inner.period) = ("inner".into(), Duration::ZERO);
    let child = ChildSpec::new("inner", ChildKind::Supervisor(Box::new(inner)));
    let error = spec(OneForOne, [child]).check().expect_err("a period of nothing");
    assert!(error.message().starts_with("supervisor top/inner: period"), "{error}");
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let mut tree = spec(OneForOne, []);
    for _ in 0..16 {
        let child = ChildSpec::new(tree.name.clone(), ChildKind::Supervisor(Box::new(tree)));
        tree = spec(OneForOne, [child]);
    }
    let error = tree.check().expect_err("too deep");
    assert!(error.message().contains("depth is 17, at most 16"), "{error}");
}

#[test]
fn defaults_are_those_of_otp() {
    let plain = SupervisorSpec::new("top", OneForOne);
    assert_eq!((plain.intensity, plain.period), (1, Duration::from_secs(5)));
    assert_eq!(plain.auto_shutdown, AutoShutdown::Never);
    let child = c("a");
    assert_eq!((child.restart, child.significant), (Restart::Permanent, false));
    assert_eq!(child.shutdown, Shutdown::Time(Duration::from_secs(5)));
    let nested = ChildSpec::new("b", ChildKind::Supervisor(Box::new(plain)));
    assert_eq!(nested.shutdown, Shutdown::Infinity);
}
