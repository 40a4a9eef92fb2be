//! Two releases of one class, and clients that call the one and then the other while everything goes wrong.

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "they are a workload, not a library"
)]

use std::collections::BTreeSet;
use std::sync::Mutex;

use durable::{Object, RuntimeBuilder, Stub};
use durable_testing::prelude::*;

/// What entry `n` must hold, so that a state can be checked by itself.
fn amount(n: u64) -> u64 {
    n * 7 + 1
}

fn reason(n: u64) -> String {
    format!("because of {n}")
}

/// The first release.
pub mod first {
    use std::collections::BTreeMap;

    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Book {
        pub dropped: Vec<String>,
        pub booked: u32,
        pub turns: u32,
        pub entries: BTreeMap<(u8, u64), Entry>,
        pub last: Option<Entry>,
    }

    #[derive(Clone, DurableState)]
    pub struct Entry {
        pub amount: u32,
        pub dropped: String,
        pub kind: Kind,
        pub shadow: u32,
    }

    #[derive(Clone, DurableState)]
    pub enum Kind {
        In(u64),
        Out(u64),
        Noted { at: u64, reason: String },
    }

    fn entry(n: u64) -> Entry {
        let kind = match n % 3 {
            0 => Kind::In(n),
            1 => Kind::Out(n),
            _ => Kind::Noted { at: n, reason: super::reason(n) },
        };
        let amount = super::amount(n) as u32;
        Entry { amount, dropped: "dropped".to_owned(), kind, shadow: amount + 1 }
    }

    #[durable_object(name = "sim.Book")]
    impl Book {
        pub fn book(&mut self, n: u64) -> u64 {
            let was_there = self.entries.insert((1, n), entry(n)).is_some();
            self.booked += u32::from(!was_there);
            self.turns += 1;
            self.last = Some(entry(n));
            self.dropped = vec!["dropped".to_owned(); 2];
            n
        }
    }
}

/// The second release: everything stands elsewhere and has another name or width.
pub mod second {
    use std::collections::BTreeMap;

    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Book {
        pub last: Option<Entry>,
        pub entries: BTreeMap<(u8, u64), Entry>,
        #[serde(alias = "booked")]
        pub count: u64,
        #[serde(default)]
        pub pages: u64,
        #[serde(default)]
        pub refused: u64,
    }

    #[derive(Clone, DurableState)]
    pub struct Entry {
        pub shadow: u64,
        pub kind: Kind,
        #[serde(default)]
        pub added: Option<u64>,
        pub amount: u64,
    }

    #[derive(Clone, DurableState)]
    pub enum Kind {
        Inserted,
        Noted {
            reason: String,
            #[serde(default)]
            added: u64,
            at: u64,
        },
        #[serde(alias = "Out")]
        Gone(u64),
        In(u64),
    }

    fn entry(n: u64) -> Entry {
        let kind = match n % 3 {
            0 => Kind::In(n),
            1 => Kind::Gone(n),
            _ => Kind::Noted { reason: super::reason(n), added: 0, at: n },
        };
        let amount = super::amount(n);
        Entry { shadow: amount + 1, kind, added: None, amount }
    }

    /// What is wrong with an entry.
    fn fault((page, n): (u8, u64), entry: &Entry) -> Option<String> {
        let is_kind = match &entry.kind {
            Kind::In(at) => n % 3 == 0 && *at == n,
            Kind::Gone(at) => n % 3 == 1 && *at == n,
            Kind::Noted { reason, at, added: 0 } => {
                n % 3 == 2 && *at == n && *reason == super::reason(n)
            }
            _ => false,
        };
        let amount = super::amount(n);
        let is_sound = page == 1 && entry.amount == amount && entry.shadow == amount + 1;
        let is_new = entry.added.is_none();
        (!(is_kind && is_sound && is_new)).then(|| format!("entry {n} is another"))
    }

    #[durable_object(name = "sim.Book")]
    impl Book {
        pub fn book(&mut self, n: u64) -> u64 {
            self.count += u64::from(self.entries.insert((1, n), entry(n)).is_none());
            self.last = Some(entry(n));
            n
        }

        /// The numbers that are booked, and what is wrong; empty: nothing.
        pub fn check(&self) -> (Vec<u64>, String) {
            let faults = self.entries.iter().filter_map(|(at, entry)| fault(*at, entry));
            let mut faults: Vec<_> = faults.collect();
            if self.count != self.entries.len() as u64 {
                faults.push(format!("{} of {} are counted", self.count, self.entries.len()));
            }
            if self.last.is_none() && !self.entries.is_empty() || self.refused != 0 {
                faults.push("the last one is gone, or a refused turn is not".to_owned());
            }
            (self.entries.keys().map(|(_, n)| *n).collect(), faults.join(", "))
        }

        pub fn touch(&mut self) -> u64 {
            self.count
        }

        pub fn refuse(&mut self) -> Result<(), String> {
            self.refused += 1;
            self.entries.clear();
            Err("refused".to_owned())
        }

        /// Changes nothing of the struct.
        pub fn keep(&mut self, cx: &mut Context<'_, Self>, pages: u64) -> Result<(), Error> {
            cx.kv().put("pages", &pages)
        }
    }
}

pub fn first(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<first::Book>()
}

pub fn second(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<second::Book>()
}

const NAMES: [&str; 3] = ["red", "green", "blue"];

fn books<C: Object<Key = durable::Name>>(sim: &Sim) -> Vec<C::Stub> {
    NAMES.iter().map(|name| sim.get::<C>(*name)).collect()
}

/// Numbers whose booking was acknowledged, by book.
type Booked = Mutex<[BTreeSet<u64>; 3]>;

fn remember(booked: &Booked, book: usize, n: u64) {
    booked.lock().expect("no client panics while it holds it")[book].insert(n);
}

fn place(client: &Crew) -> usize {
    usize::try_from(client.int(0..NAMES.len() as u64)).expect("there are three")
}

/// Clients of the first release, then of the second, and what was acknowledged is there at the end, as it was meant.
pub async fn release(sim: Sim, faults: Faults) -> TestResult {
    let booked = Booked::default();
    let old = books::<first::Book>(&sim);
    sim.faults(faults);
    sim.clients(3, async |client| {
        for _ in 0..8 {
            let (book, n) = (place(&client), client.int(0..30));
            match client.int(0..6) {
                0 => drop(client.sim().evict(&old[book]).await),
                _ => old[book].book(n).await.iter().for_each(|n| remember(&booked, book, *n)),
            }
        }
    })
    .await;
    sim.upgrade(second).await;
    let new = books::<second::Book>(&sim);
    sim.clients(3, async |client| {
        for _ in 0..8 {
            let (book, n) = (place(&client), client.int(0..30));
            let stub = &new[book];
            match client.int(0..8) {
                0 => drop(client.sim().evict(stub).await),
                1 => drop(stub.touch().await),
                2 => drop(stub.refuse().await),
                3 => drop(stub.keep(n).await),
                4 | 5 => stub.book(n).await.iter().for_each(|n| remember(&booked, book, *n)),
                _ => stub.check().await.iter().for_each(|(_, fault)| assert_eq!(fault, "")),
            }
        }
    })
    .await;
    sim.heal().await?;
    let booked = booked.into_inner().expect("no client panics while it holds it");
    for (stub, booked) in new.iter().zip(booked) {
        let (found, fault) = stub.check().await?;
        assert_eq!(fault, "", "{:?} is as it was meant", stub.name());
        let lost: Vec<_> = booked.iter().filter(|n| !found.contains(n)).collect();
        assert!(lost.is_empty(), "{lost:?} of {:?} were acknowledged and are gone", stub.name());
    }
    sim.sometimes("an older state was read", |trace| trace.count("activation.evolved") > 0);
    sim.sometimes("the node crashed", |trace| trace.count("node.crashes") > 0);
    Ok(())
}
