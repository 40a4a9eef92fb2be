//! A class whose past is kept, with the same in its struct, under keys and in a table.

#![allow(missing_docs, missing_debug_implementations, reason = "it is a workload, not a library")]

use std::collections::BTreeMap;

use durable::prelude::*;

/// Keeps days and how many words were written on each, three times.
#[derive(Default, DurableState)]
pub struct Diary {
    pub days: BTreeMap<String, u64>,
    /// Only in the struct, so that some turns change only one of the three.
    pub turns: u64,
}

/// Everything that a diary is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, DurableState)]
pub struct Everything {
    pub days: Vec<(String, u64)>,
    pub turns: u64,
    pub keys: Vec<(String, u64)>,
    pub rows: Vec<(String, i64)>,
    /// Bytes of the notes, and how many there are.
    pub notes: (i64, i64),
}

#[durable_object(name = "sim.Diary", history)]
impl Diary {
    pub fn write(
        &mut self,
        cx: &mut Context<'_, Self>,
        day: String,
        words: u64,
    ) -> Result<(), Error> {
        cx.kv().put(day.as_str(), &words)?;
        tables(cx)?;
        let sql = "INSERT INTO days VALUES (?, ?) ON CONFLICT DO UPDATE SET words = excluded.words";
        cx.sql().exec(sql, (day.as_str(), i64::try_from(words).unwrap_or(0)))?;
        self.days.insert(day, words);
        self.turns += 1;
        Ok(())
    }

    /// Only the struct.
    pub fn count_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Only keys.
    pub fn mark(&mut self, cx: &mut Context<'_, Self>, from: u64, count: u64) -> Result<(), Error> {
        (from..from + count).try_for_each(|mark| cx.kv().put(format!("mark/{mark}"), &mark))
    }

    /// Only the table, and many pages of it.
    pub fn note(&mut self, cx: &mut Context<'_, Self>, bytes: i64) -> Result<(), Error> {
        tables(cx)?;
        cx.sql().exec("INSERT INTO notes VALUES (hex(zeroblob(?)))", [bytes / 2]).map(drop)
    }

    /// Other text in all notes, on the same pages.
    pub fn rewrite(&mut self, cx: &mut Context<'_, Self>, letter: String) -> Result<u64, Error> {
        tables(cx)?;
        let sql = "UPDATE notes SET text = replace(text, substr(text, 1, 1), ?)";
        Ok(cx.sql().exec(sql, [letter])?.rows_written)
    }

    /// Takes a day away, everywhere.
    pub async fn tear(&mut self, cx: &mut Context<'_, Self>, day: String) -> Result<bool, Error> {
        tables(cx)?;
        cx.sql().exec("DELETE FROM days WHERE day = ?", [day.as_str()])?;
        cx.kv().delete(day.as_str()).await?;
        Ok(self.days.remove(&day).is_some())
    }

    /// Takes all notes and marks away, and gives back the room.
    pub async fn clear(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        tables(cx)?;
        cx.sql().exec_batch("DROP TABLE notes; CREATE TABLE notes (text TEXT)")?;
        let mut keys = Vec::new();
        let mut list = cx.kv().list().prefix("mark/");
        while let Some((key, _)) = list.next::<u64>().await? {
            keys.push(key);
        }
        cx.kv().delete_many(keys).await.map(drop)
    }

    pub fn write_and_refuse(
        &mut self,
        cx: &mut Context<'_, Self>,
        day: String,
    ) -> Result<(), String> {
        self.write(cx, day, 0).map_err(|error| error.to_string())?;
        Err("refused".to_owned())
    }

    /// Takes all of itself away.
    pub fn burn(&mut self, cx: &mut Context<'_, Self>) {
        cx.delete_all();
    }

    pub async fn read(&self, cx: &Context<'_, Self>) -> Result<Everything, Error> {
        let mut keys = Vec::new();
        let mut list = cx.kv().list();
        while let Some((key, value)) = list.next::<u64>().await? {
            keys.push((key.to_string(), value));
        }
        let has: i64 =
            cx.sql().query_one("SELECT count(*) FROM sqlite_schema WHERE name = 'days'", ())?;
        let (mut rows, mut notes) = (Vec::new(), (0, 0));
        if has == 1 {
            rows = cx.sql().query("SELECT day, words FROM days ORDER BY day", ())?.all()?;
            let sql = "SELECT coalesce(sum(length(text)), 0), count(*) FROM notes";
            notes = cx.sql().query_one(sql, ())?;
            let whole: String = cx.sql().query_one("PRAGMA quick_check(1)", ())?;
            assert_eq!(whole, "ok");
        }
        let days = self.days.clone().into_iter().collect();
        Ok(Everything { days, turns: self.turns, keys, rows, notes })
    }
}

impl Everything {
    /// Whether the three are of one commit.
    pub fn agrees(&self) -> bool {
        let is_mark = |key: &str| key.starts_with("mark/");
        let keys: Vec<_> = self.keys.iter().filter(|(key, _)| !is_mark(key)).cloned().collect();
        let row = |(day, words): &(String, i64)| (day.clone(), words.unsigned_abs());
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        self.days == keys && self.days == rows
    }
}

fn tables(cx: &mut Context<'_, Diary>) -> Result<(), Error> {
    let days = "CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, words INTEGER) STRICT";
    cx.sql().exec(days, ())?;
    cx.sql().exec("CREATE TABLE IF NOT EXISTS notes (text TEXT)", ()).map(drop)
}
