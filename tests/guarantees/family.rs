//! Objects that own objects: born of their parents, in memory with them, supervised by them, deleted with them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use durable::prelude::*;
use durable::{ChildExit, Decision, Down, StubRef};

/// Tests whose player hangs.
static HANGING: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Anything below a room; it may own more of its kind.
#[derive(Default, DurableState)]
struct Player {
    points: u64,
    #[serde(skip)]
    wakes: u64,
}

#[durable_object(name = "family.Player", visibility = "pub(crate)", history)]
impl Player {
    pub fn score(&mut self, points: u64) -> u64 {
        self.points += points;
        self.points
    }

    pub fn points(&self) -> u64 {
        self.points
    }

    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    pub fn parent(&self, cx: &Context<'_, Self>) -> Option<ObjectId> {
        cx.parent()
    }

    pub fn own_name(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.name().map(str::to_owned)
    }

    /// In all its stores.
    pub fn keep(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        self.points += 1;
        cx.kv().put("k", &1_u64)?;
        cx.sql().exec("CREATE TABLE IF NOT EXISTS t (x)", ())?;
        cx.alarm().set_after(Duration::from_secs(3_600));
        Ok(())
    }

    #[alarm]
    fn rings(&mut self) {
        self.points += 1_000;
    }

    /// Below it, in a chain of this length.
    pub async fn deep(&mut self, cx: &mut Context<'_, Self>, below: u64) -> Result<u64, Error> {
        self.points += 1;
        if below == 0 {
            return Ok(0);
        }
        let next = cx.child::<Player>(format!("{below}"));
        Ok(1 + next.deep(below - 1).await.map_err(flat)?)
    }

    pub fn crash(&mut self) {
        self.points += 100;
        panic!("on purpose");
    }

    pub async fn ask_parent(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        let room = cx.get_by_id::<Room>(cx.parent().expect("it has one"))?;
        room.rounds().await
    }

    /// `test`: who is to see that it has begun.
    pub async fn hang(&mut self, test: u64) {
        self.points += 7;
        HANGING.lock().unwrap().insert(test);
        std::future::pending().await
    }

    #[on_activate]
    fn wake(&mut self) {
        self.wakes += 1;
    }
}

fn flat(error: CallError<Error>) -> Error {
    match error {
        CallError::Rejected(error) | CallError::Failed(error) => error,
    }
}

#[derive(Default, DurableState)]
struct Room {
    rounds: u64,
    exits: Vec<String>,
    best: Option<StubRef<Player>>,
}

#[durable_object(
    name = "family.Room",
    visibility = "pub(crate)",
    children = "one_for_all",
    intensity = 2,
    period = "5s"
)]
impl Room {
    pub fn round(&mut self) -> u64 {
        self.rounds += 1;
        self.rounds
    }

    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    pub fn player(&self, cx: &Context<'_, Self>, name: String) -> Result<StubRef<Player>, Error> {
        cx.child::<Player>(name).to_ref()
    }

    pub fn crown(&mut self, best: StubRef<Player>) {
        self.best = Some(best);
    }

    pub async fn reward(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        cx.bind(self.best.as_ref().expect("somebody is best"))?.score(10).await
    }

    pub async fn players(&self, cx: &Context<'_, Self>) -> Result<Vec<(String, bool)>, Error> {
        let page = cx.children().page().await?;
        let mut players: Vec<_> = page
            .iter()
            .map(|child| {
                assert_eq!(child.class(), "family.Player");
                (child.name().unwrap_or("?").to_owned(), child.is_active())
            })
            .collect();
        players.sort();
        Ok(players)
    }

    pub fn exits(&self) -> Vec<String> {
        self.exits.clone()
    }

    pub fn close(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    pub fn crash(&mut self) {
        panic!("on purpose");
    }

    #[on_child_exit]
    async fn saw(&mut self, cx: &mut Context<'_, Self>, exit: ChildExit) {
        assert!(cx.name().is_some());
        let ChildExit { class, name, reason, restarts, .. } = exit;
        let name = name.unwrap_or_default();
        self.exits.push(format!("{class}({name}) {reason} {restarts}"));
    }
}

#[derive(Default, DurableState)]
struct Guard {
    downs: Vec<String>,
}

#[durable_object(name = "family.Guard", visibility = "pub(crate)")]
impl Guard {
    pub fn watch(
        &mut self,
        cx: &mut Context<'_, Self>,
        whom: StubRef<Player>,
    ) -> Result<(), Error> {
        cx.monitor(&cx.bind(&whom)?)
    }

    pub fn leave(&mut self, cx: &mut Context<'_, Self>, whom: StubRef<Player>) -> bool {
        cx.demonitor(whom.id())
    }

    pub fn downs(&self) -> Vec<String> {
        self.downs.clone()
    }

    #[on_down]
    fn saw(&mut self, down: Down) {
        self.downs.push(format!("{} {}", down.name.unwrap_or_default(), down.reason));
    }
}

async fn start(dir: &Path) -> Runtime {
    let builder = Runtime::builder(dir).register::<Player>().register::<Room>();
    builder.register::<Guard>().start().await.unwrap()
}

async fn player(runtime: &Runtime, room: &RoomStub, name: &str) -> PlayerStub {
    runtime.bind(&room.player(name.to_owned()).await.unwrap()).unwrap()
}

/// Lets all tasks run until it is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Lets all tasks run for a while.
async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_child_is_one_of_its_parents_and_knows_whose() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (hall, yard) = (runtime.get::<Room>("hall"), runtime.get::<Room>("yard"));
    let ada = player(&runtime, &hall, "ada").await;
    let other = player(&runtime, &yard, "ada").await;
    let stranger = runtime.get::<Player>("ada");
    assert_eq!(ada.score(5).await.unwrap(), 5);
    assert_eq!(other.score(1).await.unwrap(), 1);
    assert_eq!(stranger.score(2).await.unwrap(), 2);
    assert_eq!(ada.parent().await.unwrap(), Some(hall.id().unwrap()));
    assert_eq!(stranger.parent().await.unwrap(), None);
    assert_eq!(ada.id().unwrap().slot(), hall.id().unwrap().slot());
    let text = ada.id().unwrap().to_string();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    // Its id alone leads to a child that is stored, and through it to its parent.
    let runtime = start(dir.path()).await;
    let ada = runtime.get_by_id::<Player>(text.parse().unwrap()).unwrap();
    assert_eq!(ada.points().await.unwrap(), 5);
    assert_eq!(ada.own_name().await.unwrap().as_deref(), Some("ada"));
    assert_eq!(ada.parent().await.unwrap(), Some(hall.id().unwrap()));
    assert_eq!(runtime.resident_objects(), 2, "its parent is there while it is");
    let wrong = runtime.get_by_id::<Room>(text.parse().unwrap()).unwrap_err();
    assert_eq!(wrong.code(), "id.foreign");
    let found = durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[tokio::test]
async fn a_child_that_is_not_stored_is_not_found_by_its_id_alone() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hall = runtime.get::<Room>("hall");
    let reference = hall.player("ada".to_owned()).await.unwrap();
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let runtime = start(dir.path()).await;
    let by_id = runtime.get_by_id::<Player>(reference.id()).unwrap();
    let error = by_id.score(1).await.unwrap_err();
    assert_eq!(error.code(), "child.orphaned");
    assert_eq!(runtime.bind(&reference).unwrap().score(1).await.unwrap(), 1);
    assert_eq!(by_id.score(1).await.unwrap(), 2, "it is stored");
}

#[tokio::test]
async fn a_stub_travels_as_data_and_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (hall, yard) = (runtime.get::<Room>("hall"), runtime.get::<Room>("yard"));
    yard.crown(hall.player("ada".to_owned()).await.unwrap()).await.unwrap();
    assert_eq!(yard.reward().await.unwrap(), 10);
    runtime.shutdown().await.unwrap();
    drop(runtime);
    let runtime = start(dir.path()).await;
    assert_eq!(runtime.get::<Room>("yard").reward().await.unwrap(), 20);
    assert_eq!(player(&runtime, &hall_of(&runtime), "ada").await.points().await.unwrap(), 20);
}

fn hall_of(runtime: &Runtime) -> RoomStub {
    runtime.get::<Room>("hall")
}

#[tokio::test]
async fn a_chain_that_is_too_deep_is_refused_with_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let top = runtime.get::<Player>("top");
    assert_eq!(top.deep(4).await.unwrap(), 4);
    let error = top.deep(5).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("child.too_deep"), "{text}");
    assert!(text.contains("5 levels below the first object, the limit is 4"), "{text}");
    assert!(text.contains("family.Player(top)/family.Player(5)/"), "{text}");
}

#[tokio::test]
async fn children_are_listed_that_are_stored_or_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hall = runtime.get::<Room>("hall");
    assert_eq!(hall.players().await.unwrap(), []);
    player(&runtime, &hall, "ada").await.score(1).await.unwrap();
    let bob = player(&runtime, &hall, "bob").await;
    assert_eq!(bob.points().await.unwrap(), 0);
    let both = [("ada".to_owned(), true), ("bob".to_owned(), true)];
    assert_eq!(hall.players().await.unwrap(), both);
    for name in ["ada", "bob"] {
        let id = player(&runtime, &hall, name).await.id().unwrap();
        assert!(runtime.evict(id).await.unwrap());
    }
    assert_eq!(hall.players().await.unwrap(), [("ada".to_owned(), false)]);
}

#[tokio::test]
async fn children_leave_memory_before_their_parent_in_reverse_order() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hall = runtime.get::<Room>("hall");
    for name in ["ada", "bob", "cyd"] {
        player(&runtime, &hall, name).await.score(1).await.unwrap();
    }
    assert_eq!(runtime.resident_objects(), 4);
    assert!(runtime.evict(hall.id().unwrap()).await.unwrap());
    assert_eq!(runtime.resident_objects(), 0);
    let ada = player(&runtime, &hall, "ada").await;
    assert_eq!(ada.wakes().await.unwrap(), 1, "it came anew");
    runtime.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_parent_that_is_to_leave_answers_its_child_first() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hall = runtime.get::<Room>("hall");
    let ada = player(&runtime, &hall, "ada").await;
    ada.score(1).await.unwrap();
    for _ in 0..50 {
        let asking = tokio::spawn(ada.ask_parent().into_future());
        runtime.evict(hall.id().unwrap()).await.unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), 0);
    }
}

#[tokio::test]
async fn a_parent_that_crashes_cuts_its_children_off() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hall = runtime.get::<Room>("hall");
    let ada = player(&runtime, &hall, "ada").await;
    ada.score(1).await.unwrap();
    let hanging = tokio::spawn(ada.hang(1).into_future());
    until(|| HANGING.lock().unwrap().contains(&1)).await;
    assert_eq!(hall.crash().await.unwrap_err().code(), "call.panicked");
    assert_eq!(hanging.await.unwrap().unwrap_err().code(), "call.aborted");
    assert_eq!(ada.points().await.unwrap(), 1, "the turn was undone");
}

#[tokio::test]
async fn nothing_is_left_of_the_children_of_an_object_that_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    for is_inside in [true, false] {
        for is_cold in [true, false] {
            let hall = runtime.get::<Room>("hall");
            let ada = player(&runtime, &hall, "ada").await;
            ada.keep().await.unwrap();
            ada.deep(2).await.unwrap();
            if is_cold {
                runtime.evict(hall.id().unwrap()).await.unwrap();
            }
            if is_inside {
                hall.close().await.unwrap();
            } else {
                assert!(runtime.delete(hall.id().unwrap()).await.unwrap());
                assert!(!runtime.delete(hall.id().unwrap()).await.unwrap());
            }
            assert_eq!(super::rows_of_objects(dir.path()), 0, "{is_inside} {is_cold}");
            assert_eq!(ada.points().await.unwrap(), 0, "it begins anew");
        }
    }
    let found = durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[tokio::test]
async fn a_deletion_cuts_children_off_that_are_at_work() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let hall = runtime.get::<Room>("hall");
    let ada = player(&runtime, &hall, "ada").await;
    let hanging = tokio::spawn(ada.hang(2).into_future());
    until(|| HANGING.lock().unwrap().contains(&2)).await;
    hall.close().await.unwrap();
    assert_eq!(hanging.await.unwrap().unwrap_err().code(), "call.aborted");
    assert_eq!(super::rows_of_objects(dir.path()), 0);
}

#[tokio::test]
async fn siblings_are_restarted_as_the_parents_class_says_and_the_parent_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let mut events = runtime.supervision_events();
    let hall = runtime.get::<Room>("hall");
    let (ada, bob) = (player(&runtime, &hall, "ada").await, player(&runtime, &hall, "bob").await);
    for one in [&ada, &bob] {
        one.score(1).await.unwrap();
    }
    assert_eq!(ada.crash().await.unwrap_err().code(), "call.panicked");
    // Both are down, and come when they are called.
    until(|| runtime.resident_objects() == 1).await;
    assert_eq!(hall.exits().await.unwrap(), ["family.Player(ada) panic 1"]);
    for one in [&ada, &bob] {
        assert_eq!((one.points().await.unwrap(), one.wakes().await.unwrap()), (1, 1));
    }
    let mut told = Vec::new();
    while let Some(event) = events.try_next() {
        assert_eq!(&*event.supervisor, "family.Room(hall)");
        told.push(event.decision);
    }
    assert!(matches!(told[0], Decision::ChildExited { .. }), "{told:?}");
    assert!(matches!(told[1], Decision::Restarting { restarts: 1, .. }), "{told:?}");
    assert!(matches!(told[2], Decision::ChildStopping { .. }), "{told:?}");
}

#[tokio::test]
async fn an_intensity_that_is_used_up_fails_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let mut events = runtime.supervision_events();
    let hall = runtime.get::<Room>("hall");
    let ada = player(&runtime, &hall, "ada").await;
    hall.round().await.unwrap();
    for _ in 0..3 {
        assert_eq!(ada.crash().await.unwrap_err().code(), "call.panicked");
    }
    // The parent goes with its child.
    until(|| runtime.resident_objects() == 0).await;
    assert_eq!(hall.rounds().await.unwrap(), 1, "and goes on from its last commit");
    assert_eq!(hall.exits().await.unwrap().len(), 2, "the last one was not told");
    let mut melted = false;
    while let Some(event) = events.try_next() {
        melted |= matches!(event.decision, Decision::Meltdown { restarts: 3, intensity: 2, .. });
    }
    assert!(melted);
    assert_eq!(ada.points().await.unwrap(), 0);
}

#[tokio::test]
async fn a_watcher_hears_once_of_a_crash_and_of_a_deletion_and_not_of_idleness() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let guard = runtime.get::<Guard>("g");
    let ada = runtime.get::<Player>("ada");
    ada.score(1).await.unwrap();
    let reference = ada.to_ref().unwrap();
    guard.watch(reference.clone()).await.unwrap();
    runtime.evict(ada.id().unwrap()).await.unwrap();
    settle().await;
    assert_eq!(guard.downs().await.unwrap(), [""; 0]);
    for _ in 0..2 {
        assert!(ada.crash().await.is_err());
    }
    while guard.downs().await.unwrap().is_empty() {}
    settle().await;
    assert_eq!(guard.downs().await.unwrap(), ["ada panic"], "once");
    guard.watch(reference.clone()).await.unwrap();
    assert!(runtime.delete(ada.id().unwrap()).await.unwrap());
    while guard.downs().await.unwrap().len() < 2 {}
    assert_eq!(guard.downs().await.unwrap(), ["ada panic", "ada normal"]);
    guard.watch(reference.clone()).await.unwrap();
    assert!(guard.leave(reference.clone()).await.unwrap());
    assert!(!guard.leave(reference.clone()).await.unwrap());
    assert!(ada.crash().await.is_err());
    settle().await;
    assert_eq!(guard.downs().await.unwrap().len(), 2);
    // A watch ends with the watcher's activation.
    guard.watch(reference).await.unwrap();
    runtime.evict(guard.id().unwrap()).await.unwrap();
    assert!(ada.crash().await.is_err());
    settle().await;
    assert_eq!(guard.downs().await.unwrap().len(), 2);
}
