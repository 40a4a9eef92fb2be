//! What is durable in a world, as invariants see it.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use durable::{Object, ObjectId};

/// What must always hold of what is durable.
type Invariant = Arc<dyn Fn(&World<'_>) -> Result<(), String> + Send + Sync>;

#[derive(Clone, Default)]
pub(crate) struct Invariants(Vec<(String, Invariant)>);

impl Invariants {
    pub(crate) fn add(&mut self, name: &str, invariant: Invariant) {
        self.0.push((name.to_owned(), invariant));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that does not hold, and why.
    pub(crate) fn check(&self, states: &States) -> Option<(String, String)> {
        let world = World { states };
        let broken = |(name, invariant): &(String, Invariant)| {
            invariant(&world).err().map(|why| (name.clone(), why))
        };
        self.0.iter().find_map(broken)
    }
}

/// The newest durable state of every object.
#[derive(Clone, Debug, Default)]
pub(crate) struct States {
    by_id: BTreeMap<ObjectId, Held>,
}

#[derive(Clone, Debug)]
struct Held {
    class: &'static str,
    name: Option<String>,
    /// Empty: it was never stored.
    state: Vec<u8>,
    /// Handed over and not settled, with their commits and epochs.
    pending: Vec<(u64, u64, Vec<u8>)>,
}

impl States {
    pub(crate) fn know(&mut self, id: &ObjectId, class: &'static str, name: Option<&str>) {
        let held = self.by_id.entry(*id);
        let held = held.or_insert_with(|| Held {
            class,
            name: None,
            state: Vec::new(),
            pending: Vec::new(),
        });
        if held.name.is_none() {
            held.name = name.map(str::to_owned);
        }
    }

    /// This is what is stored, after a start.
    pub(crate) fn load(&mut self, id: &ObjectId, state: &[u8]) {
        if let Some(held) = self.by_id.get_mut(id) {
            held.pending.clear();
            held.state.clear();
            held.state.extend_from_slice(state);
        }
    }

    /// This is what is stored while nobody writes: a commit of which nobody could say whether it was may be, also of an
    /// object that does not run. `None`: nothing is.
    pub(crate) fn found(&mut self, id: &ObjectId, stored: Option<(u64, &[u8])>) {
        let Some(held) = self.by_id.get_mut(id) else { return };
        let is_stored = match stored {
            // A state of older code is stored as it was, and held as it is read.
            Some((commit, state)) => held.pending.iter().any(|p| (p.0, &*p.2) == (commit, state)),
            None => !held.state.is_empty(),
        };
        if is_stored {
            self.load(id, stored.map_or(&[], |(_, state)| state));
        }
    }

    /// A state was handed over.
    pub(crate) fn prepare(&mut self, id: &ObjectId, commit: u64, epoch: u64, state: &[u8]) {
        if let Some(held) = self.by_id.get_mut(id) {
            held.pending.push((commit, epoch, state.to_vec()));
        }
    }

    /// It is durable.
    pub(crate) fn commit(&mut self, id: &ObjectId, commit: u64, epoch: u64) {
        let Some(held) = self.by_id.get_mut(id) else { return };
        let found =
            held.pending.iter().position(|pending| (pending.0, pending.1) == (commit, epoch));
        if let Some(found) = found {
            held.state = held.pending.drain(..=found).next_back().expect("it was found").2;
        }
    }
}

/// What is durable at one moment: what would be there after a power cut.
pub struct World<'w> {
    states: &'w States,
}

impl World<'_> {
    /// The state of the object of class `C` called `name`. `None`: it was never stored.
    ///
    /// # Panics
    /// If the stored state does not decode as a `C`.
    pub fn get<C: Object>(&self, name: &str) -> Option<C> {
        let held = self.states.by_id.values();
        let mut held = held.filter(|held| held.class == C::CLASS.name);
        let held = held.find(|held| held.name.as_deref() == Some(name))?;
        (!held.state.is_empty()).then(|| decode(&held.state))
    }

    /// The states of all objects of class `C` that are stored and have a name, with their names.
    ///
    /// # Panics
    /// If a stored state does not decode as a `C`.
    pub fn all<C: Object>(&self) -> Vec<(String, C)> {
        let held = self.states.by_id.values();
        let stored = held.filter(|held| held.class == C::CLASS.name && !held.state.is_empty());
        stored.filter_map(|held| Some((held.name.clone()?, decode(&held.state)))).collect()
    }
}

fn decode<C: Object>(state: &[u8]) -> C {
    durable::alone::decode(state)
        .unwrap_or_else(|reason| panic!("the state is not one of `{}`: {reason}", type_name::<C>()))
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("objects", &self.states.by_id.len()).finish_non_exhaustive()
    }
}
