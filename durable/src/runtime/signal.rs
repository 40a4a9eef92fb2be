//! The end of a process that is asked to end.

use std::pin::pin;

use futures_util::future::{Either, select};

use crate::error::Error;
use crate::runtime::Runtime;

impl Runtime {
    /// Runs until the process is asked to end, by SIGTERM or ctrl-c, or until the runtime has ended by itself; then shuts it
    /// [down](Runtime::shutdown). The last line of a `main`:
    ///
    /// ```no_run
    /// # use durable::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let runtime = Runtime::builder("data").start().await?;
    /// runtime.run_until_signal().await
    /// # }
    /// ```
    ///
    /// From the first call on the process does not end by these signals any more.
    ///
    /// # Errors
    /// Those of [`shutdown`](Runtime::shutdown) and of [`ended`](Runtime::ended).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped before a signal came; after that as [`shutdown`](Runtime::shutdown).
    ///
    /// # Panics
    /// If the tokio runtime has no I/O; build it with `enable_io` or `enable_all`.
    pub async fn run_until_signal(&self) -> Result<(), Error> {
        match select(pin!(asked_to_end()), pin!(self.ended())).await {
            Either::Left(((), _)) => self.shutdown().await,
            Either::Right((Ok(()), _)) => self.shutdown().await,
            Either::Right((ended, _)) => ended,
        }
    }
}

/// Ends when the process is asked to end. Where signals cannot be heard it never does, and says so.
async fn asked_to_end() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(error) => unheard(&error).await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            unheard(&error).await;
        }
    };
    select(pin!(terminated), pin!(interrupted)).await.factor_first().0
}

async fn unheard(error: &std::io::Error) {
    tracing::error!(%error, "signals cannot be heard; shut the runtime down by other means");
    std::future::pending().await
}
