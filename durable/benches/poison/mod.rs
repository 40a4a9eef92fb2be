//! What an object that always crashes costs those that do not: 64 callers write to 10,000 healthy objects in a closed loop,
//! beside one object that panics on every call of four callers more, against the same without it. The 99th percentile of
//! the healthy ones' calls; none of them may fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use durable::Stub;
use durable::prelude::*;

use crate::load::{Pattern, Samples, drive};
use crate::report::{Goal, Options, Report, Row, median};

/// Counts, unless it is poison.
#[derive(Default, DurableState)]
struct Subject {
    count: u64,
}

#[durable_object(name = "bench.Subject", visibility = "")]
impl Subject {
    pub fn add(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub fn panic(&mut self) {
        panic!("poison")
    }
}

const HEALTHY: Pattern = Pattern { name: "poison", callers: 64, objects: 10_000 };

/// Callers of the poisoned object.
const POISONERS: usize = 4;

/// Measures the healthy ones with and without it.
pub(crate) async fn poison(options: &Options, report: &mut Report<'_>) {
    report.note("poison");
    let stores = options.stores("supervise");
    let builder = Runtime::builder(stores.dir().join("poison")).register::<Subject>();
    let runtime = builder.idle(Duration::from_secs(600)).start().await.expect("the store opens");
    let healthy: Arc<Vec<_>> =
        Arc::new((0..HEALTHY.objects).map(|n| runtime.get::<Subject>(format!("h{n}"))).collect());
    let time = options.pick(Duration::from_secs(3), Duration::from_secs(1));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // The first round warms, and is not counted.
    for nth in 0..=options.pick(5, 3) {
        let quiet = round(&healthy, time).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let poisoned = runtime.get::<Subject>("poisoned");
        runtime.release(poisoned.id().expect("it has one")).await.expect("the store works");
        let poisoners: Vec<_> = (0..POISONERS)
            .map(|_| {
                let (poisoned, is_over) = (poisoned.clone(), Arc::clone(&is_over));
                tokio::spawn(async move {
                    while !is_over.load(Ordering::Relaxed) {
                        poisoned.panic().await.expect_err("it panics, or does not run");
                        // A caller that is refused goes on to something else first.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        let noisy = round(&healthy, time).await;
        is_over.store(true, Ordering::Relaxed);
        for poisoner in poisoners {
            poisoner.await.expect("it only calls");
        }
        if nth > 0 {
            without.push(quiet);
            with.push(noisy);
        }
    }
    runtime.shutdown().await.expect("the store closes");
    let p99 = |round: &Samples| round.percentile_us(99);
    report.push(Row {
        case: "poison".to_owned(),
        metric: "healthy_p99_us",
        ours: median(with.iter().map(p99)),
        baseline: median(without.iter().map(p99)),
        baseline_name: "the same without the poisoned object",
        goal: Some(Goal::AtMost(1.5)),
    });
}

async fn round(healthy: &Arc<Vec<<Subject as durable::Object>::Stub>>, time: Duration) -> Samples {
    let healthy = Arc::clone(healthy);
    drive(HEALTHY, time, move |nth| {
        let subject = healthy[nth].clone();
        async move {
            subject.add().await.expect("a healthy object is served");
        }
    })
    .await
}
