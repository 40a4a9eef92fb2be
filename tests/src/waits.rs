//! Objects that call each other in any way in the simulated workload: one after the other, together, for as long as they
//! please, and back.

#![allow(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "they are a workload, not a library"
)]

use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use crate::time::pause;
use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::prelude::*;
use futures_util::future::{BoxFuture, FutureExt, join_all, select};
use serde::{Deserialize, Serialize};

/// Calls that a turn makes, one after the other.
pub type Plan = Vec<Step>;

/// What a turn does next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Step {
    /// It waits, in milliseconds.
    Pause(u64),
    /// It calls somebody, and waits for the end.
    Call(Hop),
    /// It calls several, and waits for all.
    Together(Vec<Hop>),
    /// It calls somebody, and waits for so many milliseconds at most.
    Race(Hop, u64),
    /// It sends somebody a plan, for a turn alone.
    Send(String, Plan),
}

/// A call of somebody, and what is done there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hop {
    pub to: String,
    pub how: How,
    pub plan: Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Alone.
    Pull,
    /// Beside others that look.
    Look,
    /// As to look, and also for somebody who looks already.
    Glance,
}

/// A call of `to`, as a step.
pub fn call(to: &str, how: How, plan: Plan) -> Step {
    Step::Call(hop(to, how, plan))
}

pub fn hop(to: &str, how: How, plan: Plan) -> Hop {
    Hop { to: to.to_owned(), how, plan }
}

/// Calls others.
#[derive(Default, DurableState)]
pub struct Knot {
    pub pulls: u64,
}

/// What the calls below have failed with, by whom they were for.
pub type Said = Vec<String>;

#[durable_object(name = "sim.Knot", idle = "40ms")]
impl Knot {
    pub async fn pull(&mut self, cx: &mut Context<'_, Self>, plan: Plan) -> Said {
        self.pulls += 1;
        walk(cx, plan).await
    }

    pub async fn look(&self, cx: &Context<'_, Self>, plan: Plan) -> Said {
        walk(cx, plan).await
    }

    #[rpc(reentrant)]
    pub async fn glance(&self, cx: &Context<'_, Self>, plan: Plan) -> Said {
        walk(cx, plan).await
    }

    pub fn pulls(&self) -> u64 {
        self.pulls
    }

    pub async fn fall(&self, cx: &Context<'_, Self>, plan: Plan) {
        walk(cx, plan).await;
        panic!("on purpose");
    }
}

impl Hop {
    /// Calls.
    pub fn by(self, knot: &KnotStub) -> BoxFuture<'static, Said> {
        let Hop { how, plan, .. } = self;
        let called = match how {
            How::Pull => knot.pull(plan).into_future(),
            How::Look => knot.look(plan).into_future(),
            How::Glance => knot.glance(plan).into_future(),
        };
        called.map(|said| said.unwrap_or_else(|error| vec![error.to_string()])).boxed()
    }
}

async fn walk(cx: &Context<'_, Knot>, plan: Plan) -> Said {
    let mut said = Vec::new();
    for step in plan {
        match step {
            Step::Pause(ms) => pause(ms).await,
            Step::Call(hop) => said.extend(hop.clone().by(&cx.get::<Knot>(hop.to)).await),
            Step::Together(hops) => {
                let calls = hops.into_iter().map(|hop| hop.clone().by(&cx.get::<Knot>(hop.to)));
                said.extend(join_all(calls).await.into_iter().flatten());
            }
            Step::Race(hop, ms) => {
                let called = hop.clone().by(&cx.get::<Knot>(hop.to));
                drop(select(called, pin!(pause(ms))).await);
            }
            Step::Send(to, plan) => drop(cx.send(cx.get::<Knot>(to).pull(plan))),
        }
    }
    said
}

/// The classes. Turns end by themselves, so none may be cut off.
pub fn knots(builder: RuntimeBuilder) -> RuntimeBuilder {
    let builder = builder.register::<Knot>().turn_limit(Duration::from_secs(3_600));
    builder.crashes(1_000, Duration::from_secs(1)).breaker(100, 1_000, Duration::from_secs(10))
}

/// Hardly any room: whoever can leaves memory all the time.
pub fn crowded_knots(builder: RuntimeBuilder) -> RuntimeBuilder {
    knots(builder).shards(2).resident_max(3).idle(Duration::from_millis(5)).log_pages(8)
}

fn somebody(client: &Crew) -> String {
    // A few are called more than the others.
    let bound = if client.chance(50) { 4 } else { 50 };
    format!("k{}", client.int(0..bound))
}

/// What plans are made of.
struct Planner<'a> {
    client: &'a Crew,
    /// How many of ten steps of a turn that may are sends.
    sends: u64,
}

impl Planner<'_> {
    fn plan(&self, how: How, depth: u64) -> Plan {
        let steps = 1 + self.client.int(0..3);
        (0..steps).map(|_| self.step(how, depth)).collect()
    }

    fn hop(&self, depth: u64) -> Hop {
        let ways = [How::Pull, How::Pull, How::Look, How::Look, How::Glance];
        let how = *self.client.pick(&ways);
        let plan = if depth == 0 { Vec::new() } else { self.plan(how, depth - 1) };
        Hop { to: somebody(self.client), how, plan }
    }

    fn step(&self, how: How, depth: u64) -> Step {
        let client = self.client;
        if how == How::Pull && self.sends > 0 && client.int(0..10) < self.sends {
            let plan = if depth == 0 { Vec::new() } else { self.plan(How::Pull, depth - 1) };
            return Step::Send(somebody(client), plan);
        }
        match client.int(0..8) {
            0 | 1 => Step::Pause(client.int(0..4)),
            2 => Step::Together((0..2).map(|_| self.hop(depth)).collect()),
            3 => Step::Race(self.hop(depth), client.int(0..3)),
            _ => Step::Call(self.hop(depth)),
        }
    }
}

/// Clients whose calls make calls, under `faults`.
pub async fn work_in_circles(sim: Sim, faults: Faults) -> TestResult {
    circle(sim, faults, 0).await
}

/// And send some.
pub async fn work_and_send_in_circles(sim: Sim, faults: Faults) -> TestResult {
    circle(sim, faults, 3).await
}

async fn circle(sim: Sim, faults: Faults, sends: u64) -> TestResult {
    sim.faults(faults);
    sim.clients(5, async |client| {
        for _ in 0..12 {
            let depth = client.int(0..4);
            let hop = Planner { client: &client, sends }.hop(depth);
            let knot = client.sim().get::<Knot>(hop.to.clone());
            match client.int(0..12) {
                0 => drop(client.sim().evict(&knot).await),
                1 if sends == 0 => drop(knot.fall(hop.plan).await),
                2 => drop(knot.pull(hop.plan).timeout(Duration::from_millis(3)).await),
                _ => {
                    let said = hop.by(&knot).await;
                    let is_late = said.iter().any(|error| error.contains("call.overlong"));
                    assert!(!is_late, "nobody waits for ever: {said:?}");
                }
            }
        }
    })
    .await;
    sim.heal().await?;
    for index in 0..50 {
        sim.get::<Knot>(format!("k{index}")).pull(Vec::new()).await?;
    }
    sim.sometimes("a call would have waited for itself", |trace| trace.count("call.circular") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    if sends > 0 {
        sim.sometimes("a send came", |trace| trace.count("send.arrives") > 0);
    }
    Ok(())
}
