//! Feeds whose events are followed over a network that fails, while everything else goes wrong, too.

#![allow(clippy::unwrap_used, reason = "what fails is what is looked for")]

use std::time::Duration;

use durable::RuntimeBuilder;
use durable::http::{Request, Response};
use durable::prelude::*;
use durable::socket::{Event, Socket};
use durable_testing::prelude::*;
use durable_testing::{SimSocket, Unconnected};
use futures_util::future::{Either, select};

/// Numbers, in the order in which they came.
#[derive(Debug, Default, DurableState)]
pub struct Feed {
    all: Vec<u64>,
}

#[durable_object(name = "feeds.Feed", http, idle = "15ms", crashes = 1_000)]
impl Feed {
    /// Adds a number, which everybody hears of who follows.
    pub async fn add(&mut self, cx: &mut Context<'_, Self>, number: u64) -> Result<u64, Error> {
        self.all.push(number);
        cx.broadcast("numbers", &number).await
    }

    /// As `add`, and refuses.
    pub async fn refuse(&mut self, cx: &mut Context<'_, Self>, number: u64) -> Result<(), String> {
        cx.broadcast("numbers", &number).await.map_err(|error| error.to_string())?;
        Err("refused".to_owned())
    }

    #[on_connect]
    async fn come(
        &mut self,
        cx: &mut Context<'_, Self>,
        socket: Socket,
        request: Request,
    ) -> Result<(), Response> {
        let after = request.uri().query().unwrap().parse().unwrap();
        let failed = |error: Error| Response::new(error.to_string());
        let followed = cx.follow(socket, "numbers", after).await.map_err(failed)?;
        assert!(!followed.has_gap && followed.newest >= after, "{followed:?} after {after}");
        Ok(())
    }

    /// All numbers.
    pub fn all(&self) -> Vec<u64> {
        self.all.clone()
    }
}

/// A node with feeds.
pub fn feeds(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Feed>()
}

/// Follows for a while, with sockets that break.
async fn follow(crew: Crew, feed: &FeedStub, rounds: u64) -> Vec<u64> {
    let (sim, mut seen) = (crew.sim(), Vec::new());
    for _ in 0..rounds {
        let ms = crew.int(1..200);
        hear(sim, feed, &mut seen, ms).await;
        if crew.chance(30) {
            let _ = sim.evict(feed).await;
        }
    }
    seen
}

/// Follows with one socket for so long.
async fn hear(sim: &Sim, feed: &FeedStub, seen: &mut Vec<u64>, ms: u64) {
    let mut request = Request::default();
    *request.uri_mut() = format!("/?{}", seen.len()).parse().unwrap();
    let mut over = std::pin::pin!(sim.advance(Duration::from_millis(ms)));
    let socket: SimSocket = {
        let opening = std::pin::pin!(sim.connect(feed, request));
        match select(opening, over.as_mut()).await {
            Either::Left((Ok(socket), _)) => socket,
            Either::Left((Err(Unconnected::Answered(response)), _)) => {
                panic!("a follower was refused: {response:?}")
            }
            Either::Left((Err(_), _)) | Either::Right(_) => return,
        }
    };
    loop {
        let next = std::pin::pin!(socket.next());
        let Either::Left((Ok(message), _)) = select(next, over.as_mut()).await else { return };
        let event: Event<u64> = message.parse().unwrap();
        assert_eq!(event.seq, seen.len() as u64 + 1, "each event once, and in order");
        seen.push(event.event);
    }
}

/// Some add, some follow, and in the end all have seen the same.
pub async fn feed_and_follow(sim: Sim, faults: Faults) -> TestResult {
    let feed = sim.get::<Feed>("feed");
    sim.faults(faults.net_faults(0..4));
    let adding = sim.clients(2, async |crew| {
        for nth in 0..20 {
            let number = crew.number() * 100 + nth;
            if crew.chance(15) {
                let _ = feed.refuse(number + 50).await;
            } else {
                let _ = feed.add(number).await;
            }
            crew.sim().advance(Duration::from_millis(crew.int(0..20))).await;
        }
    });
    let following = sim.clients(2, |crew| follow(crew, &feed, 6));
    let (_, seen) = futures_util::future::join(adding, following).await;
    sim.heal().await?;
    let all = feed.all().await?;
    for mut seen in seen {
        hear(&sim, &feed, &mut seen, 5_000).await;
        assert_eq!(seen, all, "whoever follows has seen everything");
    }
    sim.sometimes("much is fed", |_| all.len() > 25);
    Ok(())
}
