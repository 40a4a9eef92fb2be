//! What a world fails with.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Once;

/// Why a world failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which check it is: `P4`, `panic`, `history`, the name of an invariant.
    pub(crate) check: String,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(check: impl Into<String>, text: impl Into<String>) -> Self {
        Failure { check: check.into(), text: text.into() }
    }

    /// A promise was broken.
    pub(crate) fn promise(promise: &'static str, text: String) -> Self {
        Failure::new(promise, text)
    }

    /// Nothing goes on.
    pub(crate) fn stuck(text: String) -> Self {
        Failure::new("stuck", text)
    }

    /// Something goes on for ever.
    pub(crate) fn livelock(steps: u64) -> Self {
        Failure::new("livelock", format!("{steps} things have happened and the test has not ended"))
    }

    /// A method of the user's panicked.
    pub(crate) fn panicked(panic: String) -> Self {
        Failure::new("panic", format!("a method panicked: {panic}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.text)
    }
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static IS_WORLD: Cell<bool> = const { Cell::new(false) };
}

/// What the last panic of this thread said, and where.
pub(crate) fn last_panic() -> String {
    LAST_PANIC.with_borrow(Clone::clone)
}

/// Until it is dropped, panics of this thread are remembered instead of printed: those of a world are told with its story.
#[must_use = "panics are remembered until it is dropped"]
pub(crate) struct Remembering(());

impl Drop for Remembering {
    fn drop(&mut self) {
        IS_WORLD.set(false);
    }
}

/// This thread is a world's.
pub(crate) fn remember_panics() -> Remembering {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_WORLD.get() {
                return print(panic);
            }
            let text = panic.payload_as_str().unwrap_or("no text");
            let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
            LAST_PANIC.with_borrow_mut(|last| *last = format!("{text}{place}"));
        }));
    });
    IS_WORLD.set(true);
    Remembering(())
}
