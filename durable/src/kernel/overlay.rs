//! What an activation has handed over and is not durable yet, by key: reads look here before they
//! look at what is stored.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::range::{KeyRange, Order};

/// The machine; one for each activation.
#[derive(Debug)]
pub(crate) struct Overlay<K, V> {
    /// The newest change of each key, with its place in the shard's order. An inner `None` takes the
    /// key away.
    changes: BTreeMap<K, (u64, Option<V>)>,
    /// The keys of each commit, oldest first: what is to be looked at when it is durable.
    commits: VecDeque<(u64, Vec<K>)>,
}

impl<K, V> Default for Overlay<K, V> {
    fn default() -> Self {
        Overlay { changes: BTreeMap::new(), commits: VecDeque::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Overlay<K, V> {
    /// A commit was handed over at `place`, which is higher than all before.
    pub(crate) fn on_submit(
        &mut self,
        place: u64,
        changes: impl IntoIterator<Item = (K, Option<V>)>,
    ) {
        let newest = self.commits.back().map_or(0, |(newest, _)| *newest);
        assert!(place > newest, "place {place} is handed over after place {newest}");
        let mut keys = Vec::new();
        for (key, value) in changes {
            keys.push(key.clone());
            self.changes.insert(key, (place, value));
        }
        self.commits.push_back((place, keys));
    }

    /// Everything up to `place` is durable, and found in storage.
    pub(crate) fn on_durable(&mut self, place: u64) {
        while let Some((settled, keys)) = self.commits.pop_front_if(|(at, _)| *at <= place) {
            for key in keys {
                // A later commit has changed the key again: its change stays.
                if self.changes.get(&key).is_some_and(|(at, _)| *at == settled) {
                    self.changes.remove(&key);
                }
            }
        }
        assert!(!self.commits.is_empty() || self.changes.is_empty(), "a change has its commit");
    }

    /// Whether everything is durable.
    pub(crate) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// What was done to a key. Outer `None`: nothing, storage knows; inner `None`: it was taken away.
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Option<V>>
    where
        K: Borrow<Q>,
    {
        self.changes.get(key).map(|(_, value)| value.clone())
    }
}

impl<K: Ord + Clone + Borrow<[u8]>, V: Clone> Overlay<K, V> {
    /// The first changes inside of a range, at most `max`, and whether these are all.
    pub(crate) fn part(
        &self,
        range: &KeyRange,
        order: Order,
        max: usize,
    ) -> (Vec<(K, Option<V>)>, bool) {
        if range.is_empty() {
            return (Vec::new(), true);
        }
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let within = self.changes.range::<[u8], _>((Bound::Included(&*range.start), end));
        let copy = |(key, (_, value)): (&K, &(u64, Option<V>))| (key.clone(), value.clone());
        let mut part: Vec<_> = match order {
            Order::Rising => within.take(max + 1).map(copy).collect(),
            Order::Falling => within.rev().take(max + 1).map(copy).collect(),
        };
        let is_last = part.len() <= max;
        part.truncate(max);
        (part, is_last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bytes = Vec<u8>;

    fn key(text: &str) -> Bytes {
        text.as_bytes().to_vec()
    }

    #[test]
    fn a_change_stays_until_the_newest_commit_of_its_key_is_durable() {
        let mut overlay = Overlay::<Bytes, u32>::default();
        overlay.on_submit(3, [(key("a"), Some(1)), (key("b"), Some(1))]);
        overlay.on_submit(5, [(key("a"), None)]);
        overlay.on_submit(9, [(key("c"), Some(2))]);
        let all = |overlay: &Overlay<Bytes, u32>| ["a", "b", "c"].map(|k| overlay.get(&key(k)));
        for (durable, expected) in [
            (2, [Some(None), Some(Some(1)), Some(Some(2))]),
            (3, [Some(None), None, Some(Some(2))]),
            (4, [Some(None), None, Some(Some(2))]),
            (8, [None, None, Some(Some(2))]),
            (9, [None, None, None]),
        ] {
            overlay.on_durable(durable);
            assert_eq!(all(&overlay), expected, "after {durable}");
        }
        assert!(overlay.is_empty());
    }

    #[test]
    fn a_part_of_a_range_says_whether_it_is_the_last() {
        let mut overlay = Overlay::<Bytes, u32>::default();
        overlay.on_submit(1, ["a", "b", "c", "d"].map(|k| (key(k), Some(0))));
        let range = KeyRange { start: key("b"), end: Some(key("d")) };
        let part = |range, order, max| {
            let (rows, is_last) = overlay.part(range, order, max);
            (rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), is_last)
        };
        assert_eq!(part(&range, Order::Rising, 9), (vec![key("b"), key("c")], true));
        assert_eq!(part(&range, Order::Rising, 2), (vec![key("b"), key("c")], true));
        assert_eq!(part(&range, Order::Falling, 1), (vec![key("c")], false));
        let all = KeyRange::default();
        assert_eq!(part(&all, Order::Falling, 3), (vec![key("d"), key("c"), key("b")], false));
        let none = KeyRange { start: key("c"), end: Some(key("b")) };
        assert_eq!(part(&none, Order::Rising, 9), (vec![], true));
    }
}
