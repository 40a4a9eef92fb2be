//! Every policy, as tables; and against times that are counted one by one.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::schedule::Target;
use crate::when::When;

/// Every 10 s, the first time at 10 s.
fn every(misfire: Misfire, overlap: Overlap) -> Schedule {
    let when = When::every(Duration::from_secs(10)).expect("long enough").set_at(WallMs(0));
    Schedule {
        name: "tick".to_owned(),
        when,
        misfire,
        overlap,
        jitter_ms: 0,
        target: Target::Me,
        method: "tick".to_owned(),
        args: Vec::new(),
        scheduled: WallMs(10_000),
        due: WallMs(10_000),
        retries: 0,
        put_off_to: WallMs(0),
        sent: None,
    }
}

fn once(misfire: Misfire) -> Schedule {
    Schedule { when: When::once(WallMs(10_000)), ..every(misfire, Overlap::Skip) }
}

fn at(s: u64) -> WallMs {
    WallMs(s * 1_000)
}

const HALF: fn() -> u64 = || u64::MAX / 2;

fn due(schedule: &Schedule, now: WallMs) -> Due {
    schedule.on_due(now, &mut { HALF })
}

fn run(schedule: &Schedule, now: WallMs) -> Schedule {
    match due(schedule, now) {
        Due::Run(run) => run,
        passed => panic!("{passed:?}"),
    }
}

fn left(schedule: &Schedule, now: WallMs) -> Option<Schedule> {
    schedule.after_run(now, &mut { HALF })
}

/// What it runs for if every run is over at once, until nothing is due.
fn runs(mut schedule: Schedule, now: WallMs) -> (Vec<u64>, Option<u64>) {
    let mut ran = Vec::new();
    while schedule.due <= now {
        let next = match due(&schedule, now) {
            Due::Run(run) => {
                ran.push(run.scheduled.0 / 1_000);
                left(&run, now)
            }
            Due::Pass(left) => left,
        };
        let Some(next) = next else { return (ran, None) };
        schedule = next;
    }
    (ran, Some(schedule.scheduled.0 / 1_000))
}

#[test]
fn what_was_missed_runs_as_the_policy_says() {
    let missed = |misfire, now| runs(every(misfire, Overlap::Skip), at(now));
    assert_eq!(missed(Misfire::Once, 10), (vec![10], Some(20)));
    assert_eq!(missed(Misfire::Once, 55), (vec![50], Some(60)));
    assert_eq!(missed(Misfire::All(3), 55), (vec![30, 40, 50], Some(60)));
    assert_eq!(missed(Misfire::All(9), 55), (vec![10, 20, 30, 40, 50], Some(60)));
    assert_eq!(missed(Misfire::All(1), 55), (vec![50], Some(60)));
    assert_eq!(missed(Misfire::Skip, 55), (vec![50], Some(60)), "the last is not late yet");
}

#[test]
fn by_hand_the_next_time_is_run_for_early_or_though_it_would_be_passed_over() {
    let early = every(Misfire::Once, Overlap::Skip);
    let run = early.by_hand(at(3), &mut { HALF });
    assert_eq!(run, early, "it is due at 10");
    assert_eq!(left(&run, at(3)).map(|left| left.scheduled), Some(at(20)), "that time is used up");
    let late = early.by_hand(at(55), &mut { HALF });
    assert_eq!(late.scheduled, at(50), "as if it had been due");
    let passed = once(Misfire::Skip);
    let run = passed.by_hand(at(999_999), &mut { HALF });
    assert_eq!((run.scheduled, left(&run, at(999_999))), (passed.scheduled, None));
}

#[test]
fn what_is_late_by_more_than_the_grace_is_skipped() {
    let late = |seconds| runs(once(Misfire::Skip), WallMs(10_000 + GRACE_MS + seconds));
    assert_eq!(late(0), (vec![10], None));
    assert_eq!(late(1), (vec![], None));
    assert_eq!(runs(once(Misfire::Once), at(999_999)), (vec![10], None));
    assert_eq!(runs(once(Misfire::All(5)), at(999_999)), (vec![10], None));
    let hourly = Schedule {
        when: When::every(Duration::from_secs(3_600)).expect("long enough").set_at(WallMs(0)),
        scheduled: at(3_600),
        due: at(3_600),
        ..every(Misfire::Skip, Overlap::Skip)
    };
    assert_eq!(runs(hourly.clone(), at(7_261)), (vec![], Some(10_800)));
    assert_eq!(runs(hourly, at(7_260)), (vec![7_200], Some(10_800)));
}

#[test]
fn what_comes_while_it_runs_is_skipped_or_waits() {
    let over = |overlap, now| left(&every(Misfire::Once, overlap), at(now)).expect("it goes on");
    assert_eq!(over(Overlap::Skip, 15).scheduled, at(20));
    assert_eq!(over(Overlap::Skip, 45).scheduled, at(50));
    assert_eq!(over(Overlap::Skip, 20).scheduled, at(30), "one that came at the very end, too");
    let queued = over(Overlap::Queue, 45);
    assert_eq!((queued.scheduled, queued.due, queued.put_off_to), (at(20), at(20), at(40)));
    assert_eq!(runs(queued, at(45)), (vec![20, 30, 40], Some(50)));
    let long = over(Overlap::Queue, 1_000_000);
    assert_eq!(runs(long, at(1_000_000)).0.len(), SCHEDULE_QUEUE_MAX as usize);
}

#[test]
fn one_that_is_retried_runs_for_the_same_time() {
    let spec = AlarmSpec::new();
    let mut schedule = run(&every(Misfire::Once, Overlap::Queue), at(10));
    for retries in 1..=6 {
        let Failed::Again(again) = schedule.after_failure(&spec, at(100), &mut { HALF }) else {
            panic!("it has retries left")
        };
        assert_eq!((again.scheduled, again.retries), (at(10), retries));
        assert!(again.due >= WallMs(100_000 + (2_000 << (retries - 1))));
        schedule = run(&again, again.due);
        assert_eq!(schedule, again, "no policy says anything about it");
    }
    let dead = schedule.after_failure(&spec, at(300), &mut { HALF });
    let Failed::Dead { attempts: 7, left: Some(left) } = dead else { panic!("{dead:?}") };
    assert_eq!((left.scheduled, left.retries, left.put_off_to), (at(20), 0, at(300)));
    let gone = Schedule { retries: 6, ..once(Misfire::Once) };
    let dead = gone.after_failure(&spec, at(300), &mut { HALF });
    assert_eq!(dead, Failed::Dead { attempts: 7, left: None });
}

#[test]
fn a_clock_that_is_set_back_repeats_no_time() {
    let mut schedule = every(Misfire::Once, Overlap::Skip);
    schedule = run(&schedule, at(55));
    let left = left(&schedule, at(12)).expect("it goes on");
    assert_eq!(left.scheduled, at(60), "what it has run for is not run for again");
}

#[test]
fn jitter_makes_a_run_later_and_never_missed() {
    let schedule = Schedule { jitter_ms: 8_000, ..every(Misfire::Skip, Overlap::Skip) };
    let next = left(&schedule, at(12)).expect("it goes on");
    assert_eq!(next.scheduled, at(20));
    assert_eq!(next.due, WallMs(24_000));
    assert_eq!(run(&next, WallMs(24_000)).scheduled, at(20));
    for (chance, later) in [(0, 0), (u64::MAX, 8_000)] {
        assert_eq!(jittered(at(1), 8_000, &mut || chance), WallMs(1_000 + later));
    }
    assert_eq!(jittered(at(1), 0, &mut || panic!("nobody needs it")), at(1));
}

#[test]
fn the_first_is_the_one_that_is_due_first() {
    let named = |name: &str, due| {
        let name = name.to_owned();
        Schedule { name, due: at(due), ..once(Misfire::Once) }
    };
    let all = [named("a", 7), named("b", 5), named("c", 5)];
    assert_eq!(first_due(&all).map(|first| first.name.as_str()), Some("b"));
    assert_eq!(first_due(&[]), None);
    let fewer = replaced(&all, "b", None);
    assert_eq!(first_due(&fewer).map(|first| first.name.as_str()), Some("c"));
    let more = replaced(&fewer, "a", Some(named("a", 1)));
    assert_eq!(more.iter().map(|one| one.due).collect::<Vec<_>>(), [at(1), at(5)]);
}

fn misfires() -> impl Strategy<Value = Misfire> {
    prop_oneof![Just(Misfire::Once), Just(Misfire::Skip), (1..20_u32).prop_map(Misfire::All)]
}

proptest! {
    /// Whatever happens when, it runs for its own times only, in order, none twice, none before it.
    #[test]
    fn it_runs_for_its_own_times_in_order(
        misfire in misfires(), queue: bool, jitter_ms in 0..20_000_u64,
        waits in prop::collection::vec((0..90_000_u64, 0..40_000_u64, any::<u64>(), any::<bool>()), 1..40),
    ) {
        let overlap = if queue { Overlap::Queue } else { Overlap::Skip };
        let mut schedule = Schedule { jitter_ms, ..every(misfire, overlap) };
        let (mut last, mut now) = (WallMs(0), schedule.due);
        for (wait, takes, chance, fails) in waits {
            now = WallMs(now.0.max(schedule.due.0) + wait);
            let next = match schedule.on_due(now, &mut || chance) {
                Due::Run(run) => {
                    prop_assert!(run.scheduled.0 % 10_000 == 0 && run.scheduled <= now);
                    let is_new = schedule.retries == 0;
                    prop_assert_eq!(run.scheduled > last, is_new);
                    prop_assert!(run.scheduled >= last);
                    if misfire == Misfire::Skip && is_new && run.scheduled > run.put_off_to {
                        prop_assert!(now.0 - run.scheduled.0 <= GRACE_MS + jitter_ms);
                    }
                    last = run.scheduled;
                    now = WallMs(now.0 + takes);
                    if fails {
                        match run.after_failure(&AlarmSpec::new(), now, &mut || chance) {
                            Failed::Again(again) => Some(again),
                            Failed::Dead { left, .. } => left,
                        }
                    } else {
                        run.after_run(now, &mut || chance)
                    }
                }
                Due::Pass(left) => left,
            };
            schedule = next.expect("it has no end");
            if schedule.retries == 0 {
                prop_assert!(schedule.scheduled > last);
                prop_assert!(schedule.due.0 - schedule.scheduled.0 <= jitter_ms);
            }
        }
    }
}
