//! Tasks of a turn: they run beside it, on whatever thread is free, and end with it.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::FutureExt;
use futures_util::future::{AbortHandle, abortable};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::host::Tasks;
use crate::object::BoxFuture;
use crate::object::carried::{carried, carrying};
use crate::object::inside::{Waits, join};

/// Something that a turn has running beside itself; await it for its value. Comes from
/// [`Context::task`](crate::Context::task).
///
/// It is cut off at its next `.await` when this is dropped, or when its turn ends, whichever comes first.
///
/// # Panics
/// Awaiting it panics as the task did, so that the turn does; and if its turn has ended meanwhile.
///
/// # Cancel safety
/// Dropping it ends the task.
#[must_use = "a task that is dropped ends"]
pub struct TurnTask<T> {
    state: State<T>,
}

enum State<T> {
    /// It runs by itself.
    Spawned(oneshot::Receiver<Result<T, Box<dyn Any + Send>>>, AbortHandle),
    /// There is nobody who runs tasks: it runs when it is awaited.
    Lazy(BoxFuture<'static, T>),
}

impl<T> TurnTask<T> {
    pub(super) fn lazy(task: BoxFuture<'static, T>) -> Self {
        TurnTask { state: State::Lazy(task) }
    }
}

impl<T> Future for TurnTask<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<T> {
        match &mut self.state {
            State::Lazy(task) => task.as_mut().poll(cx),
            State::Spawned(ended, _) => ended.poll_unpin(cx).map(|ended| match ended {
                Ok(Ok(value)) => value,
                Ok(Err(panic)) => resume_unwind(panic),
                Err(_) => {
                    panic!("a task was awaited after its turn had ended; await it in the turn")
                }
            }),
        }
    }
}

impl<T> Drop for TurnTask<T> {
    fn drop(&mut self) {
        if let State::Spawned(_, task) = &self.state {
            task.abort();
        }
    }
}

impl<T> fmt::Debug for TurnTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnTask").finish_non_exhaustive()
    }
}

/// The tasks that a turn has started. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct TurnTasks(Mutex<Vec<AbortHandle>>);

impl TurnTasks {
    /// Starts one. What it calls, the turn that is polled on this thread does.
    pub(super) fn start<T: Send + 'static>(
        &self,
        waits: &Arc<Waits>,
        tasks: &dyn Tasks,
        task: impl Future<Output = T> + Send + 'static,
    ) -> TurnTask<T> {
        let mut inside = join(waits);
        let task = AssertUnwindSafe(task).catch_unwind();
        let mut task = carrying(&carried(), Box::pin(task));
        let running = poll_fn(move |cx| match &mut inside {
            Some(inside) => inside.poll(|| task.as_mut().poll(cx)),
            None => task.as_mut().poll(cx),
        });
        let (running, handle) = abortable(running);
        let (sender, receiver) = oneshot::channel();
        {
            let mut started = self.0.lock();
            started.retain(|other| !other.is_aborted());
            started.push(handle.clone());
        }
        tasks.spawn(Box::pin(async move {
            if let Ok(ended) = running.await {
                // Whoever has dropped the task does not want its value.
                let _ = sender.send(ended);
            }
        }));
        TurnTask { state: State::Spawned(receiver, handle) }
    }
}

impl Drop for TurnTasks {
    fn drop(&mut self) {
        for task in self.0.get_mut() {
            task.abort();
        }
    }
}
