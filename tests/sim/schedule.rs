//! What comes first is chance, time costs nothing, and a seed says all of both.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::prelude::*;
use futures_util::future::join_all;
use tests::classes::bank;
use tests::workload::work;

const SENDERS: u8 = 5;

/// Of five senders.
const ORDERS: usize = 120;

const WORLDS: u32 = 240;

/// Receivers of each world, one after the other.
const RECEIVERS: usize = 20;

const HOUR: Duration = Duration::from_secs(3_600);

const HOURS_OF_A_YEAR: u64 = 365 * 24;

/// Remembers who came in which order.
#[derive(Default, DurableState)]
struct Door {
    came: Vec<u8>,
}

#[durable_object(name = "schedule.Door", visibility = "pub(crate)")]
impl Door {
    pub fn come(&mut self, who: u8) {
        self.came.push(who);
    }

    pub fn came(&self) -> Vec<u8> {
        self.came.clone()
    }
}

fn doors(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Door>()
}

#[test]
fn five_calls_of_one_instant_arrive_in_every_order_and_in_each_about_as_often() {
    let orders = Mutex::new(BTreeMap::<Vec<u8>, u32>::new());
    let passed = Simulation::new().seeds(WORLDS).explore(doors, async |sim: Sim| {
        for receiver in 0..RECEIVERS {
            let stub = || sim.get::<Door>(format!("door {receiver}"));
            let calls = (0..SENDERS).map(|who| stub().come(who).into_future());
            for came in join_all(calls).await {
                came?;
            }
            let order = stub().came().await?;
            *orders.lock().unwrap().entry(order).or_default() += 1;
        }
        TestResult::Ok(())
    });
    assert_eq!(passed, Ok(()));
    let orders = orders.into_inner().unwrap();
    assert_eq!(orders.len(), ORDERS);
    let mean = f64::from(orders.values().sum::<u32>()) / ORDERS as f64;
    for (order, count) in orders {
        let share = f64::from(count) / mean;
        assert!((1.0 / 3.0..=3.0).contains(&share), "{order:?}: {count} times, mean {mean}");
    }
}

/// Counts the hours.
#[derive(Default, DurableState)]
struct Hours {
    passed: u64,
}

#[durable_object(name = "schedule.Hours", visibility = "pub(crate)")]
impl Hours {
    pub fn strike(&mut self) -> u64 {
        self.passed += 1;
        self.passed
    }
}

fn clocks(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Hours>()
}

#[durable_testing::test(runtime = clocks, seeds = 1)]
async fn a_year_of_hourly_timers_passes_at_once(sim: Sim) -> TestResult {
    let (began, wall) = (sim.now(), sim.wall());
    let hours = sim.get::<Hours>("tower");
    for hour in 1..=HOURS_OF_A_YEAR {
        sim.advance(HOUR).await;
        assert_eq!(hours.strike().await?, hour);
    }
    let passed = sim.now() - began;
    let year = HOUR * u32::try_from(HOURS_OF_A_YEAR)?;
    assert!(passed >= year && passed < year + HOUR, "{passed:?}");
    assert_eq!(u128::from(sim.wall().0 - wall.0) / 3_600_000, u128::from(HOURS_OF_A_YEAR));
    Ok(())
}

#[test]
fn a_seed_has_one_trace_however_often_it_is_run() {
    let traces = || {
        let told = Mutex::new(Vec::new());
        let simulation = Simulation::new().seeds(8).allow_panics();
        let passed = simulation.explore(bank, async |sim: Sim| {
            work(sim.clone(), Faults::all()).await?;
            let lines = sim.trace().happened().map(|line| line.to_string()).collect::<Vec<_>>();
            told.lock().unwrap().push(lines.join("\n"));
            TestResult::Ok(())
        });
        assert_eq!(passed, Ok(()));
        told.into_inner().unwrap()
    };
    let (one, other) = (traces(), traces());
    assert_eq!(one.len(), 8);
    assert!(one == other, "two runs of one seed differ");
    assert!(one[0] != one[1], "two seeds do not");
}
