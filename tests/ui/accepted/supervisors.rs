//! A struct is the tree that a person would have built.
#![allow(missing_docs, missing_debug_implementations)]
use std::error::Error;
use std::time::Duration;

use durable::prelude::*;
use durable::{AutoShutdown, Backoff, Objects, Restart, Shutdown, Supervisor, Task, objects, task};

#[derive(Default, DurableState)]
pub struct Account {
    cents: u64,
}

#[durable_object(name = "bank.Account")]
impl Account {
    pub fn deposit(&mut self, cents: u64) -> u64 {
        self.cents += cents;
        self.cents
    }
}

struct Waiting;

impl Task for Waiting {
    async fn run(&self, cx: TaskContext) -> Result<(), Box<dyn Error + Send + Sync>> {
        cx.stopping().await;
        Ok(())
    }
}

#[derive(Supervisor)]
#[supervisor(strategy = "rest_for_one")]
struct Feeds {
    rates: Waiting,
    #[child(shutdown = "kill", backoff = "10ms..1s")]
    r#type: Waiting,
}

#[derive(Supervisor)]
#[supervisor(
    name = "bank",
    strategy = "one_for_all",
    intensity = 3,
    period = "500ms",
    auto_shutdown = "all_significant"
)]
struct Bank<T: Task> {
    accounts: Objects<Account>,
    #[child(restart = "transient", shutdown = "5s", significant)]
    reporter: T,
    #[child(restart = "temporary", shutdown = "infinity")]
    feeds: Feeds,
}

#[derive(Supervisor)]
struct EmptyHouse {}

/// What the macros have made of it.
pub(crate) fn check() {
    let bank = Bank {
        accounts: Objects::new(),
        reporter: Waiting,
        feeds: Feeds { rates: Waiting, r#type: Waiting },
    };
    let waiting = |name: &str| task(name, async |cx: TaskContext| cx.stopping().await);
    let built = Supervisor::one_for_all("bank")
        .intensity(3, Duration::from_millis(500))
        .auto_shutdown(AutoShutdown::AllSignificant)
        .child(objects::<Account>())
        .child(
            waiting("reporter")
                .restart(Restart::Transient)
                .shutdown(Duration::from_secs(5))
                .significant(),
        )
        .child(
            Supervisor::rest_for_one("feeds")
                .child(waiting("rates"))
                .child(
                    waiting("type")
                        .shutdown(Shutdown::Kill)
                        .backoff(Backoff::new(Duration::from_millis(10), Duration::from_secs(1))),
                )
                .restart(Restart::Temporary)
                .shutdown(Shutdown::Infinity),
        );
    assert_eq!(Supervisor::from(bank).spec(), built.spec());
    assert_eq!(
        Supervisor::from(EmptyHouse {}).spec(),
        Supervisor::one_for_one("empty_house").spec()
    );
}
