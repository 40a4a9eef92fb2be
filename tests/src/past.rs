//! Going back in time while everything goes wrong that may: keepers of diaries remember what was, and bring it back.
//!
//! Each diary has one keeper, the only one who changes it, so what it was at a bookmark is what was read between two looks
//! at the same bookmark. A restore cuts the diary's history of calls in two, so it is compared with what its keeper
//! remembers and not with a history; the histories of other objects go on.

use std::cell::RefCell;

use durable::{Bookmark, RuntimeBuilder};
use durable_testing::prelude::*;

use crate::classes::{Account, AccountStub, bank};
use crate::diary::{Diary, DiaryStub, Everything};

/// So little is kept that the past goes while it is made.
pub fn forgetful(builder: RuntimeBuilder) -> RuntimeBuilder {
    bank(builder).history(durable::History::default().bytes_per_object(12_000))
}

/// What a keeper knows.
struct Keeper<'c> {
    client: &'c Crew,
    seen: &'c RefCell<Seen>,
    diary: DiaryStub,
    known: Vec<(Bookmark, Everything)>,
    forks: u64,
}

/// What a world has met.
#[derive(Default)]
struct Seen {
    restored: u64,
    undone: u64,
    forked: u64,
}

/// Keepers of two diaries, and others beside them, under `faults`.
pub async fn work(sim: Sim, faults: Faults) -> TestResult {
    let still = sim.get::<Diary>("still");
    still.write("monday".to_owned(), 1).await?;
    still.note(3_000).await?;
    let was = (sim.bookmark(&still).await?, still.read().await?);
    let accounts: Vec<AccountStub> = ["ada", "bob"].map(|name| sim.get::<Account>(name)).into();
    let seen = RefCell::new(Seen::default());
    sim.faults(faults);
    sim.clients(4, async |client| match client.number() {
        number @ (0 | 1) => {
            let diary = sim.get::<Diary>(format!("diary {number}"));
            let (known, forks) = (Vec::new(), 0);
            let mut keeper = Keeper { client: &client, seen: &seen, diary, known, forks };
            for _ in 0..30 {
                keeper.live().await;
            }
        }
        _ => {
            for _ in 0..20 {
                visit(&client, &accounts).await;
            }
        }
    })
    .await;
    sim.heal().await?;
    assert_eq!(sim.bookmark(&still).await?, was.0, "nobody has touched it");
    assert_eq!(still.read().await?, was.1, "nobody has touched it");
    for number in 0..2 {
        assert!(sim.get::<Diary>(format!("diary {number}")).read().await?.agrees());
    }
    sim.check_history(&accounts)?;
    let seen = seen.into_inner();
    sim.sometimes("a diary was brought back", |_| seen.restored > 0);
    sim.sometimes("a restore was undone", |_| seen.undone > 0);
    sim.sometimes("a fork was read", |_| seen.forked > 0);
    Ok(())
}

/// Somebody who is not a keeper.
async fn visit(client: &Crew, accounts: &[AccountStub]) {
    let diary = client.sim().get::<Diary>(format!("diary {}", client.int(0..2)));
    match client.int(0..5) {
        0 => drop(client.pick(accounts).deposit(client.int(0..9)).await),
        1 => drop(client.pick(accounts).balance().await),
        2 => drop(client.sim().evict(&diary).await),
        _ => {
            if let Ok(read) = diary.read().await {
                assert!(read.agrees(), "struct, keys and table are of one commit: {read:?}");
            }
        }
    }
}

impl Keeper<'_> {
    async fn live(&mut self) {
        match self.client.int(0..10) {
            0..=4 => self.change().await,
            5 | 6 => drop(self.remember().await),
            7 | 8 => self.go_back().await,
            _ => self.fork().await,
        }
    }

    async fn change(&self) {
        let (diary, number) = (&self.diary, self.client.int(0..6));
        let day = format!("{number:02}");
        match self.client.int(0..12) {
            0..=2 => drop(diary.write(day, number).await),
            3 => drop(diary.write(day, number).relaxed().await),
            4 => drop(diary.tear(day).await),
            5 => drop(diary.mark(number, 3).await),
            6 => drop(diary.note(2_000).await),
            7 => drop(diary.clear().await),
            8 => drop(diary.rewrite(number.to_string()).await),
            9 => drop(diary.write_and_refuse(day).await),
            10 => {
                // Beside each other, so that they are stored together.
                let calls = (0..4).map(|number| diary.mark(number, 1).into_future());
                drop(futures_util::future::join_all(calls).await);
            }
            _ => drop(diary.count_turn().await),
        }
    }

    /// What the diary is, and when. `None`: something went wrong meanwhile.
    async fn look(&self) -> Option<(Bookmark, Everything)> {
        let sim = self.client.sim();
        let before = sim.bookmark(&self.diary).await.ok()?;
        let read = self.diary.read().await.ok()?;
        let after = sim.bookmark(&self.diary).await.ok()?;
        assert!(read.agrees(), "struct, keys and table are of one commit: {read:?}");
        (before == after).then_some((before, read))
    }

    async fn remember(&mut self) -> Option<(Bookmark, Everything)> {
        let (at, read) = self.look().await?;
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == at) {
            assert_eq!(*known, read, "one moment is one state");
        } else {
            self.known.push((at, read.clone()));
        }
        self.chain(at).await;
        Some((at, read))
    }

    /// The past is a chain that ends with the present, and leads back to every moment that it has not passed.
    async fn chain(&self, now: Bookmark) {
        let Ok(past) = self.client.sim().past(&self.diary).await else { return };
        let Some(first) = past.first() else { return };
        assert_eq!(first.bookmark, now, "the past ends with the present");
        let is_whole = past.windows(2).all(|pair| pair[0].before == pair[1].bookmark);
        assert!(is_whole, "the past has no gap: {past:?}");
        let oldest = past.last().map_or(now, |last| last.before);
        for (known, _) in self.known.iter().filter(|(known, _)| *known >= oldest) {
            let is_there = *known == now || past.iter().any(|entry| entry.before == *known);
            assert!(is_there, "{known} is a moment that can be gone back to: {past:?}");
        }
    }

    async fn go_back(&mut self) {
        if self.known.is_empty() {
            return;
        }
        let (to, then) = self.client.pick(&self.known).clone();
        let before = self.remember().await;
        let undo = match self.client.sim().restore_to(&self.diary, &to).await {
            Ok(undo) => undo,
            Err(error) => return self.explained(&to, &error.to_string()).await,
        };
        if let Some((_, now)) = self.remember().await {
            assert_eq!(now, then, "it is what it was at {to}");
            self.seen.borrow_mut().restored += 1;
        }
        if self.client.chance(50) {
            return;
        }
        let undone = self.client.sim().restore_to(&self.diary, &undo).await.is_ok();
        if let (true, Some((at, before)), Some((_, now))) = (undone, before, self.look().await)
            && at == undo
        {
            assert_eq!(now, before, "it is undone");
            self.seen.borrow_mut().undone += 1;
        }
    }

    /// A moment that was there may have gone only because too much is kept.
    async fn explained(&mut self, to: &Bookmark, error: &str) {
        let is_lost =
            ["bookmark.", "history.torn", "history.off"].iter().any(|code| error.contains(code));
        assert!(!is_lost, "{to} cannot be gone back to: {error}");
        if error.contains("history.pruned") {
            self.known.retain(|(known, _)| known > to);
        }
    }

    async fn fork(&mut self) {
        if self.known.is_empty() {
            return;
        }
        let (at, then) = self.client.pick(&self.known).clone();
        self.forks += 1;
        let name = format!("fork {} {}", self.client.number(), self.forks);
        match self.client.sim().fork(&self.diary, &at, name).await {
            Ok(fork) => {
                if let Ok(read) = fork.read().await {
                    assert_eq!(read, then, "a fork is what it was made of, at {at}");
                    self.seen.borrow_mut().forked += 1;
                }
                drop(fork.write("own".to_owned(), 1).await);
            }
            // Nothing can be made of what did not exist, or was brought back to that.
            Err(error)
                if then == Everything::default()
                    && error.to_string().contains("does not exist") => {}
            Err(error) => self.explained(&at, &error.to_string()).await,
        }
    }
}
