//! How a tree is written: supervisors, tasks and class groups, put together before anything starts.

use std::any::TypeId;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::task::{TaskContext, TaskResult};
use crate::kernel::restart::{
    AutoShutdown, Backoff, ChildKind, ChildSpec, Exit, Restart, Shutdown, Strategy, SupervisorSpec,
};
use crate::object::{BoxFuture, Object};
use crate::runtime::ClassEntry;

/// A supervisor with its children, to be [supervised](crate::RuntimeBuilder::supervise) by a runtime, or to be the child of
/// another supervisor.
///
/// ```
/// use std::time::Duration;
/// use durable::prelude::*;
/// use durable::{Restart, Supervisor, task};
///
/// async fn report(cx: TaskContext) {
///     while cx.until_stopping(cx.sleep(Duration::from_secs(60))).await.is_some() {
///         // … call objects through `cx.client()` …
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let data = dir.path();
/// let tree = Supervisor::one_for_one("bank")
///     .intensity(3, Duration::from_secs(5))
///     .child(task("reporter", report).restart(Restart::Transient))
///     .child(Supervisor::rest_for_one("feeds").child(task("rates", report)));
/// let runtime = Runtime::builder(data).supervise(tree).start().await?;
/// println!("{}", runtime.tree().expect("there is a tree"));
/// runtime.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// OTP's `supervisor`; what differs is on the [page about supervision](crate::guide::supervision).
#[must_use = "a tree does nothing until a runtime supervises it"]
pub struct Supervisor {
    spec: SupervisorSpec,
    /// What it is as a child; its own kind and name are filled in then.
    own: ChildSpec,
    /// In the order of the spec's children.
    bodies: Vec<Body>,
}

/// A child of a supervisor: what it is, and what becomes of it when it ends. Made by [`task`], [`objects`] or from a
/// [`Supervisor`].
///
/// ```
/// use std::time::Duration;
/// use durable::{Backoff, Restart, Shutdown, task};
///
/// let consumer = task("consumer", async |_cx| Ok::<(), std::io::Error>(()))
///     .restart(Restart::Transient)
///     .backoff(Backoff::new(Duration::from_millis(10), Duration::from_secs(1)))
///     .shutdown(Duration::from_secs(2));
/// assert_eq!(consumer.spec().shutdown, Shutdown::Time(Duration::from_secs(2)));
/// ```
#[must_use = "a child does nothing until it is given to a supervisor"]
pub struct Child {
    pub(super) spec: ChildSpec,
    pub(super) body: Body,
}

/// What a child runs.
pub(super) enum Body {
    Task(TaskBody),
    Class(ClassBody),
    Supervisor(Vec<Body>),
}

#[derive(Clone)]
pub(super) struct TaskBody {
    pub(super) run: Arc<dyn Fn(TaskContext) -> BoxFuture<'static, Exit> + Send + Sync>,
    /// It has started when it says so.
    pub(super) is_slow: bool,
}

#[derive(Clone, Copy)]
pub(super) struct ClassBody {
    pub(super) name: &'static str,
    pub(super) type_id: TypeId,
    pub(super) entry: fn() -> ClassEntry,
}

/// An async function of the service as a child: a consumer, a reporter, whatever runs beside the objects. It is called
/// anew for each start.
///
/// What it returns says how it has ended: `()` and `Ok` normally, `Err` with an error. It has started as soon as it runs,
/// unless [`starts_when_ready`](Child::starts_when_ready) is said.
pub fn task<F, Fut>(name: impl Into<String>, run: F) -> Child
where
    F: Fn(TaskContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: TaskResult> + Send + 'static,
{
    let run = Arc::new(move |cx: TaskContext| -> BoxFuture<'static, Exit> {
        let running = run(cx);
        Box::pin(async move { running.await.into_exit() })
    });
    let body = Body::Task(TaskBody { run, is_slow: false });
    Child { spec: ChildSpec::new(name, ChildKind::Task), body }
}

/// All activations of class `C` as a child, and the class with them if it is not registered.
///
/// While it is stopped the class takes no calls (`class.stopped`); stopping it lets the turns that run end and takes all of
/// its objects out of memory. So a strategy that restarts it lets its objects go on from their last commits.
pub fn objects<C: Object>() -> Child {
    let (name, type_id) = (C::CLASS.name, TypeId::of::<C>());
    let body = Body::Class(ClassBody { name, type_id, entry: ClassEntry::of::<C> });
    Child { spec: ChildSpec::new(name, ChildKind::Class), body }
}

/// All activations of class `C`, as a field of a struct that [derives](macro@crate::Supervisor) a supervisor. See
/// [`objects`].
///
/// ```
/// # use durable::prelude::*;
/// # #[derive(Default, DurableState)]
/// # struct Counter { count: u64 }
/// # #[durable_object(name = "doc.Counter")]
/// # impl Counter { pub fn add(&mut self, n: u64) -> u64 { self.count += n; self.count } }
/// use durable::Objects;
///
/// #[derive(durable::Supervisor)]
/// struct Counters { counters: Objects<Counter> }
///
/// let tree = durable::Supervisor::from(Counters { counters: Objects::new() });
/// assert_eq!(tree.spec().children[0].name, "doc.Counter");
/// ```
pub struct Objects<C>(PhantomData<fn() -> C>);

impl<C> Objects<C> {
    /// All of them.
    pub const fn new() -> Self {
        Objects(PhantomData)
    }
}

impl<C> Default for Objects<C> {
    fn default() -> Self {
        Objects::new()
    }
}

impl<C> fmt::Debug for Objects<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Objects")
    }
}

/// A task that is a type, as a field of a struct that [derives](macro@crate::Supervisor) a supervisor.
///
/// ```
/// use durable::prelude::*;
/// use durable::Task;
///
/// struct Reporter { title: String }
///
/// impl Task for Reporter {
///     async fn run(&self, cx: TaskContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         println!("{}: {}", cx.name(), self.title);
///         Ok(cx.stopping().await)
///     }
/// }
///
/// #[derive(durable::Supervisor)]
/// #[supervisor(intensity = 3, period = "5s")]
/// struct Office {
///     #[child(restart = "transient", shutdown = "2s")]
///     reporter: Reporter,
/// }
/// ```
pub trait Task: Send + Sync + 'static {
    /// Runs it, from each start on.
    fn run(
        &self,
        cx: TaskContext,
    ) -> impl Future<Output = Result<(), Box<dyn StdError + Send + Sync>>> + Send;
}

/// What may be a field of a struct that [derives](macro@crate::Supervisor) a supervisor: [`Objects`], a [`Task`], another
/// such struct.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a child of a supervisor",
    note = "a child is `durable::Objects<Class>`, a type with `durable::Task`, or a struct with `#[derive(Supervisor)]`"
)]
pub trait ChildField {
    #[doc(hidden)]
    fn into_child(self, field: &str) -> Child;
}

impl<C: Object> ChildField for Objects<C> {
    fn into_child(self, _: &str) -> Child {
        objects::<C>()
    }
}

impl<T: Task> ChildField for T {
    fn into_child(self, field: &str) -> Child {
        let running = Arc::new(self);
        task(field, move |cx| {
            let running = Arc::clone(&running);
            async move { running.run(cx).await }
        })
    }
}

impl Supervisor {
    fn new(name: impl Into<String>, strategy: Strategy) -> Self {
        let spec = SupervisorSpec::new(name, strategy);
        let own = ChildSpec::new("", ChildKind::Supervisor(Box::new(spec.clone())));
        Supervisor { spec, own, bodies: Vec::new() }
    }

    /// A supervisor that restarts the child that has ended. `name`: what it is called in trees, logs and paths.
    pub fn one_for_one(name: impl Into<String>) -> Self {
        Self::new(name, Strategy::OneForOne)
    }

    /// A supervisor that restarts all of its children when one has ended.
    pub fn one_for_all(name: impl Into<String>) -> Self {
        Self::new(name, Strategy::OneForAll)
    }

    /// A supervisor that restarts the child that has ended, and those behind it.
    pub fn rest_for_one(name: impl Into<String>) -> Self {
        Self::new(name, Strategy::RestForOne)
    }

    /// A supervisor whose children come at run time, by [`SupervisorHandle::start_child`](crate::SupervisorHandle::start_child).
    pub fn dynamic(name: impl Into<String>) -> Self {
        Self::new(name, Strategy::Dynamic)
    }

    /// How many restarts it makes within `period`; with one more it gives up and ends with
    /// [`Meltdown`](crate::ExitReason::Meltdown). Default: 1 in 5 s.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        (self.spec.intensity, self.spec.period) = (restarts, period);
        self
    }

    /// Whether it ends when its significant children have. Default: never.
    pub fn auto_shutdown(mut self, auto: AutoShutdown) -> Self {
        self.spec.auto_shutdown = auto;
        self
    }

    /// How many children it may have at a time. Default and most: 100,000.
    pub fn children_max(mut self, children: usize) -> Self {
        self.spec.children_max = children;
        self
    }

    /// Adds a child, behind those that it has.
    pub fn child(mut self, child: impl Into<Child>) -> Self {
        let Child { spec, body } = child.into();
        self.spec.children.push(spec);
        self.bodies.push(body);
        self
    }

    /// As a child: when it is restarted. Default: always.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.own.restart = restart;
        self
    }

    /// As a child: how it is stopped. Default: it has all the time, as it should have, because its children need theirs.
    pub fn shutdown(mut self, shutdown: impl Into<Shutdown>) -> Self {
        self.own.shutdown = shutdown.into();
        self
    }

    /// As a child: its end may end the supervisor above it.
    pub fn significant(mut self) -> Self {
        self.own.significant = true;
        self
    }

    /// As a child: how long its restarts wait. Default: they do not.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.own.backoff = Some(backoff);
        self
    }

    /// What it is, with everything below it.
    pub fn spec(&self) -> &SupervisorSpec {
        &self.spec
    }

    pub(super) fn into_parts(self) -> (SupervisorSpec, Vec<Body>) {
        (self.spec, self.bodies)
    }

    /// The classes that it names, with what they are registered with.
    pub(crate) fn class_entries(&self) -> impl Iterator<Item = (TypeId, fn() -> ClassEntry)> {
        self.classes().into_iter().map(|class| (class.type_id, class.entry))
    }

    /// The classes that it names, in order.
    pub(super) fn classes(&self) -> Vec<ClassBody> {
        let mut found = Vec::new();
        collect(&self.bodies, &mut found);
        found
    }
}

pub(super) fn collect(bodies: &[Body], found: &mut Vec<ClassBody>) {
    for body in bodies {
        match body {
            Body::Task(_) => {}
            Body::Class(class) => found.push(*class),
            Body::Supervisor(bodies) => collect(bodies, found),
        }
    }
}

impl Body {
    /// The same once more, for another start of the supervisor that it is under.
    pub(super) fn again(&self) -> Body {
        match self {
            Body::Task(task) => Body::Task(task.clone()),
            Body::Class(class) => Body::Class(*class),
            Body::Supervisor(bodies) => Body::Supervisor(bodies.iter().map(Body::again).collect()),
        }
    }
}

impl Child {
    /// When it is restarted. Default: always.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.restart = restart;
        self
    }

    /// How it is stopped: a time, or what [`Shutdown`] says. Default: 5 s for a task, all the time for everything else.
    pub fn shutdown(mut self, shutdown: impl Into<Shutdown>) -> Self {
        self.spec.shutdown = shutdown.into();
        self
    }

    /// Its end may end its supervisor. See [`AutoShutdown`].
    pub fn significant(mut self) -> Self {
        self.spec.significant = true;
        self
    }

    /// How long its restarts wait. Default: they do not.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.spec.backoff = Some(backoff);
        self
    }

    /// A task has started only when it calls [`TaskContext::ready`]: the children behind it wait for that, and if it ends
    /// before, it has failed to start. Nothing to anything but a task.
    pub fn starts_when_ready(mut self) -> Self {
        if let Body::Task(task) = &mut self.body {
            task.is_slow = true;
        }
        self
    }

    /// What it is.
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }
}

impl From<Supervisor> for Child {
    fn from(supervisor: Supervisor) -> Self {
        let Supervisor { spec, own, bodies } = supervisor;
        let name = spec.name.clone();
        let spec = ChildSpec { name, kind: ChildKind::Supervisor(Box::new(spec)), ..own };
        Child { spec, body: Body::Supervisor(bodies) }
    }
}

impl From<Duration> for Shutdown {
    fn from(time: Duration) -> Self {
        Shutdown::Time(time)
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}
