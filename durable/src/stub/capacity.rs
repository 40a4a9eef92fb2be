//! Calls that wait where others are turned away.

use super::Call;
use crate::object::Object;

impl<O: Object, Out> Call<O, Out> {
    /// Waits where there is no room for the call, for as long as the call has time, and is not refused with
    /// `object.overloaded`, `class.overloaded`, `runtime.overloaded` or `rate.exceeded`. Give it a
    /// [`timeout`](Self::timeout): without one it waits as long as it takes. It is not refused either if its turn would hardly begin
    /// within that time.
    ///
    /// Calls that wait at one object get room in the order in which they came, and nobody who comes later gets it before them.
    /// Objects that wait for the same class or runtime to have room get it in turn, a call each. A place that is given back wakes
    /// one of those who wait. The queue has no bound of its own: what bounds it are the callers, each of which holds a future;
    /// one that is dropped, or whose time is over, leaves it.
    ///
    /// Inside a turn the call waits in the object's own queue, also where that is full and as many calls are under way as may,
    /// because what it waited for elsewhere might wait for the turn; it goes before those that came from outside of turns and wait
    /// for room. For a rate a turn does not wait: that would hold its own object up. A call that is sent takes no room, and does
    /// not wait.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Turnstile { passed: u64 }
    ///
    /// #[durable_object(name = "doc.Turnstile", rate = "100/s", burst = 1)]
    /// impl Turnstile {
    ///     pub fn pass(&mut self) -> u64 { self.passed += 1; self.passed }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Turnstile>().start().await?;
    /// let stile = runtime.get::<Turnstile>("north");
    /// for n in 1..=5 {
    ///     assert_eq!(stile.pass().wait_for_capacity().timeout(Duration::from_secs(60)).await?, n);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `call.expired` if there was no room until the call's time was over; `runtime.closed` if the runtime is shut down before
    /// there was any; inside a turn `rate.exceeded`. Else as every call.
    pub fn wait_for_capacity(mut self) -> Self {
        self.is_patient = true;
        self
    }
}
