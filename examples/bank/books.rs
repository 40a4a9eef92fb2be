//! The books: which accounts there are, and what their audits have found.
//!
//! An audit counts the bank while it works. Nobody can stop all accounts, or read them at one moment of a clock. So each is
//! counted by itself, when it first hears of the audit, and tells all others. Money that its sender had sent before it was
//! counted, and that comes when its receiver was counted already, was in flight. The result is a state that the bank could
//! have been in at one moment: of no payment is the arrival in it without the departure. The sum of it is the money that was
//! paid in, or something is wrong.
//!
//! That rests on sends: those of one object to another come in their order, once, whatever crashes. If one were lost, came
//! twice or overtook another, an audit would find it.
//!
//! # Source
//! Chandy and Lamport, Distributed Snapshots (1985). Here markers and money are durable sends, so an audit survives crashes.

use std::collections::BTreeSet;

use durable::prelude::*;

use crate::account::Account;

/// What the one object of the class is called.
pub(crate) const BOOKS: &str = "books";

/// What an audit has counted, of one account or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DurableState)]
pub(crate) struct Counted {
    /// In accounts.
    pub(crate) cents: i64,
    /// What has ever come into the bank.
    pub(crate) paid_in: i64,
    /// What had left an account and not come to another one.
    pub(crate) in_flight: i64,
}

impl Counted {
    /// Nothing is missing, and nothing is there twice.
    pub(crate) fn is_sound(&self) -> bool {
        self.cents + self.in_flight == self.paid_in
    }
}

/// An audit that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DurableState)]
pub(crate) struct Finding {
    /// From 1.
    pub(crate) audit: u64,
    pub(crate) counted: Counted,
}

/// All accounts, and their audits.
#[derive(Debug, Default, DurableState)]
pub(crate) struct Books {
    /// Each knows all others, or is about to hear of them.
    accounts: BTreeSet<String>,
    /// Those that were opened while an audit was under way, and know nobody yet.
    waiting: BTreeSet<String>,
    /// Audits that were begun.
    begun: u64,
    /// Of whom the last of them has not heard yet. Empty: it is over.
    missing: BTreeSet<String>,
    /// Of the others.
    counted: Counted,
    /// `None`: no audit was ever over.
    last: Option<Finding>,
    /// The first audit that found too much money or too little. `None`: none did.
    pub(crate) wrong: Option<Finding>,
}

#[durable_object(name = "bank.Books", visibility = "pub(crate)")]
impl Books {
    /// An account was opened. Sends of accounts call it.
    ///
    /// An audit is of certain accounts, and money that leaves them would be missing. So nobody hears of the new one before
    /// the audit is over.
    pub fn admit(&mut self, cx: &mut Context<'_, Self>, account: String) {
        self.waiting.insert(account);
        self.admit_all(cx);
    }

    /// Begins an audit, unless one is under way. Returns the number of the one that is.
    pub fn audit(&mut self, cx: &mut Context<'_, Self>) -> u64 {
        if self.missing.is_empty() && !self.accounts.is_empty() {
            self.begun += 1;
            self.missing = self.accounts.clone();
            self.counted = Counted::default();
            for account in &self.accounts {
                let accounts = self.accounts.clone();
                cx.send(cx.get::<Account>(account).count(self.begun, None, accounts));
            }
        }
        self.begun
    }

    /// An account was counted in an audit. Sends of accounts call it.
    pub fn counted(
        &mut self,
        cx: &mut Context<'_, Self>,
        audit: u64,
        account: String,
        counted: Counted,
    ) {
        assert_eq!(audit, self.begun, "no audit begins before the last one is over");
        assert!(self.missing.remove(&account), "{account} is counted once");
        self.counted.cents += counted.cents;
        self.counted.paid_in += counted.paid_in;
        self.counted.in_flight += counted.in_flight;
        if self.missing.is_empty() {
            let finding = Finding { audit, counted: self.counted };
            self.last = Some(finding);
            if !finding.counted.is_sound() {
                self.wrong.get_or_insert(finding);
            }
            self.admit_all(cx);
        }
    }

    /// The last audit that is over.
    pub fn last(&self) -> Option<Finding> {
        self.last
    }

    /// The first audit that found too much money or too little.
    pub fn wrong(&self) -> Option<Finding> {
        self.wrong
    }

    /// All that can be paid, by name.
    pub fn accounts(&self) -> BTreeSet<String> {
        self.accounts.clone()
    }

    /// Lets all hear of each other, unless an audit is under way.
    fn admit_all(&mut self, cx: &mut Context<'_, Self>) {
        if !self.missing.is_empty() {
            return;
        }
        while let Some(new) = self.waiting.pop_first() {
            self.accounts.insert(new.clone());
            for account in &self.accounts {
                let others: Vec<String> = match *account == new {
                    true => self.accounts.iter().cloned().collect(),
                    false => vec![new.clone()],
                };
                cx.send(cx.get::<Account>(account).know(others));
            }
        }
    }
}
