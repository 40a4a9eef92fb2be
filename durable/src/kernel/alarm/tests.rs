use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn alarmed(object_no: i64, due: u64, set_by: u64) -> Alarmed {
    let place = Place { due: WallMs(due), object_no };
    Alarmed { place, set_by, class_no: 1, id: ObjectId::from_bytes([0; 32]) }
}

/// The stored alarms, by object.
type Index = BTreeMap<i64, Alarmed>;

fn read(calendar: &mut Calendar, index: &Index, limit: usize) {
    while let Some(after) = calendar.wants_read() {
        let mut rows: Vec<_> = index.values().copied().collect();
        rows.sort_by_key(|alarmed| alarmed.place);
        rows.retain(|alarmed| after.is_none_or(|after| alarmed.place > after));
        rows.truncate(limit);
        calendar.on_read(&rows, rows.len() < limit, |class_no| class_no == 1);
    }
}

fn fire_all(calendar: &mut Calendar, now: u64) -> Vec<i64> {
    std::iter::from_fn(|| calendar.fire(WallMs(now))).map(|fired| fired.place.object_no).collect()
}

#[test]
fn alarms_fire_in_due_order_and_never_early() {
    let index: Index =
        [(1, 30), (2, 10), (3, 20)].map(|(no, due)| (no, alarmed(no, due, 1))).into();
    let mut calendar = Calendar::new(100);
    assert_eq!(calendar.wakes_at(), None);
    read(&mut calendar, &index, 2);
    assert_eq!(calendar.wakes_at(), Some(WallMs(10)));
    assert_eq!(fire_all(&mut calendar, 9), Vec::<i64>::new());
    assert_eq!(fire_all(&mut calendar, 25), [2, 3]);
    assert_eq!(fire_all(&mut calendar, 25), Vec::<i64>::new(), "what is fired is not fired again");
    assert_eq!(fire_all(&mut calendar, 30), [1]);
}

#[test]
fn a_notice_replaces_what_waits() {
    let mut calendar = Calendar::new(100);
    read(&mut calendar, &Index::new(), 2);
    calendar.on_notice(1, Notice::Set(alarmed(1, 50, 1)));
    calendar.on_notice(1, Notice::Set(alarmed(1, 70, 2)));
    calendar.on_notice(2, Notice::Set(alarmed(2, 60, 1)));
    calendar.on_notice(2, Notice::Cleared);
    assert_eq!(fire_all(&mut calendar, 69), Vec::<i64>::new());
    assert_eq!(fire_all(&mut calendar, 70), [1]);
}

#[test]
fn an_alarm_that_the_handler_sets_fires_again() {
    let mut calendar = Calendar::new(100);
    read(&mut calendar, &Index::new(), 2);
    calendar.on_notice(1, Notice::Set(alarmed(1, 50, 1)));
    assert_eq!(fire_all(&mut calendar, 50), [1]);
    calendar.on_notice(1, Notice::Set(alarmed(1, 50, 2)));
    assert_eq!(fire_all(&mut calendar, 60), Vec::<i64>::new(), "one run at a time");
    calendar.on_fired(1, Fired::Settled, WallMs(60));
    assert_eq!(fire_all(&mut calendar, 60), [1]);
    calendar.on_notice(1, Notice::Cleared);
    calendar.on_fired(1, Fired::Settled, WallMs(60));
    assert_eq!(calendar.wakes_at(), None);
}

#[test]
fn what_could_not_be_run_is_tried_ever_more_rarely() {
    let mut calendar = Calendar::new(100);
    read(&mut calendar, &Index::new(), 2);
    calendar.on_notice(1, Notice::Set(alarmed(1, 50, 1)));
    let (mut now, mut waits) = (50, Vec::new());
    for _ in 0..12 {
        assert_eq!(fire_all(&mut calendar, now), [1]);
        calendar.on_fired(1, Fired::Postponed, WallMs(now));
        let next = calendar.wakes_at().expect("it waits").0;
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits[..4], [100, 200, 400, 800]);
    assert_eq!(waits[10], waits[11], "up to a bound");
    // A clock that goes back does not make it wait until it is there again.
    calendar.look(WallMs(now));
    calendar.look(WallMs(60));
    assert_eq!(fire_all(&mut calendar, 60), [1]);
}

#[test]
fn a_full_window_loses_nothing() {
    let index: Index = (1..=100).map(|no| (no, alarmed(no, 1_000 - no as u64, 1))).collect();
    let mut calendar = Calendar::new(8);
    let mut fired = Vec::new();
    for _ in 0..200 {
        read(&mut calendar, &index, 5);
        assert!(calendar.fresh.len() <= 8);
        fired.extend(fire_all(&mut calendar, 2_000));
    }
    assert_eq!(fired, (1..=100).rev().collect::<Vec<_>>());
}

#[test]
fn alarms_of_unknown_classes_are_passed_over() {
    let mut index: Index = (1..=50).map(|no| (no, alarmed(no, 10, 1))).collect();
    index.values_mut().for_each(|alarmed| alarmed.class_no = 9);
    index.insert(60, alarmed(60, 20, 1));
    let mut calendar = Calendar::new(8);
    read(&mut calendar, &index, 5);
    assert_eq!(fire_all(&mut calendar, 100), [60]);
}

#[test]
fn everything_is_read_again_when_a_postponed_one_had_to_be_dropped() {
    let mut index: Index = (1..=4).map(|no| (no, alarmed(no, 10, 1))).collect();
    let mut calendar = Calendar::new(2);
    for _ in 0..4 {
        read(&mut calendar, &index, 3);
        fire_all(&mut calendar, 10);
    }
    for no in 11..=18 {
        index.insert(no, alarmed(no, 50, 1));
        calendar.on_notice(no, Notice::Set(index[&no]));
    }
    for no in 1..=4 {
        calendar.on_fired(no, Fired::Postponed, WallMs(10));
    }
    calendar.look(WallMs(200));
    index.retain(|no, _| *no < 10);
    for no in 11..=18 {
        calendar.on_notice(no, Notice::Cleared);
    }
    read(&mut calendar, &index, 3);
    let mut fired = fire_all(&mut calendar, 200);
    read(&mut calendar, &index, 3);
    fired.extend(fire_all(&mut calendar, 200));
    fired.sort_unstable();
    assert_eq!(fired, [1, 2, 3, 4]);
}

#[test]
fn those_that_are_held_back_do_not_keep_the_others_from_being_read() {
    let mut index: Index = (1..=8).map(|no| (no, alarmed(no, 10, 1))).collect();
    index.insert(20, alarmed(20, 90, 1));
    let mut calendar = Calendar::new(4);
    let mut fired = Vec::new();
    for _ in 0..5 {
        read(&mut calendar, &index, 2);
        for no in fire_all(&mut calendar, 90) {
            fired.push(no);
            calendar.on_fired(no, Fired::Postponed, WallMs(90));
        }
    }
    assert!(fired.contains(&20), "{fired:?}");
}

fn hear(calendar: &mut Calendar, unheard: &mut Vec<(i64, Notice)>) {
    for (object_no, notice) in unheard.drain(..) {
        calendar.on_notice(object_no, notice);
    }
}

#[derive(Clone, Debug)]
enum Act {
    Set { object_no: i64, due: u64, is_heard_late: bool },
    Cancel { object_no: i64 },
    Advance { ms: u64 },
    Fire,
    End { rearm: Option<u64>, is_postponed: bool },
    LoseNotices,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..20_i64, 0..500_u64, any::<bool>())
            .prop_map(|(object_no, due, is_heard_late)| Act::Set { object_no, due, is_heard_late }),
        1 => (0..20_i64).prop_map(|object_no| Act::Cancel { object_no }),
        2 => (0..100_u64).prop_map(|ms| Act::Advance { ms }),
        4 => Just(Act::Fire),
        4 => (proptest::option::of(0..500_u64), any::<bool>())
            .prop_map(|(rearm, is_postponed)| Act::End { rearm, is_postponed }),
        1 => Just(Act::LoseNotices),
    ];
    proptest::collection::vec(act, 1..120)
}

proptest! {
    /// Whatever happens, in the end every alarm that is stored has fired, and none before its time.
    #[test]
    fn no_alarm_is_forgotten(acts in acts(), window_max in 1..8_usize, limit in 1..6_usize) {
        let mut calendar = Calendar::new(window_max);
        let (mut index, mut now, mut commits) = (Index::new(), 0_u64, 0_u64);
        let (mut firing, mut unheard) = (Vec::<Alarmed>::new(), Vec::new());
        for act in acts {
            match act {
                Act::Set { object_no, due, is_heard_late } => {
                    commits += 1;
                    let set = alarmed(object_no, due, commits);
                    index.insert(object_no, set);
                    unheard.push((object_no, Notice::Set(set)));
                    if is_heard_late { continue; }
                }
                Act::Cancel { object_no } => {
                    index.remove(&object_no);
                    unheard.push((object_no, Notice::Cleared));
                }
                Act::Advance { ms } => { now += ms; calendar.look(WallMs(now)); }
                Act::Fire => if let Some(fired) = calendar.fire(WallMs(now)) {
                    prop_assert!(fired.place.due.0 <= now);
                    firing.push(fired);
                },
                Act::End { rearm, is_postponed } => {
                    let Some(fired) = firing.pop() else { continue };
                    let object_no = fired.place.object_no;
                    let is_true = index.get(&object_no).is_some_and(|set| set.set_by == fired.set_by);
                    let end = if is_true && !is_postponed { Fired::Settled } else { Fired::Postponed };
                    if end == Fired::Settled {
                        commits += 1;
                        let set = rearm.map(|due| alarmed(object_no, due, commits));
                        let notice = set.map_or(Notice::Cleared, Notice::Set);
                        index.remove(&object_no);
                        index.extend(set.map(|set| (object_no, set)));
                        unheard.push((object_no, notice));
                    }
                    hear(&mut calendar, &mut unheard);
                    calendar.on_fired(object_no, end, WallMs(now));
                }
                Act::LoseNotices => { unheard.clear(); calendar.restart(); }
            }
            hear(&mut calendar, &mut unheard);
            read(&mut calendar, &index, limit);
        }
        hear(&mut calendar, &mut unheard);
        for _ in 0..10_000 {
            for fired in std::mem::take(&mut firing) {
                let object_no = fired.place.object_no;
                let is_true = index.get(&object_no).is_some_and(|set| set.set_by == fired.set_by);
                if is_true {
                    index.remove(&object_no);
                    calendar.on_notice(object_no, Notice::Cleared);
                }
                let end = if is_true { Fired::Settled } else { Fired::Postponed };
                calendar.on_fired(object_no, end, WallMs(now));
            }
            read(&mut calendar, &index, limit);
            match calendar.fire(WallMs(now)) {
                Some(fired) => firing.push(fired),
                None => match calendar.wakes_at() {
                    Some(at) => { now = now.max(at.0); calendar.look(WallMs(now)); }
                    None => break,
                },
            }
        }
        prop_assert!(index.is_empty(), "{:?} never fired", index);
    }
}

#[test]
fn a_herd_is_let_out_at_its_pace() {
    let second = Duration::from_secs(1);
    let mut pace = Pace::new(100, MonoNs(0));
    let (mut now, mut count) = (MonoNs(0), 0);
    while now < MonoNs(0) + second * 10 {
        match pace.take(now) {
            Ok(()) => count += 1,
            Err(at) => {
                assert!(at > now, "it is worth waiting for");
                now = at;
            }
        }
    }
    assert!((1_000..=1_011).contains(&count), "{count}");
    // An idle hour gives no right to a flood.
    let later = now + second * 3_600;
    let burst = (0..1_000).take_while(|_| pace.take(later).is_ok()).count();
    assert_eq!(burst, 10);
}

#[test]
fn a_failing_alarm_is_tried_seven_times_and_dies() {
    let (spec, mut alarm) = (AlarmSpec::new(), Alarm::at(WallMs(1_000)));
    let mut waits = Vec::new();
    loop {
        let now = alarm.due;
        match after_failure(alarm, &spec, now, 0) {
            AfterFailure::Again(next) => {
                assert_eq!(next.scheduled, WallMs(1_000));
                assert_eq!(next.retries, alarm.retries + 1);
                waits.push((next.due.0 - now.0) / 1_000);
                alarm = next;
            }
            AfterFailure::Dead { attempts } => {
                assert_eq!(attempts, 7);
                break;
            }
        }
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64]);
}

#[test]
fn jitter_adds_up_to_a_quarter() {
    let due =
        |chance| match after_failure(Alarm::at(WallMs(0)), &AlarmSpec::new(), WallMs(0), chance) {
            AfterFailure::Again(next) => next.due.0,
            AfterFailure::Dead { .. } => unreachable!("it is the first failure"),
        };
    assert_eq!((due(0), due(u64::MAX / 2), due(u64::MAX)), (2_000, 2_250, 2_500));
    let none = AlarmSpec::new().retries(0);
    let dead = after_failure(Alarm::at(WallMs(0)), &none, WallMs(0), 0);
    assert_eq!(dead, AfterFailure::Dead { attempts: 1 });
}

#[test]
fn what_waited_for_an_object_fires_when_that_is_released_and_nothing_else_does() {
    let mut calendar = Calendar::new(100);
    read(&mut calendar, &Index::new(), 2);
    for (object_no, target) in [(1, 7), (2, 8), (3, 7)] {
        let id = ObjectId::from_bytes([target; 32]);
        calendar.on_notice(object_no, Notice::Set(Alarmed { id, ..alarmed(object_no, 50, 1) }));
    }
    let mut now = 50;
    for _ in 0..6 {
        assert_eq!(fire_all(&mut calendar, now), [1, 2, 3]);
        for object_no in [1, 2, 3] {
            calendar.on_fired(object_no, Fired::Postponed, WallMs(now));
        }
        now = calendar.wakes_at().expect("they wait").0;
    }
    now -= 3_000;
    assert_eq!(fire_all(&mut calendar, now), Vec::<i64>::new());
    let released = ObjectId::from_bytes([7; 32]);
    calendar.release(&released, WallMs(now));
    assert_eq!(fire_all(&mut calendar, now), [1, 3]);
    calendar.on_fired(1, Fired::Postponed, WallMs(now));
    assert_eq!(calendar.wakes_at(), Some(WallMs(now + 100)), "as after a first failure");
    calendar.on_fired(3, Fired::Settled, WallMs(now));
    assert_eq!(fire_all(&mut calendar, now + 100), [1]);
    calendar.on_fired(1, Fired::Postponed, WallMs(now + 100));
    assert_eq!(fire_all(&mut calendar, now + 300), [1]);
    calendar.release(&released, WallMs(now + 300));
    calendar.on_fired(1, Fired::Postponed, WallMs(now + 300));
    assert_eq!(calendar.wakes_at(), Some(WallMs(now + 400)), "also what was being fired");
}
