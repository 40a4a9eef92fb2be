use std::time::Duration;

use super::*;
use crate::kernel::restart::Strategy;

fn given(ms: u64) -> Given {
    Given { now: MonoNs(ms * 1_000_000), chance: 0 }
}

fn id(name: char) -> ObjectId {
    ObjectId::from_bytes([name as u8; 32])
}

fn panic() -> Option<Exit> {
    Some(Exit::new(ExitReason::Panic, "on purpose"))
}

/// A family, and what it has said since it was last asked, as text.
struct Stage {
    family: Family,
    deeds: Vec<Deed>,
    now: u64,
}

impl Stage {
    fn new(strategy: Strategy, intensity: u32) -> Self {
        let mut spec = SupervisorSpec::new("room", strategy);
        (spec.intensity, spec.period) = (intensity, Duration::from_secs(5));
        let mut deeds = Vec::new();
        let family = Family::new(&spec, "room", given(0), &mut deeds);
        deeds.clear();
        Stage { family, deeds, now: 0 }
    }

    fn want(&mut self, names: &str) -> String {
        for name in names.chars() {
            self.family.want((id(name), &name.to_string()), given(self.now), &mut self.deeds);
        }
        self.said()
    }

    fn left(&mut self, name: char, exit: Option<Exit>) -> String {
        self.family.left(id(name), exit, given(self.now), &mut self.deeds);
        self.said()
    }

    fn away(&mut self) -> String {
        self.family.send_last_away(given(self.now), &mut self.deeds);
        self.said()
    }

    fn end(&mut self) -> String {
        self.family.end(given(self.now), &mut self.deeds);
        self.said()
    }

    fn said(&mut self) -> String {
        let name = |id: ObjectId| id.as_bytes()[0] as char;
        let mut said = Vec::new();
        for deed in self.deeds.drain(..) {
            said.extend(match deed {
                Deed::Grant(id, _) => Some(format!("+{}", name(id))),
                Deed::Refuse(id, error) => Some(format!("!{} {}", name(id), error.code())),
                Deed::Evict(id) => Some(format!("-{}", name(id))),
                Deed::Cut(id) => Some(format!("x{}", name(id))),
                Deed::Exited(end) => Some(format!("exit {} {}", name(end.id), end.restarts)),
                Deed::Melt(exit) => Some(exit.reason.to_string()),
                Deed::Timer { .. } | Deed::Tell { .. } => None,
            });
        }
        said.join(" ")
    }
}

#[test]
fn children_come_at_once_and_go_in_reverse_order_one_after_the_other() {
    let mut stage = Stage::new(Strategy::OneForOne, 1);
    assert_eq!(stage.want("abc"), "+a +b +c");
    assert_eq!(stage.away(), "-c");
    assert_eq!(stage.away(), "", "it is on its way");
    assert_eq!(stage.left('c', None), "");
    assert_eq!(stage.away(), "-b");
    assert_eq!(stage.left('b', None), "");
    assert_eq!(stage.away(), "-a");
    assert_eq!(stage.left('a', None), "");
    assert_eq!(stage.away(), "");
    stage.end();
    assert!(stage.family.has_ended());
}

#[test]
fn a_child_that_comes_again_is_the_last_that_came() {
    let mut stage = Stage::new(Strategy::OneForOne, 1);
    stage.want("ab");
    assert_eq!(stage.left('a', None), "");
    assert_eq!(stage.want("a"), "+a");
    assert_eq!(stage.away(), "-a");
    assert!(stage.family.kids.len() == 2);
    stage.left('a', None);
    stage.away();
    stage.left('b', None);
    assert!(stage.family.kids.is_empty() && stage.family.by_name.is_empty(), "nobody is kept");
    assert!(stage.family.by_key.is_empty() && stage.family.asked.is_empty());
}

#[test]
fn who_crashes_is_restarted_by_the_strategy_and_comes_when_it_is_called() {
    let mut one = Stage::new(Strategy::OneForOne, 5);
    one.want("abc");
    assert_eq!(one.left('b', panic()), "exit b 1");
    assert_eq!(one.want("b"), "+b");

    let mut all = Stage::new(Strategy::OneForAll, 5);
    all.want("abc");
    assert_eq!(all.left('b', panic()), "exit b 1 -c");
    assert_eq!(all.want("b"), "", "its siblings are still going");
    assert_eq!(all.left('c', None), "-a");
    assert_eq!(all.want("c"), "");
    assert_eq!(all.left('a', None), "+b +c");
    assert_eq!(all.want("a"), "+a");

    let mut rest = Stage::new(Strategy::RestForOne, 5);
    rest.want("abc");
    assert_eq!(rest.left('b', panic()), "exit b 1 -c");
    assert_eq!(rest.left('c', None), "");
    assert_eq!(rest.want("cb"), "+c +b");
}

#[test]
fn a_sibling_that_is_not_in_memory_is_not_waited_for() {
    let mut all = Stage::new(Strategy::OneForAll, 5);
    all.want("ab");
    all.left('a', panic());
    all.left('b', None);
    assert_eq!(all.want("a"), "+a", "b stays where it is");
    assert_eq!(all.left('a', panic()), "exit a 2");
    assert_eq!(all.want("ab"), "+a +b");
}

#[test]
fn too_many_crashes_fail_the_parent_and_nobody_comes_any_more() {
    let mut stage = Stage::new(Strategy::OneForOne, 1);
    stage.want("ab");
    assert_eq!(stage.left('a', panic()), "exit a 1");
    assert_eq!(stage.want("a"), "+a");
    assert_eq!(stage.left('a', panic()), "meltdown -b");
    assert_eq!(stage.want("a"), "");
    assert_eq!(stage.end(), "xb", "the parent does not wait for its turn");
    assert_eq!(stage.left('b', None), "");
    assert!(stage.family.has_ended());
}

#[test]
fn a_crash_that_is_longer_ago_than_the_period_does_not_count() {
    let mut stage = Stage::new(Strategy::OneForOne, 1);
    for round in 0..10 {
        stage.now = round * 5_001;
        assert_eq!(stage.want("a"), "+a");
        assert_eq!(stage.left('a', panic()), "exit a 1");
    }
}

#[test]
fn a_parent_that_ends_cuts_its_children_off_in_reverse_order() {
    let mut stage = Stage::new(Strategy::OneForOne, 1);
    stage.want("ab");
    assert_eq!(stage.end(), "xb");
    assert_eq!(stage.left('b', panic()), "xa");
    assert_eq!(stage.left('a', None), "");
    assert!(stage.family.has_ended());
}

#[test]
fn a_child_that_crashes_on_its_way_out_has_crashed_as_any_other() {
    let mut stage = Stage::new(Strategy::OneForAll, 1);
    stage.want("ab");
    assert_eq!(stage.away(), "-b");
    assert_eq!(
        stage.left('b', panic()),
        "exit b 1 -a",
        "it is told, and its siblings go as the strategy says"
    );
    assert_eq!(stage.left('a', None), "");
    assert_eq!(stage.away(), "", "nobody is left");
}
