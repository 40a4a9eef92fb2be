//! Work that a turn spawns: it begins after the turn's commit, keeps the object in memory, ends with its activation, and
//! costs nobody anything.

use std::future::{Future, IntoFuture, pending};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use durable::limits::{SPAWNED_LIMIT, SPAWNED_MAX};
use durable::prelude::*;
use durable::{CutOff, Outcome};
use durable_testing::prelude::*;
use futures_util::future::join;
use tests::WriterGate;
use tests::work::{Office, offices};

use super::p04_nothing_leaves_early::is_held;

/// Lets anything be spawned, and remembers beside its state what came of it.
#[derive(Default, DurableState)]
pub struct Boss {
    count: u64,
    #[serde(skip)]
    is_same: bool,
}

/// Pieces of work that have begun, and those that have gone, in this process; each test looks at its own place.
static BEGUN: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
static GONE: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

struct Going(usize);

impl Drop for Going {
    fn drop(&mut self) {
        GONE[self.0].fetch_add(1, Ordering::SeqCst);
    }
}

fn counts(place: usize) -> (u64, u64) {
    (BEGUN[place].load(Ordering::SeqCst), GONE[place].load(Ordering::SeqCst))
}

fn hang(
    place: usize,
) -> impl FnOnce(BossStub) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move |_| {
        Box::pin(async move {
            BEGUN[place].fetch_add(1, Ordering::SeqCst);
            let _going = Going(place);
            pending::<()>().await;
        })
    }
}

#[durable_object(name = "work.Boss", idle = "20ms")]
impl Boss {
    pub fn hang(&mut self, cx: &mut Context<'_, Self>, place: usize) -> u64 {
        self.count += 1;
        self.is_same = true;
        cx.spawn(hang(place));
        self.count
    }

    pub fn hang_reading(&self, cx: &Context<'_, Self>, place: usize) {
        cx.spawn(hang(place));
    }

    pub fn hang_and_refuse(
        &mut self,
        cx: &mut Context<'_, Self>,
        place: usize,
    ) -> Result<(), String> {
        cx.spawn(hang(place));
        Err("no".to_owned())
    }

    pub fn hang_often(&mut self, cx: &mut Context<'_, Self>, times: usize) {
        self.count += 1;
        (0..times).for_each(|_| cx.spawn(hang(7)));
    }

    pub fn hang_and_erase(&mut self, cx: &mut Context<'_, Self>, place: usize) {
        cx.spawn(hang(place));
        cx.delete_all();
    }

    pub fn panic_beside(&mut self, cx: &mut Context<'_, Self>) {
        self.is_same = true;
        cx.spawn(|_| async { panic!("asked to") });
    }

    pub fn pass(&mut self, cx: &mut Context<'_, Self>) {
        cx.spawn(move |me| async move {
            until(4, (1, 0)).await;
            let seen = me.who().await.expect("it answers");
            assert_eq!(seen.as_deref(), Some("ada"), "it carries what its turn did");
            me.add().await.expect("it is taken while the runtime lets everything end");
        });
    }

    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub fn crash(&self) {
        panic!("asked to")
    }

    pub fn who(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.metadata().get("principal").map(str::to_owned)
    }

    pub fn state(&self) -> (u64, bool) {
        (self.count, self.is_same)
    }
}

async fn start() -> (tempfile::TempDir, Runtime) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Boss>().start().await.unwrap();
    (dir, runtime)
}

async fn until(place: usize, wanted: (u64, u64)) {
    for _ in 0..100_000 {
        if counts(place) == wanted {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{:?} instead of {wanted:?}", counts(place));
}

#[durable_testing::test(runtime = offices, seeds = 20)]
async fn work_tells_its_object_what_came_of_it(sim: Sim) -> TestResult {
    let office = sim.get::<Office>("a");
    let before = sim.now();
    assert_eq!(office.order(500).await?, 1);
    assert_eq!(office.ordered().await?, 1, "the object answers meanwhile");
    assert!(sim.now() - before < Duration::from_millis(400));
    sim.advance(Duration::from_secs(1)).await;
    assert_eq!(
        office.all_done().await?,
        [1],
        "it has stayed in memory, though it is idle long before"
    );
    sim.advance(Duration::from_secs(1)).await;
    assert_eq!(sim.resident_objects(), 0, "and then it leaves");
    Ok(())
}

#[durable_testing::test(runtime = offices, crash_everywhere)]
async fn work_begins_after_its_commit_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let office = sim.get::<Office>("a");
    let ordered = office.order(1).await;
    let _ = office.order_and_refuse().await;
    sim.heal().await?;
    sim.advance(Duration::from_millis(100)).await;
    let (count, done) = (office.ordered().await?, office.all_done().await?);
    assert!(ordered.is_err() || count == 1, "it was answered");
    assert!(done.len() as u64 <= count, "{done:?} of {count}");
    Ok(())
}

#[tokio::test]
async fn work_waits_for_the_disk_as_its_turns_answer_does_and_that_of_a_read_for_what_it_saw() {
    let (dir, gate) = (tempfile::tempdir().unwrap(), WriterGate::default());
    let builder = Runtime::builder(dir.path()).register::<Boss>();
    let runtime = builder.host(gate.host()).start().await.unwrap();
    let boss = runtime.get::<Boss>("a");
    boss.state().await.unwrap();
    gate.close();
    let mut held = boss.hang(0).into_future();
    assert!(is_held(&mut held).await);
    boss.hang_reading(0).relaxed().await.unwrap();
    assert_eq!(boss.hang(0).relaxed().await.unwrap(), 2, "this does not wait");
    assert_eq!(counts(0), (0, 0), "but its work does");
    gate.open();
    held.await.unwrap();
    until(0, (3, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn work_of_a_turn_that_is_undone_never_begins() {
    let (_dir, runtime) = start().await;
    let boss = runtime.get::<Boss>("a");
    boss.hang_and_refuse(1).await.unwrap_err();
    boss.hang_and_erase(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counts(1), (0, 0));
    assert_eq!(boss.state().await.unwrap(), (0, false));
}

#[tokio::test(start_paused = true)]
async fn work_ends_with_its_activation_and_after_a_quarter_of_an_hour() {
    let (_dir, runtime) = start().await;
    let boss = runtime.get::<Boss>("a");
    let id = boss.id().unwrap();
    boss.hang(2).await.unwrap();
    until(2, (1, 0)).await;
    boss.crash().await.unwrap_err();
    assert_eq!(boss.state().await.unwrap(), (1, false), "it has begun anew");
    assert_eq!(counts(2), (1, 1), "a crash ends it");
    boss.hang(2).await.unwrap();
    until(2, (2, 1)).await;
    assert!(runtime.evict(id).await.unwrap());
    assert_eq!(counts(2), (2, 2), "so does an eviction that is asked for");
    boss.hang(2).await.unwrap();
    until(2, (3, 2)).await;
    assert!(runtime.delete(id).await.unwrap());
    assert_eq!(counts(2), (3, 3), "and a deletion");
    boss.hang(2).await.unwrap();
    until(2, (4, 3)).await;
    tokio::time::sleep(SPAWNED_LIMIT - Duration::from_secs(1)).await;
    assert_eq!((runtime.resident_objects(), counts(2)), (1, (4, 3)), "its object stays for it");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((runtime.resident_objects(), counts(2)), (0, (4, 4)), "and no longer");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_work_costs_nobody_anything() {
    let (_dir, runtime) = start().await;
    let boss = runtime.get::<Boss>("a");
    boss.panic_beside().await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(boss.state().await.unwrap(), (0, true), "it is the same in memory");
}

#[tokio::test]
async fn there_is_only_so_much_work() {
    let (_dir, runtime) = start().await;
    let boss = runtime.get::<Boss>("a");
    boss.hang_often(SPAWNED_MAX - 1).await.unwrap();
    let error = boss.hang_often(2).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("spawn.overloaded", Outcome::RolledBack));
    assert!(error.message().contains("65 pieces") && error.message().contains("limit is 64"));
    boss.hang_often(1).await.unwrap();
    assert_eq!(boss.state().await.unwrap().0, 2, "that turn was undone");
}

#[tokio::test]
async fn a_shutdown_waits_for_work_and_takes_its_calls() {
    let (dir, runtime) = start().await;
    let boss = runtime.get::<Boss>("a");
    boss.pass().metadata("principal", "ada").await.unwrap();
    let (shut, ()) = join(runtime.shutdown(), async {
        while boss.state().await.is_ok() {}
        // It takes no calls from outside any more, and the work goes on.
        BEGUN[4].store(1, Ordering::SeqCst);
    })
    .await;
    shut.unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Boss>().start().await.unwrap();
    assert_eq!(runtime.get::<Boss>("a").state().await.unwrap().0, 1, "what it did is stored");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_names_the_work_that_it_cuts_off() {
    let (_dir, runtime) = start().await;
    let boss = runtime.get::<Boss>("a");
    boss.hang(3).await.unwrap();
    until(3, (1, 0)).await;
    let error = runtime.shutdown().await.unwrap_err();
    assert_eq!(error.code(), "shutdown.cut");
    assert!(error.message().contains("work.Boss(a).hang's work"), "{error}");
    assert!(matches!(error.cut(), [CutOff::Work { method: "hang", .. }]), "{:?}", error.cut());
    until(3, (1, 1)).await;
}

/// Spawns when it starts.
#[derive(Default, DurableState)]
pub struct Eager {}

#[durable_object(name = "work.Eager")]
impl Eager {
    pub fn touch(&mut self) {}

    #[on_activate]
    fn wake(&mut self, cx: &mut Context<'_, Self>) {
        cx.spawn(|_| async {});
    }
}

#[tokio::test]
async fn a_start_spawns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Eager>().start().await.unwrap();
    let error = runtime.get::<Eager>("a").touch().await.unwrap_err();
    assert_eq!(error.code(), "object.unstartable");
    assert!(error.message().contains("spawns work"), "{error}");
}
