//! P13: a call that would wait for itself fails at once and names the calls that lead back to it; a call that only waits
//! for others does not.

use std::future::IntoFuture;
use std::path::Path;
use std::time::Duration;

use durable::prelude::*;
use durable::{ErrorKind, Outcome};
use durable_testing::prelude::*;
use futures_util::future::{join, join3};
use tests::waits::How::{Glance, Look, Pull};
use tests::waits::{Knot, KnotStub, Plan, Said, Step, call, hop, knots};

async fn start(dir: &Path) -> Runtime {
    knots(Runtime::builder(dir)).register::<Mirror>().start().await.unwrap()
}

/// Calls itself in every way there is.
#[derive(Default, DurableState)]
pub struct Mirror {
    looks: u64,
    wakes_others: bool,
}

/// How a turn comes to a stub, or to a call through it.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub enum Way {
    Me,
    ByName,
    ById,
    InATask,
    InATaskOfATurnThatWaitsOtherwise,
}

#[durable_object(name = "wait.Mirror")]
impl Mirror {
    pub async fn look_into(&mut self, cx: &mut Context<'_, Self>, way: Way) -> Result<u64, Error> {
        self.looks += 1;
        match way {
            Way::Me => cx.me().looks().await,
            Way::ByName => cx.get::<Mirror>("m").looks().await,
            Way::ById => cx.get_by_id::<Mirror>(cx.id())?.looks().await,
            Way::InATask => {
                let me = cx.me();
                cx.task(async move { me.looks().await }).await
            }
            Way::InATaskOfATurnThatWaitsOtherwise => {
                let other = cx.get::<Mirror>("other");
                // The task of a turn calls an object whose turn calls back.
                let called = cx.task(async move { other.call_back("m".to_owned()).await });
                called.await?.map_or(Ok(0), Err)
            }
        }
    }

    pub async fn call_back(&mut self, cx: &mut Context<'_, Self>, name: String) -> Option<Error> {
        cx.get::<Mirror>(name).looks().await.err()
    }

    pub fn wake_others(&mut self) {
        self.wakes_others = true;
    }

    /// Starts an object that calls this one when it starts.
    pub async fn wake(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        cx.get::<Mirror>("early").looks().await
    }

    #[on_activate]
    async fn call_early(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        if self.wakes_others {
            cx.get::<Mirror>("m").looks().await?;
        }
        Ok(())
    }

    pub fn looks(&self) -> u64 {
        self.looks
    }
}

fn cycles(said: &Said) -> usize {
    said.iter().filter(|error| error.starts_with("call.cycle")).count()
}

#[tokio::test(start_paused = true)]
async fn a_call_of_its_own_object_fails_at_once_whatever_way_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let mirror = runtime.get::<Mirror>("m");
    for way in [Way::Me, Way::ByName, Way::ById, Way::InATask] {
        let CallError::Rejected(error) = mirror.look_into(way).await.unwrap_err() else {
            panic!("{way:?}: the method returns the error")
        };
        assert_eq!((error.code(), error.kind()), ("call.cycle", ErrorKind::FixCall), "{way:?}");
        assert_eq!(error.outcome(), Outcome::NotStarted);
        let chain = "wait.Mirror(m).look_into → wait.Mirror(m).looks;";
        assert!(error.message().contains(chain), "{error}");
    }
    assert_eq!(mirror.looks().await.unwrap(), 0, "the turns have failed");
}

#[tokio::test(start_paused = true)]
async fn a_circle_through_a_task_of_the_turn_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let mirror = runtime.get::<Mirror>("m");
    let error = mirror.look_into(Way::InATaskOfATurnThatWaitsOtherwise).await.unwrap_err();
    let chain = "wait.Mirror(m).look_into → wait.Mirror(other).call_back → wait.Mirror(m).looks;";
    assert!(error.to_string().contains(chain), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_circle_through_an_object_that_starts_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let early = runtime.get::<Mirror>("early");
    early.wake_others().await.unwrap();
    assert!(runtime.evict(early.id().unwrap()).await.unwrap());
    let error = runtime.get::<Mirror>("m").wake().await.unwrap_err().to_string();
    assert!(error.contains("object.unstartable") && error.contains("#[on_activate]"), "{error}");
    assert_eq!(early.looks().await.unwrap(), 0, "it starts when nobody waits for it in a turn");
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_leads_back_is_told_whole() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let back = call("a", Look, vec![]);
    let plan = vec![call("b", Pull, vec![call("c", Look, vec![back])])];
    let said = runtime.get::<Knot>("a").pull(plan).await.unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    let chain = "sim.Knot(a).pull → sim.Knot(b).pull → sim.Knot(c).look → sim.Knot(a).look;";
    assert!(said[0].starts_with("call.cycle") && said[0].contains(chain), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn two_turns_that_call_each_other_at_the_same_time_are_not_stuck() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (a, b) = (runtime.get::<Knot>("a"), runtime.get::<Knot>("b"));
    let to = |other| vec![Step::Pause(5), call(other, Pull, vec![])];
    let (one, other) = join(a.pull(to("b")).into_future(), b.pull(to("a")).into_future()).await;
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(cycles(&one) + cycles(&other), 1, "{one:?} {other:?}");
    let said = one.into_iter().chain(other).next().unwrap();
    assert!(said.contains(".pull, behind its pull → sim.Knot("), "{said}");
}

/// What `a` says that looks, and through `b` looks again in the middle, while a write of `a` waits or not.
async fn called_back(
    runtime: &Runtime,
    how: tests::waits::How,
    is_contended: bool,
) -> (Said, Said) {
    let a = runtime.get::<Knot>("a");
    let plan = vec![call("b", Pull, vec![Step::Pause(10), call("a", how, vec![])])];
    let mut look = Box::pin(a.look(plan).into_future());
    let write = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if is_contended { a.pull(vec![]).await.unwrap() } else { vec![] }
    };
    let (said, written) = join(&mut look, write).await;
    (said.unwrap(), written)
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_called_back_fails_only_behind_a_write_that_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    assert_eq!(called_back(&runtime, Look, false).await, (vec![], vec![]));
    let (said, _) = called_back(&runtime, Look, true).await;
    assert_eq!(cycles(&said), 1, "{said:?}");
    assert_eq!(called_back(&runtime, Glance, true).await, (vec![], vec![]), "it says it may");
    let (said, _) = called_back(&runtime, Pull, false).await;
    assert_eq!(cycles(&said), 1, "a write waits for the read: {said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reentrant_method_does_not_run_beside_a_write() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let plan = vec![call("b", Look, vec![call("a", Glance, vec![])])];
    let said = runtime.get::<Knot>("a").pull(plan).await.unwrap();
    assert_eq!(cycles(&said), 1, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn each_of_several_calls_at_once_may_close_the_circle() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hops = vec![
        hop("b", Pull, vec![Step::Pause(5)]),
        hop("c", Pull, vec![Step::Pause(2), call("a", Look, vec![])]),
        hop("d", Look, vec![call("b", Pull, vec![])]),
    ];
    let said = runtime.get::<Knot>("a").pull(vec![Step::Together(hops)]).await.unwrap();
    assert_eq!((said.len(), cycles(&said)), (1, 1), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_only_waits_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| runtime.get::<Knot>(name));
    // `c` is busy, with a turn of its own that calls `d`, which everybody calls.
    let busy = c.pull(vec![Step::Pause(20), call("d", Pull, vec![Step::Pause(5)])]).into_future();
    let through = |to| vec![call(to, Pull, vec![call("d", Look, vec![])]), call("d", Pull, vec![])];
    let (one, other, last) =
        join3(a.pull(through("c")).into_future(), b.look(through("c")).into_future(), busy).await;
    assert_eq!((one.unwrap(), other.unwrap(), last.unwrap()), (vec![], vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_is_waited_for_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    // The turn of `b` calls `a` when that does not wait for it any more, and still runs.
    let late: Plan = vec![Step::Pause(10), call("a", Pull, vec![])];
    let plan = vec![Step::Race(hop("b", Pull, late), 5), Step::Pause(20)];
    let (a, b) = (runtime.get::<Knot>("a"), runtime.get::<Knot>("b"));
    assert_eq!(a.pull(plan).await.unwrap(), [""; 0]);
    b.pull(vec![]).await.unwrap();
    assert_eq!(a.pulls().await.unwrap(), 2, "it was served");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_others_wait_for_goes_on_while_its_object_is_to_leave_memory() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let a = runtime.get::<Knot>("a");
    let plan = vec![Step::Pause(5), call("b", Pull, vec![call("a", Look, vec![])])];
    let look = a.look(plan).into_future();
    let evict = async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        runtime.evict(a.id().unwrap()).await.unwrap()
    };
    let (said, was_there) = join(look, evict).await;
    let said = said.unwrap();
    assert!(was_there);
    assert_eq!(cycles(&said), 1, "the end of the activation waits for the read: {said:?}");
    assert_eq!(called_back(&runtime, Glance, false).await, (vec![], vec![]));
}

#[durable_testing::test(runtime = knots, seeds = 100)]
async fn of_two_that_call_each_other_at_most_one_is_refused(sim: Sim) -> TestResult {
    let (a, b): (KnotStub, KnotStub) = (sim.get::<Knot>("a"), sim.get::<Knot>("b"));
    let to = |other| vec![call(other, Pull, vec![]), Step::Pause(1), call(other, Look, vec![])];
    let (one, other) = join(a.pull(to("b")).into_future(), b.pull(to("a")).into_future()).await;
    let refused = (cycles(&one?), cycles(&other?));
    assert!(refused.0 == 0 || refused.1 == 0, "{refused:?}: one of them goes on");
    sim.sometimes("they met", |trace| trace.count("call.circular") > 0);
    Ok(())
}
