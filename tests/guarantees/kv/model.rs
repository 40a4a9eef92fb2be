//! Random turns against a map.

use std::collections::BTreeMap;
use std::future::IntoFuture;

use durable::prelude::*;

use super::{Drawer, Rows, Step, Wish, drawers};

/// What a [`Drawer`] must hold.
type Model = BTreeMap<String, u64>;

fn model_step(model: &mut Model, step: &Step) -> Rows {
    let count = |n: usize| vec![(String::new(), n as u64)];
    match step {
        Step::Put(key, value) => {
            model.insert(key.clone(), *value);
            Rows::new()
        }
        Step::PutMany(rows) => {
            model.extend(rows.iter().cloned());
            Rows::new()
        }
        Step::Delete(key) => count(usize::from(model.remove(key).is_some())),
        Step::DeleteMany(keys) => count(keys.iter().filter_map(|key| model.remove(key)).count()),
        Step::List(wish) => model_list(model, wish),
        Step::GetMany(keys) => {
            let wanted = model.iter().filter(|(key, _)| keys.contains(key));
            wanted.map(|(key, value)| (key.clone(), *value)).collect()
        }
    }
}

fn model_list(model: &Model, wish: &Wish) -> Rows {
    let is_wanted = |key: &String| {
        wish.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
            && wish.start.as_ref().is_none_or(|start| key >= start)
            && wish.start_after.as_ref().is_none_or(|after| key > after)
            && wish.end.as_ref().is_none_or(|end| key < end)
    };
    let rows = model.iter().filter(|(key, _)| is_wanted(key));
    let mut rows: Rows = rows.map(|(key, value)| (key.clone(), *value)).collect();
    if wish.reverse {
        rows.reverse();
    }
    rows.truncate(wish.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap()));
    rows
}

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn key(&mut self) -> String {
        let length = self.below(3) + 1;
        (0..length).map(|_| ['a', 'b', 'é'][usize::try_from(self.below(3)).unwrap()]).collect()
    }

    fn maybe_key(&mut self) -> Option<String> {
        (self.below(4) == 0).then(|| self.key())
    }

    fn keys(&mut self) -> Vec<String> {
        (0..self.below(6)).map(|_| self.key()).collect()
    }

    fn wish(&mut self) -> Wish {
        let start = self.maybe_key();
        Wish {
            prefix: self.maybe_key(),
            start_after: if start.is_none() { self.maybe_key() } else { None },
            start,
            end: self.maybe_key(),
            reverse: self.below(2) == 0,
            limit: (self.below(3) == 0).then(|| self.below(4) + 1),
        }
    }

    fn step(&mut self) -> Step {
        match self.below(8) {
            0 | 1 => Step::Put(self.key(), self.below(1_000)),
            2 => {
                Step::PutMany(self.keys().into_iter().map(|key| (key, self.below(1_000))).collect())
            }
            3 => Step::Delete(self.key()),
            4 => Step::DeleteMany(self.keys()),
            5 => Step::GetMany(self.keys()),
            _ => Step::List(self.wish()),
        }
    }
}

/// Turns of random steps, some of them not awaited before the next, so that reads go over what is not durable yet.
#[tokio::test]
async fn any_steps_within_and_across_turns_do_what_they_do_to_a_map() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    for seed in 0..20 {
        let mut chance = Chance(seed);
        let drawer = runtime.get::<Drawer>(format!("{seed}"));
        let mut model = Model::new();
        for _ in 0..30 {
            let turns: Vec<Vec<Step>> = (0..chance.below(4) + 1)
                .map(|_| (0..chance.below(6)).map(|_| chance.step()).collect())
                .collect();
            let calls = turns.iter().map(|steps| drawer.run(steps.clone()).into_future());
            let found = futures_util::future::join_all(calls.collect::<Vec<_>>()).await;
            for (steps, found) in turns.iter().zip(found) {
                let expected: Vec<Rows> =
                    steps.iter().map(|step| model_step(&mut model, step)).collect();
                assert_eq!(found.unwrap(), expected, "seed {seed}: {steps:?}");
            }
            if chance.below(5) == 0 {
                runtime.evict(drawer.id().unwrap()).await.unwrap();
            }
        }
    }
}
