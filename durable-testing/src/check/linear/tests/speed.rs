//! Large histories must stay cheap: counted in configurations, since time is not the tests' own.

use super::super::Model;
use super::super::ops::Ops;
use super::super::search::{Found, search};
use super::super::table::Table;
use super::random::Dice;
use super::toys::{Counter, Queue, Register, Story};

/// How many configurations the whole history takes.
fn states<M: Model>(story: &Story, model: &M) -> usize {
    let calls: Vec<_> = story.history.calls().iter().collect();
    let ops = Ops::of(&calls);
    let needed = |states_max: usize| {
        let found = search(&mut Table::new(model, &calls, states_max), &ops, states_max);
        !matches!(found, Ok(Found::TooLarge { .. }))
    };
    (0..24).map(|bits| 1 << bits).find(|max| needed(*max)).expect("below 16 million")
}

/// 34 calls of 4 clients, some of unknown outcome, on one object.
fn of_34_calls() -> Story {
    let mut dice = Dice(5);
    let mut story = Story::default();
    let mut total = 0_u8;
    let mut open = Vec::new();
    for number in 0..34 {
        let amount = 1 + dice.below(3) as u8;
        let call = story.call(number % 4, "add", &[amount]);
        if number % 7 == 3 {
            // Half of what is lost has happened.
            total += if dice.below(2) == 0 { amount } else { 0 };
            story.unknown(call);
            continue;
        }
        total += amount;
        open.push((call, total));
        if open.len() == 4 {
            for (call, total) in open.drain(..).rev() {
                story.ok(call, &[total]);
            }
        }
    }
    story
}

#[test]
fn a_thousand_calls_in_a_row_take_one_configuration_each() {
    let mut story = Story::default();
    for number in 0..2_000_u64 {
        story.whole(number % 4, "set", &[number as u8], &[]);
        story.whole(number % 4, "get", &[], &[number as u8]);
    }
    story.is_fine(&Register);
    assert!(states(&story, &Register) <= 4_096);
    story.whole(1, "get", &[], &[3]);
    assert_eq!(story.violation(&Register).unplaced.len(), 1);
}

#[test]
fn lost_calls_in_a_long_history_stay_cheap() {
    let mut story = Story::default();
    let mut total = 0_u8;
    for number in 0..1_000_u64 {
        if number % 100 == 50 {
            let lost = story.call(9, "add", &[7]);
            story.unknown(lost);
            total = total.wrapping_add(if number % 200 == 50 { 7 } else { 0 });
        }
        total = total.wrapping_add(1);
        story.whole(number % 4, "add", &[1], &[total]);
    }
    story.is_fine(&Counter);
    assert!(states(&story, &Counter) <= 2_048);
    story.whole(1, "get", &[], &[total.wrapping_sub(1)]);
    story.violation(&Counter);
}

#[test]
fn many_concurrent_calls_are_ordered_by_their_answers() {
    for reads in [0, 32] {
        let mut story = Story::default();
        let calls: Vec<_> = (0..64_u8)
            .map(|n| {
                let is_read = n < reads;
                let call = story.call(
                    n.into(),
                    if is_read { "get" } else { "add" },
                    &[1][..usize::from(!is_read)],
                );
                (call, n)
            })
            .collect();
        for (call, n) in calls.into_iter().rev() {
            // The reads see the writes one by one, and all are answered in the reverse order.
            let seen = if n < reads { n } else { n - reads + 1 };
            story.ok(call, &[seen]);
        }
        story.is_fine(&Counter);
        assert!(states(&story, &Counter) <= 64);
    }
}

#[test]
fn many_concurrent_calls_to_a_queue_are_ordered_by_what_is_popped() {
    let mut story = Story::default();
    let pushes: Vec<_> = (0..64_u8).map(|n| story.call(n.into(), "push", &[n])).collect();
    for push in pushes {
        story.ok(push, &[]);
    }
    let pops: Vec<_> = (0..64_u8).map(|n| (story.call(n.into(), "pop", &[]), n)).collect();
    for (pop, n) in pops {
        story.ok(pop, &[n]);
    }
    story.is_fine(&Queue);
}

#[test]
fn a_history_of_34_calls_takes_few_configurations() {
    let story = of_34_calls();
    story.is_fine(&Counter);
    assert!(states(&story, &Counter) <= 128);
}
