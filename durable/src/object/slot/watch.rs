//! Who hears of an object's end without owning it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kin::{Kin, Watcher};
use super::{Slot, gone};
use crate::error::{Code, Error};
use crate::id::ObjectId;
use crate::kernel::restart::{Exit, ExitReason};
use crate::limits::WATCHED_MAX;
use crate::object::Object;
use crate::object::notice::Down;

impl<O: Object> Slot<O> {
    /// The activation hears of the end of another object from here on.
    ///
    /// # Errors
    /// `monitor.full`.
    pub(crate) fn monitor(self: &Arc<Self>, other: Arc<dyn Kin>) -> Result<(), Error> {
        let mut state = self.state.lock();
        if !state.life.is_resident() {
            return Err(gone());
        }
        let incarnation = state.life.incarnation();
        let watched = &mut state.ties.get_or_insert_default().watched;
        let (id, count) = (other.id(), watched.len());
        if count >= WATCHED_MAX && !watched.contains_key(&id) {
            return Err(Code::MonitorFull.error(format!(
                "{} watches {count} objects, the limit is {WATCHED_MAX}; \
                 end some with `demonitor`, or let a child of it watch",
                self.label()
            )));
        }
        watched.insert(id, Arc::clone(&other));
        drop(state);
        let who = Arc::downgrade(self) as std::sync::Weak<dyn Kin>;
        other.add_watcher(Watcher { id: self.id, who, incarnation });
        Ok(())
    }

    /// It hears of it no more. Gives whether it did.
    pub(crate) fn demonitor(&self, id: &ObjectId) -> bool {
        let watched = {
            let mut state = self.state.lock();
            state.ties.as_mut().and_then(|ties| ties.watched.remove(id))
        };
        if let Some(other) = &watched {
            other.remove_watcher(&self.id);
        }
        watched.is_some()
    }

    /// Nothing is left of the object, and no turn of it was asked.
    pub(crate) fn tell_erased(&self) {
        let watchers = {
            let mut state = self.state.lock();
            state.ties.as_mut().map(|ties| std::mem::take(&mut ties.watchers))
        };
        self.tell_watchers(BTreeMap::new(), watchers.unwrap_or_default(), None);
    }

    /// The activation has ended. `watched`: whom it watched; `watchers`: who hear of it.
    pub(super) fn tell_watchers(
        &self,
        watched: BTreeMap<ObjectId, Arc<dyn Kin>>,
        watchers: Vec<Watcher>,
        exit: Option<&Exit>,
    ) {
        for other in watched.into_values() {
            other.remove_watcher(&self.id);
        }
        for Watcher { who, incarnation, .. } in watchers {
            let Some(who) = who.upgrade() else { continue };
            who.hear(
                incarnation,
                Down {
                    id: self.id,
                    class: O::CLASS.name,
                    name: self.name().map(str::to_owned),
                    reason: exit.map_or(ExitReason::Normal, |exit| exit.reason),
                    text: exit.map_or_else(String::new, |exit| exit.text.clone()),
                },
            );
        }
    }
}
