use super::*;

const READ: Access = Access::Read;
const WRITE: Access = Access::Write;

fn object(number: u8) -> ObjectId {
    ObjectId::from_bytes([number; 32])
}

/// Turns and calls by short words.
#[derive(Default)]
struct Stage(WaitGraph);

impl Stage {
    fn turn(&mut self, at: u8, access: Access, serves: Option<WaitNo>) -> TurnNo {
        self.0.enter(Running { object: object(at), access, method: "f", serves })
    }

    fn ask(&mut self, from: TurnNo, to: u8, access: Access) -> Result<Entered, Vec<Link>> {
        self.asked(from, to, access, (false, false))
    }

    fn asked(
        &mut self,
        from: TurnNo,
        to: u8,
        access: Access,
        (is_behind_write, is_reentrant): (bool, bool),
    ) -> Result<Entered, Vec<Link>> {
        let asked =
            Asked { object: object(to), access, method: "g", is_reentrant, is_behind_write };
        self.0.call(from, asked)
    }

    fn waits(&mut self, from: TurnNo, to: u8, access: Access) -> WaitNo {
        match self.ask(from, to, access) {
            Ok(Entered::Waits(wait)) => wait,
            other => panic!("{other:?}"),
        }
    }

    /// The call begins, and its turn calls something itself.
    fn serve(&mut self, wait: WaitNo, at: u8, access: Access) -> TurnNo {
        self.0.begun(wait);
        self.turn(at, access, Some(wait))
    }
}

fn closes(asked: Result<Entered, Vec<Link>>) -> bool {
    asked.is_err()
}

#[test]
fn a_call_waits_for_the_turns_that_must_end_before_it() {
    // What runs, what is called, whether something that runs alone waits before it, whether it waits for what runs.
    let table = [
        (WRITE, WRITE, false, true),
        (WRITE, READ, false, true),
        (READ, WRITE, false, true),
        (READ, READ, false, false),
        (READ, READ, true, true),
    ];
    for (runs, called, is_behind_write, waits) in table {
        let mut stage = Stage::default();
        let turn = stage.turn(1, runs, None);
        let asked = stage.asked(turn, 1, called, (is_behind_write, false));
        assert_eq!(closes(asked), waits, "{runs:?} {called:?} {is_behind_write}");
    }
}

#[test]
fn a_circle_of_any_length_is_told_from_its_beginning() {
    let mut stage = Stage::default();
    let mut turn = stage.turn(1, WRITE, None);
    for at in 2..=5 {
        let wait = stage.waits(turn, at, WRITE);
        turn = stage.serve(wait, at, WRITE);
    }
    let links = stage.ask(turn, 1, WRITE).expect_err("it is a circle");
    let told: Vec<_> = links.iter().map(|link| (link.object, link.method, link.behind)).collect();
    let f = |at| (object(at), "f", None);
    assert_eq!(told, [f(1), f(2), f(3), f(4), f(5), (object(1), "g", None)]);
}

#[test]
fn two_turns_that_call_each_others_objects_are_a_circle() {
    let mut stage = Stage::default();
    let (one, other) = (stage.turn(1, WRITE, None), stage.turn(2, WRITE, None));
    stage.waits(one, 2, WRITE);
    let links = stage.ask(other, 1, READ).expect_err("both would wait");
    assert_eq!(links[1].behind, Some("f"), "the call of one waits behind the turn of the other");
}

#[test]
fn a_call_whose_turn_runs_waits_for_that_turn_only() {
    let mut stage = Stage::default();
    let (caller, reader) = (stage.turn(1, WRITE, None), stage.turn(2, READ, None));
    let asked = stage.asked(caller, 2, READ, (true, false));
    let Ok(Entered::Waits(wait)) = asked else { panic!("{asked:?}") };
    assert!(closes(stage.ask(reader, 1, WRITE)), "the call waits behind a write");
    stage.0.begun(wait);
    assert!(!closes(stage.ask(reader, 1, WRITE)), "its turn runs beside the other");
}

#[test]
fn what_is_over_is_waited_for_by_nobody() {
    let mut stage = Stage::default();
    let (one, other) = (stage.turn(1, WRITE, None), stage.turn(2, WRITE, None));
    let wait = stage.waits(one, 2, WRITE);
    stage.0.over(wait);
    let back = stage.waits(other, 1, WRITE);
    assert!(closes(stage.ask(one, 2, WRITE)));
    stage.0.leave(other);
    assert!(!closes(stage.ask(one, 2, WRITE)));
    stage.0.over(back);
    stage.0.leave(one);
    assert_eq!(stage.ask(one, 2, WRITE), Ok(Entered::Unwanted));
    assert!(stage.0.is_empty());
}

#[test]
fn each_call_of_a_turn_that_makes_several_counts() {
    let mut stage = Stage::default();
    let turn = stage.turn(1, WRITE, None);
    let (left, right) = (stage.waits(turn, 2, WRITE), stage.waits(turn, 3, WRITE));
    let beside = stage.serve(left, 2, WRITE);
    assert!(closes(stage.ask(beside, 1, READ)));
    let other = stage.serve(right, 3, WRITE);
    stage.waits(beside, 3, WRITE);
    assert!(closes(stage.ask(other, 2, WRITE)));
    stage.0.leave(beside);
    assert!(!closes(stage.ask(other, 2, WRITE)), "nobody runs there");
}

#[test]
fn only_a_read_that_says_so_overtakes_and_only_beside_reads() {
    for (runs, called, is_reentrant, overtakes) in [
        (READ, READ, true, true),
        (READ, READ, false, false),
        (READ, WRITE, true, false),
        (WRITE, READ, true, false),
    ] {
        let mut stage = Stage::default();
        let turn = stage.turn(1, runs, None);
        let wait = stage.waits(turn, 2, WRITE);
        let inner = stage.serve(wait, 2, WRITE);
        let asked = stage.asked(inner, 1, called, (true, is_reentrant));
        let is_let_in = matches!(asked, Ok(Entered::Overtakes(_)));
        assert_eq!(is_let_in, overtakes, "{runs:?} {called:?} {is_reentrant}");
        assert_eq!(asked.is_err(), !overtakes);
    }
}

/// Random calls, against the rule told in another way: a call must be refused if and only if, with it, not everybody could
/// end, when whoever waits for nothing ends first, again and again.
#[test]
fn random_calls_are_refused_exactly_when_not_everybody_could_end() {
    let mut numbers = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: u64| {
        numbers = numbers.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (numbers >> 33) % bound
    };
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..400 {
        let mut stage = Stage::default();
        let turns: Vec<_> = (1..=6).map(|at| (stage.turn(at, WRITE, None), at)).collect();
        let mut edges: Vec<(u8, u8)> = Vec::new();
        for _ in 0..10 {
            let (from, at) = turns[below(6) as usize];
            let to = 1 + below(6) as u8;
            edges.push((at, to));
            let can_all_end = can_all_end(&edges);
            match stage.ask(from, to, WRITE) {
                Ok(_) => {
                    assert!(can_all_end, "{edges:?}");
                    taken += 1;
                }
                Err(links) => {
                    assert!(!can_all_end, "{edges:?}");
                    assert_eq!(links.first().map(|link| link.object), Some(object(to)));
                    edges.pop();
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 500 && taken > 1_000, "{refused} {taken}");
}

fn can_all_end(edges: &[(u8, u8)]) -> bool {
    let mut left: Vec<_> = edges.to_vec();
    loop {
        let before = left.len();
        let waiting = left.clone();
        left.retain(|(_, to)| waiting.iter().any(|(from, _)| from == to));
        if left.len() == before {
            return before == 0;
        }
    }
}
