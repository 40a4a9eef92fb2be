//! The classes of the workload.

#![allow(
    missing_docs,
    missing_debug_implementations,
    reason = "they are a workload, not a library"
)]
#![allow(clippy::disallowed_methods, reason = "objects may sleep on tokio's clock")]

use std::collections::BTreeMap;

use durable::RuntimeBuilder;
use durable::prelude::*;

use crate::diary::Diary;

#[derive(Debug, DurableState)]
pub enum Refused {
    Overdrawn { have: u64, want: u64 },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// An account with what is needed to see every kind of turn.
#[derive(Default, DurableState)]
pub struct Account {
    pub cents: u64,
    pub turns: u64,
}

#[durable_object(name = "sim.Account")]
impl Account {
    pub fn deposit(&mut self, cents: u64) -> u64 {
        self.cents += cents;
        self.turns += 1;
        self.cents
    }

    pub fn withdraw(&mut self, cents: u64) -> Result<u64, Refused> {
        // Changed first and refused afterwards, so that there is something to undo.
        self.turns += 1;
        let have = self.cents;
        self.cents = have.wrapping_sub(cents);
        if have < cents {
            return Err(Refused::Overdrawn { have, want: cents });
        }
        Ok(self.cents)
    }

    pub fn balance(&self) -> u64 {
        self.cents
    }

    pub fn stamp(&mut self, cx: &mut Context<'_, Self>) -> (u64, u64) {
        self.cents += cx.rng().below(3);
        (cx.now().0, self.cents)
    }

    /// Nothing is changed, so nothing is stored.
    /// Who it takes itself for.
    pub fn own_name(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.name().map(str::to_owned)
    }

    pub fn touch(&mut self) -> u64 {
        self.cents
    }

    pub fn panic_after_change(&mut self, cents: u64) {
        self.cents += cents;
        panic!("on purpose");
    }
}

/// Pauses in the middle of its turns.
#[derive(Default, DurableState)]
pub struct Slow {
    pub cents: u64,
    pub turns: u64,
}

#[durable_object(name = "sim.Slow", idle = "2s")]
impl Slow {
    /// Reads twice, with a pause between that other reads may use.
    pub async fn slow_balance(&self) -> (u64, u64) {
        let before = self.cents;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        (before, self.cents)
    }

    /// Deposits in two steps, with a pause between that nobody may see.
    pub async fn slow_deposit(&mut self, cents: u64) -> u64 {
        self.cents += cents;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        self.turns += 1;
        self.cents
    }
}

/// Moves money between accounts, in calls that are not one transaction.
#[derive(Default, DurableState)]
pub struct Teller {
    pub moved: u64,
    pub failed: u64,
}

#[durable_object(name = "sim.Teller")]
impl Teller {
    pub async fn transfer(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: String,
        to: String,
        cents: u64,
    ) -> bool {
        self.moved += cents;
        let (from, to) = (cx.get::<Account>(from), cx.get::<Account>(to));
        if from.withdraw(cents).await.is_err() {
            self.moved -= cents;
            self.failed += 1;
            return false;
        }
        to.deposit(cents).await.is_ok()
    }

    /// Deposits three times at once, through one stub.
    pub async fn treble(&mut self, cx: &mut Context<'_, Self>, to: String, cents: u64) -> bool {
        self.moved += 3 * cents;
        let to = cx.get::<Account>(to);
        let deposits = [cents; 3].map(|cents| to.deposit(cents).into_future());
        futures_util::future::join_all(deposits).await.iter().all(Result::is_ok)
    }

    pub fn moved(&self) -> u64 {
        self.moved
    }
}

/// Keeps a list, and refuses to start when it is told to.
#[derive(Default, DurableState)]
pub struct Log {
    pub lines: Vec<String>,
    #[serde(skip)]
    length: usize,
}

#[durable_object(name = "sim.Log")]
impl Log {
    pub fn append(&mut self, line: String) -> usize {
        self.length += line.len();
        self.lines.push(line);
        self.lines.len()
    }

    /// Takes lines away, and puts them back if they were too few.
    pub fn truncate(&mut self, lines: usize) -> Result<usize, Refused> {
        let have = self.lines.len();
        // Changed first and refused afterwards: a field that is not stored is put right only if one that is was changed.
        if self.lines.pop().is_some() {
            self.length = 0;
        }
        if have < lines {
            return Err(Refused::Overdrawn { have: have as u64, want: lines as u64 });
        }
        self.lines.truncate(lines);
        self.count();
        Ok(self.lines.len())
    }

    pub fn last(&self) -> Option<String> {
        self.lines.last().cloned()
    }

    pub fn length(&self) -> usize {
        self.length
    }

    #[on_activate]
    fn count(&mut self) {
        self.length = self.lines.iter().map(String::len).sum();
    }
}

/// Keeps the same in its struct and under keys.
#[derive(Default, DurableState)]
pub struct Shelf {
    pub books: BTreeMap<String, u64>,
    /// Only in the struct, so that some turns change only one of the two.
    pub turns: u64,
}

#[durable_object(name = "sim.Shelf")]
impl Shelf {
    pub fn put(
        &mut self,
        cx: &mut Context<'_, Self>,
        title: String,
        pages: u64,
    ) -> Result<(), Error> {
        self.books.insert(title.clone(), pages);
        cx.kv().put(title, &pages)
    }

    /// Nothing is left of it; the title is one more that goes.
    pub fn burn(&mut self, cx: &mut Context<'_, Self>, title: String) -> Result<usize, Error> {
        cx.delete_all();
        self.put(cx, title, 1)?;
        Ok(self.books.len())
    }

    /// Wants nothing to be left, and then refuses.
    pub fn burn_and_refuse(&mut self, cx: &mut Context<'_, Self>) -> Result<(), String> {
        cx.delete_all();
        Err("a shelf does not burn".to_owned())
    }

    /// Several titles at once.
    pub fn fill(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: u64,
        count: u64,
    ) -> Result<usize, Error> {
        let books = || (from..from + count).map(|n| (format!("{n:03}"), n));
        self.books.extend(books());
        cx.kv().put_many(books())?;
        Ok(self.books.len())
    }

    /// Whether the title was there: under its key, and in the struct.
    pub async fn take(
        &mut self,
        cx: &mut Context<'_, Self>,
        title: String,
    ) -> Result<(bool, bool), Error> {
        let was_kept = cx.kv().delete(&title).await?;
        Ok((was_kept, self.books.remove(&title).is_some()))
    }

    /// Writes what is there already: only the rows are stored again.
    pub fn dust(&mut self, cx: &mut Context<'_, Self>) -> Result<usize, Error> {
        cx.kv().put_many(&self.books)?;
        Ok(self.books.len())
    }

    pub fn count_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    pub async fn put_and_refuse(
        &mut self,
        cx: &mut Context<'_, Self>,
        title: String,
    ) -> Result<(), String> {
        cx.kv().delete("001").await.map_err(|error| error.to_string())?;
        cx.kv().put(title, &0_u64).map_err(|error| error.to_string())?;
        Err("refused".to_owned())
    }

    pub fn put_and_panic(
        &mut self,
        cx: &mut Context<'_, Self>,
        title: String,
    ) -> Result<(), Error> {
        cx.kv().put(title, &0_u64)?;
        panic!("on purpose");
    }

    /// How many books there are, and how struct and keys differ; empty: they do not.
    pub async fn check(&self, cx: &Context<'_, Self>) -> Result<(usize, String), Error> {
        let mut found = Vec::new();
        let mut list = cx.kv().list();
        while let Some((key, pages)) = list.next::<u64>().await? {
            found.push((key.to_string(), pages));
        }
        let mut reversed = Vec::new();
        let mut list = cx.kv().list().prefix("0").reverse();
        while let Some((key, pages)) = list.next::<u64>().await? {
            reversed.push((key.to_string(), pages));
        }
        reversed.reverse();
        let wanted: Vec<_> = self.books.clone().into_iter().collect();
        let got = cx.kv().get_many::<u64>(self.books.keys()).await?;
        let got: Vec<_> = got.into_iter().map(|(key, pages)| (key.to_string(), pages)).collect();
        let views = [("list", found), ("reversed list", reversed), ("get_many", got)];
        let differs = views.iter().find(|(_, rows)| *rows != wanted);
        let text = differs.map(|(view, rows)| format!("the {view} has {rows:?}, not {wanted:?}"));
        Ok((wanted.len(), text.unwrap_or_default()))
    }
}

/// Keeps the same in its struct and in tables.
#[derive(Default, DurableState)]
pub struct Register {
    pub people: BTreeMap<String, i64>,
    /// Only in the struct, so that some turns change only one of the two.
    pub turns: u64,
}

#[durable_object(name = "sim.Register", migrations = "migrations/register")]
impl Register {
    pub fn enter(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
        age: i64,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO people VALUES (?, ?) ON CONFLICT DO UPDATE SET age = excluded.age";
        cx.sql().exec(sql, (name.as_str(), age))?;
        self.people.insert(name, age);
        Ok(())
    }

    /// Several people at once, and a note that needs many pages.
    pub fn enter_many(
        &mut self,
        cx: &mut Context<'_, Self>,
        from: i64,
        count: i64,
    ) -> Result<u64, Error> {
        // A setting is the turn's own: the database is opened anew for the next one, and has nothing in memory.
        cx.sql().exec("PRAGMA recursive_triggers = ON", ())?;
        for age in from..from + count {
            self.enter(cx, format!("{age:03}"), age)?;
        }
        cx.sql().exec("CREATE TABLE IF NOT EXISTS notes (text TEXT)", ())?;
        cx.sql().exec("DELETE FROM notes WHERE length(text) > 1000", ())?;
        cx.sql().exec("INSERT INTO notes VALUES (printf('%.*c', 24000, ?))", [from.to_string()])?;
        cx.sql().database_size()
    }

    /// Whether somebody was known: in the table, and in the struct.
    pub fn leave(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
    ) -> Result<(bool, bool), Error> {
        let done = cx.sql().exec("DELETE FROM people WHERE name = ?", [name.as_str()])?;
        Ok((done.rows_written == 1, self.people.remove(&name).is_some()))
    }

    /// Everybody is a year older, in one statement. Only the table and the struct's numbers change.
    pub fn age(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
        self.people.values_mut().for_each(|age| *age += 1);
        Ok(cx.sql().exec("UPDATE people SET age = age + 1", ())?.rows_written)
    }

    /// Only pages are stored: the struct knows nothing of it.
    pub fn scribble(&mut self, cx: &mut Context<'_, Self>) -> Result<i64, Error> {
        cx.sql().exec("CREATE TABLE IF NOT EXISTS notes (text TEXT)", ())?;
        let text = "INSERT INTO notes VALUES (hex(randomblob(8)) || datetime('now'))";
        Ok(cx.sql().exec(text, ())?.last_insert_rowid)
    }

    pub fn count_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    pub fn enter_and_refuse(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
    ) -> Result<(), String> {
        cx.sql().exec("DELETE FROM people", ()).map_err(|error| error.to_string())?;
        let entered = cx.sql().exec("INSERT INTO people VALUES (?, 0)", [name]);
        entered.map_err(|error| error.to_string())?;
        Err("refused".to_owned())
    }

    pub fn enter_and_panic(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
    ) -> Result<(), Error> {
        cx.sql().exec("INSERT OR REPLACE INTO people VALUES (?, 0)", [name])?;
        panic!("on purpose");
    }

    /// Two people, of whom a savepoint takes the second back.
    pub fn enter_one_of_two(
        &mut self,
        cx: &mut Context<'_, Self>,
        name: String,
    ) -> Result<(), Error> {
        self.enter(cx, name, 1)?;
        let second: Result<(), Error> = cx.savepoint(|cx| {
            cx.sql().exec("INSERT OR REPLACE INTO people VALUES ('second', 2)", ())?;
            cx.sql().exec("INSERT INTO people VALUES ('second', 'no number')", ()).map(drop)
        });
        assert_eq!(second.expect_err("ages are numbers").code(), "sql.constraint");
        Ok(())
    }

    /// A visit by nobody who is known, which the end of the turn refuses.
    pub fn visit_of_a_stranger(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        self.turns += 1;
        cx.sql().exec("INSERT INTO visits (name) VALUES ('nobody')", ()).map(drop)
    }

    /// How many people there are, and how struct and table differ; empty: they do not.
    pub fn check(&self, cx: &Context<'_, Self>) -> Result<(usize, String), Error> {
        let wanted: Vec<(String, i64)> = self.people.clone().into_iter().collect();
        let by_name = cx.sql().query("SELECT name, age FROM people ORDER BY name", ())?.all()?;
        let mut by_age: Vec<(String, i64)> = cx
            .sql()
            .query("SELECT name, age FROM people INDEXED BY ages WHERE age >= 0", ())?
            .all()?;
        by_age.sort();
        let views: [(&str, Vec<(String, i64)>); 2] = [("table", by_name), ("index", by_age)];
        if let Some((view, rows)) = views.iter().find(|(_, rows)| *rows != wanted) {
            return Ok((wanted.len(), format!("the {view} has {rows:?}, not {wanted:?}")));
        }
        let visits: i64 = cx.sql().query_one("SELECT count(*) FROM visits", ())?;
        let whole: String = cx.sql().query_one("PRAGMA quick_check(1)", ())?;
        let is_whole = whole == "ok" && visits == 0;
        let text = if is_whole { String::new() } else { format!("{whole}, {visits} visits") };
        Ok((wanted.len(), text))
    }
}

pub fn bank(builder: RuntimeBuilder) -> RuntimeBuilder {
    let builder = builder.register::<Account>().register::<Slow>().register::<Teller>();
    builder.register::<Log>().register::<Shelf>().register::<Register>().register::<Diary>()
}
