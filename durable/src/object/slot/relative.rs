//! A place, as those see it that its object is tied to.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::kin::{Cut, Kin, Wanting, Watcher};
use super::{Slot, gone};
use crate::error::Error;
use crate::id::ObjectId;
use crate::kernel::activation::EndWish;
use crate::kernel::residency::Use;
use crate::kernel::restart::Exit;
use crate::object::notice::{Down, Notice};
use crate::object::{Object, Resident};

impl<O: Object> Kin for Slot<O> {
    fn id(&self) -> ObjectId {
        self.id
    }

    fn label(&self) -> String {
        Slot::label(self)
    }

    fn class(&self) -> &'static str {
        O::CLASS.name
    }

    fn own_name(&self) -> Option<Arc<str>> {
        self.stored_name()
    }

    fn want(self: Arc<Self>, child: Arc<dyn Kin>, answer: oneshot::Sender<Result<(), Error>>) {
        let mut state = self.state.lock();
        let is_open = state.is_up && state.life.is_live();
        let closed = if state.life.is_abandoned() {
            Some(gone())
        } else if state.refusal.is_some() && state.trial.is_none() {
            // What is tried may be a turn that calls its own child.
            state.refusal.clone()
        } else if is_open {
            None
        } else {
            self.group.stopped()
        };
        if let Some(error) = closed {
            drop(state);
            let _ = answer.send(Err(error));
            return;
        }
        let ties = state.ties.get_or_insert_default();
        ties.wanting.push(Wanting { child, answer, is_known: false });
        let acts = self.let_in(&mut state, false);
        let is_leaving = state.life.is_live() && state.life.end_wish().is_some();
        let is_held_back = is_leaving
            && state.ties.as_ref().is_some_and(|ties| ties.is_wanted() && ties.has_children());
        self.wake(state);
        self.act(acts);
        if is_held_back {
            self.hold_back();
        }
    }

    fn joined(&self, parent: Arc<dyn Kin>, run: u64) {
        let mut state = self.state.lock();
        if state.life.is_resident() {
            state.ties.get_or_insert_default().parent = Some((parent, run));
        }
    }

    fn child_left(self: Arc<Self>, child: ObjectId, exit: Option<Exit>) {
        let mut state = self.state.lock();
        let Some(ties) = &mut state.ties else { return };
        let Some((kin, _)) = ties.children.remove(&child) else { return };
        if exit.is_some() {
            ties.crashed.insert(child, (kin.class(), kin.own_name()));
        }
        let acts = self.with_family(ties, |family, given, deeds| {
            family.left(child, exit, given, deeds);
        });
        let waker = state.idle.wake();
        if state.life.is_idle() {
            // It may have to hear of it, or be the next to leave.
            state.life.on_call();
        }
        drop(state);
        self.act(acts);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn drain_tree(&self) {
        let parent = {
            let state = self.state.lock();
            let ties = state.ties.as_ref();
            ties.and_then(|ties| ties.parent.as_ref()).map(|(parent, _)| Arc::clone(parent))
        };
        match parent {
            Some(parent) => parent.drain_tree(),
            None => self.send_away(EndWish::Drained),
        }
    }

    fn send_away(&self, wish: EndWish) {
        let mut state = self.state.lock();
        state.life.on_evict(wish);
        let waker = state.idle.wake();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn cut_off(&self, run: u64, cut: Cut) {
        let mut state = self.state.lock();
        let Some(ties) = &mut state.ties else { return };
        if ties.parent.as_ref().is_some_and(|(_, own)| *own == run) {
            self.ring(ties, cut);
        }
    }

    fn used(&self) -> Use {
        let incarnation = self.incarnation();
        self.current_use(incarnation)
    }

    fn add_watcher(&self, watcher: Watcher) {
        let mut state = self.state.lock();
        let watchers = &mut state.ties.get_or_insert_default().watchers;
        watchers.retain(|other| other.id != watcher.id);
        watchers.push(watcher);
    }

    fn remove_watcher(&self, id: &ObjectId) {
        if let Some(ties) = &mut self.state.lock().ties {
            ties.watchers.retain(|watcher| watcher.id != *id);
        }
    }

    fn hear(self: Arc<Self>, incarnation: u64, down: Down) {
        let mut state = self.state.lock();
        if !state.life.is_live() || state.life.incarnation() != incarnation {
            return;
        }
        let Some(ties) = &mut state.ties else { return };
        let watched = ties.watched.remove(&down.id);
        if watched.is_none() {
            return;
        }
        if O::CLASS.hears_downs {
            ties.push_notice(Notice::Down(down), || self.label());
        }
        self.wake(state);
        drop(watched);
    }
}
