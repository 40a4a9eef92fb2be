//! What a test holds of its world.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use durable::{
    AlarmView, Client, DeadLetter, DeadLetterId, IntoKey, Listing, Object, ObjectId, Runtime,
    RuntimeBuilder, ScheduleView, SendId, Stub, WallMs,
};

use crate::check;
use crate::check::linear::Model;
use crate::crew::Crew;
use crate::disk::{Crash, FaultKind};
use crate::history::{History, Recorded};
use crate::ledger::Turned;
use crate::plan::Faults;
use crate::real::Real;
use crate::result::{Holds, TestError, TestResult};
use crate::trace::Trace;
use crate::view;
use crate::world::{Outside, World};

/// A world, as the test in it sees it: where stubs come from, and what goes wrong when.
///
/// Cheap to clone; every clone is of the same world. Stubs outlive crashes: a call that is under way in a crash fails
/// with the outcome [`Unknown`](durable::Outcome::Unknown), and one that comes while the node is down waits for it.
#[derive(Clone)]
pub struct Sim {
    pub(crate) stage: Stage,
    client: Client,
}

/// Where a test runs.
#[derive(Clone)]
pub(crate) enum Stage {
    /// In a world that is drawn from a seed.
    World(Arc<World>),
    /// On this machine.
    Real(Arc<Real>),
}

impl Sim {
    pub(crate) fn of_world(world: &Arc<World>) -> Self {
        let client = Client::away(Arc::new(Outside(Arc::downgrade(world))));
        Sim { stage: Stage::World(Arc::clone(world)), client }
    }

    pub(crate) fn of_machine(real: &Arc<Real>) -> Self {
        let client = Client::away(Arc::clone(real) as _);
        Sim { stage: Stage::Real(Arc::clone(real)), client }
    }

    /// A stub of the object of class `C` called `key`. Making it touches nothing.
    pub fn get<C: Object>(&self, key: impl IntoKey<C::Key>) -> C::Stub {
        self.client.get::<C>(key)
    }

    /// A stub of the object with this id.
    ///
    /// # Errors
    /// `id.foreign`, `class.unknown`; `runtime.closed` while the node is down.
    pub fn get_by_id<C: Object>(&self, id: ObjectId) -> Result<C::Stub, durable::Error> {
        self.client.get_by_id::<C>(id)
    }

    /// A stub of a new object that no name leads to. While the node is down, its calls fail.
    pub fn unique<C: Object>(&self) -> C::Stub {
        self.client.unique::<C>()
    }

    /// Where the stubs come from, to hand to what is tested.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of class `C` that are stored.
    ///
    /// # Errors
    /// `runtime.closed` while the node is down.
    pub fn list<C: Object>(&self) -> Result<Listing<C>, durable::Error> {
        Ok(self.runtime()?.list::<C>())
    }

    pub(crate) fn runtime(&self) -> Result<Runtime, durable::Error> {
        match &self.stage {
            Stage::World(world) => world.runtime(),
            Stage::Real(real) => real.runtime(),
        }
    }

    /// Time since the test began.
    pub fn now(&self) -> Duration {
        match &self.stage {
            Stage::World(world) => Duration::from_nanos(world.now_ns()),
            Stage::Real(real) => real.now(),
        }
    }

    /// The wall clock of the node.
    pub fn wall(&self) -> WallMs {
        match &self.stage {
            Stage::World(world) => WallMs(world.wall_ms()),
            Stage::Real(real) => real.wall(),
        }
    }

    /// Objects that are in memory; 0 while the node is down.
    pub fn resident_objects(&self) -> usize {
        self.runtime().map_or(0, |runtime| runtime.resident_objects())
    }

    /// Lets `time` pass, with everything that is due in it. On a real machine it passes really.
    pub async fn advance(&self, time: Duration) {
        match &self.stage {
            Stage::World(world) => world.sleep(time).await,
            Stage::Real(real) => real.sleep(time).await,
        }
    }

    /// Waits until the node takes calls.
    pub async fn up(&self) {
        if let Stage::World(world) = &self.stage {
            world.wait_until_up().await;
        }
    }

    /// From now on things go wrong, as each seed draws them from `faults`. On a real machine nothing does.
    pub fn faults(&self, faults: Faults) {
        if let Stage::World(world) = &self.stage {
            world.switch_on(&faults);
        }
    }

    /// Takes an object out of memory, after the turn that runs. Gives whether it was in memory.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile.
    pub async fn evict<O: Object<Stub = S>, S: Stub<O>>(&self, stub: &S) -> TestResult<bool> {
        let evicted = self.runtime()?.evict(stub.id()?).await;
        Ok(evicted?)
    }

    /// Erases an object, when no turn of it runs. Gives whether anything of it was stored.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; the object cannot be erased.
    pub async fn delete<O: Object<Stub = S>, S: Stub<O>>(&self, stub: &S) -> TestResult<bool> {
        let erased = self.runtime()?.delete(stub.id()?).await;
        Ok(erased?)
    }

    /// Runs the handler of an object's alarm at once, due or not. Gives whether there was an alarm.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; the handler failed.
    pub async fn run_alarm<O: Object<Stub = S>, S: Stub<O>>(&self, stub: &S) -> TestResult<bool> {
        let ran = self.runtime()?.run_alarm(stub.id()?).await;
        Ok(ran?)
    }

    /// Runs a schedule of an object at once, due or not. Gives whether there was one of that name.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; the run failed.
    pub async fn run_schedule<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
        name: &str,
    ) -> TestResult<bool> {
        let ran = self.runtime()?.run_schedule(stub.id()?, name).await;
        Ok(ran?)
    }

    /// Takes a send back, as [`Runtime::cancel_send`](durable::Runtime::cancel_send).
    ///
    /// # Errors
    /// The node is down; what that gives.
    pub async fn cancel_send(&self, id: SendId) -> TestResult<bool> {
        let taken_back = self.runtime()?.cancel_send(id).await;
        Ok(taken_back?)
    }

    /// The alarm that is stored of an object. `None`: none is set.
    ///
    /// # Errors
    /// The node is down.
    pub fn alarm<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
    ) -> TestResult<Option<AlarmView>> {
        Ok(self.runtime()?.alarm(stub.id()?)?)
    }

    /// The schedules that are stored of an object, in the order of their names.
    ///
    /// # Errors
    /// The node is down.
    pub fn schedules<O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stub: &S,
    ) -> TestResult<Vec<ScheduleView>> {
        Ok(self.runtime()?.schedules(stub.id()?)?)
    }

    /// One page of the dead letters of all objects.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile.
    pub async fn dead_letters(&self, after: Option<DeadLetterId>) -> TestResult<Vec<DeadLetter>> {
        let letters = self.runtime()?.dead_letters(after).await;
        Ok(letters?)
    }

    /// Sets the alarm again that a dead letter was.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; the letter cannot be retried.
    pub async fn retry_dead_letter(&self, id: DeadLetterId) -> TestResult {
        let retried = self.runtime()?.retry_dead_letter(id).await;
        Ok(retried?)
    }

    /// Takes a dead letter away.
    ///
    /// # Errors
    /// The node is down, or goes down meanwhile; the letter cannot be dropped.
    pub async fn drop_dead_letter(&self, id: DeadLetterId) -> TestResult {
        let dropped = self.runtime()?.drop_dead_letter(id).await;
        Ok(dropped?)
    }

    /// The wall clock jumps, back if `by_ms` is negative. On a real machine it does not.
    pub fn jump_clock(&self, by_ms: i64) {
        if let Stage::World(world) = &self.stage {
            world.jump(by_ms);
        }
    }

    /// Ends the node's process at once. It is up again when this returns.
    pub async fn crash(&self) {
        self.fall(Crash::Process).await;
    }

    /// Cuts the node's power: what was not synced is lost or torn. It is up again when this returns. On a real machine it
    /// is a crash.
    pub async fn power_cut(&self) {
        self.fall(Crash::PowerTorn).await;
    }

    /// Backs the node up while everything goes on, and checks the copy: it is whole or refused, and every object in it is as
    /// it was at one moment meanwhile. Gives whether the backup was made; a node that goes down or a disk that fails makes
    /// none. On a real machine none is made.
    pub async fn backup(&self) -> bool {
        let Stage::World(world) = &self.stage else { return false };
        let (Ok(runtime), Some(before)) = (world.runtime(), world.before_backup()) else {
            return false;
        };
        let made = runtime.backup(before.to()).await.is_ok();
        drop(runtime);
        if !made {
            // What there is of it is looked at by whoever comes after a crash.
            world.wait_until_up().await;
        }
        world.after_backup(&before, made);
        made
    }

    async fn fall(&self, mode: Crash) {
        match &self.stage {
            Stage::World(world) => {
                world.crash(mode);
                world.wait_until_up().await;
            }
            Stage::Real(real) => real.crash().await,
        }
    }

    /// Shuts the node down properly and starts it again.
    pub async fn restart(&self) {
        match &self.stage {
            Stage::World(world) => {
                if world.shut_down().await {
                    world.start_node();
                }
                world.wait_until_up().await;
            }
            Stage::Real(real) => real.restart().await,
        }
    }

    /// Shuts the node down properly and starts it again as another release of the program: classes of the same names, whose
    /// stored types have changed. Later starts are of that release, too.
    ///
    /// Stubs of the older release's types are of no use any more; what [`always`](Self::always) looks at is decoded as the
    /// newer release would only once the object has been in memory again.
    pub async fn upgrade(&self, program: fn(RuntimeBuilder) -> RuntimeBuilder) {
        match &self.stage {
            Stage::World(world) => world.install(program),
            Stage::Real(real) => real.install(program),
        }
        self.restart().await;
    }

    /// Cuts the node's power the next time that it comes to `point`, such as `commit.stored` or `turn.ended`; see
    /// [`points`](crate::points).
    ///
    /// # Errors
    /// There is no such point, or this is a real machine.
    pub fn crash_at(&self, point: &str) -> TestResult {
        let world = self.world("crash_at")?;
        if !crate::points().contains(&point) {
            let known = crate::points().join(", ");
            return Err(TestError::new(format!("there is no point `{point}`; there are {known}")));
        }
        world.crash_at(point, Crash::PowerTorn);
        Ok(())
    }

    /// Lets the next commit of the node fail with `fault`.
    ///
    /// # Errors
    /// This is a real machine.
    pub fn fail_next_commit(&self, fault: FaultKind) -> TestResult {
        self.world("fail_next_commit")?.fail_next_commit(fault);
        Ok(())
    }

    /// Lets the next `times` reads of the node's databases fail, one after another.
    ///
    /// # Errors
    /// This is a real machine.
    pub fn fail_reads(&self, times: u64) -> TestResult {
        self.world("fail_reads")?.fail_reads(times);
        Ok(())
    }

    /// Looks at an object in memory, between two turns. Wakes it if it is cold.
    ///
    /// # Errors
    /// The node is down, or the object cannot start.
    pub async fn inspect<O: Object<Stub = S>, S: Stub<O>, T: Send + 'static>(
        &self,
        stub: &S,
        look: impl FnOnce(&O) -> T + Send + 'static,
    ) -> TestResult<T> {
        let looked = self.runtime()?.inspect::<O, T>(stub.id()?, look).await;
        Ok(looked?)
    }

    /// Checks `condition` on what is durable, after every commit and every start. On a real machine it is not checked.
    pub fn always<H: Holds>(
        &self,
        name: &str,
        condition: impl Fn(&view::World<'_>) -> H + Send + Sync + 'static,
    ) {
        if let Stage::World(world) = &self.stage {
            let condition = Arc::new(move |seen: &view::World<'_>| condition(seen).holds());
            world.invariants.lock().add(name, condition);
        }
    }

    /// Says that `condition` must hold of the trace of at least one seed, or the whole test fails: it would never have met
    /// what it is there for.
    pub fn sometimes(&self, name: &str, condition: impl FnOnce(&Trace) -> bool) {
        if let Stage::World(world) = &self.stage {
            let holds = condition(&world.trace.lock());
            world.remember(name, holds);
        }
    }

    /// Every call until now, those that objects make of each other included, as its caller saw it.
    pub fn history(&self) -> History {
        match &self.stage {
            Stage::World(world) => world.history(),
            Stage::Real(real) => real.history(),
        }
    }

    /// What has happened until now. On a real machine nothing is written down.
    pub fn trace(&self) -> Trace {
        match &self.stage {
            Stage::World(world) => world.trace.lock().clone(),
            Stage::Real(_) => Trace::default(),
        }
    }

    /// Runs `count` clients beside each other, until all have ended. Each is one who calls, with chances of its own.
    pub async fn clients<F: Future>(
        &self,
        count: usize,
        client: impl Fn(Crew) -> F,
    ) -> Vec<F::Output> {
        let crew = (0..count).map(|number| client(Crew::new(self.clone(), number as u64)));
        futures_util::future::join_all(crew).await
    }

    /// Nothing goes wrong from here on, and everything that is under way must come to an end within a minute, alarms that
    /// are due included.
    ///
    /// # Errors
    /// What does not come to an end.
    pub async fn heal(&self) -> TestResult {
        match &self.stage {
            Stage::World(world) => {
                world.switch_off();
                let settled = world.settle().await;
                world.trust_disk();
                settled.map_err(|text| TestError::of_check("heal", text))
            }
            Stage::Real(real) => {
                real.settle().await.map_err(|text| TestError::of_check("heal", text))
            }
        }
    }

    /// Checks that the calls to each of these objects can have happened one at a time, in an order that their callers
    /// could see. What each call does is said by the class's own methods, run on memory without faults.
    ///
    /// # Errors
    /// The calls that cannot be explained. Or a method cannot be run by itself, because it calls other objects or waits:
    /// then say with [`check_history_against`](Self::check_history_against) what it does.
    pub fn check_history<'s, O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stubs: impl IntoIterator<Item = &'s S>,
    ) -> TestResult {
        stubs.into_iter().try_for_each(|stub| check::history::against_itself::<O, S>(self, stub))
    }

    /// As [`check_history`](Self::check_history), for a class whose calls do what `model` says.
    ///
    /// # Errors
    /// The calls that cannot be explained, or that the model does not know.
    pub fn check_history_against<'s, O: Object<Stub = S>, S: Stub<O>>(
        &self,
        stubs: impl IntoIterator<Item = &'s S>,
        model: &impl Model,
    ) -> TestResult {
        let mut stubs = stubs.into_iter();
        stubs.try_for_each(|stub| check::history::against::<O, S>(self, stub, model))
    }

    /// The calls to one object of a class.
    pub(crate) fn calls_to(
        &self,
        class: &'static str,
        object: ObjectId,
    ) -> Result<Vec<(Recorded, Turned)>, durable::Error> {
        match &self.stage {
            Stage::World(world) => world.calls_to(class, object),
            Stage::Real(real) => real.calls_to(class, object),
        }
    }

    /// What chance in this test comes from.
    pub(crate) fn seed(&self) -> u64 {
        match &self.stage {
            Stage::World(world) => world.seed,
            Stage::Real(real) => real.seed(),
        }
    }

    fn world(&self, wish: &str) -> Result<&Arc<World>, TestError> {
        match &self.stage {
            Stage::World(world) => Ok(world),
            Stage::Real(_) => {
                Err(TestError::new(format!("`{wish}` is for simulated worlds; this one is real")))
            }
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("now", &self.now()).finish_non_exhaustive()
    }
}
