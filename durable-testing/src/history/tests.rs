use super::*;

fn call(object: &str) -> Invoked {
    Invoked {
        client: 1,
        object: object.to_owned(),
        class: "bank.Account",
        method: "deposit".to_owned(),
        is_read: false,
        args: vec![5],
    }
}

#[test]
fn calls_are_found_by_object_in_the_order_in_which_they_were_made() {
    let mut history = History::default();
    let first = history.invoke(1, call("bank.Account(bob)"));
    let other = history.invoke(1, call("bank.Account(ada)"));
    let second = history.invoke(4, call("bank.Account(bob)"));
    history.answer(4, second, Outcome::Ok(vec![9]));
    history.answer(6, first, Outcome::Unknown("crashed".to_owned()));

    assert_eq!(history.objects(), ["bank.Account(ada)", "bank.Account(bob)"]);
    let of_bob: Vec<_> = history.of_object("bank.Account(bob)").collect();
    assert_eq!(of_bob, [history.call(first), history.call(second)]);
    assert_eq!(history.call(second).outcome, Outcome::Ok(vec![9]));
    assert_eq!((history.call(first).invoked, history.call(first).answered), (1, Some(6)));
    assert_eq!(
        (history.call(other).answered, &history.call(other).outcome),
        (None, &Outcome::Pending)
    );
    assert_eq!(history.calls().len(), 3);
    assert_eq!(second.position(), 2);
}

#[test]
fn calls_of_one_step_keep_their_order() {
    let mut history = History::default();
    let first = history.invoke(7, call("a"));
    history.answer(7, first, Outcome::Ok(vec![]));
    let second = history.invoke(7, call("a"));
    assert!(history.call(first).ended() < Some(history.call(second).began()));
}

#[test]
#[should_panic(expected = "call 0 was answered twice")]
fn a_call_has_one_answer() {
    let mut history = History::default();
    let index = history.invoke(1, call("a"));
    history.answer(2, index, Outcome::Ok(vec![]));
    history.answer(3, index, Outcome::NotDone("closed".to_owned()));
}
