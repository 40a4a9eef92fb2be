//! Random small histories, right ones and broken ones, against the definition.

use super::super::explain::Shown;
use super::super::{Explained, Model, Verdict};
use super::brute;
use super::toys::{Counter, Queue, Register, Story};
use crate::history::{CallIndex, Outcome};

/// A seeded generator (xorshift), so that the test is the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What happened, in order; a story can be told up to any of them.
#[derive(Clone, Debug)]
enum Event {
    Call { client: u64, method: &'static str, args: Vec<u8> },
    End { call: usize, outcome: Outcome },
}

/// A call that goes on.
struct Open {
    call: usize,
    client: u64,
    /// `None`: it has not happened.
    reply: Option<Vec<u8>>,
    /// Its caller has gone.
    is_lost: bool,
}

fn tell(events: &[Event]) -> Story {
    let mut story = Story::default();
    let mut calls: Vec<CallIndex> = Vec::new();
    for event in events {
        match event {
            Event::Call { client, method, args } => calls.push(story.call(*client, method, args)),
            Event::End { call, outcome } => story.ends(calls[*call], outcome.clone()),
        }
    }
    story
}

/// Runs a toy with some clients. `sloppy`: one time in how many something goes wrong.
fn events<M: Model>(
    model: &M,
    methods: [&'static str; 2],
    dice: &mut Dice,
    calls_max: usize,
    sloppy: u64,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut state = model.initial();
    let mut calls = 0;
    for _ in 0..6 * calls_max {
        let client = dice.below(3);
        let Some(index) = open.iter().position(|open| open.client == client && !open.is_lost)
        else {
            if calls < calls_max {
                let method = methods[usize::from(dice.below(5) < 2)];
                let args =
                    if method == methods[0] { vec![1 + dice.below(2) as u8] } else { vec![] };
                events.push(Event::Call { client, method, args });
                open.push(Open { call: calls, client, reply: None, is_lost: false });
                calls += 1;
            }
            continue;
        };
        let happening =
            if dice.below(4) == 0 { dice.below(open.len() as u64) as usize } else { index };
        if open[happening].reply.is_none() && dice.below(3) > 0 {
            let call = tell(&events).history.calls()[open[happening].call].clone();
            let mut step = model.step(&state, &call).expect("the toys know all their calls");
            match dice.below(sloppy * 3) {
                0 => step.state = state,
                1 => step.state = model.step(&step.state, &call).expect("as before").state,
                2 => step.reply = step.reply.iter().map(|byte| byte ^ 1).collect(),
                _ => {}
            }
            state = step.state;
            open[happening].reply = Some(step.reply);
            continue;
        }
        let Open { call, reply, .. } = &open[index];
        let (call, reply) = (*call, reply.clone());
        let outcome = match reply {
            _ if dice.below(5) == 0 => Outcome::Unknown("lost".to_owned()),
            Some(_) if dice.below(sloppy * 3) == 0 => Outcome::NotDone("a lie".to_owned()),
            Some(reply) => Outcome::Ok(reply),
            None if dice.below(4) == 0 => {
                open.remove(index);
                events.push(Event::End { call, outcome: Outcome::NotDone("busy".to_owned()) });
                continue;
            }
            None => continue,
        };
        open[index].is_lost = matches!(outcome, Outcome::Unknown(_));
        if !open[index].is_lost {
            open.remove(index);
        }
        events.push(Event::End { call, outcome });
    }
    events
}

/// Compares the verdict with the definition. Gives whether the history was linearizable.
fn compare<M: Model>(model: &M, events: &[Event]) -> bool {
    let story = tell(events);
    let calls: Vec<_> = story.history.calls().iter().collect();
    let expected = brute::is_linearizable(&calls, model);
    match story.check(model) {
        Verdict::Linearizable => assert!(expected, "accepted: {events:#?}"),
        Verdict::Violation(explained) => {
            assert!(!expected, "refused: {events:#?}\n{explained}");
            check_explained(model, events, &explained);
        }
        verdict => panic!("{verdict:?}"),
    }
    expected
}

/// Checks every statement of an explanation, also against the definition.
fn check_explained<M: Model>(model: &M, events: &[Event], explained: &Explained) {
    let story = tell(events);
    let culprit = &explained.unplaced[0].call;
    let number = story.history.calls().iter().position(|call| call == culprit).expect("a call");
    let ends = |event: &Event| matches!(event, Event::End { call, .. } if *call == number);
    let end = events.iter().position(ends).expect("it was answered");
    // What is known at the time, and which of the open calls turn out not to have happened.
    let known = |until: &[Event]| {
        let called = until.iter().filter(|event| matches!(event, Event::Call { .. })).count();
        let later = events[until.len()..].iter().filter(|event| {
            matches!(event, Event::End { call, outcome: Outcome::NotDone(_) } if *call < called)
        });
        tell(&until.iter().chain(later).cloned().collect::<Vec<_>>())
    };
    let is_fine = |until: &[Event]| {
        brute::is_linearizable(&known(until).history.calls().iter().collect::<Vec<_>>(), model)
    };
    assert!(is_fine(&events[..end]), "it fails earlier: {events:#?}\n{explained}");
    assert!(!is_fine(&events[..=end]), "it fails later: {events:#?}\n{explained}");

    let before = known(&events[..end]);
    let calls: Vec<_> = before.history.calls().iter().collect();
    let same = |shown: &Shown| {
        let begins = |call: &&&_| crate::history::Recorded::began(call) == shown.call.began();
        *calls.iter().find(begins).expect("a call of the history")
    };
    let order: Vec<_> = explained.order.iter().map(same).collect();
    assert!(brute::is_right(&calls, &order, model), "wrong order: {events:#?}\n{explained}");

    let mut tried = events[..=end].to_vec();
    for byte in (0..24).chain([255]) {
        tried[end] = Event::End { call: number, outcome: Outcome::Ok(vec![byte]) };
        let is_allowed = explained.allowed.contains(&vec![byte]);
        assert_eq!(is_fine(&tried), is_allowed, "reply {byte}: {events:#?}\n{explained}");
    }
}

fn compare_many<M: Model>(model: &M, methods: [&'static str; 2], seed: u64, calls_max: usize) {
    let mut dice = Dice(seed);
    let mut fine = 0;
    let all = 8_000;
    for _ in 0..all {
        let sloppy = if dice.below(3) > 0 { 1 } else { 1_000_000 };
        let calls = 2 + dice.below(calls_max as u64 - 1) as usize;
        fine += usize::from(compare(model, &events(model, methods, &mut dice, calls, sloppy)));
    }
    // Otherwise one of the two verdicts was hardly tried.
    assert!((all / 5..all * 9 / 10).contains(&fine), "{fine} of {all} were linearizable");
}

#[test]
fn registers_are_judged_as_the_definition_says() {
    compare_many(&Register, ["set", "get"], 1, 6);
}

#[test]
fn counters_are_judged_as_the_definition_says() {
    compare_many(&Counter, ["add", "get"], 2, 6);
}

#[test]
fn queues_are_judged_as_the_definition_says() {
    compare_many(&Queue, ["push", "pop"], 3, 6);
}
