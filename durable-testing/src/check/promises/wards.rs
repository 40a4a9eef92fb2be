//! P9: objects that crash or do not start, by what was seen of them.
//!
//! It counts crashes and waits by itself: one too many within the period shuts an object in, to the edge of the period; one
//! that is shut in runs no turn, but for one call that is let through; what was stored of it outlives the node.

use std::collections::BTreeMap;
use std::time::Duration;

use durable::host::{Event, TurnEnd};
use durable::{Code, Error, ObjectId};

use super::{Verdict, broken};

/// The objects of a world that have failed.
#[derive(Debug, Default)]
pub(super) struct Wards(BTreeMap<ObjectId, Ward>);

#[derive(Debug, Default)]
struct Ward {
    /// When it crashed, in nanoseconds, as far as that may count.
    crashes: Vec<u64>,
    state: State,
    /// Its last failed start shuts it in at once.
    is_unloadable: bool,
    /// It was erased since it was shut in, alone or with an object above it, so that nobody knows what a crash of the node leaves.
    is_erased: bool,
    /// It was ever shut in.
    was_shut: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It runs, or nobody knows since the node went down.
    #[default]
    Free,
    Shut {
        is_stored: bool,
    },
    /// A call was let through, or a child.
    Tried {
        /// Turns that have begun since.
        turns: u32,
        /// One has ended and not crashed, or a child has come.
        is_shown: bool,
    },
    /// It was let out by a call, at this time.
    Probation(u64),
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether an object that fails to start like this is shut in at once.
fn is_unloadable(error: &Error) -> bool {
    let noun = error.code().split('.').next().unwrap_or_default();
    let is_unusable = matches!(noun, "state" | "schema" | "sql") && !error.is(Code::SqlRolledBack);
    is_unusable || error.is(Code::StorageCorrupt)
}

impl Ward {
    fn crashed(&mut self, now: u64, (max, period): (u32, Duration), is_shut: bool) -> Verdict {
        self.crashes.retain(|at| now - at <= ns(period));
        self.crashes.push(now);
        let count = self.crashes.len();
        let is_watched = match self.state {
            State::Probation(since) => now - since <= ns(durable::limits::PROBATION),
            State::Tried { .. } | State::Shut { .. } => true,
            State::Free => false,
        };
        let must = is_watched || self.is_unloadable || count > max as usize;
        if must != is_shut {
            return broken(
                "P9",
                format!(
                    "an object has {count} crashes within {period:?}, {max} are let pass, it was {:?}, \
                     and it is {}",
                    self.state,
                    if is_shut { "quarantined" } else { "not quarantined" }
                ),
            );
        }
        self.state = if is_shut { State::Shut { is_stored: false } } else { State::Free };
        self.was_shut |= is_shut;
        Ok(())
    }
}

impl Wards {
    /// Nothing of the node's memory is left.
    pub(super) fn node_crashed(&mut self) {
        for ward in self.0.values_mut() {
            ward.crashes.clear();
            ward.state = match ward.state {
                _ if std::mem::take(&mut ward.is_erased) => State::Free,
                State::Shut { is_stored: true } | State::Tried { .. } => {
                    State::Shut { is_stored: true }
                }
                State::Shut { is_stored: false } | State::Free | State::Probation(_) => State::Free,
            };
        }
    }

    /// Whether an object may be one that does not run.
    pub(super) fn may_be_shut(&self, object: &ObjectId) -> bool {
        self.0.get(object).is_some_and(|ward| ward.was_shut)
    }

    /// An object above it is erased, and all below that with it.
    pub(super) fn above_erases(&mut self, object: &ObjectId) {
        if let Some(ward) = self.0.get_mut(object) {
            ward.is_erased = true;
        }
    }

    pub(super) fn saw(&mut self, now: u64, event: &Event<'_>) -> Verdict {
        match *event {
            Event::Unstartable { object, error, .. } => {
                self.0.entry(*object).or_default().is_unloadable = is_unloadable(error);
            }
            Event::Loaded { object, .. } => {
                if let Some(ward) = self.0.get_mut(object) {
                    ward.is_unloadable = false;
                }
            }
            Event::Crashed { object, is_quarantined, crashes, period } => {
                let ward = self.0.entry(*object).or_default();
                return ward.crashed(now, (crashes, period), is_quarantined);
            }
            Event::Quarantined { object, .. } => {
                let ward = self.0.entry(*object).or_default();
                if matches!(ward.state, State::Shut { .. }) {
                    (ward.state, ward.is_erased) = (State::Shut { is_stored: true }, false);
                }
            }
            Event::Submitted { object, erases: true, .. } => {
                if let Some(ward) = self.0.get_mut(object) {
                    ward.is_erased = true;
                }
            }
            Event::QuarantineTried { object } => {
                self.0.entry(*object).or_default().state =
                    State::Tried { turns: 0, is_shown: false };
            }
            Event::QuarantineEnded { object, is_trial } => {
                let ward = self.0.entry(*object).or_default();
                if is_trial && matches!(ward.state, State::Tried { is_shown: false, .. }) {
                    let text = "an object comes out of quarantine, and nothing that was let through went well";
                    return broken("P9", text.to_owned());
                }
                ward.state = if is_trial { State::Probation(now) } else { State::Free };
                if !is_trial {
                    ward.crashes.clear();
                }
            }
            Event::TurnBegan { object, .. } => return self.turn_began(object),
            Event::TurnEnded { object, ended, .. } if ended != TurnEnd::Panicked => {
                self.went_well(object);
            }
            Event::Joined { parent, .. } => self.went_well(parent),
            _ => {}
        }
        Ok(())
    }

    fn went_well(&mut self, object: &ObjectId) {
        if let Some(Ward { state: State::Tried { is_shown, .. }, .. }) = self.0.get_mut(object) {
            *is_shown = true;
        }
    }

    fn turn_began(&mut self, object: &ObjectId) -> Verdict {
        let Some(ward) = self.0.get_mut(object) else { return Ok(()) };
        match &mut ward.state {
            State::Free | State::Probation(_) | State::Tried { turns: 0, .. } => {
                if let State::Tried { turns, .. } = &mut ward.state {
                    *turns += 1;
                }
                Ok(())
            }
            State::Tried { .. } => {
                broken("P9", "a second call to a quarantined object is let through".to_owned())
            }
            State::Shut { .. } => broken("P9", "a turn of a quarantined object runs".to_owned()),
        }
    }
}
