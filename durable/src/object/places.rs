//! Places among the calls that may be under way: in a runtime, and in a class of it.

use std::sync::Arc;

use crate::kernel::admission;

/// So many places. The owners of the count, but for this one, *are* those that are taken.
#[derive(Debug)]
pub(crate) struct Places {
    count: Arc<()>,
    max: usize,
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Places { count: Arc::new(()), max }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Takes one.
    ///
    /// # Errors
    /// How many are taken, if all are.
    pub(crate) fn take(&self) -> Result<Place, usize> {
        let taken = Arc::strong_count(&self.count) - 1;
        admission::enter(taken, self.max)?;
        Ok(Place(Arc::clone(&self.count)))
    }
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place(
    #[expect(dead_code, reason = "that it is there is what it is for")] Arc<()>,
);

/// What a call takes up that is under way.
#[derive(Debug)]
pub(crate) struct Permit {
    _runtime: Place,
    /// `None`: its class has no bound of its own.
    _class: Option<Place>,
}

impl Permit {
    pub(crate) fn new(runtime: Place, class: Option<Place>) -> Self {
        Permit { _runtime: runtime, _class: class }
    }
}
