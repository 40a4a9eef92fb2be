use proptest::prelude::*;

use super::*;

const BUDGET: CrashBudget = CrashBudget { crashes: 5, period: Duration::from_secs(60) };

fn at(ms: u64) -> Moment {
    Moment { now: MonoNs(ms * 1_000_000), wall: WallMs(1_000_000 + ms), chance: 0 }
}

fn admit(ward: &mut Ward, ms: u64) -> Admission {
    ward.admit(at(ms).now, at(ms).wall)
}

fn is_shut_in(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Quarantine(_))
}

/// One that was shut in at `ms`.
fn shut_in(ms: u64) -> Ward {
    let mut ward = Ward::new(BUDGET);
    assert!(is_shut_in(&ward.on_unloadable(at(ms), "torn")));
    ward
}

#[test]
fn five_crashes_in_a_period_are_let_pass_with_growing_rests_and_the_sixth_is_not() {
    let mut ward = Ward::new(BUDGET);
    for rest in [0, 20, 40, 80, 160] {
        let rest = Duration::from_millis(rest);
        assert_eq!(ward.on_crash(at(0), "panic"), Verdict::Restart(rest));
    }
    assert_eq!(admit(&mut ward, 159), Admission::Rest(at(160).now));
    assert_eq!(admit(&mut ward, 160), Admission::Go);
    let Verdict::Quarantine(sentence) = ward.on_crash(at(60_000), "panic") else {
        panic!("the sixth within the period, to its edge, is one too many")
    };
    assert_eq!((sentence.since, sentence.retry_at), (at(60_000).wall, at(61_000).wall));
    assert_eq!((sentence.failed_trials, sentence.reason.as_str()), (0, "panic"));
}

#[test]
fn a_crash_that_is_more_than_a_period_old_does_not_count() {
    let mut ward = Ward::new(BUDGET);
    assert!(!is_shut_in(&ward.on_crash(at(0), "panic")));
    for ms in [100, 200, 300, 400, 60_001] {
        assert!(!is_shut_in(&ward.on_crash(at(ms), "panic")), "at {ms}");
    }
    assert!(is_shut_in(&ward.on_crash(at(60_100), "panic")));
}

#[test]
fn one_call_is_let_through_when_its_time_has_come_and_a_failure_doubles_the_wait() {
    let mut ward = shut_in(0);
    let mut now = 0;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600, 3_600] {
        assert_eq!(admit(&mut ward, now), Admission::Refuse);
        assert_eq!(admit(&mut ward, now + seconds * 1_000 - 1), Admission::Refuse);
        now += seconds * 1_000;
        assert_eq!(admit(&mut ward, now), Admission::Trial);
        assert_eq!(admit(&mut ward, now), Admission::Refuse, "one call, not two");
        assert!(is_shut_in(&ward.on_crash(at(now), "panic")));
        assert_eq!(ward.sentence().expect("shut in").since, at(0).wall);
    }
    assert_eq!(ward.sentence().expect("shut in").failed_trials, 14);
}

#[test]
fn a_trial_that_passes_opens_and_a_crash_in_the_probation_shuts_for_twice_as_long() {
    let mut ward = shut_in(0);
    assert_eq!(admit(&mut ward, 1_000), Admission::Trial);
    assert!(ward.on_passed(at(1_000).now));
    assert_eq!((admit(&mut ward, 1_000), ward.sentence()), (Admission::Go, None));
    assert!(!ward.on_passed(at(1_000).now), "there was one call");
    let Verdict::Quarantine(sentence) = ward.on_crash(at(61_000), "panic") else {
        panic!("the first crash within the probation is one too many")
    };
    assert_eq!((sentence.delay, sentence.failed_trials), (Duration::from_secs(2), 1));
}

#[test]
fn what_has_run_for_the_whole_probation_has_its_budget_again() {
    let mut ward = shut_in(0);
    admit(&mut ward, 1_000);
    ward.on_passed(at(1_000).now);
    assert!(!ward.is_over(at(61_000).now) && ward.is_over(at(61_001).now));
    assert_eq!(ward.on_crash(at(61_001), "panic"), Verdict::Restart(Duration::ZERO));
}

#[test]
fn a_trial_that_has_shown_nothing_is_made_again_at_once() {
    let mut ward = shut_in(0);
    assert_eq!(admit(&mut ward, 1_000), Admission::Trial);
    ward.on_undecided();
    assert_eq!(admit(&mut ward, 1_000), Admission::Trial);
    assert_eq!(ward.sentence().expect("shut in").failed_trials, 0);
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait_for_longer_than_the_delay() {
    let mut ward = shut_in(500_000);
    assert_eq!(admit(&mut ward, 0), Admission::Refuse);
    assert_eq!(admit(&mut ward, 999), Admission::Refuse);
    assert_eq!(admit(&mut ward, 1_000), Admission::Trial);
}

#[test]
fn other_code_and_somebody_who_asks_are_let_through_at_once() {
    let sentence = shut_in(0).sentence().expect("shut in").clone();
    let mut same = Ward::stored(BUDGET, sentence.clone(), false);
    assert_eq!(admit(&mut same, 0), Admission::Refuse);
    assert!(same.retry());
    assert_eq!(admit(&mut same, 0), Admission::Trial);
    let mut other = Ward::stored(BUDGET, sentence, true);
    assert_eq!(admit(&mut other, 0), Admission::Trial);
    assert!(!Ward::new(BUDGET).retry());
}

#[test]
fn what_cannot_be_read_stays_shut_whoever_asks_and_whatever_the_time() {
    let mut ward = Ward::unreadable(BUDGET, "a negative time".to_owned());
    for ms in [0, 1_000, 10_000_000_000] {
        assert_eq!(admit(&mut ward, ms), Admission::Unreadable);
        assert!(ward.retry() && ward.is_shut() && !ward.is_over(at(ms).now));
        ward.on_undecided();
        assert!(!ward.on_passed(at(ms).now));
    }
    assert_eq!((ward.sentence(), ward.damage()), (None, Some("a negative time")));
}

/// Whether crashes at these times, each with those within the period before it, are too many, and at which.
fn first_too_many(times: &[u64]) -> Option<usize> {
    let within = |one: u64, other: u64| other - one <= 60_000;
    (0..times.len()).find(|last| {
        let before = times[..=*last].iter().filter(|time| within(**time, times[*last]));
        before.count() > 5
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_budget_is_exact(steps in prop::collection::vec(prop_oneof![
        Just(0_u64), Just(10_000), Just(12_000), Just(12_001), Just(60_000), Just(60_001), 0..30_000_u64,
    ], 1..40)) {
        let mut now = 0;
        let times: Vec<u64> = steps.iter().map(|step| { now += step; now }).collect();
        let mut ward = Ward::new(BUDGET);
        let shut = times.iter().position(|time| is_shut_in(&ward.on_crash(at(*time), "panic")));
        prop_assert_eq!(shut, first_too_many(&times));
    }

    #[test]
    fn never_more_than_one_call_is_let_through_and_never_too_early(
        events in prop::collection::vec((0..5_000_u64, 0..6_u8), 1..200),
    ) {
        let (mut ward, mut now, mut is_on_trial) = (shut_in(0), 0, false);
        for (step, event) in events {
            now += step;
            match event {
                0..=2 => {
                    let due = ward.sentence().map(|sentence| sentence.retry_at);
                    match ward.admit(at(now).now, at(now).wall) {
                        Admission::Trial => {
                            prop_assert!(!is_on_trial, "one at a time");
                            prop_assert!(due.is_some_and(|due| due <= at(now).wall), "not too early");
                            is_on_trial = true;
                        }
                        Admission::Refuse => prop_assert!(ward.sentence().is_some()),
                        Admission::Go | Admission::Rest(_) => prop_assert!(due.is_none()),
                        Admission::Unreadable => prop_assert!(false, "its sentence is known"),
                    }
                }
                3 if is_on_trial || ward.sentence().is_none() => {
                    let verdict = ward.on_crash(at(now), "panic");
                    prop_assert!(!is_on_trial || is_shut_in(&verdict));
                    is_on_trial = false;
                }
                4 => {
                    prop_assert_eq!(ward.on_passed(at(now).now), is_on_trial);
                    is_on_trial = false;
                }
                _ => {
                    ward.on_undecided();
                    is_on_trial = false;
                }
            }
        }
    }
}
