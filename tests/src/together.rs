//! Objects that own objects, act later, crash, and are quarantined, all of it at once.

use std::time::Duration;

use durable::prelude::*;
use durable::{ChildExit, RuntimeBuilder, StubRef};
use durable_testing::prelude::*;

/// Counts, acts later, and fails as it is told.
#[derive(Debug, Default, DurableState)]
pub struct Kid {
    /// Turns of calls that were kept.
    pub turns: u64,
    /// Runs of its schedule that were kept.
    pub runs: u64,
    /// Its alarm has rung so often.
    pub rung: u64,
    /// It does not start.
    pub is_dazed: bool,
    /// Its runs crash.
    pub is_sick: bool,
}

#[durable_object(name = "together.Kid", history, alarm_retries = 3, alarm_delay = "200ms")]
impl Kid {
    /// One more.
    pub fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// How many there were.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// How often its schedule has run, and its alarm rung.
    pub fn later(&self) -> (u64, u64) {
        (self.runs, self.rung)
    }

    /// Crashes in a turn that has changed something.
    pub fn crash(&mut self) {
        self.turns += 1_000;
        panic!("poison");
    }

    /// From its next start on it does not start.
    pub fn daze(&mut self) {
        self.is_dazed = true;
    }

    /// Its runs crash, or do not.
    pub fn sicken(&mut self, is_sick: bool) {
        self.is_sick = is_sick;
    }

    /// Lets its schedule run every so many milliseconds.
    pub fn every(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.schedule("tick").every(Duration::from_millis(ms)).call(cx.me().tick());
    }

    /// Takes its schedule back.
    pub fn rest(&mut self, cx: &mut Context<'_, Self>) {
        cx.schedule("tick").cancel();
    }

    /// What the schedule runs.
    pub fn tick(&mut self) {
        self.runs += 1;
        assert!(!self.is_sick, "a run is sick");
    }

    /// Lets its schedule run something that takes so long.
    pub fn slowly(&mut self, cx: &mut Context<'_, Self>, after_ms: u64, takes_ms: u64) {
        let at = durable::WallMs(cx.now().0 + after_ms);
        cx.schedule("slow").once(at).call(cx.me().slow(takes_ms));
    }

    /// Takes so long.
    pub async fn slow(&mut self, ms: u64) {
        self.runs += 1;
        #[expect(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Takes so long, and then calls another one.
    pub async fn ask(
        &mut self,
        cx: &mut Context<'_, Self>,
        ms: u64,
        whom: StubRef<Kid>,
    ) -> Result<u64, Error> {
        #[expect(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]
        tokio::time::sleep(Duration::from_millis(ms)).await;
        cx.bind(&whom)?.turns().await
    }

    /// Sets its alarm.
    pub fn ring_after(&mut self, cx: &mut Context<'_, Self>, ms: u64) {
        cx.alarm().set_after(Duration::from_millis(ms));
    }

    /// Leaves nothing of itself.
    pub fn leave(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    #[alarm]
    async fn ring(&mut self, _cx: &mut Context<'_, Self>) {
        self.rung += 1;
    }

    #[on_activate]
    fn wake(&mut self) -> Result<(), String> {
        if self.is_dazed { Err("dazed".to_owned()) } else { Ok(()) }
    }
}

/// Owns kids, and bears most of what they do.
#[derive(Debug, Default, DurableState)]
pub struct Home {
    /// Turns of calls that were kept.
    pub turns: u64,
    /// Kids that have crashed.
    pub exits: u64,
    /// It does not start.
    pub is_dazed: bool,
}

#[durable_object(name = "together.Home", children = "one_for_one", intensity = 8, period = "5s")]
impl Home {
    /// One more.
    pub fn count(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// How many there were, and how many kids have crashed.
    pub fn told(&self) -> (u64, u64) {
        (self.turns, self.exits)
    }

    /// One below it.
    pub fn kid(&self, cx: &Context<'_, Self>, name: String) -> Result<StubRef<Kid>, Error> {
        cx.child::<Kid>(name).to_ref()
    }

    /// Calls one below it.
    pub async fn play(&mut self, cx: &mut Context<'_, Self>, name: String) -> Result<u64, Error> {
        self.turns += 1;
        cx.child::<Kid>(name).count().await
    }

    /// Crashes one below it.
    pub async fn hurt(&self, cx: &Context<'_, Self>, name: String) -> Result<(), Error> {
        cx.child::<Kid>(name).crash().await
    }

    /// Crashes in a turn that has changed something.
    pub fn crash(&mut self) {
        self.turns += 1_000;
        panic!("poison");
    }

    /// From its next start on it does not start.
    pub fn daze(&mut self) {
        self.is_dazed = true;
    }

    /// Leaves nothing of itself.
    pub fn burn(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    #[on_child_exit]
    fn saw(&mut self, exit: ChildExit) {
        assert!(exit.reason.is_abnormal());
        self.exits += 1;
    }

    #[on_activate]
    fn wake(&mut self) -> Result<(), String> {
        if self.is_dazed { Err("dazed".to_owned()) } else { Ok(()) }
    }
}

/// The classes.
pub fn homes(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Kid>().register::<Home>()
}

/// A kid of a home, of one turn: it is stored, so that its id leads to it.
///
/// # Errors
/// Those of the home and of the kid.
pub async fn kid_of(sim: &Sim, home: &HomeStub, name: &str) -> TestResult<KidStub> {
    let told = |error: CallError<Error>| TestError::new(error.to_string());
    home.play(name.to_owned()).await.map_err(told)?;
    let reference = home.kid(name.to_owned()).await.map_err(told)?;
    Ok(sim.get_by_id::<Kid>(reference.id())?)
}

/// What clients do to one kid. `later`: one that it may call. Two that call each other would wait for each other.
async fn call_a_kid(client: &Crew, kid: &KidStub, later: Option<StubRef<Kid>>) {
    let sim = client.sim();
    match client.int(0..20) {
        0 | 1 => drop(kid.count().await),
        2..=5 => drop(kid.crash().await),
        6 => drop(kid.every(300 + client.int(0..900)).await),
        7 => drop(kid.rest().await),
        8 => drop(kid.sicken(client.chance(60)).await),
        9 => drop(kid.daze().await),
        10 => drop(kid.slowly(client.int(0..900), client.int(0..200)).await),
        11 => drop(kid.ring_after(client.int(0..2_000)).await),
        12 => drop(kid.leave().await),
        13 => drop(sim.delete(kid).await),
        14 => drop(sim.release(kid).await),
        15 => drop(sim.retry(kid)),
        16 => drop(sim.evict(kid).await),
        17 => match later {
            Some(sibling) => drop(kid.ask(client.int(0..20), sibling).await),
            None => drop(kid.later().await),
        },
        _ => drop(kid.turns().await),
    }
}

async fn call_something(client: &Crew, homes: &[HomeStub]) {
    let home = client.pick(homes);
    let (name, other) = client.pick_two(&["a", "b", "c"]);
    let name = (*name).to_owned();
    match client.int(0..30) {
        0..=3 => drop(home.play(name).await),
        4..=6 => drop(home.hurt(name).await),
        7 | 8 => drop(home.crash().await),
        9 => drop(client.sim().evict(home).await),
        10 => drop(homes[1].burn().await),
        11 => drop(client.sim().delete(&homes[1]).await),
        12 => drop(client.sim().release(home).await),
        13 => drop(homes[1].daze().await),
        _ => {
            let is_later = name.as_str() < *other;
            let Ok(own) = home.kid(name).await else { return };
            let Ok(sibling) = home.kid((*other).to_owned()).await else { return };
            let Ok(kid) = client.sim().get_by_id::<Kid>(own.id()) else { return };
            call_a_kid(client, &kid, is_later.then_some(sibling)).await;
        }
    }
}

/// Clients that do anything, under `faults`, and an operator who ends the node in the midst of it. At the end all are well.
///
/// # Errors
/// What is not as it was promised.
pub async fn work(sim: Sim, faults: Faults) -> TestResult {
    let homes: Vec<_> = ["h", "i"].map(|name| sim.get::<Home>(name)).into();
    sim.faults(faults);
    for _ in 0..2 {
        sim.clients(4, async |client| {
            for _ in 0..15 {
                call_something(&client, &homes).await;
                if client.chance(20) {
                    client.sleep(Duration::from_millis(500 * client.int(0..5))).await;
                }
            }
        })
        .await;
        sim.up().await;
        sim.restart().await;
    }
    sim.heal().await?;
    for home in &homes {
        sim.delete(home).await?;
    }
    assert_eq!(sim.quarantined().await?, [], "what is not there is not shut in");
    for home in &homes {
        for name in ["a", "b", "c"] {
            let kid = kid_of(&sim, home, name).await?;
            assert_eq!((kid.turns().await?, sim.schedules(&kid)?.len()), (1, 0), "all is new");
        }
    }
    for (name, point) in [
        ("an object was quarantined", "object.quarantined"),
        ("a call was let through", "quarantine.tried"),
        ("an object came out", "quarantine.ended"),
        ("a schedule ran", "schedule.fires"),
        ("a child came", "child.joined"),
        ("the node crashed", "node.crashes"),
    ] {
        sim.sometimes(name, |trace| trace.count(point) > 0);
    }
    Ok(())
}
