//! The time and the randomness of the turn whose statement runs on this thread.
//!
//! SQLite asks for both deep inside of a statement, through the VFS and through functions, and nowhere says for whom. A
//! statement runs from its beginning to its end on one thread, so they are laid down there for as long as it takes.

use std::cell::RefCell;
use std::sync::Arc;

use crate::host::Entropy;
use crate::time::WallMs;

/// What a statement may ask for.
#[derive(Clone)]
pub(crate) struct Around {
    /// What time it is for the turn. `None`: it must not ask.
    pub(crate) now: Option<WallMs>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// What a statement has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) for_time: bool,
    pub(crate) for_randomness: bool,
}

impl Asked {
    /// What both have asked for.
    pub(crate) fn and(self, other: Self) -> Self {
        Asked {
            for_time: self.for_time | other.for_time,
            for_randomness: self.for_randomness | other.for_randomness,
        }
    }
}

thread_local! {
    /// `None`: no statement runs.
    static AROUND: RefCell<Option<(Around, Asked)>> = const { RefCell::new(None) };
}

/// Takes back what was laid down, also if the work panics.
struct Laid(Option<(Around, Asked)>);

impl Drop for Laid {
    fn drop(&mut self) {
        AROUND.with(|here| *here.borrow_mut() = self.0.take());
    }
}

/// Runs `work` with these around it, and gives what it asked for.
pub(super) fn within<T>(around: &Around, work: impl FnOnce() -> T) -> (T, Asked) {
    let before = AROUND.with(|here| here.borrow_mut().replace((around.clone(), Asked::default())));
    let _laid = Laid(before);
    let done = work();
    let asked = AROUND.with(|here| here.borrow().as_ref().map(|(_, asked)| *asked));
    (done, asked.unwrap_or_default())
}

/// What time it is. `None`: no statement runs, or it must not ask.
pub(super) fn now() -> Option<WallMs> {
    AROUND.with(|here| {
        let mut here = here.borrow_mut();
        let (around, asked) = here.as_mut()?;
        asked.for_time = true;
        around.now
    })
}

/// Overwrites `bytes` with random ones; outside of a statement it leaves them.
pub(super) fn fill(bytes: &mut [u8]) {
    AROUND.with(|here| {
        if let Some((around, asked)) = here.borrow_mut().as_mut() {
            asked.for_randomness = true;
            around.entropy.fill(bytes);
        }
    });
}
