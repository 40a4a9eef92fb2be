//! The life of one object in memory: when to start an activation, wake it, end it.

/// What the shell must do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing; what runs already will see it.
    None,
    /// Start an activation. At most one runs at any time, because this is only said when none does.
    Start,
    /// Wake the idle activation; it has work.
    Wake,
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
    Ending,
    /// The runtime is gone; nothing is ever started again.
    Abandoned,
}

/// The machine. One for each object that somebody has a use for.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    /// The activation is to end as soon as no turn runs.
    is_end_wanted: bool,
    /// Activations started so far: what an event about an earlier one is told apart by.
    incarnation: u64,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Lifecycle { phase: Phase::Cold, is_end_wanted: false, incarnation: 0 }
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

    /// Whether an activation is there, ending or not.
    pub(crate) fn is_resident(&self) -> bool {
        !matches!(self.phase, Phase::Cold | Phase::Abandoned)
    }

    /// Whether nothing may be queued any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.phase == Phase::Abandoned
    }

    /// Whether the activation should end as soon as no turn runs.
    pub(crate) fn is_end_wanted(&self) -> bool {
        self.is_end_wanted
    }

    /// A call was queued.
    pub(crate) fn on_call(&mut self) -> Action {
        match self.phase {
            Phase::Cold => self.start(),
            Phase::Idle => {
                self.phase = Phase::Busy;
                Action::Wake
            }
            Phase::Busy | Phase::Ending => Action::None,
            Phase::Abandoned => panic!("a call was queued in a runtime that is gone"),
        }
    }

    /// The activation found nothing to do. Must be said under the same lock as the look at the queue.
    pub(crate) fn on_drained(&mut self) {
        assert!(self.is_live(), "only a live activation can run dry");
        self.phase = Phase::Idle;
    }

    /// Somebody wants the activation to end.
    pub(crate) fn on_evict(&mut self) -> Action {
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Busy;
                self.is_end_wanted = true;
                Action::Wake
            }
            Phase::Busy => {
                self.is_end_wanted = true;
                Action::None
            }
            Phase::Cold | Phase::Ending | Phase::Abandoned => Action::None,
        }
    }

    /// The activation ends of itself: it was asked to, could not start, or crashed.
    pub(crate) fn on_ending(&mut self) {
        assert!(self.is_live(), "only a live activation ends of itself");
        self.phase = Phase::Ending;
    }

    /// The activation is gone, with everything that it held. `are_calls_waiting`: the queue is not empty.
    pub(crate) fn on_exit(&mut self, are_calls_waiting: bool) -> Action {
        assert!(self.is_resident(), "an activation ended where none ran");
        self.is_end_wanted = false;
        if are_calls_waiting {
            return self.start();
        }
        self.phase = Phase::Cold;
        Action::None
    }

    /// The runtime goes, and with it the activation. Returns whether there was one.
    pub(crate) fn on_abandon(&mut self) -> bool {
        let was_resident = self.is_resident();
        self.phase = Phase::Abandoned;
        was_resident
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
        assert_eq!(life.incarnation(), 1);
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
    fn an_activation_that_runs_dry_again_stays_idle() {
        let mut life = Lifecycle::new();
        life.on_call();
        life.on_drained();
        life.on_drained();
        assert!(life.is_idle());
    }

    #[test]
    fn calls_that_meet_an_eviction_wait_for_the_next_activation() {
        let mut life = Lifecycle::new();
        life.on_call();
        life.on_drained();
        assert_eq!(life.on_evict(), Action::Wake);
        assert!(life.is_end_wanted());
        life.on_ending();
        assert_eq!(life.on_call(), Action::None);
        assert_eq!(life.on_exit(true), Action::Start);
        assert!(!life.is_end_wanted());
        assert_eq!(life.incarnation(), 2);
    }

    #[test]
    fn an_eviction_of_a_busy_activation_waits_for_its_turn() {
        let mut life = Lifecycle::new();
        life.on_call();
        assert_eq!(life.on_evict(), Action::None);
        assert!(life.is_end_wanted());
        life.on_ending();
        assert_eq!(life.on_exit(false), Action::None);
        assert!(!life.is_resident());
        assert_eq!(life.on_call(), Action::Start);
    }

    #[test]
    fn nothing_is_evicted_where_nothing_runs() {
        let mut life = Lifecycle::new();
        assert_eq!(life.on_evict(), Action::None);
        assert!(!life.is_end_wanted());
    }

    #[test]
    fn a_killed_activation_leaves_from_any_phase() {
        let mut life = Lifecycle::new();
        life.on_call();
        assert_eq!(life.on_exit(true), Action::Start);
        life.on_drained();
        assert_eq!(life.on_exit(false), Action::None);
        assert!(!life.is_live());
    }

    #[test]
    #[should_panic(expected = "a runtime that is gone")]
    fn an_abandoned_object_takes_no_calls() {
        let mut life = Lifecycle::new();
        life.on_call();
        assert!(life.on_abandon());
        assert!(!life.on_abandon());
        life.on_call();
    }
}
