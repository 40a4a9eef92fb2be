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

/// How somebody wants an activation to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EndWish {
    /// As soon as no turn runs; calls that wait are served by the next activation.
    #[default]
    Soon,
    /// When no call waits; no more come, because the runtime is closing.
    Drained,
}

/// The machine. One for each object that somebody has a use for.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    /// `None`: nobody wants the activation to end.
    end_wish: Option<EndWish>,
    /// Activations started so far: what an event about an earlier one is told apart by.
    incarnation: u64,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Lifecycle { phase: Phase::Cold, end_wish: None, incarnation: 0 }
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

    /// Whether an activation is ending: what is queued is the next one's.
    pub(crate) fn is_ending(&self) -> bool {
        self.phase == Phase::Ending
    }

    /// Whether nothing may be queued any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.phase == Phase::Abandoned
    }

    /// How somebody wants the activation to end, if anybody does.
    pub(crate) fn end_wish(&self) -> Option<EndWish> {
        self.end_wish
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

    /// Somebody wants the activation to end. A wish to end soon stands over one to drain.
    pub(crate) fn on_evict(&mut self, wish: EndWish) -> Action {
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Busy;
                self.end_wish = Some(wish);
                Action::Wake
            }
            Phase::Busy => {
                self.end_wish = self.end_wish.filter(|wish| *wish == EndWish::Soon).or(Some(wish));
                Action::None
            }
            Phase::Cold | Phase::Ending | Phase::Abandoned => Action::None,
        }
    }

    /// The activation ends of itself: it was asked to, could not start, or crashed. Nothing to do if it was abandoned
    /// while it ran.
    pub(crate) fn on_ending(&mut self) {
        if self.phase != Phase::Abandoned {
            assert!(self.is_resident(), "only an activation ends of itself");
            self.phase = Phase::Ending;
        }
    }

    /// The activation is gone, with everything that it held. `are_calls_waiting`: the queue is not empty.
    pub(crate) fn on_exit(&mut self, are_calls_waiting: bool) -> Action {
        assert!(self.is_resident(), "an activation ended where none ran");
        self.end_wish = None;
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
        assert_eq!(life.on_evict(EndWish::Soon), Action::Wake);
        assert_eq!(life.end_wish(), Some(EndWish::Soon));
        life.on_ending();
        assert_eq!(life.on_call(), Action::None);
        assert_eq!(life.on_exit(true), Action::Start);
        assert_eq!(life.end_wish(), None);
        assert_eq!(life.incarnation(), 2);
    }

    #[test]
    fn an_eviction_of_a_busy_activation_waits_for_its_turn() {
        let mut life = Lifecycle::new();
        life.on_call();
        assert_eq!(life.on_evict(EndWish::Drained), Action::None);
        assert_eq!(life.end_wish(), Some(EndWish::Drained));
        assert_eq!(life.on_evict(EndWish::Soon), Action::None);
        assert_eq!(life.on_evict(EndWish::Drained), Action::None);
        assert_eq!(life.end_wish(), Some(EndWish::Soon));
        life.on_ending();
        assert_eq!(life.on_exit(false), Action::None);
        assert!(!life.is_resident());
        assert_eq!(life.on_call(), Action::Start);
    }

    #[test]
    fn nothing_is_evicted_where_nothing_runs() {
        let mut life = Lifecycle::new();
        assert_eq!(life.on_evict(EndWish::Soon), Action::None);
        assert_eq!(life.end_wish(), None);
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
        life.on_ending();
        assert!(life.is_abandoned(), "what still runs may end, and changes nothing");
        life.on_call();
    }
}
