//! What an object should not do is reported with its place, and nobody outside of a world notices that it is looked for.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "misuse is what is looked for"
)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use durable::RuntimeBuilder;
use durable::prelude::*;
use durable_testing::Failed;
use durable_testing::prelude::*;

const DAY: Duration = Duration::from_secs(86_400);

/// Does what it should not.
#[derive(Default, DurableState)]
struct Rogue {
    times: u32,
}

#[durable_object(name = "misuse.Rogue", visibility = "pub(crate)")]
impl Rogue {
    pub fn read_instant(&mut self) {
        self.times += u32::from(Instant::now().elapsed() > DAY);
    }

    pub fn read_system_time(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        since.as_millis() as u64
    }

    pub fn start_thread(&mut self) {
        drop(std::thread::Builder::new().spawn(|| ()));
    }

    pub async fn block(&mut self) {
        let _ = tokio::task::spawn_blocking(|| ()).await;
    }

    pub fn pause(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

fn rogues(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Rogue>()
}

#[track_caller]
fn assert_reported(passed: Result<(), Failed>, what: &str, place: &str) {
    let Err(Failed { check, text, .. }) = passed else { panic!("nothing was reported") };
    assert_eq!(check, "misuse", "{text}");
    assert!(text.contains(what), "{text}");
    assert!(text.contains("misuse.rs:") && text.contains(place), "{text}");
}

fn once() -> Simulation {
    Simulation::new().seeds(1)
}

#[test]
fn a_method_that_reads_the_monotonic_clock_is_reported() {
    let passed =
        once().explore(rogues, async |sim: Sim| sim.get::<Rogue>("x").read_instant().await);
    assert_reported(passed, "read the operating system's clock", "read_instant");
}

#[test]
fn a_method_that_reads_the_wall_clock_is_reported() {
    let passed = once().explore(rogues, async |sim: Sim| {
        sim.get::<Rogue>("x").read_system_time().await.map(|_| ())
    });
    assert_reported(passed, "read the operating system's clock", "read_system_time");
}

#[test]
fn a_method_that_starts_a_thread_is_reported() {
    let passed =
        once().explore(rogues, async |sim: Sim| sim.get::<Rogue>("x").start_thread().await);
    assert_reported(passed, "a thread was started", "start_thread");
}

#[test]
fn a_method_that_blocks_on_another_thread_is_reported() {
    let passed = once().explore(rogues, async |sim: Sim| sim.get::<Rogue>("x").block().await);
    assert_reported(passed, "a thread was started", "sim/misuse.rs:");
}

#[test]
fn a_method_that_puts_its_thread_to_sleep_is_reported() {
    let passed = once().explore(rogues, async |sim: Sim| sim.get::<Rogue>("x").pause(DAY).await);
    assert_reported(passed, "a thread was put to sleep", "pause");
}

#[test]
fn a_method_that_may_read_the_clock_reads_the_worlds() {
    let passed = once().allow_clock().explore(rogues, async |sim: Sim| {
        let rogue = sim.get::<Rogue>("x");
        rogue.read_instant().await?;
        sim.advance(DAY).await;
        let (before, read, after) = (sim.wall(), rogue.read_system_time().await?, sim.wall());
        assert!((before.0..=after.0).contains(&read), "{before:?} {read} {after:?}");
        TestResult::Ok(())
    });
    assert_eq!(passed, Ok(()));
}

#[test]
fn a_test_beside_a_world_keeps_the_real_clock_and_real_entropy() {
    let (wall, began) = (SystemTime::now(), Instant::now());
    let passed = once().explore(rogues, async |sim: Sim| sim.advance(DAY).await);
    assert_eq!(passed, Ok(()));
    let (wall, real) = (wall.elapsed(), began.elapsed());
    assert!(wall.is_ok_and(|wall| wall < DAY) && real < DAY, "the world's day is not ours");
    assert!(real > Duration::ZERO, "and ours goes on");
    let draw = || std::thread::spawn(|| RandomState::new().hash_one(0)).join().unwrap();
    assert_ne!(draw(), draw(), "threads draw keys of their own");
}
