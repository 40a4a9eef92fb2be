//! Chaos: a bank that is killed again and again while it works, and one who looks at what is left of it.
//!
//! The parent starts this program as its own victim. The victim pays and, at a moment of chance, aborts: nothing is closed, no
//! destructor runs. It tells the parent of each payment that was answered. In the end the parent opens the books itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use durable::prelude::*;

use crate::account::{Account, AccountStub, Entry, HOUSE, Refusal};
use crate::books::{BOOKS, Books, Finding};
use crate::{Failure, PAUSE, audited, bank, shown};

const NAMES: [&str; 6] = ["ada", "bob", "cyd", "dan", "eve", "fay"];

/// Who pays at once, in one victim.
const PAYERS: u64 = 8;

/// The longest that a victim lives, in milliseconds.
const LIFE_MS: u64 = 600;

/// Xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        let mut random = Random((seed << 16 ^ stream).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.below(1);
        random
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn name(&mut self) -> String {
        NAMES[self.below(NAMES.len() as u64) as usize].to_owned()
    }
}

/// What the victims were told: whatever is here must be in the books.
#[derive(Default)]
struct Acknowledged {
    /// In cents.
    paid_in: i64,
    /// The sender, the payment's number, and its cents.
    payments: BTreeSet<(String, i64, i64)>,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) -> Option<()> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["in", cents] => self.paid_in += cents.parse::<i64>().ok()?,
            ["paid", name, number, cents] => {
                let payment = (name.to_owned(), number.parse().ok()?, cents.parse().ok()?);
                self.payments.insert(payment);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Pays until it is killed, which it does itself.
pub(crate) async fn work_until_killed(data: &str, seed: u64) -> Result<String, Failure> {
    let life = Duration::from_micros(Random::new(seed, 0).below(LIFE_MS * 1_000));
    tokio::spawn(async move {
        tokio::time::sleep(life).await;
        std::process::abort();
    });
    let runtime = bank(Runtime::builder(data), PAUSE).start().await?;
    for name in NAMES {
        runtime.get::<Account>(name).open().await?;
    }
    let payers = (1..=PAYERS).map(|payer| tokio::spawn(pay(runtime.clone(), seed, payer)));
    for payer in payers.collect::<Vec<_>>() {
        payer.await??;
    }
    Err("nobody has killed it".into())
}

/// One who pays for ever.
async fn pay(runtime: Runtime, seed: u64, payer: u64) -> Result<(), Error> {
    let mut random = Random::new(seed, payer);
    loop {
        let (name, cents) = (random.name(), 1 + random.below(40_000).cast_signed());
        let account = runtime.get::<Account>(&*name);
        match random.below(16) {
            0 => {
                if answered(account.pay_in(cents).await)?.is_some() {
                    println!("in {cents}");
                }
            }
            1 => {
                // A day is over.
                runtime.run_alarm(account.id()?).await?;
            }
            _ => {
                let to = if random.below(50) == 0 { "nobody".to_owned() } else { random.name() };
                if let Some(number) = answered(account.transfer(to, cents).await)? {
                    println!("paid {name} {number} {cents}");
                }
            }
        }
    }
}

/// What was answered. `None`: the account has refused it, as accounts do.
fn answered<T>(answer: Result<T, CallError<Refusal>>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(CallError::Rejected(_)) => Ok(None),
        Err(CallError::Failed(error)) => Err(error),
    }
}

/// Lets victims work on the books in `data` until each is killed, and looks at the books when all are dead.
pub(crate) async fn survive(data: &str, rounds: u64, seed: u64) -> Result<String, Failure> {
    let mut heard = Acknowledged::default();
    for round in 0..rounds {
        let mut victim = Command::new(std::env::current_exe()?)
            .args(["--data", data, "--victim", &(seed.wrapping_mul(1_000) + round).to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let told = victim.stdout.take().expect("it was piped");
        let mut lines = BufReader::new(told).lines().collect::<Result<Vec<_>, _>>()?;
        // The last one may have been cut short.
        lines.pop();
        for line in lines {
            heard.hear(&line).ok_or_else(|| format!("a victim said `{line}`"))?;
        }
        let died = victim.wait()?;
        if died.code().is_some() {
            return Err(format!("a victim was not killed: {died}").into());
        }
    }
    let runtime = bank(Runtime::builder(data), PAUSE).start().await?;
    let looked = look(&runtime, &heard).await;
    runtime.shutdown().await?;
    let (finding, payments) = looked?;
    Ok(format!(
        "killed {rounds} times, {} audits, {payments} payments, {} of them acknowledged\n{}",
        finding.audit,
        heard.payments.len(),
        shown(&finding)
    ))
}

/// The last audit, and how many payments there are, if everything is as it must be.
async fn look(runtime: &Runtime, heard: &Acknowledged) -> Result<(Finding, usize), Failure> {
    for name in NAMES {
        runtime.get::<Account>(name).open().await?;
    }
    let finding = loop {
        // Interest goes two ways, so that there may be some on its way after the first audit.
        let finding = audited(&runtime.client()).await?;
        let ledgers = ledgers(runtime).await?;
        if finding.counted.in_flight == 0 && match_payments(&ledgers)?.1 == 0 {
            break finding;
        }
    };
    if finding.counted.paid_in < heard.paid_in {
        let Finding { counted, .. } = finding;
        let text =
            format!("{} cents were paid in, the books say {}", heard.paid_in, counted.paid_in);
        return Err(text.into());
    }
    let ledgers = ledgers(runtime).await?;
    let (booked, _) = match_payments(&ledgers)?;
    if let Some(lost) = heard.payments.iter().find(|payment| !booked.contains(payment)) {
        return Err(format!("a payment was acknowledged and is not booked: {lost:?}").into());
    }
    if let [letter, ..] = &runtime.dead_letters(None).await?[..] {
        return Err(format!("there is a dead letter: {letter:?}").into());
    }
    if let Some(wrong) = runtime.get::<Books>(BOOKS).wrong().await? {
        return Err(shown(&wrong).into());
    }
    Ok((finding, booked.len()))
}

type Ledgers = BTreeMap<String, Vec<Entry>>;

async fn ledgers(runtime: &Runtime) -> Result<Ledgers, Failure> {
    let mut ledgers = Ledgers::new();
    for name in NAMES.into_iter().chain([HOUSE]) {
        ledgers.insert(name.to_owned(), whole_ledger(&runtime.get::<Account>(name)).await?);
    }
    Ok(ledgers)
}

/// All entries of an account. The sum of them is its balance.
async fn whole_ledger(account: &AccountStub) -> Result<Vec<Entry>, Error> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.number);
        let more = match account.entries(after).await {
            Ok(more) => more,
            Err(CallError::Rejected(error) | CallError::Failed(error)) => return Err(error),
        };
        if more.is_empty() {
            return Ok(entries);
        }
        entries.extend(more);
    }
}

/// A payment: the sender, its number, and its cents.
type Paid = (String, i64, i64);

/// Finds the other half of each entry. Gives all payments, and how many have not come yet.
fn match_payments(ledgers: &Ledgers) -> Result<(BTreeSet<Paid>, usize), Failure> {
    let (mut sent, mut came) = (BTreeMap::new(), BTreeSet::new());
    for (name, entries) in ledgers {
        for entry in entries.iter().filter(|entry| entry.what != "paid in") {
            let (other, number) = (&entry.other, entry.payment);
            if entry.cents < 0 {
                sent.insert((name.clone(), number, -entry.cents), other.clone());
            } else if !came.insert((other.clone(), number, entry.cents, name.clone())) {
                return Err(format!("payment {number} of {other} has come to {name} twice").into());
            }
        }
    }
    for (from, number, cents, to) in &came {
        let paid = (from.clone(), *number, *cents);
        if sent.get(&paid) != Some(to) {
            return Err(
                format!("{from} has not sent payment {number}, {cents} cents, to {to}").into()
            );
        }
    }
    let on_their_way = sent.len() - came.len();
    Ok((sent.into_keys().collect(), on_their_way))
}
