//! The life of one object's place in the directory: when to start an activation, wake it, stop it, forget it.

/// What the shell must do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing; what runs already will see it.
    None,
    /// Start an activation. At most one runs at any time, because this is only said when none does.
    Start,
    /// Wake the idle activation; it has work.
    Wake,
    /// Tell the idle activation to end.
    Stop,
    /// Take the place out of the directory; nothing runs and nobody waits.
    Forget,
}

/// Where an object is in its life in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No activation.
    Cold,
    /// An activation is loading, or runs turns.
    Busy,
    /// An activation waits for calls.
    Idle,
    /// An activation is ending; calls wait for the next one.
    Stopping,
    /// Taken out of the directory; a caller that still holds the place must look again.
    Forgotten,
}

/// The machine. One for each object in the directory.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    /// An eviction waits for the running turn to end.
    is_stop_wanted: bool,
    /// Activations started so far: what an event about an earlier one is told apart by.
    incarnation: u64,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Lifecycle { phase: Phase::Cold, is_stop_wanted: false, incarnation: 0 }
    }

    /// Whether the place has left the directory, so that nothing may be queued here any more.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.phase == Phase::Forgotten
    }

    /// Which activation is the newest; 0: none was started.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether an activation runs and is not ending.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Busy | Phase::Idle)
    }

    /// Whether an activation waits for calls.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether the activation should end at the next turn's boundary.
    pub(crate) fn is_stop_wanted(&self) -> bool {
        self.is_stop_wanted
    }

    /// A call was queued.
    pub(crate) fn on_call(&mut self) -> Action {
        match self.phase {
            Phase::Cold => self.start(),
            Phase::Idle => {
                self.phase = Phase::Busy;
                Action::Wake
            }
            Phase::Busy | Phase::Stopping => Action::None,
            Phase::Forgotten => panic!("a call was queued at a place that has left the directory"),
        }
    }

    /// The activation found nothing more to do. Must be said under the same lock as the look at the queue.
    pub(crate) fn on_drained(&mut self) {
        assert_eq!(self.phase, Phase::Busy, "only a busy activation can run dry");
        self.phase = Phase::Idle;
    }

    /// Somebody wants the activation to end.
    pub(crate) fn on_evict(&mut self) -> Action {
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Stopping;
                Action::Stop
            }
            Phase::Busy => {
                self.is_stop_wanted = true;
                Action::None
            }
            Phase::Cold | Phase::Stopping | Phase::Forgotten => Action::None,
        }
    }

    /// The busy activation ends of itself: it was asked to, could not start, or crashed.
    pub(crate) fn on_ending(&mut self) {
        assert_eq!(self.phase, Phase::Busy, "an activation ends itself only while it is busy");
        self.phase = Phase::Stopping;
    }

    /// The activation is gone, with everything that it held. `are_calls_waiting`: the queue is not empty.
    pub(crate) fn on_exit(&mut self, are_calls_waiting: bool) -> Action {
        assert!(
            !matches!(self.phase, Phase::Cold | Phase::Forgotten),
            "an activation ended where none ran"
        );
        self.is_stop_wanted = false;
        if are_calls_waiting {
            self.start()
        } else {
            self.phase = Phase::Forgotten;
            Action::Forget
        }
    }

    /// The runtime goes, and with it the activation. Returns whether there was one.
    pub(crate) fn on_abandon(&mut self) -> bool {
        let is_running = !matches!(self.phase, Phase::Cold | Phase::Forgotten);
        self.phase = Phase::Forgotten;
        is_running
    }

    fn start(&mut self) -> Action {
        self.phase = Phase::Busy;
        self.incarnation += 1;
        Action::Start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn racing_first_calls_start_one_activation() {
        let mut life = Lifecycle::new();
        assert_eq!(life.on_call(), Action::Start);
        for _ in 0..1_000 {
            assert_eq!(life.on_call(), Action::None);
        }
    }

    #[test]
    fn an_idle_activation_is_woken_not_started() {
        let mut life = Lifecycle::new();
        life.on_call();
        life.on_drained();
        assert!(life.is_idle());
        assert_eq!(life.on_call(), Action::Wake);
        assert_eq!(life.on_call(), Action::None);
    }

    #[test]
    fn calls_that_meet_an_eviction_wait_for_the_next_activation() {
        let mut life = Lifecycle::new();
        life.on_call();
        life.on_drained();
        assert_eq!(life.on_evict(), Action::Stop);
        assert_eq!(life.on_call(), Action::None);
        assert_eq!(life.on_exit(true), Action::Start);
        life.on_drained();
        assert_eq!(life.on_evict(), Action::Stop);
        assert_eq!(life.on_exit(false), Action::Forget);
        assert!(life.is_forgotten());
    }

    #[test]
    fn an_eviction_of_a_busy_activation_waits_for_its_turn() {
        let mut life = Lifecycle::new();
        life.on_call();
        assert_eq!(life.on_evict(), Action::None);
        assert!(life.is_stop_wanted());
        life.on_ending();
        assert_eq!(life.on_exit(true), Action::Start);
        assert!(!life.is_stop_wanted());
    }

    #[test]
    fn a_killed_activation_leaves_from_any_phase() {
        let mut life = Lifecycle::new();
        life.on_call();
        assert_eq!(life.on_exit(true), Action::Start);
        life.on_drained();
        assert_eq!(life.on_exit(false), Action::Forget);
    }

    #[test]
    #[should_panic(expected = "left the directory")]
    fn a_forgotten_place_takes_no_calls() {
        let mut life = Lifecycle::new();
        life.on_call();
        life.on_exit(false);
        life.on_call();
    }
}
