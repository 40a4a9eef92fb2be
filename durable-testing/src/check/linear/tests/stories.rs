//! Histories that a person can follow, good ones and bad ones.

use super::super::{Verdict, check};
use super::toys::{Counter, Queue, Register, STATES_MAX, Story, invoked};
use crate::history::{History, Outcome};

#[test]
fn an_empty_history_is_linearizable() {
    Story::default().is_fine(&Counter);
}

#[test]
fn a_read_during_a_write_may_give_either_value() {
    for seen in [0, 7] {
        let mut story = Story::default();
        let set = story.call(1, "set", &[7]);
        story.whole(2, "get", &[], &[seen]);
        story.ok(set, &[]);
        story.whole(2, "get", &[], &[7]);
        story.is_fine(&Register);
    }
}

#[test]
fn a_write_that_would_change_nothing_can_wait_until_it_does() {
    let mut story = Story::default();
    story.whole(1, "set", &[1], &[]);
    let again = story.call(1, "set", &[1]);
    story.whole(2, "set", &[2], &[]);
    story.ok(again, &[]);
    story.whole(2, "get", &[], &[1]);
    story.is_fine(&Register);
}

#[test]
fn a_stale_read_is_a_violation() {
    let mut story = Story::default();
    story.whole(1, "set", &[7], &[]);
    story.whole(2, "get", &[], &[0]);
    let explained = story.violation(&Register);
    assert_eq!(explained.unplaced[0].call.client, 2);
    assert_eq!(explained.allowed, [[7]]);
    let guess = "it would be in order if it had been answered from an older state";
    assert!(explained.to_string().contains(guess), "{explained}");
}

#[test]
fn a_value_that_was_seen_is_not_unseen_while_the_write_goes_on() {
    let mut story = Story::default();
    let set = story.call(1, "set", &[7]);
    story.whole(2, "get", &[], &[7]);
    story.whole(3, "get", &[], &[0]);
    story.ok(set, &[]);
    let explained = story.violation(&Register);
    assert_eq!(explained.unplaced[0].call.client, 3);
    assert_eq!(explained.allowed, [[7]]);
}

#[test]
fn a_lost_update_is_a_violation() {
    let mut story = Story::default();
    let first = story.call(1, "add", &[1]);
    let second = story.call(2, "add", &[2]);
    story.ok(first, &[1]);
    story.ok(second, &[2]);
    let explained = story.violation(&Counter);
    assert_eq!(explained.unplaced[0].call.client, 2);
    assert_eq!(explained.allowed, [[3]]);
    assert_eq!(explained.guesses.len(), 1, "{explained}");
    assert!(explained.guesses[0].starts_with("if this one had been lost: client 1"));
}

#[test]
fn a_call_of_unknown_outcome_may_happen_once_late_or_never() {
    for (early, late) in [(1, 1), (1, 6), (6, 6)] {
        let mut story = Story::default();
        let lost = story.call(1, "add", &[5]);
        story.unknown(lost);
        story.whole(2, "add", &[1], &[early]);
        story.whole(2, "get", &[], &[late]);
        story.is_fine(&Counter);
    }
}

#[test]
fn a_call_without_an_answer_may_happen_or_not() {
    for seen in [0, 5] {
        let mut story = Story::default();
        story.call(1, "add", &[5]);
        story.whole(2, "get", &[], &[seen]);
        story.is_fine(&Counter);
    }
}

#[test]
fn a_call_of_unknown_outcome_that_happens_twice_is_a_violation() {
    let mut story = Story::default();
    let lost = story.call(1, "add", &[5]);
    story.unknown(lost);
    story.whole(2, "get", &[], &[10]);
    let explained = story.violation(&Counter);
    assert_eq!(explained.allowed, [[0], [5]]);
    let guess = "if this one had happened twice: client 1, steps 1..2: add(5)";
    assert_eq!(explained.guesses, [guess]);
}

#[test]
fn what_an_unknown_call_did_is_not_taken_back() {
    let mut story = Story::default();
    let lost = story.call(1, "add", &[5]);
    story.unknown(lost);
    story.whole(2, "get", &[], &[5]);
    story.whole(3, "get", &[], &[0]);
    story.violation(&Counter);
}

#[test]
fn an_unknown_call_does_not_happen_before_it_was_made() {
    let mut story = Story::default();
    story.whole(2, "get", &[], &[5]);
    let lost = story.call(1, "add", &[5]);
    story.unknown(lost);
    let explained = story.violation(&Counter);
    assert_eq!(explained.allowed, [[0]]);
    assert!(explained.order.is_empty());
}

#[test]
fn a_call_that_was_not_done_has_no_effect() {
    let mut story = Story::default();
    let refused = story.call(1, "add", &[5]);
    story.not_done(refused);
    let mut bad = story.clone();
    story.whole(2, "get", &[], &[0]);
    story.is_fine(&Counter);

    bad.whole(2, "get", &[], &[5]);
    let explained = bad.violation(&Counter);
    let guess = "if this one had had an effect, which said that it had none: client 1";
    assert!(explained.guesses[0].starts_with(guess), "{explained}");
}

#[test]
fn calls_of_one_client_are_not_reordered() {
    let mut story = Story::default();
    story.whole(1, "push", &[1], &[]);
    story.whole(1, "push", &[2], &[]);
    story.whole(2, "pop", &[], &[2]);
    let explained = story.violation(&Queue);
    assert_eq!(explained.allowed, [[1]]);
}

#[test]
fn concurrent_calls_of_two_clients_may_be_reordered() {
    let mut story = Story::default();
    let first = story.call(1, "push", &[1]);
    let second = story.call(2, "push", &[2]);
    story.ok(first, &[]);
    story.ok(second, &[]);
    story.whole(3, "pop", &[], &[2]);
    story.whole(3, "pop", &[], &[1]);
    story.whole(3, "pop", &[], &[255]);
    story.is_fine(&Queue);
}

#[test]
fn calls_that_end_and_begin_in_one_step_keep_their_order() {
    let mut history = History::default();
    for (method, args, reply) in [("set", vec![7], vec![]), ("get", vec![], vec![0])] {
        let index = history.invoke(9, invoked(1, method, &args));
        history.answer(9, index, Outcome::Ok(reply));
    }
    let calls: Vec<_> = history.calls().iter().collect();
    assert!(matches!(check(&calls, &Register, STATES_MAX), Verdict::Violation(_)));
}

#[test]
fn the_first_answer_without_an_explanation_is_named_with_what_came_before() {
    let mut story = Story::default();
    for total in 1..=20 {
        story.whole(1, "add", &[1], &[total]);
    }
    let open = story.call(3, "add", &[50]);
    story.whole(2, "add", &[1], &[22]);
    story.ok(open, &[72]);
    story.whole(2, "add", &[1], &[73]);
    let text = story.violation(&Counter).to_string();
    let expected = "\
toys.Toy(a): no order of its calls explains their answers
  client 2, steps 42..43: add(1) gave 22
  allowed: 21 or 71
  what came before can have happened in this order, of which these are the last 12 of 20 calls:
    client 1, steps 17..18: add(1) gave 9
";
    assert!(text.starts_with(expected), "{text}");
    let ending = "\
    client 1, steps 39..40: add(1) gave 20
  it would be in order if this one had happened twice: client 2, steps 42..43: add(1)
";
    assert!(text.ends_with(ending), "{text}");
}

#[test]
fn a_model_that_does_not_know_a_call_says_so() {
    let mut story = Story::default();
    story.whole(1, "swap", &[7], &[]);
    let Verdict::NotModelled(reason) = story.check(&Register) else { panic!("no `swap`") };
    assert_eq!(reason, "no `swap`");
}

#[test]
fn a_model_may_not_change_the_state_in_a_read() {
    let mut story = Story::default();
    story.whole(1, "get", &[7], &[7]);
    let Verdict::NotModelled(reason) = story.check(&Counter) else { panic!("get(7) adds") };
    assert!(reason.contains("changes the state in `get`"), "{reason}");
}

#[test]
fn a_search_that_grows_too_large_is_given_up() {
    let mut story = Story::default();
    let calls: Vec<_> = (1..40).map(|n| story.call(n.into(), "push", &[n])).collect();
    for call in calls {
        story.ok(call, &[]);
    }
    story.whole(1, "pop", &[], &[99]);
    let Verdict::TooLarge { states } = story.check(&Queue) else { panic!("39! orders") };
    assert!(states > STATES_MAX && states <= STATES_MAX + 1);
}
