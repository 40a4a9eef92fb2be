//! What a turn knows of its object and its world.

mod dealt;
mod savepoint;

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::{Arc, OnceLock, Weak};

pub(crate) use self::dealt::Dealt;
use self::savepoint::OpenSavepoint;
use crate::client::Client;
use crate::error::{Code, Error};
use crate::host::{Entropy, Event};
use crate::id::{IntoKey, ObjectId};
use crate::metadata::Metadata;
use crate::object::alarm::{Alarm, AlarmBase, AlarmDesk, Alarmed};
use crate::object::alone::Alone;
use crate::object::kv::{Base, Desk, Kv, Owner, Turn, Witness};
use crate::object::schedule::{Schedule, ScheduleBase, ScheduleDesk};
use crate::object::send::{SendBase, SendDesk};
#[cfg(feature = "http")]
use crate::object::sockets::SocketDesk;
use crate::object::sql::{Fate, Seat, Sql, SqlDesk};
use crate::object::task::{TurnTask, TurnTasks};
use crate::object::work::WorkDesk;
use crate::object::{Object, Slot};
use crate::schedule::{ScheduleInfo, ScheduleView};
use crate::storage::{Around, Asked, Fence};
use crate::stub::{Address, Origin, Stub};
use crate::time::WallMs;

/// The object that a turn runs on, and the way from it to time, randomness and other objects.
///
/// Methods take it as `cx: &mut Context<'_, Self>` (or `&Context`), `&self` methods as `cx: &Context<'_, Self>`.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Visit { last_ms: u64 }
///
/// #[durable_object(name = "doc.Visit")]
/// impl Visit {
///     pub fn arrive(&mut self, cx: &mut Context<'_, Self>) -> String {
///         self.last_ms = cx.now().0;
///         format!("{} arrived", cx.name().unwrap_or("somebody"))
///     }
/// }
/// ```
pub struct Context<'a, O: Object> {
    pub(super) scene: Scene<'a, O>,
    desk: Desk<'a>,
    sql: SqlDesk<'a>,
    alarm: AlarmDesk<'a>,
    schedules: ScheduleDesk<'a>,
    pub(super) sends: SendDesk<'a>,
    /// `None`: no schedule runs.
    scheduled: Option<ScheduleInfo>,
    /// What travels with the call.
    pub(super) metadata: Metadata,
    /// For the host's director; 0 in a hook.
    call: u64,
    /// The turn wants nothing of the object to be left.
    erases: bool,
    /// Empty until the turn asks for the time; then fixed for the turn.
    now: OnceLock<WallMs>,
    tasks: TurnTasks,
    pub(super) work: WorkDesk,
    #[cfg(feature = "http")]
    pub(super) sockets: SocketDesk,
}

/// What a turn works on beside the struct.
#[derive(Clone, Copy)]
pub(crate) struct Stores<'a> {
    pub(crate) kv: Base<'a>,
    /// `None`: there is no database yet.
    pub(crate) sql: Option<Seat<'a>>,
    pub(crate) alarm: AlarmBase,
    pub(crate) schedules: ScheduleBase<'a>,
    pub(crate) sends: SendBase<'a>,
    pub(crate) turn: Turn,
}

/// Where a turn runs.
pub(super) enum Scene<'a, O: Object> {
    /// In an activation. Calls to other objects wait for the commits of `fence`; `None`: there is none yet.
    Slot { slot: &'a Arc<Slot<O>>, fence: Option<&'a Arc<Fence>> },
    /// Nowhere: it is compared with one that ran.
    Alone(&'a Alone),
}

impl<'a, O: Object> Context<'a, O> {
    /// For `#[init]`.
    pub(crate) fn of_init(slot: &'a Arc<Slot<O>>) -> Self {
        let (kv, alarm, turn) = (Base::Nothing, AlarmBase::Is(None), Turn::Init);
        let (schedules, sends) = (ScheduleBase::Is(&[]), SendBase::Unknown);
        Self::new(slot, None, Stores { kv, sql: None, alarm, schedules, sends, turn }, 0)
    }

    #[inline]
    pub(crate) fn new(
        slot: &'a Arc<Slot<O>>,
        fence: Option<&'a Arc<Fence>>,
        stores: Stores<'a>,
        call: u64,
    ) -> Self {
        let Stores { kv, sql, alarm, schedules, sends, turn } = stores;
        let witness = Witness { host: slot.host(), object: slot.id_ref(), call };
        let alarm = AlarmDesk::new(alarm, turn, Some(witness));
        let schedules = ScheduleDesk::new(schedules, turn, Some(witness));
        let desk = Desk::new(kv, turn, Some(witness));
        let sends = SendDesk::new(sends, turn);
        let sql = SqlDesk::new(sql, turn);
        Context {
            scene: Scene::Slot { slot, fence },
            desk,
            sql,
            alarm,
            schedules,
            sends,
            scheduled: None,
            metadata: Metadata::new(),
            call,
            erases: false,
            now: OnceLock::new(),
            tasks: TurnTasks::default(),
            work: WorkDesk::default(),
            #[cfg(feature = "http")]
            sockets: SocketDesk::default(),
        }
    }

    pub(crate) fn alone(alone: &'a Alone, stores: Stores<'a>) -> Self {
        let Stores { kv, sql, alarm, schedules, sends, turn } = stores;
        let sends = SendDesk::new(sends, turn);
        let (desk, sql) = (Desk::new(kv, turn, None), SqlDesk::new(sql, turn));
        let alarm = AlarmDesk::new(alarm, turn, None);
        let schedules = ScheduleDesk::new(schedules, turn, None);
        Context {
            scene: Scene::Alone(alone),
            desk,
            sql,
            alarm,
            schedules,
            sends,
            scheduled: None,
            metadata: Metadata::new(),
            call: 0,
            erases: false,
            now: OnceLock::new(),
            tasks: TurnTasks::default(),
            work: WorkDesk::default(),
            #[cfg(feature = "http")]
            sockets: SocketDesk::default(),
        }
    }

    /// The turn is a run of a schedule, or of none.
    pub(crate) fn runs(mut self, info: Option<ScheduleInfo>) -> Self {
        self.scheduled = info;
        self
    }

    /// The turn is of a call with which this travels.
    pub(crate) fn carry(&mut self, metadata: &Metadata) {
        self.metadata = metadata.clone();
    }

    /// Opens the object's database, so that its tables are up to date.
    pub(crate) fn open_sql(&self) -> Result<(), Error> {
        self.sql.open(self)
    }

    /// The object's id.
    pub fn id(&self) -> ObjectId {
        match self.scene {
            Scene::Slot { slot, .. } => slot.id(),
            Scene::Alone(alone) => alone.id,
        }
    }

    /// The object's name; `None` if it was only ever asked for by id.
    pub fn name(&self) -> Option<&str> {
        match self.scene {
            Scene::Slot { slot, .. } => slot.name(),
            Scene::Alone(alone) => alone.name.as_deref(),
        }
    }

    /// The object's name as the class's typed key.
    ///
    /// # Errors
    /// `key.malformed` if the object has no name, or its name does not parse as the key.
    pub fn key(&self) -> Result<O::Key, Error> {
        let parsed = self.name().and_then(|name| O::Key::from_str(name).ok());
        parsed.ok_or_else(|| {
            Code::KeyMalformed.error(format!(
                "the name of {} does not parse as its class's key; ask for the object by a key, or fix the key's `FromStr`",
                self.label()
            ))
        })
    }

    /// What the object keeps under keys. It is read and written as part of this turn.
    pub fn kv(&self) -> Kv<'_> {
        Kv::new(&self.desk, self)
    }

    /// What the object keeps in tables. It is read and written as part of this turn.
    pub fn sql(&self) -> Sql<'_> {
        Sql::new(&self.sql, self)
    }

    /// The object's alarm: to be set, looked at, cancelled as part of this turn. When it is due the class's `#[alarm]`
    /// runs.
    pub fn alarm(&self) -> Alarm<'_>
    where
        O: Alarmed,
    {
        Alarm::new(&self.alarm, self)
    }

    /// One of the object's schedules: to be set, looked at, cancelled as part of this turn. `name`: what it is called.
    pub fn schedule(&self, name: &str) -> Schedule<'_, O> {
        Schedule::new(&self.schedules, self, (self.id(), name))
    }

    /// The object's schedules, as this turn leaves them, in the order of their names.
    pub fn schedules(&self) -> Vec<ScheduleView> {
        self.schedules.all(self)
    }

    /// Which schedule the turn runs for, for which time, and how often that has failed. `None`: it is no run of a schedule,
    /// but a call, an alarm or a hook.
    pub fn scheduled(&self) -> Option<&ScheduleInfo> {
        self.scheduled.as_ref()
    }

    /// Runs `inside`, and takes back what it did to the KV, in SQL, to the alarm, to schedules, about sends and about sockets if it
    /// returns `Err` or panics; what the turn did before stays. Savepoints nest, 64 deep.
    ///
    /// The object's struct is not looked at: change it when `inside` has returned `Ok`. In a turn that takes `&self`
    /// there is nothing to take back.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Import { skipped: u64 }
    ///
    /// #[durable_object(name = "doc.Import")]
    /// impl Import {
    ///     pub fn load(&mut self, cx: &mut Context<'_, Self>, orders: Vec<Vec<i64>>) -> Result<u64, Error> {
    ///         cx.sql().exec("CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY)", ())?;
    ///         for order in orders {
    ///             // All lines of an order, or none.
    ///             let loaded = cx.savepoint(|cx| {
    ///                 order.iter().try_for_each(|id| cx.sql().exec("INSERT INTO lines VALUES (?)", [*id]).map(drop))
    ///             });
    ///             self.skipped += u64::from(loaded.is_err());
    ///         }
    ///         cx.sql().query_one("SELECT count(*) FROM lines", ())
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Import>().start().await?;
    /// let import = runtime.get::<Import>("orders");
    /// assert_eq!(import.load(vec![vec![1, 2], vec![3, 2], vec![4]]).await.unwrap(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `inside` returns; `savepoint.too_deep`; `storage.*` and `sql.*` if the database fails, and then the turn does, too.
    ///
    /// # Source
    /// Cloudflare Durable Objects, `transactionSync`.
    pub fn savepoint<T, E: From<Error>>(
        &self,
        inside: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.sql.may_write() {
            return inside(self);
        }
        self.sql.begin_savepoint()?;
        let kv = Some(self.desk.changes());
        let (alarm, schedules) = (self.alarm.deed(), self.schedules.deeds());
        let sends = self.sends.mark();
        let work = self.work.mark();
        #[cfg(feature = "http")]
        let sockets = self.sockets.mark();
        let mut open = OpenSavepoint {
            cx: self,
            kv,
            alarm,
            schedules,
            sends,
            work,
            #[cfg(feature = "http")]
            sockets,
        };
        let done = inside(self);
        open.end(if done.is_ok() { Fate::Keep } else { Fate::Undo })?;
        done
    }

    /// Erases the object: struct, KV and SQL, in the commit of this turn, whatever the turn does before or after. The
    /// object is not listed any more, none of its bytes are left, and the next call starts it anew, as if it had
    /// never been. If the turn fails nothing is erased.
    ///
    /// What the object has sent and what still waits goes, too; what this turn sends leaves all the same.
    ///
    /// Calls that wait are served by the object as it begins anew. In `#[on_activate]` it fails the start.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Session { visits: u64 }
    ///
    /// #[durable_object(name = "doc.Session")]
    /// impl Session {
    ///     pub fn visit(&mut self) -> u64 { self.visits += 1; self.visits }
    ///     pub fn log_out(&mut self, cx: &mut Context<'_, Self>) { cx.delete_all(); }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Session>().start().await?;
    /// let session = runtime.get::<Session>("ada");
    /// session.visit().await?;
    /// session.log_out().await?;
    /// assert!(runtime.list::<Session>().page().await?.is_empty());
    /// assert_eq!(session.visit().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Source
    /// Cloudflare Durable Objects, `deleteAll`. Ours takes everything, and what the same turn writes later, too.
    pub fn delete_all(&mut self) {
        self.erases = true;
    }

    /// The wall clock, in milliseconds since the Unix epoch. The same for the whole turn.
    pub fn now(&self) -> WallMs {
        *self.now.get_or_init(|| match self.scene {
            Scene::Slot { slot, .. } => {
                let now = slot.host().clock.wall();
                slot.host().report(|| Event::TurnTold { call: self.call, now });
                now
            }
            Scene::Alone(alone) => alone.now.unwrap_or_else(|| {
                alone.lacks("asks for a time that nobody has recorded");
                WallMs(0)
            }),
        })
    }

    /// Random bytes from the host: the operating system's, or the simulation's.
    pub fn rng(&self) -> Rng {
        self.drew();
        Rng { entropy: self.entropy() }
    }

    fn drew(&self) {
        if let Scene::Slot { slot, .. } = self.scene {
            slot.host().report(|| Event::TurnDrew { call: self.call });
        }
    }

    /// A stub of the object of class `C` called `key`. Making it touches nothing.
    ///
    /// A call through it leaves once every change that this turn could have seen is durable. It is not part of this
    /// turn's transaction: if this turn fails afterwards, the other object keeps what the call did. A call that would wait
    /// for this turn itself, directly or through others, fails with `call.cycle`.
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        self.client().get::<C>(key)
    }

    /// A stub of the object with this id.
    ///
    /// # Errors
    /// `id.foreign` if the id is not one of class `C` in this data directory; `class.unknown`.
    pub fn get_by_id<C: Object>(&self, id: ObjectId) -> Result<C::Stub, Error> {
        self.client().get_by_id::<C>(id)
    }

    /// A stub of a new object that no name leads to.
    pub fn unique<C: Object>(&self) -> C::Stub {
        self.client().unique::<C>()
    }

    /// Runs `task` beside the turn, on whatever thread is free. It ends with the turn, or when what this gives is dropped:
    /// then it is cut off at its next `.await`.
    ///
    /// A call that it makes is a call of the turn, with the turn's time, and fails with `call.cycle` if it would wait for the
    /// turn. Of calls in tasks that were started in another way, such as by `tokio::spawn`, nobody knows where they come
    /// from: a turn that waits for one that waits for it is only cut off when its time is over.
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[derive(Default, DurableState)]
    /// struct Report { sum: u64 }
    ///
    /// #[durable_object(name = "doc.Report")]
    /// impl Report {
    ///     pub async fn add_up(&mut self, cx: &mut Context<'_, Self>, numbers: Vec<u64>) -> u64 {
    ///         let evens = numbers.clone();
    ///         let evens = cx.task(async move { evens.iter().filter(|n| **n % 2 == 0).sum::<u64>() });
    ///         let odds = cx.task(async move { numbers.iter().filter(|n| **n % 2 == 1).sum::<u64>() });
    ///         self.sum = evens.await + odds.await;
    ///         self.sum
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let runtime = Runtime::builder(dir.path()).register::<Report>().start().await?;
    /// assert_eq!(runtime.get::<Report>("r").add_up(vec![1, 2, 3]).await?, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn task<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> TurnTask<T> {
        match self.scene {
            Scene::Slot { slot, .. } => {
                self.tasks.start(slot.group().waits(), &*slot.host().tasks, task)
            }
            Scene::Alone(_) => TurnTask::lazy(Box::pin(task)),
        }
    }

    /// A stub of this object itself, to hand out. A call through it that is awaited inside a turn fails with `call.cycle`,
    /// unless both only read.
    pub fn me(&self) -> O::Stub {
        O::Stub::from_address(match (&self.scene, self.origin()) {
            (Scene::Slot { slot, .. }, Some(origin)) => slot.address().within_turn(origin),
            (Scene::Slot { slot, .. }, None) => slot.address(),
            (Scene::Alone(alone), _) => {
                alone.lacks("makes a stub of its object");
                Address::broken(Code::RuntimeClosed.error("there is no runtime; start one"))
            }
        })
    }

    pub(super) fn client(&self) -> Client {
        match self.scene {
            Scene::Slot { slot, .. } => {
                slot.host().report(|| Event::TurnReached { call: self.call });
                slot.client(self.origin())
            }
            Scene::Alone(alone) => {
                alone.lacks("calls another object");
                Client::inside(Weak::new(), None)
            }
        }
    }

    fn origin(&self) -> Option<Origin> {
        let Scene::Slot { slot, fence } = self.scene else { return None };
        let shard = slot.group().shard(&slot.id());
        fence.map(|fence| Origin::new(shard, fence))
    }
}

impl<O: Object> Owner for Context<'_, O> {
    fn label(&self) -> String {
        match self.scene {
            Scene::Slot { slot, .. } => slot.label(),
            Scene::Alone(alone) => format!("{}({})", O::CLASS.name, alone.id),
        }
    }

    fn peek_now(&self) -> Option<WallMs> {
        match (self.now.get(), &self.scene) {
            (Some(now), _) => Some(*now),
            (None, Scene::Slot { slot, .. }) => Some(slot.host().clock.wall()),
            (None, Scene::Alone(alone)) => alone.now,
        }
    }

    fn told_now(&self) -> WallMs {
        self.now()
    }

    fn lacks(&self, what: &'static str) {
        if let Scene::Alone(alone) = self.scene {
            alone.lacks(what);
        }
    }

    fn entropy(&self) -> Arc<dyn Entropy> {
        match self.scene {
            Scene::Slot { slot, .. } => match &slot.host().director {
                Some(director) => director.entropy(self.call),
                None => Arc::clone(&slot.host().entropy),
            },
            Scene::Alone(alone) => Arc::clone(&alone.entropy),
        }
    }

    fn was_asked(&self, around: &Around, asked: Asked) {
        if asked.for_randomness {
            self.drew();
        }
        if !asked.for_time {
            return;
        }
        let Some(now) = around.now else {
            // It says so, and gives a time that nobody will see.
            self.now();
            return;
        };
        self.now.get_or_init(|| {
            if let Scene::Slot { slot, .. } = self.scene {
                slot.host().report(|| Event::TurnTold { call: self.call, now });
            }
            now
        });
    }
}

impl<O: Object> fmt::Debug for Context<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("object", &self.label()).finish_non_exhaustive()
    }
}

/// Random numbers for a turn, fit for secrets.
pub struct Rng {
    entropy: Arc<dyn Entropy>,
}

impl Rng {
    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }

    /// A number, each of the 2^64 as likely as any other.
    pub fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`, each as likely as any other.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below 0");
        // Numbers past the last whole multiple of `bound` would favour the small results; draw again.
        let whole = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.next_u64();
            if number < whole {
                return number % bound;
            }
        }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rng").finish_non_exhaustive()
    }
}
