//! What a runtime is made of, and its start.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::alarm::Alarms;
use crate::class::ClassSpec;
use crate::client::Client;
use crate::config::Config;
use crate::directory::{Group, GroupSpec, Residents};
use crate::error::{Code, Error, Outcome};
use crate::history::History;
use crate::host::Host;
use crate::interceptor::Interceptor;
use crate::kernel::lifecycle::Step;
use crate::lock::{self, Change, Lock, Locked, Reads};
use crate::object::Object;
use crate::quarantine::{BreakerRule, CrashBudget};
use crate::registry::{AnyGroup, Registry, Sentinel, Shared};
use crate::rewind::shorten_forever;
use crate::runtime::Runtime;
use crate::state::{Fingerprint, check_schema, schema_of};
use crate::storage::{ClassRow, Declared, Store};
use crate::supervise::{self, Supervision, Supervisor};

/// Settings and classes of a runtime that has not started.
#[must_use = "a builder does nothing until `start`"]
pub struct RuntimeBuilder {
    dir: PathBuf,
    config: Config,
    classes: Vec<ClassEntry>,
    /// What became of earlier classes, in order.
    steps: Vec<Step>,
    /// `None`: nothing is supervised but the activations.
    tree: Option<Supervisor>,
    /// `None`: the operating system.
    host: Option<Host>,
}

/// A registered class that has no group yet.
pub(crate) struct ClassEntry {
    type_id: TypeId,
    /// The tree has brought it, and nobody else has registered it.
    is_of_tree: bool,
    type_name: &'static str,
    spec: ClassSpec,
    fingerprint: Fingerprint,
    schema: Vec<u8>,
    reads: Reads,
    build: fn(GroupSpec) -> AnyGroup,
}

impl ClassEntry {
    pub(crate) fn of<C: Object>() -> Self {
        ClassEntry {
            type_id: TypeId::of::<C>(),
            is_of_tree: false,
            type_name: type_name::<C>(),
            spec: C::CLASS,
            fingerprint: Fingerprint::of::<C>(),
            schema: schema_of::<C>(),
            reads: lock::reads::<C>,
            build: |spec| {
                let group = Group::<C>::new(spec);
                (Arc::clone(&group) as _, group)
            },
        }
    }

    fn row(&self) -> ClassRow<'_> {
        let ClassEntry { spec, fingerprint, schema, .. } = self;
        let keeps_history = spec.keeps_history;
        ClassRow { name: spec.name, fingerprint: *fingerprint, schema, keeps_history }
    }
}

impl RuntimeBuilder {
    pub(super) fn new(dir: PathBuf) -> Self {
        RuntimeBuilder {
            dir,
            config: Config::default(),
            classes: Vec::new(),
            steps: Vec::new(),
            tree: None,
            host: None,
        }
    }

    /// Adds a class.
    pub fn register<C: Object>(mut self) -> Self {
        let class = ClassEntry::of::<C>();
        self.classes.retain(|other| !(other.is_of_tree && other.type_id == class.type_id));
        self.classes.push(class);
        self
    }

    /// Supervises a tree: it starts with the runtime, in order, and is stopped with it, in reverse order. Its classes are
    /// registered with it. A runtime has one tree; the last one that is said stands.
    ///
    /// If the top of the tree ends, so does the runtime: see [`Runtime::ended`].
    pub fn supervise(mut self, tree: impl Into<Supervisor>) -> Self {
        let tree = tree.into();
        self.classes.retain(|class| !class.is_of_tree);
        for (type_id, entry) in tree.class_entries() {
            if !self.classes.iter().any(|class| class.type_id == type_id) {
                self.classes.push(ClassEntry { is_of_tree: true, ..entry() });
            }
        }
        self.tree = Some(tree);
        self
    }

    /// How long an object without calls stays in memory, unless its class says otherwise. Default: 10 s.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.config.idle = idle;
        self
    }

    /// How many objects may be in memory; the least recently used idle one leaves when another needs its place.
    /// Default: 100,000.
    pub fn resident_max(mut self, objects: usize) -> Self {
        self.config.resident_objects_max = objects;
        self
    }

    /// Says that the class `from` is called `to` from here on. Its objects keep their ids, names, states,
    /// parents and children.
    ///
    /// It is carried out by the first start that says it, before any call; later starts find that it was. Keep saying it
    /// until every data directory was started once. Several steps are carried out in the order in which they are said.
    pub fn renamed(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.steps.push(Step::Renamed { from: from.into(), to: to.into() });
        self
    }

    /// Says that the class `name` is no more: the next start deletes all of its objects, with everything that they have
    /// stored, and no backup of them is kept.
    ///
    /// A class that is registered later under the same name begins without objects.
    pub fn deleted(mut self, name: impl Into<String>) -> Self {
        self.steps.push(Step::Deleted { name: name.into() });
        self
    }

    /// How many calls may wait at one object. Default: 1,024.
    pub fn inbox_max(mut self, calls: usize) -> Self {
        self.config.inbox_calls_max = calls;
        self
    }

    /// How many calls may be under way in the runtime. Default and most: 65,536.
    pub fn in_flight_max(mut self, calls: usize) -> Self {
        self.config.in_flight_calls_max = calls;
        self
    }

    /// How many calls may be under way in each class that does not say it by `in_flight = 10_000` in its attribute, so that one
    /// class cannot take all the room of the others. Default and most: 65,536, which is what the runtime has.
    pub fn class_in_flight_max(mut self, calls: usize) -> Self {
        self.config.class_in_flight_calls_max = calls;
        self
    }

    /// How often an object may crash within `period`; with one crash more it is quarantined. Default: 5 in 60 s; most: 1,000.
    /// A class says otherwise for its objects by `crashes = 3` and `crash_period = "10s"` in its attribute.
    pub fn crashes(mut self, crashes: u32, period: Duration) -> Self {
        self.config.crashes = CrashBudget { crashes, period };
        self
    }

    /// How long [`shutdown`](Runtime::shutdown) lets turns run before it cuts them off. Default: 25 s.
    pub fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.config.shutdown_deadline = deadline;
        self
    }

    /// When a class counts as failed: if more than `share_percent` of its objects in use, and at least `objects_min`, fail
    /// within `window`. Default: 50, 10 and 10 s; with 100 no class ever does.
    pub fn breaker(mut self, share_percent: u32, objects_min: usize, window: Duration) -> Self {
        self.config.breaker = BreakerRule { share_percent, objects_min, window };
        self
    }

    /// How long a run of an alarm's handler may take, unless its class says otherwise. Default: 15 minutes.
    pub fn alarm_limit(mut self, limit: Duration) -> Self {
        self.config.alarm_limit = limit;
        self
    }

    /// How long the turn of a call may run, unless its class says otherwise by `turn_limit = "5s"`. A turn that has not ended
    /// by then is cut off at an `.await` and undone, and its caller gets `call.overlong`; an `#[on_activate]` has as long.
    /// Default: 30 s.
    pub fn turn_limit(mut self, limit: Duration) -> Self {
        self.config.turn_limit = limit;
        self
    }

    /// For how long the result of a call with an [idempotency key](crate::Call::idempotency_key) is kept, at least. Default:
    /// 24 h; most: 30 days. Each result is kept for as long as was said when its call ran.
    pub fn keep_results(mut self, keep: Duration) -> Self {
        self.config.results_keep = keep;
        self
    }

    /// Lets `interceptor` look at every call that is made or run in the runtime. Of several, the first one that is added is
    /// outermost. See [`Interceptor`].
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.config.interceptors.add(interceptor);
        self
    }

    /// How many alarms are fired in a second. Those that fell due while nothing ran wait for each other, so that calls are
    /// served meanwhile. Default: 5,000; most: 1,000,000.
    pub fn alarms_per_second(mut self, alarms: u32) -> Self {
        self.config.alarms_per_second = alarms;
        self
    }

    /// How many shards a new data directory gets, 1 to 1,024. Fixed when the directory is created. Default: 1.
    pub fn shards(mut self, shards: u16) -> Self {
        self.config.shards = Some(shards);
        self
    }

    /// How long a shard's write-ahead log gets before it is copied into the database, in pages of 1 KiB. A longer log is
    /// copied more rarely and takes more room. Default: 16,384; most: 4,194,304.
    pub fn log_pages(mut self, pages: u32) -> Self {
        self.config.log_pages = pages;
        self
    }

    /// How much of the past is kept of objects whose class says `#[durable_object(history)]`. Default: 30 days, 16 MiB of
    /// each object.
    pub fn history(mut self, history: History) -> Self {
        self.config.history = history;
        self
    }

    /// What of the classes outlives a release.
    #[doc(hidden)]
    pub fn lock(&self) -> Lock {
        Lock::new(self.classes.iter().map(|class| Locked::new(&class.spec, &class.schema)))
    }

    /// What of them is not as it was.
    #[doc(hidden)]
    pub fn changes_since(&self, old: &Lock) -> Vec<Change> {
        let reads = self.classes.iter().map(|class| (class.spec.name, class.reads)).collect();
        self.lock().since(old, &reads)
    }

    /// Runs on another host than the operating system.
    #[doc(hidden)]
    pub fn host(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    /// Starts without its tree, whose classes stay.
    #[doc(hidden)]
    pub fn without_tree(mut self) -> Self {
        self.tree = None;
        self
    }

    /// Opens the data directory and starts. Must be awaited inside a tokio runtime, which then runs the objects.
    ///
    /// # Errors
    /// `class.duplicate` and `class.invalid` for classes that cannot stand together; `config.invalid`;
    /// `supervisor.invalid`, `child.duplicate` for a tree that cannot be meant, `child.unstartable` for a child of it that
    /// does not start; `storage.locked` if another process holds the directory; `storage.newer`, `storage.corrupt`,
    /// `storage.failed`.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    ///
    /// # Panics
    /// If the tokio runtime has no timers; build it with `enable_time` or `enable_all`.
    pub async fn start(self) -> Result<Runtime, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Code::ConfigInvalid.error(
                "a runtime starts inside of tokio, which runs its objects; \
                 await `start` in a task, such as an async `main` with `#[tokio::main]`",
            ));
        }
        self.config.check()?;
        check_classes(&self.classes)?;
        check_steps(&self.steps, &self.classes)?;
        self.tree.as_ref().map_or(Ok(()), supervise::check)?;
        if self.dir.as_os_str().is_empty() {
            return Err(Code::ConfigInvalid.error(
                "the data directory's path is empty; name a directory, `.` for the present one",
            ));
        }
        // No call has begun: whatever the code of the failure usually means for one.
        self.open().await.map_err(|error| error.with_outcome(Outcome::NotStarted))
    }

    async fn open(mut self) -> Result<Runtime, Error> {
        self.classes.sort_by_key(|class| class.spec.name);
        let host = self.host.unwrap_or_else(Host::os);
        // A tokio runtime without timers panics here, in the caller's sight, and not in a task of ours.
        drop(host.clock.sleep_until(host.clock.now()));
        let rows: Vec<_> = self.classes.iter().map(ClassEntry::row).collect();
        let declared = Declared { rows: &rows, steps: &self.steps };
        let store = Store::open(&host, &self.dir, &self.config, declared)?;
        let residents = Residents::new(self.config.resident_objects_max);
        let shared = Shared::new(host, self.config, store, residents);
        let keeps_history = self.classes.iter().any(|class| class.spec.keeps_history);
        let mut started = Vec::with_capacity(self.classes.len());
        for class in self.classes {
            let name = class.spec.name;
            let named = shared.store.class(name).expect("the store was told all classes").clone();
            let supervision = Supervision::start_all(name, shared.host.parallelism).await?;
            started.push((named, supervision, class));
        }
        let registry = Arc::new_cyclic(|registry: &Weak<Registry>| {
            let build = |(named, supervision, class): (_, _, ClassEntry)| {
                let (shared, registry) = (Arc::clone(&shared), Weak::clone(registry));
                let fingerprint = class.fingerprint;
                let spec = GroupSpec { shared, registry, named, fingerprint, supervision };
                (class.type_id, (class.build)(spec))
            };
            let groups = started.into_iter().map(build).collect();
            Registry::new(Arc::clone(&shared), groups)
        });
        if keeps_history || shared.store.has_past() {
            let shortened = shorten_forever(Arc::downgrade(&shared), shared.host.clone());
            shared.host.tasks.spawn(Box::pin(shortened));
        }
        let (residents, host) = (Arc::downgrade(&shared.residents), shared.host.clone());
        let sentinel = Sentinel(Arc::downgrade(&registry));
        shared.host.tasks.spawn(Box::pin(async move {
            let _sentinel = sentinel;
            Residents::sweep_forever(residents, host).await;
        }));
        Alarms::start(&registry);
        if let Some(tree) = self.tree
            && let Err(error) = shared.service.start(tree, &registry).await
        {
            // What the start has failed with is what is told.
            let _ = registry.shutdown().await;
            return Err(error);
        }
        Ok(Runtime { client: Client::new(Arc::clone(&registry)), registry })
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes: Vec<_> = self.classes.iter().map(|class| class.spec.name).collect();
        f.debug_struct("RuntimeBuilder")
            .field("dir", &self.dir)
            .field("config", &self.config)
            .field("classes", &classes)
            .finish_non_exhaustive()
    }
}

/// Checks that no class is registered that is said to be gone.
fn check_steps(steps: &[Step], classes: &[ClassEntry]) -> Result<(), Error> {
    for (place, step) in steps.iter().enumerate() {
        let (gone, how) = match step {
            Step::Renamed { from, to } => (from, format!("renamed to `{to}`")),
            Step::Deleted { name } => (name, "deleted".to_owned()),
        };
        let is_back = steps[place + 1..]
            .iter()
            .any(|later| matches!(later, Step::Renamed { to, .. } if to == gone));
        if !is_back && classes.iter().any(|class| class.spec.name == gone) {
            return Err(Code::ClassInvalid.error(format!(
                "class {gone} is registered and said to be {how}; \
                 register it under its new name, or take the step out"
            )));
        }
    }
    Ok(())
}

/// Checks that every class can be stored, and that no two have one name.
fn check_classes(classes: &[ClassEntry]) -> Result<(), Error> {
    let mut seen = BTreeMap::new();
    for class in classes {
        class.spec.check()?;
        check_schema(&class.schema).map_err(|reason| {
            Code::ClassInvalid.error(format!(
                "the schema of `{}`, the state of class {}, cannot be kept: {reason}; \
                 keep large or deep parts of it in other objects",
                class.type_name, class.spec.name
            ))
        })?;
        if let Some(first) = seen.insert(class.spec.name, class.type_name) {
            let second = class.type_name;
            let cure =
                if first == second { "register it once" } else { "give one of them another name" };
            return Err(Code::ClassDuplicate.error(format!(
                "class name {} is registered twice, by `{first}` and by `{second}`; {cure}",
                class.spec.name
            )));
        }
    }
    Ok(())
}
