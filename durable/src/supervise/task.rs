//! A task of the service: what it is given, how it is told to stop, and how it is cut off.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::node::Node;
use crate::client::Client;
use crate::host::{BoxFuture, Event as Report, Host};
use crate::id::IntoKey;
use crate::kernel::restart::{Event, Exit, ExitReason, Incarnation};
use crate::object::Object;

/// What a task may return.
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    note = "it returns `()`, or a `Result<(), E>` whose `E` can be shown with `Display`"
)]
pub trait TaskResult {
    #[doc(hidden)]
    fn into_exit(self) -> Exit;
}

impl TaskResult for () {
    fn into_exit(self) -> Exit {
        ExitReason::Normal.into()
    }
}

impl<E: fmt::Display> TaskResult for Result<(), E> {
    fn into_exit(self) -> Exit {
        match self {
            Ok(()) => ExitReason::Normal.into(),
            Err(error) => Exit::new(ExitReason::Error, error.to_string()),
        }
    }
}

/// What a task never returns that runs for ever.
type Never = <fn() -> ! as Returns>::Output;

/// Names the type that a function returns.
trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

#[expect(private_interfaces, reason = "the type has no name of its own")]
impl TaskResult for Never {
    fn into_exit(self) -> Exit {
        match self {}
    }
}

/// What a task is given: the way to the objects, its name, and the order to stop.
///
/// A task that never asks for [`stopping`](TaskContext::stopping) is dropped at its next `.await` when it is to stop, as
/// futures are. One that has asked is told, and has the time of its spec to come to its end by itself.
#[derive(Clone)]
pub struct TaskContext {
    pub(super) client: Client,
    pub(super) host: Host,
    pub(super) node: Arc<Node>,
    pub(super) name: Arc<str>,
    pub(super) incarnation: Incarnation,
    pub(super) order: Arc<Order>,
}

impl TaskContext {
    /// Where stubs come from. Its calls are taken until the tree has stopped, also while the runtime shuts down.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A stub of the object of class `C` called `key`. See [`Client::get`].
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        self.client.get::<C>(key)
    }

    /// The task's name, among its supervisor's children.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of its runs this is; its supervisor gives no number twice.
    pub fn incarnation(&self) -> u64 {
        self.incarnation.0
    }

    /// Says that it has started, if it was made with [`starts_when_ready`](super::Child::starts_when_ready). Nothing else
    /// comes of it, nor of saying it again.
    pub fn ready(&self) {
        // Once, so that a task cannot fill its supervisor's inbox.
        if !std::mem::replace(&mut self.order.0.lock().was_ready, true) {
            self.node.post(Event::Started(self.incarnation));
        }
    }

    /// Ends when the task is to stop. From the first call on the task is not dropped then, but has the time of its spec.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let listener = self.order.listen();
        poll_fn(move |cx| listener.poll(cx))
    }

    /// Whether it is to stop.
    pub fn is_stopping(&self) -> bool {
        self.order.0.lock().is_stopping
    }

    /// Runs `work` to its end, or until the task is to stop: `None` then. As [`stopping`](TaskContext::stopping), it makes
    /// the task one that is told.
    ///
    /// # Cancel safety
    /// That of `work`, which is dropped when the task is to stop.
    pub async fn until_stopping<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        let (mut work, mut stopping) = (std::pin::pin!(work), std::pin::pin!(self.stopping()));
        poll_fn(|cx| match stopping.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => work.as_mut().poll(cx).map(Some),
        })
        .await
    }

    /// A random number, from the runtime's host: in a simulation, from the seed.
    pub fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.host.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Waits on the runtime's clock, which a simulation moves.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.host.clock.sleep_until(self.host.clock.now() + time)
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskContext { name, incarnation, .. } = self;
        f.debug_struct("TaskContext")
            .field("name", name)
            .field("incarnation", &incarnation.0)
            .finish_non_exhaustive()
    }
}

/// What a task was ordered to do.
#[derive(Default)]
pub(super) struct Order(Mutex<Ordered>);

#[derive(Default)]
struct Ordered {
    /// It is to end.
    is_stopping: bool,
    /// It is to be dropped.
    is_killed: bool,
    /// It listens to the order to stop.
    is_heard: bool,
    /// It has said that it has started.
    was_ready: bool,
    /// Who is woken by an order: the task, as 0, and the listeners in it.
    wakers: BTreeMap<u64, Waker>,
    /// Listeners that there have been.
    listeners: u64,
}

/// Waits for the order to stop, and takes its waker back when it does not any more.
struct Listener {
    order: Arc<Order>,
    number: u64,
}

impl Listener {
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut ordered = self.order.0.lock();
        if ordered.is_stopping {
            return Poll::Ready(());
        }
        let earlier = ordered.wakers.insert(self.number, cx.waker().clone());
        drop(ordered);
        // Not under the lock: what a waker keeps may be dropped with it.
        drop(earlier);
        Poll::Pending
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let waker = self.order.0.lock().wakers.remove(&self.number);
        drop(waker);
    }
}

impl Order {
    pub(super) fn stop(&self) {
        self.give(|ordered| ordered.is_stopping = true);
    }

    pub(super) fn kill(&self) {
        self.give(|ordered| ordered.is_killed = true);
    }

    fn give(&self, order: impl FnOnce(&mut Ordered)) {
        let wakers = {
            let mut ordered = self.0.lock();
            order(&mut ordered);
            std::mem::take(&mut ordered.wakers)
        };
        wakers.into_values().for_each(Waker::wake);
    }

    /// Somebody more listens to the order to stop.
    fn listen(self: &Arc<Self>) -> Listener {
        let mut ordered = self.0.lock();
        ordered.is_heard = true;
        ordered.listeners += 1;
        Listener { order: Arc::clone(self), number: ordered.listeners }
    }

    /// How the task is cut off. `None`: it is not, and wakes at the next order.
    fn cut(&self, cx: &Context<'_>) -> Option<ExitReason> {
        let mut ordered = self.0.lock();
        let Ordered { is_stopping, is_killed, is_heard, .. } = *ordered;
        match (is_killed, is_stopping && !is_heard) {
            (true, _) => Some(ExitReason::Killed),
            (false, true) => Some(ExitReason::Shutdown),
            (false, false) => {
                let earlier = ordered.wakers.insert(0, cx.waker().clone());
                drop(ordered);
                drop(earlier);
                None
            }
        }
    }
}

/// A run of a task, which tells its supervisor when it has ended and holds nothing any more.
pub(super) struct Running {
    /// `None`: it has ended.
    work: Option<BoxFuture<'static, Exit>>,
    /// It was polled.
    has_begun: bool,
    order: Arc<Order>,
    node: Arc<Node>,
    host: Host,
    name: Arc<str>,
    incarnation: Incarnation,
}

impl Running {
    /// `start`: makes what is run; it may panic as well as that.
    pub(super) fn new(
        cx: TaskContext,
        start: impl FnOnce(TaskContext) -> BoxFuture<'static, Exit> + Send + 'static,
    ) -> Self {
        let (order, node) = (Arc::clone(&cx.order), Arc::clone(&cx.node));
        let (host, name, incarnation) = (cx.host.clone(), Arc::clone(&cx.name), cx.incarnation);
        let work = Some(Box::pin(async move { start(cx).await }) as _);
        Running { work, has_begun: false, order, node, host, name, incarnation }
    }

    /// Whose run it is, for a director.
    fn whose(&self) -> (&str, &str, u64) {
        (&self.node.path, &self.name, self.incarnation.0)
    }

    fn end(&mut self, exit: Exit) {
        let Some(work) = self.work.take() else { return };
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(work)));
        let exit = dropped.map_or_else(|panic| panicked(&*panic), |()| exit);
        if self.has_begun {
            let (supervisor, child, incarnation) = self.whose();
            self.host.report(|| Report::TaskEnded { supervisor, child, incarnation });
        }
        self.node.post(Event::Exited(self.incarnation, exit));
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(reason) = self.order.cut(cx) {
            self.end(reason.into());
        }
        if self.work.is_some() && !self.has_begun {
            self.has_begun = true;
            let (supervisor, child, incarnation) = self.whose();
            self.host.report(|| Report::TaskBegan { supervisor, child, incarnation });
        }
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let exit = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            // Whoever ends well because it was asked to has been shut down.
            Ok(Poll::Ready(exit)) if exit.reason == ExitReason::Normal => {
                let is_asked = self.order.0.lock().is_stopping;
                if is_asked { ExitReason::Shutdown.into() } else { exit }
            }
            Ok(Poll::Ready(exit)) => exit,
            Err(panic) => panicked(&*panic),
        };
        self.end(exit);
        Poll::Ready(())
    }
}

impl Drop for Running {
    /// Nobody runs it any more.
    fn drop(&mut self) {
        self.end(ExitReason::Killed.into());
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Exit {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Exit::new(ExitReason::Panic, text.unwrap_or("it panicked without a text"))
}
