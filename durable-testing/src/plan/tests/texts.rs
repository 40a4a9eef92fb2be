//! Plans as text.

use std::time::Duration;

use super::super::{Plan, PlannedFault, What, When};
use super::{numbers, plan};
use crate::disk::{Crash, FaultKind};

const EVERYTHING: &str = "op212=power_torn,step431=process,gate.commit.stored#3=power_drop_all,\
    t12500us=clock+5000ms,op40=sync_error,op41=no_space:x3,op42=slow_sync:20ms,\
    op43=slow_sync:1500us:x2,step1=clock-1ms,step2=evict_all,step3=restart,step4=lane_slow:7ms,\
    op5=read_error,op6=short_read,op7=write_error,op8=dir_sync_error,op9=lying_sync,\
    step10=net_cut,step11=net_silent";

#[test]
fn every_fault_has_a_text_that_reads_back() {
    let all = plan(EVERYTHING);
    assert_eq!(all.to_string(), EVERYTHING);
    let stored = When::Gate { name: "commit.stored".to_owned(), nth: 3 };
    assert_eq!(all.faults[2], PlannedFault::new(stored, What::Crash(Crash::PowerDropAll)));
    let slow = What::Disk { kind: FaultKind::SlowSync(Duration::from_micros(1_500)), times: 2 };
    assert_eq!(all.faults[7], PlannedFault::new(When::Op(43), slow));
}

#[test]
fn the_empty_plan_is_a_dash() {
    assert_eq!(Plan::none().to_string(), "-");
    assert_eq!(plan(" -\n"), Plan::none());
}

#[test]
fn times_can_be_written_in_any_unit() {
    let fault = plan("t2s=slow_sync:1s,t3ms=lane_slow:2s");
    assert_eq!(fault.to_string(), "t2000000us=slow_sync:1000ms,t3000us=lane_slow:2000ms");
}

#[test]
fn what_is_wrong_with_a_plan_is_said_with_its_place() {
    let wrong = [
        ("", "a plan is missing; the empty plan is written `-`"),
        ("op1=process,", "fault 2 ``: it has no `=`; a fault is written like `op212=power_torn`"),
        ("op1", "fault 1 `op1`: it has no `=`; a fault is written like `op212=power_torn`"),
        (
            "op1=process,ops2=process",
            "fault 2 `ops2=process`: `ops2` is no moment; write `step431`, `op212`, `gate.NAME#3` \
             or `t12500us`",
        ),
        (
            "gate.stored=process",
            "fault 1 `gate.stored=process`: `gate.stored` does not say which time; write \
             `gate.stored#1` for the first",
        ),
        ("gate.a#b=process", "fault 1 `gate.a#b=process`: `b` is no number"),
        ("op1x=process", "fault 1 `op1x=process`: `1x` is no number"),
        (
            "op18446744073709551616=process",
            "fault 1 `op18446744073709551616=process`: 18446744073709551616 is more than \
             18446744073709551615",
        ),
        (
            "t5=process",
            "fault 1 `t5=process`: `5` is no time; write a number with ns, us, ms or s, like `20ms`",
        ),
        (
            "op1=clock5ms",
            "fault 1 `op1=clock5ms`: `clock5ms` is no jump; write `clock+5000ms` or `clock-5000ms`",
        ),
        (
            "op1=sync_error:3",
            "fault 1 `op1=sync_error:3`: `3` is no number of times; write `x3` for three",
        ),
        ("op1=slow_sync", "fault 1 `op1=slow_sync`: `slow_sync` needs a delay: `slow_sync:20ms`"),
        ("op1=restart:x2", "fault 1 `op1=restart:x2`: `restart` has no details; leave out `:x2`"),
        (
            "op1=power",
            "fault 1 `op1=power`: `power` is no fault; there are process, power_drop_all, \
             power_torn, read_error, short_read, write_error, no_space, sync_error, \
             dir_sync_error, lying_sync, slow_sync:20ms, lane_slow:20ms, clock+5000ms, evict_all, \
             restart, net_cut, net_silent",
        ),
    ];
    for (text, message) in wrong {
        let error = text.parse::<Plan>().expect_err(text);
        assert_eq!(error.to_string(), message);
    }
}

/// A number of any order of magnitude.
fn number(random: &mut dyn FnMut() -> u64) -> u64 {
    let shift = random() % 64;
    random() >> shift
}

fn any_when(random: &mut dyn FnMut() -> u64) -> When {
    match random() % 4 {
        0 => When::Step(number(random)),
        1 => When::Op(number(random)),
        2 => When::At(number(random)),
        _ => {
            let letters: Vec<char> = "az09._-/#%,=:+ \n\"'$*é漢".chars().collect();
            let len = random() % 12;
            let mut letter = || letters[(random() % letters.len() as u64) as usize];
            let name = (0..len).map(|_| letter()).collect();
            When::Gate { name, nth: number(random) }
        }
    }
}

fn any_what(random: &mut dyn FnMut() -> u64) -> What {
    let nanos = (random() % 1_000_000_000) as u32;
    let kinds = [
        FaultKind::ReadError,
        FaultKind::ShortRead,
        FaultKind::WriteError,
        FaultKind::NoSpace,
        FaultKind::SyncError,
        FaultKind::DirSyncError,
        FaultKind::LyingSync,
        FaultKind::SlowSync(Duration::new(number(random), nanos)),
        FaultKind::SlowSync(Duration::from_micros(number(random))),
        FaultKind::SlowSync(Duration::from_millis(number(random))),
    ];
    match random() % 10 {
        0 => What::Crash(Crash::ALL[(random() % 3) as usize]),
        1 => What::ClockJump { ms: number(random).cast_signed() },
        2 => What::EvictAll,
        3 => What::Restart,
        4 => What::LaneSlow { ms: number(random) },
        5 => What::NetCut,
        6 => What::NetSilent,
        _ => {
            let kind = kinds[(random() % kinds.len() as u64) as usize];
            What::Disk { kind, times: if random().is_multiple_of(2) { 1 } else { number(random) } }
        }
    }
}

#[test]
fn any_plan_reads_back_from_one_word() {
    let mut random = numbers(1);
    for _ in 0..10_000 {
        let len = random() % 6;
        let fault = |_| PlannedFault::new(any_when(&mut random), any_what(&mut random));
        let plan = Plan { faults: (0..len).map(fault).collect() };
        let text = plan.to_string();
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "._-/=,#%+:".contains(c);
        assert!(text.chars().all(is_safe), "{text}");
        assert_eq!(text.parse::<Plan>(), Ok(plan));
    }
}

#[test]
fn a_damaged_text_is_an_error_or_another_plan() {
    let mut random = numbers(2);
    let letters: Vec<char> = "0a9.=,#%+:é-xs ".chars().collect();
    let mut errors = 0;
    for _ in 0..10_000 {
        let mut text: Vec<char> = EVERYTHING.chars().collect();
        for _ in 0..=random() % 3 {
            let place = (random() % text.len() as u64) as usize;
            let letter = letters[(random() % letters.len() as u64) as usize];
            match random() % 3 {
                0 => drop(text.remove(place)),
                1 => text.insert(place, letter),
                _ => text[place] = letter,
            }
        }
        match text.iter().collect::<String>().parse::<Plan>() {
            Ok(plan) => assert_eq!(plan.to_string().parse::<Plan>(), Ok(plan)),
            Err(_) => errors += 1,
        }
    }
    assert!(errors > 1_000, "{errors}");
}
