//! The same tests on this machine: real time, real threads, a real disk in a temporary directory.
//!
//! A crash here is a runtime that is dropped in the middle of what it does, and started again on its files.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use durable::caller::{Caller, Request, Who};
use durable::host::{BoxFuture, Clock, Director, Entropy, Event, Host, MonoNs, Net};
use durable::{Code, Error, ObjectId, Runtime, RuntimeBuilder, SendId, WallMs};
use parking_lot::Mutex;

use crate::history::{self, CallIndex, History, Recorded};
use crate::ledger::{Ledger, Turned};
#[cfg(feature = "http")]
use crate::network::Listeners;
use crate::result::{IntoResult, TestResult};
use crate::sim::Sim;
use crate::world::turn_entropy;

/// How long calls that are under way may take to end.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// A machine that a test runs on.
pub(crate) struct Real {
    seed: u64,
    clock: Arc<dyn Clock>,
    began: MonoNs,
    build: Mutex<fn(RuntimeBuilder) -> RuntimeBuilder>,
    dir: tempfile::TempDir,
    /// `None`: the node is down.
    runtime: Mutex<Option<Runtime>>,
    ledger: Arc<Mutex<Ledger>>,
    #[cfg(feature = "http")]
    listeners: Listeners,
}

/// Runs `body` on a real runtime, and gives what it says.
pub(crate) fn run<F, R>(
    seed: u64,
    build: fn(RuntimeBuilder) -> RuntimeBuilder,
    body: impl FnOnce(Sim) -> F,
) -> TestResult
where
    F: Future<Output = R>,
    R: IntoResult,
{
    let tokio =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    tokio.block_on(async {
        let clock = Host::os().clock;
        let began = clock.now();
        let dir = tempfile::tempdir()?;
        let real = Arc::new(Real {
            seed,
            clock,
            began,
            build: Mutex::new(build),
            dir,
            runtime: Mutex::new(None),
            ledger: Arc::default(),
            #[cfg(feature = "http")]
            listeners: Listeners::default(),
        });
        real.start().await?;
        body(Sim::of_machine(&real)).await.into_result()?;
        real.shut_down().await?;
        Ok(())
    })
}

impl Real {
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now() - self.began
    }

    pub(crate) fn wall(&self) -> WallMs {
        self.clock.wall()
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    pub(crate) fn runtime(&self) -> Result<Runtime, Error> {
        let runtime = self.runtime.lock().clone();
        runtime
            .ok_or_else(|| Code::RuntimeClosed.error("the node is down; call again when it is up"))
    }

    async fn start(&self) -> Result<(), Error> {
        let watched = Watched { ledger: Arc::clone(&self.ledger), seed: self.seed };
        let host = Host { director: Some(Arc::new(watched)), net: self.net(), ..Host::os() };
        let build = *self.build.lock();
        let builder = build(Runtime::builder(self.dir.path())).host(host);
        *self.runtime.lock() = Some(builder.start().await?);
        Ok(())
    }

    /// From its next start on the node runs another program.
    pub(crate) fn install(&self, program: fn(RuntimeBuilder) -> RuntimeBuilder) {
        *self.build.lock() = program;
    }

    #[cfg(feature = "http")]
    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    #[cfg(feature = "http")]
    fn net(&self) -> Net {
        Net::new(self.listeners.clone())
    }

    #[cfg(not(feature = "http"))]
    fn net(&self) -> Net {
        Net::none()
    }

    async fn shut_down(&self) -> Result<(), Error> {
        let runtime = self.runtime.lock().take();
        match runtime {
            Some(runtime) => runtime.shutdown().await,
            None => Ok(()),
        }
    }

    pub(crate) async fn crash(&self) {
        let runtime = self.runtime.lock().take();
        drop(runtime);
        self.ledger.lock().crashed(self.step());
        self.start().await.unwrap_or_else(|error| panic!("the node does not start again: {error}"));
    }

    pub(crate) async fn restart(&self) {
        let ended = self.shut_down().await;
        ended.unwrap_or_else(|error| panic!("the node does not shut down: {error}"));
        self.start().await.unwrap_or_else(|error| panic!("the node does not start again: {error}"));
    }

    /// Waits until no call is under way.
    pub(crate) async fn settle(&self) -> Result<(), String> {
        let limit = self.clock.now() + SETTLE_MAX;
        while !self.ledger.lock().pending().is_empty() {
            if self.clock.now() > limit {
                return Err(format!("after {SETTLE_MAX:?} calls still wait"));
            }
            self.sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(crate) fn calls_to(
        &self,
        class: &'static str,
        object: ObjectId,
    ) -> Result<Vec<(Recorded, Turned)>, Error> {
        let runtime = self.runtime()?;
        let id_of = |who: &Who| runtime.id_of(class, who).ok();
        Ok(self.ledger.lock().calls_to(class, object, id_of))
    }

    /// Every call until now.
    pub(crate) fn history(&self) -> History {
        self.ledger.lock().history().clone()
    }

    /// What stands for a step here.
    fn step(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A call whose caller waits; when it is dropped, the caller has gone.
struct Waiting {
    ledger: Arc<Mutex<Ledger>>,
    /// `None`: it has its answer.
    index: Option<CallIndex>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(index) = self.index.take() {
            let why = "its caller did not wait".to_owned();
            self.ledger.lock().close(u64::MAX, index, history::Outcome::Unknown(why));
        }
    }
}

impl Caller for Real {
    fn call(&self, request: Request) -> BoxFuture<'static, Result<Vec<u8>, Error>> {
        let (index, number) = self.ledger.lock().begin(self.step(), &request);
        let mut waiting = Waiting { ledger: Arc::clone(&self.ledger), index: Some(index) };
        let answer = self.runtime().map(|runtime| runtime.dispatch(request, number));
        Box::pin(async move {
            let answer = match answer {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            waiting.index = None;
            waiting.ledger.lock().answer(u64::MAX, index, answer.as_ref().map(Vec::as_slice));
            answer
        })
    }

    fn send(
        &self,
        request: Request,
        delay: Option<Duration>,
    ) -> BoxFuture<'static, Result<SendId, Error>> {
        match self.runtime() {
            Ok(runtime) => runtime.dispatch_send(request, delay),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn id(&self, class: &'static str, who: &Who) -> Result<ObjectId, Error> {
        self.runtime()?.id_of(class, who)
    }

    fn unique(&self, class: &'static str) -> Result<ObjectId, Error> {
        self.runtime()?.unique_id(class)
    }

    fn number_stub(&self) -> u64 {
        self.ledger.lock().next_stub()
    }
}

/// Remembers what turns asked for, so that they can be run again.
struct Watched {
    ledger: Arc<Mutex<Ledger>>,
    seed: u64,
}

impl Director for Watched {
    fn saw(&self, event: &Event<'_>) {
        self.ledger.lock().saw(u64::MAX, event);
    }

    fn pass(&self, _: &ObjectId) -> Option<BoxFuture<'static, ()>> {
        None
    }

    fn number_call(&self) -> u64 {
        self.ledger.lock().next_number()
    }

    fn entropy(&self, call: u64) -> Arc<dyn Entropy> {
        turn_entropy(self.seed, call)
    }

    fn is_wired(&self) -> bool {
        false
    }
}
