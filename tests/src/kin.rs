//! Objects that own objects in the simulated workload: rooms with players and squads, squads with players, and guards who
//! watch them.

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "they are a workload, not a library"
)]

use std::time::Duration;

use durable::prelude::*;
use durable::{ChildExit, Down, RuntimeBuilder, StubRef};
use durable_testing::prelude::*;

/// Plays, and crashes when it is told to.
#[derive(Default, DurableState)]
pub struct Player {
    pub points: u64,
}

#[durable_object(name = "sim.Player", idle = "1s")]
impl Player {
    pub fn score(&mut self, points: u64) -> u64 {
        self.points += points;
        self.points
    }

    pub fn points(&self) -> u64 {
        self.points
    }

    pub fn fall(&mut self, points: u64) {
        self.points += points;
        panic!("on purpose");
    }
}

/// Owns players, and fails soon when they do.
#[derive(Default, DurableState)]
pub struct Squad {
    pub orders: u64,
}

#[durable_object(
    name = "sim.Squad",
    idle = "2s",
    children = "rest_for_one",
    intensity = 1,
    period = "1s"
)]
impl Squad {
    pub async fn order(
        &mut self,
        cx: &mut Context<'_, Self>,
        who: String,
        points: u64,
        falls: bool,
    ) -> bool {
        self.orders += 1;
        cx.alarm().set_after(Duration::from_millis(100 * points));
        let player = cx.child::<Player>(who);
        match falls {
            true => player.fall(points).await.is_ok(),
            false => player.score(points).await.is_ok(),
        }
    }

    #[alarm]
    async fn call_back(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        self.orders += 1;
        cx.child::<Player>("cyd").score(1).await.map(drop)
    }
}

/// Owns players and squads.
#[derive(Default, DurableState)]
pub struct House {
    pub rounds: u64,
    pub exits: u64,
    pub guest: Option<StubRef<Player>>,
}

#[durable_object(
    name = "sim.House",
    idle = "3s",
    children = "one_for_all",
    intensity = 3,
    period = "2s"
)]
impl House {
    pub async fn play(
        &mut self,
        cx: &mut Context<'_, Self>,
        who: String,
        points: u64,
    ) -> Result<u64, Error> {
        self.rounds += 1;
        cx.child::<Player>(who).score(points).await
    }

    pub async fn fell(&self, cx: &Context<'_, Self>, who: String) -> bool {
        cx.child::<Player>(who).fall(1).await.is_ok()
    }

    pub async fn order(
        &mut self,
        cx: &mut Context<'_, Self>,
        squad: String,
        who: String,
        falls: bool,
    ) -> Result<bool, Error> {
        self.rounds += 1;
        cx.child::<Squad>(squad).order(who, self.rounds % 40, falls).await
    }

    pub fn player(&mut self, cx: &mut Context<'_, Self>, who: String) -> Result<ObjectId, Error> {
        let reference = cx.child::<Player>(who).to_ref()?;
        self.guest = Some(reference.clone());
        Ok(reference.id())
    }

    pub async fn welcome(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        match &self.guest {
            Some(guest) => cx.bind(guest)?.score(1).await,
            None => Ok(0),
        }
    }

    /// Pages of two, put together.
    pub async fn players(&self, cx: &Context<'_, Self>) -> Result<usize, Error> {
        let (mut count, mut after) = (0, None);
        loop {
            let children = cx.children().limit(2);
            let children = match after {
                Some(after) => children.after(after),
                None => children,
            };
            let page = children.page().await?;
            count += page.len();
            match page.last() {
                Some(last) if page.len() == 2 => after = Some(last.id()),
                _ => return Ok(count),
            }
        }
    }

    pub fn burn(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    pub fn collapse(&mut self) {
        self.rounds += 1;
        panic!("on purpose");
    }

    #[on_child_exit]
    async fn mourn(&mut self, cx: &mut Context<'_, Self>, exit: ChildExit) -> Result<(), String> {
        assert!(exit.reason.is_abnormal());
        self.exits += 1;
        cx.kv().put("last", &exit.incarnation).map_err(|error| error.to_string())?;
        if self.exits.is_multiple_of(5) { Err("not again".to_owned()) } else { Ok(()) }
    }
}

/// Watches players.
#[derive(Default, DurableState)]
pub struct Guard {
    pub downs: u64,
}

#[durable_object(name = "sim.Guard", idle = "4s")]
impl Guard {
    pub fn watch(&mut self, cx: &mut Context<'_, Self>, who: ObjectId) -> Result<(), Error> {
        cx.monitor(&cx.get_by_id::<Player>(who)?)
    }

    pub fn look_away(&mut self, cx: &mut Context<'_, Self>, who: ObjectId) -> bool {
        cx.demonitor(who)
    }

    #[on_down]
    fn saw(&mut self, down: Down) {
        assert!(!down.class.is_empty());
        self.downs += 1;
    }
}

/// The classes.
pub fn houses(builder: RuntimeBuilder) -> RuntimeBuilder {
    let builder = builder.register::<Player>().register::<Squad>();
    let builder = builder.register::<House>().register::<Guard>();
    // What strategies decide is looked at here, and not who is shut in.
    builder.crashes(1_000, Duration::from_secs(1)).breaker(100, 1_000, Duration::from_secs(10))
}

/// Hardly any room: whoever can leaves memory all the time.
pub fn crowded(builder: RuntimeBuilder) -> RuntimeBuilder {
    houses(builder).shards(3).resident_max(3).idle(Duration::from_millis(5)).log_pages(8)
}

async fn call_something(client: &Crew, houses: &[HouseStub], guard: &GuardStub) {
    let house = client.pick(houses);
    let who = (*client.pick(&["ada", "bob", "cyd"])).to_owned();
    let squad = (*client.pick(&["red", "blue"])).to_owned();
    match client.int(0..24) {
        0..=4 => drop(house.play(who, client.int(1..9)).await),
        5 | 6 => drop(house.fell(who).await),
        7..=9 => drop(house.order(squad, who, false).await),
        10 | 11 => drop(house.order(squad, who, true).await),
        12 => drop(house.players().await),
        13 => drop(house.collapse().await),
        14 => drop(client.sim().evict(house).await),
        15 => drop(house.welcome().await),
        16 => drop(houses[1].burn().await),
        17 => drop(client.sim().delete(&houses[1]).await),
        _ => {
            let Ok(id) = house.player(who).await else { return };
            let Ok(player) = client.sim().get_by_id::<Player>(id) else { return };
            match client.int(0..7) {
                0 => drop(player.score(1).await),
                1 => drop(player.points().await),
                2 => drop(player.fall(1).await),
                3 => drop(client.sim().evict(&player).await),
                4 => drop(guard.watch(id).await),
                5 => drop(guard.look_away(id).await),
                _ => {
                    let both =
                        (player.score(2).into_future(), house.play("x".into(), 1).into_future());
                    drop(futures_util::future::join(both.0, both.1).await);
                }
            }
        }
    }
}

/// Clients that do anything, under `faults`. The first house is never deleted.
pub async fn work(sim: Sim, faults: Faults) -> TestResult {
    let houses: Vec<_> = ["hall", "yard"].map(|name| sim.get::<House>(name)).into();
    let guard = sim.get::<Guard>("g");
    sim.faults(faults);
    sim.clients(4, async |client| {
        for _ in 0..20 {
            call_something(&client, &houses, &guard).await;
            if client.chance(10) {
                client.sleep(Duration::from_millis(500 * client.int(0..6))).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    let mut players = Vec::new();
    for who in ["ada", "bob", "cyd"] {
        houses[0]
            .play(who.to_owned(), 1)
            .await
            .map_err(|error| TestError::new(error.to_string()))?;
        let id = houses[0].player(who.to_owned()).await;
        let id = id.map_err(|error| TestError::new(error.to_string()))?;
        players.push(sim.get_by_id::<Player>(id)?);
    }
    sim.check_history(&players)?;
    houses[0].burn().await?;
    for player in &players {
        // Whoever watches it keeps the way to its parent.
        match player.points().await {
            Ok(points) => assert_eq!(points, 0, "it went with its parent"),
            Err(error) => assert_eq!(error.code(), "child.orphaned"),
        }
    }
    sim.advance(Duration::from_secs(30)).await;
    assert_eq!(sim.resident_objects(), 0, "whoever is idle leaves memory");
    sim.sometimes("a child crashed", |trace| trace.count("end.heard") > 0);
    sim.sometimes("a supervisor gave up", |trace| {
        trace.happened().any(|told| told.text().contains("gives up"))
    });
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}
