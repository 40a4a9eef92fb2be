//! An account: its balance in the struct, its ledger in tables, and its part in an audit.

use std::collections::BTreeSet;
use std::fmt;

use durable::prelude::*;
use durable::{AlarmInfo, WallMs};

use crate::books::{BOOKS, Books, Counted};

/// The bank's own account. It pays the interest of all others, so it may owe.
pub(crate) const HOUSE: &str = "the house";

/// What can be booked at once. No sum of it that anybody lives to see comes near the ends of an `i64`.
pub(crate) const CENTS_MAX: i64 = 100_000_000;

/// A day, in milliseconds.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// One cent in so many is a day's interest.
pub(crate) const CENTS_FOR_ONE: i64 = 10_000;

/// Why an account did not do what it was asked for. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) enum Refusal {
    /// It was not opened, or the account that was asked has not heard of it yet.
    NoSuchAccount(String),
    InsufficientFunds {
        has_cents: i64,
        wanted_cents: i64,
    },
    /// Not between one cent and [`CENTS_MAX`].
    NoAmount {
        cents: i64,
    },
    /// The ledger cannot be written; says why. A disk that fails is not among it: it fails the call itself.
    Unusable(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Unusable(error.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchAccount(name) => write!(f, "there is no account `{name}`; open it"),
            Refusal::InsufficientFunds { has_cents, wanted_cents } => {
                write!(f, "there are {has_cents} cents, not {wanted_cents}; take less")
            }
            Refusal::NoAmount { cents } => {
                write!(f, "{cents} cents cannot be booked; say 1 to {CENTS_MAX}")
            }
            Refusal::Unusable(reason) => f.write_str(reason),
        }
    }
}

/// Why something was booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DurableState)]
pub(crate) enum What {
    PaidIn,
    Sent,
    Received,
    Interest,
}

impl What {
    fn text(self) -> &'static str {
        match self {
            What::PaidIn => "paid in",
            What::Sent => "sent",
            What::Received => "received",
            What::Interest => "interest",
        }
    }
}

/// One row of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Entry {
    /// In the order in which they were booked.
    pub(crate) number: i64,
    pub(crate) at_ms: i64,
    pub(crate) what: String,
    /// Empty: nobody, it was paid in.
    pub(crate) other: String,
    /// Counted by the account that has sent it.
    pub(crate) payment: i64,
    /// Below zero: it left.
    pub(crate) cents: i64,
}

/// Money on its way to another account.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Payment {
    pub(crate) from: String,
    /// Counted by the account that has sent it.
    pub(crate) number: i64,
    pub(crate) cents: i64,
    pub(crate) what: What,
}

/// What an account remembers of an audit that is not over for it.
#[derive(Clone, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Cut {
    number: u64,
    /// What there was when it first heard of the audit.
    cents: i64,
    paid_in: i64,
    /// What has come since then from those who had sent it before they heard of the audit.
    in_flight: i64,
    /// Those who may have sent such money still.
    awaited: BTreeSet<String>,
}

/// An account, named by its holder.
#[derive(Debug, Default, DurableState)]
pub(crate) struct Account {
    pub(crate) is_open: bool,
    /// Below zero only of [`HOUSE`].
    pub(crate) cents: i64,
    /// What has come into the bank here, altogether.
    pub(crate) paid_in: i64,
    /// Payments that it has made, of every kind.
    payments: i64,
    /// Those that it can pay. Empty until the books have admitted it.
    known: BTreeSet<String>,
    /// The last audit that it has heard of.
    audit: u64,
    /// `None`: that one is over for this account.
    cut: Option<Cut>,
}

#[durable_object(name = "bank.Account", visibility = "pub(crate)", migrations = "bank/migrations")]
impl Account {
    /// Opens the account; nothing comes of it if it is open.
    pub fn open(&mut self, cx: &mut Context<'_, Self>) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        let name = name(cx);
        if name != HOUSE {
            cx.alarm().set(WallMs(cx.now().0 + DAY_MS));
        }
        cx.send(cx.get::<Books>(BOOKS).admit(name));
    }

    /// Brings money into the bank. Returns the new balance in cents.
    pub fn pay_in(&mut self, cx: &mut Context<'_, Self>, cents: i64) -> Result<i64, Refusal> {
        self.check(cx, cents)?;
        self.payments += 1;
        self.paid_in += cents;
        self.book(cx, What::PaidIn, "", (self.payments, cents))?;
        Ok(self.cents)
    }

    /// Pays another account: the money leaves this one and is on its way to that one, in one commit. Returns the payment's
    /// number among those of this account.
    pub fn transfer(
        &mut self,
        cx: &mut Context<'_, Self>,
        to: String,
        cents: i64,
    ) -> Result<i64, Refusal> {
        self.check(cx, cents)?;
        if !self.known.contains(&to) {
            return Err(Refusal::NoSuchAccount(to));
        }
        if self.cents < cents && name(cx) != HOUSE {
            let has_cents = self.cents;
            return Err(Refusal::InsufficientFunds { has_cents, wanted_cents: cents });
        }
        Ok(self.pay(cx, &to, cents, What::Sent)?)
    }

    /// Money arrives. Sends call it, once for each.
    pub fn receive(&mut self, cx: &mut Context<'_, Self>, payment: Payment) -> Result<(), Error> {
        let Payment { from, number, cents, what } = payment;
        if let Some(cut) = self.cut.as_mut().filter(|cut| cut.awaited.contains(&from)) {
            cut.in_flight += cents;
        }
        let what = if what == What::Sent { What::Received } else { what };
        self.book(cx, what, &from, (number, cents))
    }

    /// An account asks the house for the interest of a day. Sends call it.
    pub fn claim(
        &mut self,
        cx: &mut Context<'_, Self>,
        by: String,
        cents: i64,
    ) -> Result<(), Error> {
        self.pay(cx, &by, cents, What::Interest).map(drop)
    }

    /// These accounts can be paid. Sends of the books call it.
    pub fn know(&mut self, others: Vec<String>) {
        self.known.extend(others);
    }

    /// An audit has come here, by the books or by one of the accounts that it is of. Sends call it.
    ///
    /// Sends of one account to another come in their order. So what comes from an account before its word of the audit was
    /// sent before that account was counted, and was in flight if it comes after this one was.
    pub fn count(
        &mut self,
        cx: &mut Context<'_, Self>,
        number: u64,
        by: Option<String>,
        accounts: BTreeSet<String>,
    ) -> Result<(), Error> {
        if self.audit < number {
            assert!(self.cut.is_none(), "the books begin an audit when the last one is over");
            let sql = "SELECT coalesce(sum(cents), 0) FROM entries";
            let booked: i64 = cx.sql().query_one(sql, ())?;
            assert_eq!(booked, self.cents, "the ledger and the balance change in one commit");
            self.audit = number;
            let me = Some(name(cx));
            for other in &accounts {
                cx.send(cx.get::<Account>(other).count(number, me.clone(), accounts.clone()));
            }
            let (cents, paid_in) = (self.cents, self.paid_in);
            self.cut = Some(Cut { number, cents, paid_in, in_flight: 0, awaited: accounts });
        }
        let Some(cut) = self.cut.as_mut().filter(|cut| cut.number == number) else {
            return Ok(());
        };
        if let Some(by) = by {
            cut.awaited.remove(&by);
        }
        if cut.awaited.is_empty() {
            let Cut { cents, paid_in, in_flight, .. } = *cut;
            let counted = Counted { cents, paid_in, in_flight };
            cx.send(cx.get::<Books>(BOOKS).counted(number, name(cx), counted));
            self.cut = None;
        }
        Ok(())
    }

    /// The balance in cents.
    pub fn balance(&self, cx: &Context<'_, Self>) -> Result<i64, Refusal> {
        self.check_open(cx)?;
        Ok(self.cents)
    }

    /// Whether it can pay that one.
    pub fn knows(&self, other: String) -> bool {
        self.known.contains(&other)
    }

    /// What was booked after the entry of a number, at most a thousand entries.
    pub fn entries(&self, cx: &Context<'_, Self>, after: i64) -> Result<Vec<Entry>, Error> {
        let sql = "SELECT number, at_ms, what, other, payment, cents FROM entries
            WHERE number > ? ORDER BY number LIMIT 1000";
        cx.sql().query(sql, [after])?.all()
    }

    /// A day is over. Whatever has happened to the process, each day is claimed once: the claim and the alarm of the next
    /// day are in the commit that uses this one's up.
    #[alarm]
    fn earn(&mut self, cx: &mut Context<'_, Self>, day: AlarmInfo) {
        cx.alarm().set(WallMs(day.scheduled_at.0 + DAY_MS));
        let cents = self.cents / CENTS_FOR_ONE;
        if cents > 0 && self.known.contains(HOUSE) {
            cx.send(cx.get::<Account>(HOUSE).claim(name(cx), cents));
        }
    }

    fn check_open(&self, cx: &Context<'_, Self>) -> Result<(), Refusal> {
        if self.is_open { Ok(()) } else { Err(Refusal::NoSuchAccount(name(cx))) }
    }

    fn check(&self, cx: &Context<'_, Self>, cents: i64) -> Result<(), Refusal> {
        self.check_open(cx)?;
        if (1..=CENTS_MAX).contains(&cents) { Ok(()) } else { Err(Refusal::NoAmount { cents }) }
    }

    /// Books money out and sends it. Returns the payment's number.
    fn pay(
        &mut self,
        cx: &mut Context<'_, Self>,
        to: &str,
        cents: i64,
        what: What,
    ) -> Result<i64, Error> {
        self.payments += 1;
        let payment = Payment { from: name(cx), number: self.payments, cents, what };
        self.book(cx, what, to, (self.payments, -cents))?;
        cx.send(cx.get::<Account>(to).receive(payment));
        Ok(self.payments)
    }

    /// The only place where money comes and goes: in the struct and in the ledger.
    fn book(
        &mut self,
        cx: &mut Context<'_, Self>,
        what: What,
        other: &str,
        (payment, cents): (i64, i64),
    ) -> Result<(), Error> {
        self.cents += cents;
        let sql = "INSERT INTO entries (at_ms, what, other, payment, cents) VALUES (?, ?, ?, ?, ?)";
        let at_ms = cx.now().0.cast_signed();
        cx.sql().exec(sql, (at_ms, what.text(), other, payment, cents)).map(drop)
    }
}

fn name(cx: &Context<'_, Account>) -> String {
    cx.name().expect("accounts are asked for by their names").to_owned()
}
