//! What an object keeps in tables: a turn is the transaction, and struct, KV and SQL are one commit.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::path::Path;

use durable::prelude::*;
use durable::{Code, SqlNamed, SqlValue};
use serde::Deserialize;
use tests::{WriterGate, first_shard};

/// Keeps a count in three places.
#[derive(Default, DurableState)]
pub struct Triple {
    n: i64,
}

const TABLES: &str = "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT)";

#[durable_object(name = "test.Triple")]
impl Triple {
    /// Runs statements, and counts.
    pub fn run(&mut self, cx: &mut Context<'_, Self>, sqls: Vec<String>) -> Result<i64, Error> {
        self.n += 1;
        for sql in sqls {
            cx.sql().exec(&sql, ())?;
        }
        Ok(self.n)
    }

    /// Adds to all three.
    pub fn add(&mut self, cx: &mut Context<'_, Self>) -> Result<i64, Error> {
        self.n += 1;
        cx.kv().put("n", &self.n)?;
        cx.sql().exec(TABLES, ())?;
        cx.sql().exec("INSERT INTO t VALUES (?, 'row')", [self.n])?;
        cx.sql().query_one("SELECT count(*) FROM t", ())
    }

    /// Adds, and then refuses or panics; of neither anything must be seen.
    pub fn add_and(&mut self, cx: &mut Context<'_, Self>, end: String) -> Result<i64, String> {
        let count = self.add(cx).map_err(|error| error.to_string())?;
        match end.as_str() {
            "panic" => panic!("asked to"),
            _ => Err(format!("refused at {count}")),
        }
    }

    /// What struct, KV and SQL say.
    pub async fn three(&self, cx: &Context<'_, Self>) -> Result<(i64, i64, i64), Error> {
        let kv = cx.kv().get("n").await?.unwrap_or(0);
        let sql = cx.sql().query_one("SELECT max(a) FROM t", ()).unwrap_or(0);
        Ok((self.n, kv, sql))
    }

    /// Adds to the table only.
    pub fn sql_only(&mut self, cx: &mut Context<'_, Self>, b: String) -> Result<i64, Error> {
        Ok(cx.sql().exec("INSERT INTO t (b) VALUES (?)", [b])?.last_insert_rowid)
    }

    pub fn n(&self) -> i64 {
        self.n
    }

    /// A read's rows, as text.
    pub fn rows(&self, cx: &Context<'_, Self>, sql: String) -> Result<Vec<String>, Error> {
        Ok(cx.sql().query(&sql, ())?.map(|row| format!("{:?}", row.values())).collect())
    }

    /// Runs a statement and makes nothing of its error.
    pub fn swallow(&mut self, cx: &mut Context<'_, Self>, sql: String) -> String {
        self.n += 1;
        let first = cx.sql().exec(&sql, ());
        let second = cx.sql().exec("SELECT 1", ());
        let code = |done: Result<_, Error>| done.map_or_else(|error| error.code(), |_| "ok");
        format!("{} {}", code(first.map(drop)), code(second.map(drop)))
    }

    /// Writes that SQLite must refuse in a read.
    pub fn write_in_a_read(&self, cx: &Context<'_, Self>) -> Vec<String> {
        let sql = cx.sql();
        let errors = [
            sql.exec("INSERT INTO t (b) VALUES ('x')", ()).unwrap_err(),
            sql.exec_batch("CREATE TABLE u (a)").unwrap_err(),
            sql.query("DELETE FROM t RETURNING a", ()).unwrap_err(),
        ];
        errors.iter().map(|error| error.code().to_owned()).collect()
    }

    pub fn fill(&mut self, cx: &mut Context<'_, Self>, rows: i64) -> Result<u64, Error> {
        cx.sql().exec(TABLES, ())?;
        for row in 0..rows {
            cx.sql().exec("INSERT INTO t VALUES (?, ?)", (row, "some text that takes room"))?;
        }
        cx.sql().database_size()
    }

    pub fn settings(&mut self, cx: &mut Context<'_, Self>) -> Result<i64, Error> {
        cx.sql().exec("PRAGMA case_sensitive_like = ON", ())?;
        cx.sql().query_one("SELECT 'a' LIKE 'A'", ())
    }

    pub fn like(&self, cx: &Context<'_, Self>) -> Result<i64, Error> {
        cx.sql().query_one("SELECT 'a' LIKE 'A'", ())
    }
}

pub async fn triples(dir: &Path) -> Runtime {
    Runtime::builder(dir).register::<Triple>().start().await.expect("the runtime starts")
}

fn count(dir: &Path, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    first_shard(dir).query_row(&sql, [], |row| row.get(0)).expect("counted")
}

#[tokio::test]
async fn struct_kv_and_sql_of_a_turn_are_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    triple.add_and("refuse".into()).await.unwrap_err();
    triple.add_and("panic".into()).await.unwrap_err();
    assert_eq!(triple.three().await.unwrap(), (0, 0, 0));
    assert_eq!(tests::stored_objects(dir.path()), 0, "reads and turns that failed store nothing");
    assert_eq!(triple.add().await.unwrap(), 1, "a turn sees its own rows");
    triple.add_and("refuse".into()).await.unwrap_err();
    assert_eq!(triple.three().await.unwrap(), (1, 1, 1));
    triple.add_and("panic".into()).await.unwrap_err();
    assert_eq!(triple.three().await.unwrap(), (1, 1, 1));
    assert_eq!(triple.add().await.unwrap(), 2);
    runtime.evict(triple.id().unwrap()).await.unwrap();
    assert_eq!(triple.three().await.unwrap(), (2, 2, 2));
    // The struct stays as it is: only pages are stored.
    assert_eq!(triple.sql_only("x".into()).await.unwrap(), 3);
    runtime.shutdown().await.unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    assert_eq!(triple.three().await.unwrap(), (2, 2, 3));
    let other = runtime.get::<Triple>("bob");
    assert_eq!(other.three().await.unwrap(), (0, 0, 0), "a database is an object's own");
}

#[tokio::test]
async fn a_class_that_uses_no_sql_leaves_no_trace_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = crate::counters(dir.path()).await;
    runtime.get::<crate::Counter>("ada").add(1).await.unwrap();
    assert_eq!((count(dir.path(), "sql_log"), count(dir.path(), "sql_pages")), (0, 0));
}

#[tokio::test]
async fn what_is_not_durable_yet_is_read_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let builder = Runtime::builder(dir.path()).register::<Triple>().host(gate.host());
    let runtime = builder.start().await.unwrap();
    let triple = runtime.get::<Triple>("ada");
    triple.add().await.unwrap();
    gate.close();
    // More turns than a log holds, one upon the other, none of them durable.
    let mut adds: Vec<_> = (0..200).map(|_| triple.add().into_future()).collect();
    let mut read = triple.three().into_future();
    for add in &mut adds {
        assert!(futures_util::poll!(&mut *add).is_pending());
    }
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(&mut read).is_pending(), "it has seen what is not durable");
    }
    assert_eq!(count(dir.path(), "sql_log"), 1, "nothing is stored");
    gate.open();
    assert_eq!(read.await.unwrap(), (201, 201, 201));
    for add in futures_util::future::join_all(adds).await {
        add.unwrap();
    }
    runtime.evict(triple.id().unwrap()).await.unwrap();
    assert_eq!(triple.three().await.unwrap(), (201, 201, 201));
}

#[tokio::test]
async fn a_log_is_folded_and_the_object_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    let mut has_folded = false;
    for n in 1..=300 {
        assert_eq!(triple.add().await.unwrap(), n);
        let (log, pages) = (count(dir.path(), "sql_log"), count(dir.path(), "sql_pages"));
        assert!(pages > 0 || log == n, "{log} rows of the log");
        assert!(pages > 0 || log <= 32, "{log} rows of the log and none is folded");
        has_folded |= pages > 0;
        if n % 37 == 0 {
            runtime.evict(triple.id().unwrap()).await.unwrap();
        }
    }
    assert!(has_folded && count(dir.path(), "sql_pages") > 2);
    let found = triple.rows("SELECT count(*), sum(a) FROM t".into()).await.unwrap();
    assert_eq!(found, ["[Integer(300), Integer(45150)]"]);
    assert_eq!(triple.rows("PRAGMA quick_check".into()).await.unwrap(), [r#"[Text("ok")]"#]);
}

#[tokio::test]
async fn ten_thousand_rows_in_one_turn_are_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    let size = triple.fill(10_000).await.unwrap();
    assert!(size > 300_000, "{size} bytes");
    assert_eq!(count(dir.path(), "sql_log"), 0, "so many pages are stored as they are");
    runtime.evict(triple.id().unwrap()).await.unwrap();
    let found = triple.rows("SELECT count(*), sum(a) FROM t WHERE b LIKE 'some%'".into()).await;
    assert_eq!(found.unwrap(), ["[Integer(10000), Integer(49995000)]"]);
}

#[tokio::test]
async fn a_read_only_reads_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    triple.add().await.unwrap();
    assert_eq!(triple.write_in_a_read().await.unwrap(), ["sql.read_only"; 3]);
    assert_eq!(triple.three().await.unwrap(), (1, 1, 1));
    assert_eq!(triple.sql_only("x".into()).await.unwrap(), 2, "a turn may write again");
}

#[tokio::test]
async fn a_setting_lasts_for_the_turn() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    assert_eq!(triple.settings().await.unwrap(), 0);
    assert_eq!(triple.like().await.unwrap(), 1);
}

#[tokio::test]
async fn a_turn_whose_transaction_is_gone_fails_even_if_it_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    triple.add().await.unwrap();
    let error =
        triple.swallow("INSERT OR ROLLBACK INTO t VALUES (1, 'again')".into()).await.unwrap_err();
    assert_eq!((error.code(), error.object()), ("sql.rolled_back", Some("test.Triple(ada)")));
    assert_eq!(triple.three().await.unwrap(), (1, 1, 1), "the object is at its last commit");
    // An error that has undone its statement only is the method's own business.
    assert_eq!(
        triple.swallow("INSERT INTO t VALUES (1, 'again')".into()).await.unwrap(),
        "sql.constraint ok"
    );
    assert_eq!(triple.three().await.unwrap(), (2, 1, 1));
}

#[tokio::test]
async fn a_constraint_that_is_broken_in_the_end_fails_the_turn() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    let tables = "CREATE TABLE c (a REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)";
    triple.run(vec![TABLES.into(), tables.into()]).await.unwrap();
    let orphan = "INSERT INTO c VALUES (7)".to_owned();
    let error = triple.run(vec![orphan.clone()]).await.unwrap_err();
    let error = error.failure().expect("the turn's, not the method's");
    assert!(error.is(Code::SqlConstraint) && error.message().contains("FOREIGN KEY"), "{error}");
    assert_eq!(triple.n().await.unwrap(), 1, "the struct is at its last commit, too");
    let parent = "INSERT INTO t VALUES (7, 'late')".to_owned();
    assert_eq!(triple.run(vec![orphan, parent]).await.unwrap(), 2);
}

#[tokio::test]
async fn refused_sql_is_the_methods_error_and_undoes_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let triple = runtime.get::<Triple>("ada");
    triple.add().await.unwrap();
    for (sql, code) in [
        ("COMMIT", "sql.denied"),
        ("SAVEPOINT s", "sql.denied"),
        ("VACUUM", "sql.denied"),
        ("CREATE TABLE durable_x (a)", "sql.denied"),
        ("PRAGMA journal_mode = DELETE", "sql.denied"),
        ("INSERT INTO t VALUES (1, 'again')", "sql.constraint"),
        ("INSERT INTO nowhere VALUES (1)", "sql.invalid"),
        ("INSERT INTO t VALUES (?, ?)", "sql.misbound"),
    ] {
        let write = "INSERT INTO t VALUES (9, 'before')".to_owned();
        let error = triple.run(vec![write, sql.into()]).await.unwrap_err();
        let error = error.rejection().expect("the method's own").clone();
        assert_eq!((error.code(), error.object()), (code, Some("test.Triple(ada)")), "{error}");
        assert!(error.message().contains("; "), "{error} has no next step");
        assert_eq!(triple.three().await.unwrap(), (1, 1, 1), "{sql}");
    }
}

/// Rows as types.
#[derive(Default, DurableState)]
pub struct Shop {}

#[derive(Debug, Deserialize, PartialEq)]
enum Kind {
    Book,
    Pen,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Article {
    price: f64,
    id: i64,
    kind: Kind,
    note: Option<String>,
    is_new: bool,
    cover: Vec<u8>,
}

#[durable_object(name = "test.Shop")]
impl Shop {
    pub fn check(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        let sql = cx.sql();
        sql.exec_batch(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, kind, price REAL, note, is_new, cover);
             CREATE INDEX prices ON a (price);",
        )?;
        let done = sql.exec(
            "INSERT INTO a VALUES (?, ?, ?, ?, ?, ?), (2, 'Pen', 1, NULL, 0, x'')",
            (i64::MAX, "Book", 9.5, Some("new"), true, b"\0\xff"),
        )?;
        assert_eq!((done.rows_written, done.last_insert_rowid), (2, 2));
        let book = Article {
            price: 9.5,
            id: i64::MAX,
            kind: Kind::Book,
            note: Some("new".into()),
            is_new: true,
            cover: vec![0, 0xff],
        };
        let pen = Article {
            price: 1.0,
            id: 2,
            kind: Kind::Pen,
            note: None,
            is_new: false,
            cover: vec![],
        };
        let found: Vec<Article> = sql.query("SELECT * FROM a ORDER BY id", ())?.all()?;
        assert_eq!(found, [pen, book]);
        let named = SqlNamed([(":least", 5.into())]);
        let id: i64 = sql.query_one("SELECT id FROM a WHERE price > :least", named)?;
        assert_eq!(id, i64::MAX, "64 bits are exact");
        let pair: (String, Option<String>) =
            sql.query_one("SELECT kind, note FROM a WHERE id = 2", ())?;
        assert_eq!(pair, ("Pen".into(), None));
        let map: BTreeMap<String, i64> = sql.query_one("SELECT 1 AS one, 2 AS two", ())?;
        assert_eq!(map, BTreeMap::from([("one".into(), 1), ("two".into(), 2)]));
        let cover: Vec<u8> = sql.query_one("SELECT cover FROM a WHERE id > 2", ())?;
        assert_eq!(cover, [0, 0xff]);
        let none: Option<i64> = sql.query("SELECT id FROM a WHERE id = 3", ())?.optional()?;
        assert_eq!(none, None);
        for (sql_text, code) in [
            ("SELECT 'x'", "sql.undecodable"),
            ("SELECT 1, 2", "sql.undecodable"),
            ("SELECT 1.5", "sql.undecodable"),
            ("SELECT NULL", "sql.undecodable"),
            ("SELECT id FROM a WHERE id = 3", "sql.not_one"),
            ("SELECT id FROM a", "sql.not_one"),
        ] {
            let error = sql.query_one::<i64>(sql_text, ()).unwrap_err();
            assert_eq!((error.code(), error.object()), (code, Some("test.Shop(s)")), "{error}");
        }
        Ok(())
    }

    /// Case 19 of Cloudflare's: one position, exactly one row, names after the end.
    pub fn cursor(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        let three = "WITH n(i) AS (VALUES (1), (2), (3)) SELECT i, i * i AS square FROM n";
        let mut rows = cx.sql().query(three, ())?;
        assert_eq!(rows.next_as::<(i64, i64)>()?, Some((1, 1)));
        let row = rows.next().expect("the second");
        assert_eq!((&row["square"], &row[0]), (&SqlValue::Integer(4), &SqlValue::Integer(2)));
        let (_, square): (i64, i64) = rows.clone().one()?;
        assert_eq!(square, 9, "one row is left");
        assert_eq!(rows.next_as::<(i64, i64)>()?, Some((3, 9)));
        assert!(rows.next().is_none() && rows.next().is_none());
        assert_eq!(
            (rows.columns(), rows.rows_read()),
            (&["i".to_owned(), "square".to_owned()][..], 3)
        );
        assert_eq!(
            cx.sql().query(three, ())?.one::<(i64, i64)>().unwrap_err().code(),
            "sql.not_one"
        );
        let twice = cx.sql().query("SELECT 1 AS a, 2 AS a", ())?.next().expect("a row");
        assert_eq!(twice.get("a"), Some(&SqlValue::Integer(2)), "the last of a name");
        assert_eq!(cx.sql().query("CREATE TABLE x (a)", ())?.columns(), [] as [String; 0]);
        Ok(())
    }

    /// Cases 09 and 10: what is undone of what, and the turn goes on.
    pub async fn savepoints(&mut self, cx: &mut Context<'_, Self>) -> Result<Vec<i64>, Error> {
        let set = |cx: &Context<'_, Self>, n: i64| {
            cx.kv().put("n", &n)?;
            cx.sql().exec("UPDATE v SET n = ?", [n]).map(drop)
        };
        let mut seen = Vec::new();
        cx.kv().put("n", &0)?;
        cx.sql().exec_batch("CREATE TABLE v (n); INSERT INTO v VALUES (0)")?;
        // An open write of 2, and a savepoint that sets 3 and is kept.
        set(cx, 2)?;
        cx.savepoint(|cx| set(cx, 3))?;
        seen.push(both(cx).await?);
        // One that is undone leaves 3, and the object alive.
        let undone: Result<(), Error> = cx.savepoint(|cx| {
            set(cx, 4)?;
            Err(Code::ConfigInvalid.error("on purpose"))
        });
        assert_eq!(undone.unwrap_err().code(), "config.invalid");
        seen.push(both(cx).await?);
        // A kept one in an undone one.
        let outer: Result<(), Text> = cx.savepoint(|cx| {
            cx.savepoint(|cx| set(cx, 5))?;
            Err(Text("outer".into()))
        });
        assert_eq!(outer.unwrap_err().0, "outer");
        seen.push(both(cx).await?);
        // An undone one in a kept one: what the outer wrote stays.
        cx.savepoint(|cx| {
            set(cx, 6)?;
            let inner: Result<(), Error> = cx.savepoint(|cx| {
                set(cx, 7)?;
                Err(Code::ConfigInvalid.error("on purpose"))
            });
            inner.unwrap_err();
            Ok::<(), Error>(())
        })?;
        seen.push(both(cx).await?);
        Ok(seen)
    }

    /// Too deep, and the turn goes on.
    pub fn deep(&mut self, cx: &mut Context<'_, Self>) -> Result<usize, Error> {
        fn down(cx: &Context<'_, Shop>, depth: usize) -> Result<usize, Error> {
            match cx.savepoint(|cx| down(cx, depth + 1)) {
                Err(error) if error.code() == "savepoint.too_deep" => Ok(depth),
                other => other,
            }
        }
        cx.sql().exec("CREATE TABLE deep (a)", ())?;
        down(cx, 0)
    }

    pub async fn n(&self, cx: &Context<'_, Self>) -> Result<i64, Error> {
        both(cx).await
    }
}

/// The number in SQL, which must be the one under the key.
async fn both(cx: &Context<'_, Shop>) -> Result<i64, Error> {
    let under: i64 = cx.kv().get("n").await?.expect("it was put");
    let in_table: i64 = cx.sql().query_one("SELECT n FROM v", ())?;
    assert_eq!(under, in_table, "a savepoint takes back both or neither");
    Ok(in_table)
}

/// An error of the test's own.
struct Text(String);

impl From<Error> for Text {
    fn from(error: Error) -> Self {
        Text(error.to_string())
    }
}

#[tokio::test]
async fn rows_come_as_types_and_cursors_keep_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Shop>().start().await.unwrap();
    let shop = runtime.get::<Shop>("s");
    shop.check().await.unwrap();
    shop.cursor().await.unwrap();
    assert_eq!(shop.savepoints().await.unwrap(), [3, 3, 3, 6]);
    runtime.evict(shop.id().unwrap()).await.unwrap();
    assert_eq!(shop.n().await.unwrap(), 6);
    assert_eq!(shop.deep().await.unwrap(), 64);
}

/// What somebody does to the stored rows of an object, and what its callers are told then.
async fn after_damage(damage: &str, code: &str) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = triples(dir.path()).await;
    let (ada, bob) = (runtime.get::<Triple>("ada"), runtime.get::<Triple>("bob"));
    for _ in 0..140 {
        ada.add().await.unwrap();
    }
    bob.add().await.unwrap();
    runtime.shutdown().await.unwrap();
    assert!(first_shard(dir.path()).execute(damage, []).unwrap() > 0, "{damage}");
    let rows = |dir: &Path| {
        let shard = first_shard(dir);
        let sql = "SELECT group_concat(hex(page)) FROM sql_pages";
        let pages: String = shard.query_row(sql, [], |row| row.get(0)).unwrap();
        let sql = "SELECT group_concat(hex(deltas)) FROM sql_log";
        let log: String = shard.query_row(sql, [], |row| row.get(0)).unwrap();
        (pages, log)
    };
    let before = rows(dir.path());
    let runtime = triples(dir.path()).await;
    let (ada, bob) = (runtime.get::<Triple>("ada"), runtime.get::<Triple>("bob"));
    let all = "SELECT count(*), sum(length(b)) FROM t".to_owned();
    let read = ada.rows(all.clone()).await.unwrap_err();
    let read = read.failure().expect("the turn fails").clone();
    assert_eq!((read.code(), read.object()), (code, Some("test.Triple(ada)")), "{read}");
    let write = ada.run(vec!["UPDATE t SET b = 'new'".into()]).await.unwrap_err();
    assert_eq!(write.failure().expect("the turn fails").code(), code);
    assert_eq!(ada.n().await.unwrap(), 140, "the struct is whole");
    assert_eq!(bob.add().await.unwrap(), 2, "nobody else notices");
    runtime.shutdown().await.unwrap();
    let (pages, log) = rows(dir.path());
    assert!(pages == before.0 && log.starts_with(&before.1[..2_000.min(before.1.len())]));
}

#[tokio::test]
async fn a_damaged_page_is_told_and_left() {
    let damage = "UPDATE sql_pages
        SET page = flipped(page, 500)
        WHERE place & 0xffffff = 2";
    after_damage(damage, "storage.corrupt").await;
}

#[tokio::test]
async fn a_missing_page_is_told() {
    after_damage("DELETE FROM sql_pages WHERE place & 0xffffff = 2", "storage.corrupt").await;
}

#[tokio::test]
async fn a_damaged_log_is_told_and_left() {
    after_damage(
        "UPDATE sql_log SET deltas = CAST(deltas || x'00' AS BLOB) WHERE log_no = 134",
        "storage.corrupt",
    )
    .await;
}

#[tokio::test]
async fn a_gap_in_the_log_is_told() {
    after_damage("DELETE FROM sql_log WHERE log_no = 133", "storage.corrupt").await;
}

#[tokio::test]
async fn an_end_of_the_log_that_is_another_row_is_told() {
    let damage = "UPDATE snapshots SET log_end = log_end - (1 << 16) WHERE log_end >> 16 = 136";
    after_damage(damage, "storage.corrupt").await;
}
