//! What travels with the turn that is polled on this thread, for the calls that it makes.
//!
//! Most turns carry nothing: then nothing is set, and a call looks at one flag of its thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;

use crate::metadata::Metadata;
use crate::object::kv::Owner;
use crate::object::{BoxFuture, Context, Object};

thread_local! {
    /// Whether there is anything.
    static CARRIES: Cell<bool> = const { Cell::new(false) };
    static CARRIED: RefCell<Metadata> = const { RefCell::new(Metadata::new()) };
}

/// What the turn carries that is polled on this thread. Empty: nothing, or there is no turn.
pub(crate) fn carried() -> Metadata {
    if CARRIES.get() { CARRIED.with_borrow(Clone::clone) } else { Metadata::new() }
}

/// Whether the turn that is polled on this thread carries anything.
pub(crate) fn is_carrying() -> bool {
    CARRIES.get()
}

/// A turn that carries this, for the calls that it makes while it is polled.
pub(super) fn carrying<'f, T: 'f>(metadata: &Metadata, turn: BoxFuture<'f, T>) -> BoxFuture<'f, T> {
    if metadata.is_empty() { turn } else { Box::pin(bearing(metadata.clone(), turn)) }
}

/// As [`carrying`], for any future.
pub(super) async fn bearing<T>(metadata: Metadata, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|task| {
        let _back =
            Back { is_any: CARRIES.replace(true), before: CARRIED.replace(metadata.clone()) };
        future.as_mut().poll(task)
    })
    .await
}

/// Gives the thread back what it carried before.
struct Back {
    is_any: bool,
    before: Metadata,
}

impl Drop for Back {
    fn drop(&mut self) {
        CARRIES.set(self.is_any);
        drop(CARRIED.replace(std::mem::take(&mut self.before)));
    }
}

impl<O: Object> Context<'_, O> {
    /// What travels with the call that this turn is of: what whoever made it has set by
    /// [`Call::metadata`](crate::Call::metadata), and what the turn that made it carried itself. A turn of an alarm, of a schedule
    /// or of a hook begins with nothing; a dead letter of a send that is retried carries what the send did.
    ///
    /// Every call and send that this turn makes carries it on, also those of its [tasks](Self::task), and of work that it
    /// [spawns](Self::spawn). It says what a caller has said: let an [`Interceptor`](crate::Interceptor) set, and look at, what methods
    /// are to rely on.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Notes { lines: Vec<String> }
    ///
    /// #[durable_object(name = "doc.Notes")]
    /// impl Notes {
    ///     pub fn add(&mut self, cx: &mut Context<'_, Self>, line: String) -> usize {
    ///         let who = cx.metadata().get("principal").unwrap_or("somebody");
    ///         self.lines.push(format!("{who}: {line}"));
    ///         self.lines.len()
    ///     }
    ///     pub fn last(&self) -> Option<String> { self.lines.last().cloned() }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Notes>().start().await?;
    /// let notes = runtime.get::<Notes>("meeting");
    /// notes.add("began".into()).metadata("principal", "ada").await?;
    /// assert_eq!(notes.last().await?.as_deref(), Some("ada: began"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn metadata(&self) -> &Metadata {
        self.lacks("asks for metadata that nobody has recorded");
        &self.metadata
    }
}
