//! Work that turns of the object have spawned, as its place knows it: while there is any the object stays in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Slot, State};
use crate::cut::CutOff;
use crate::kernel::activation::EndWish;
use crate::object::Object;
use crate::object::work::Piece;

/// The work of an activation.
#[derive(Default)]
pub(super) struct Works {
    /// By number.
    all: BTreeMap<u64, Work>,
    /// How many there have ever been: their numbers are never given again.
    made: u64,
}

/// A piece of work.
struct Work {
    /// That has spawned it.
    method: &'static str,
    /// `None`: it waits until its turn is durable.
    piece: Option<Arc<Piece>>,
}

/// Pieces of work that nobody knows of any more. They are cut off when it is dropped, which is not done under a lock.
#[derive(Default)]
pub(super) struct Severed(BTreeMap<u64, Work>);

impl Drop for Severed {
    fn drop(&mut self) {
        let pieces = std::mem::take(&mut self.0).into_values();
        pieces.filter_map(|work| work.piece).for_each(|piece| piece.cut());
    }
}

impl Drop for Works {
    fn drop(&mut self) {
        drop(self.sever());
    }
}

impl Works {
    pub(super) fn is_any(&self) -> bool {
        !self.all.is_empty()
    }

    /// None of them is its activation's any more.
    pub(super) fn sever(&mut self) -> Severed {
        Severed(std::mem::take(&mut self.all))
    }
}

impl<O: Object> State<O> {
    /// Whether work of the object is under way, or about to be.
    pub(super) fn has_work(&self) -> bool {
        self.ties.as_ref().is_some_and(|ties| ties.works.is_any())
    }

    /// Whether the activation stays until its work has ended, although somebody wants it to end.
    pub(super) fn is_kept_by_work(&self, wish: EndWish) -> bool {
        wish == EndWish::Drained && self.has_work()
    }
}

impl<O: Object> Slot<O> {
    /// How many pieces of work are under way, or about to be.
    pub(crate) fn work_count(&self) -> usize {
        self.state.lock().ties.as_ref().map_or(0, |ties| ties.works.all.len())
    }

    /// So many pieces of work are about to begin, which `method` has spawned. Gives their numbers.
    pub(crate) fn add_work(&self, method: &'static str, count: u64) -> Range<u64> {
        let mut state = self.state.lock();
        let works = &mut state.ties.get_or_insert_default().works;
        let numbers = works.made..works.made + count;
        works.made = numbers.end;
        works.all.extend(numbers.clone().map(|number| (number, Work { method, piece: None })));
        numbers
    }

    /// A piece of work begins. Gives the method that has spawned it. `None`: it must not, because its activation has ended.
    pub(crate) fn work_begins(&self, number: u64, piece: &Arc<Piece>) -> Option<&'static str> {
        let mut state = self.state.lock();
        let work = state.ties.as_mut()?.works.all.get_mut(&number)?;
        work.piece = Some(Arc::clone(piece));
        Some(work.method)
    }

    /// A piece of work is over. Nothing to do if its activation is.
    pub(crate) fn work_ended(&self, number: u64) {
        let mut state = self.state.lock();
        let Some(works) = state.ties.as_mut().map(|ties| &mut ties.works) else { return };
        let ended = works.all.remove(&number);
        if ended.is_none() || works.is_any() {
            return;
        }
        if state.life.is_idle() {
            state.idle_since = self.host().clock.now();
        }
        // It may have waited for that to leave memory.
        let waker = state.idle.wake();
        drop(state);
        drop(ended);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The activation ends, and with it all of its work.
    pub(crate) fn end_work(&self) {
        let severed = {
            let mut state = self.state.lock();
            state.ties.as_mut().map(|ties| ties.works.sever())
        };
        drop(severed);
    }

    /// What was spawned and has not ended, by name.
    pub(super) fn unfinished_work(&self, state: &State<O>) -> Vec<CutOff> {
        let works = state.ties.iter().flat_map(|ties| ties.works.all.values());
        let work = |method| {
            let (class, id, object) = (O::CLASS.name, self.id, self.label());
            CutOff::Work { class, id, object, method }
        };
        works.map(|works| work(works.method)).collect()
    }
}
