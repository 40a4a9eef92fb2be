//! Reminders in simulated worlds.

use super::*;
use book::Told;
use durable_testing::prelude::*;

fn texts(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.text.as_str()).collect()
}

#[durable_testing::test(runtime = reminders, seeds = 100)]
async fn every_reminder_comes_once_and_none_too_early(sim: Sim) -> TestResult {
    let book = sim.get::<Book>("me");
    let texts: Vec<String> = (0..5).map(|number| format!("reminder {number}")).collect();
    let mut wished = Vec::new();
    sim.faults(Faults::all().power_cuts(1..3));
    for (number, text) in (0..).zip(&texts) {
        if book.remind_in(number * 700, text.clone()).await.is_ok() {
            wished.push(text.clone());
        }
    }
    sim.heal().await?;
    // A clock that was set back puts off what was set before.
    sim.advance(Duration::from_secs(600)).await;
    sim.heal().await?;
    let told = book.waiting().await?;
    for text in &wished {
        assert_eq!(told.iter().filter(|told| told.text == *text).count(), 1, "{text}: {told:?}");
    }
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    Ok(())
}

#[durable_testing::test(runtime = reminders, crash_everywhere)]
async fn a_reminder_comes_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let book = sim.get::<Book>("me");
    let _ = book.remind_in(100, "tea".to_owned()).await;
    sim.up().await;
    if book.planned(1).await?.is_empty() && book.waiting().await?.is_empty() {
        book.remind_in(100, "tea".to_owned()).await?;
    }
    sim.advance(Duration::from_millis(600)).await;
    sim.heal().await?;
    assert_eq!(texts(&book.waiting().await?), ["tea"]);
    Ok(())
}

#[durable_testing::test(runtime = reminders, seeds = 5)]
async fn a_weekly_reminder_comes_every_week_until_it_is_forgotten(sim: Sim) -> TestResult {
    let book = sim.get::<Book>("me");
    let (cron, zone) = ("0 9 * * MON".to_owned(), "Europe/Berlin".to_owned());
    book.remind_by(cron, zone, "meeting".to_owned()).await?;
    let planned = book.planned(2).await?;
    assert_eq!(planned[0].when, "0 9 * * MON in Europe/Berlin");
    sim.advance(Duration::from_secs(21 * 86_400)).await;
    assert_eq!(texts(&book.waiting().await?), ["meeting"; 3]);
    let last = book.waiting().await?[2].number;
    book.shown(last).await?;
    assert!(book.forget("meeting".to_owned()).await?);
    sim.advance(Duration::from_secs(21 * 86_400)).await;
    assert_eq!(book.waiting().await?, []);
    Ok(())
}
