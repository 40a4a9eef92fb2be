//! What objects do in memory, apart from their turns.

use durable::host::Event;

use super::{Promises, Verdict};

impl Promises {
    /// The runtime reports something about activations, or about alarms.
    pub(super) fn saw_activation(&mut self, event: &Event<'_>) -> Verdict {
        match *event {
            Event::Activating { object, class, name, incarnation } => {
                self.states.know(object, class, name);
                let label = name.map_or_else(|| object.to_string(), str::to_owned);
                self.watch(object).activating(format!("{class}({label})"), incarnation)
            }
            Event::Gone { object, incarnation } => self.watch(object).gone(incarnation),
            Event::Loaded { object, epoch, commit, state } => {
                if commit > 0 {
                    self.states.load(object, state);
                }
                self.watch(object).loaded(epoch, commit, state)
            }
            Event::Evolved { object, state } => {
                // What is stored stays what it was; only what the first turn begins with is another.
                self.states.load(object, state);
                self.watch(object).evolved(state);
                Ok(())
            }
            Event::Joined { object, parent, .. } => {
                self.owners.insert(*object, *parent);
                (self.watch(object).has_kin, self.watch(parent).has_kin) = (true, true);
                Ok(())
            }
            Event::StartFailed { object, tries, .. } => self.watch(object).failed_to_start(tries),
            Event::Unstartable { object, error, tries } => {
                let has_stopped = self.has_stopped;
                self.watch(object).did_not_start(error, tries, has_stopped)
            }
            Event::Stopped { .. } => {
                self.has_stopped = true;
                Ok(())
            }
            _ => self.saw_alarm(event),
        }
    }
}
