use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::host::Entropy;
use crate::limits::{
    SQL_COLUMNS_MAX, SQL_PARAMETERS_MAX, SQL_RESULT_BYTES_MAX, SQL_TEXT_BYTES_MAX,
    SQL_VALUE_BYTES_MAX,
};
use crate::sql::{Bound, Migration, Page, SqlNamed, SqlParams, SqlValue};
use crate::time::WallMs;

/// Counts.
struct Counted(Mutex<u8>);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| {
            let mut next = self.0.lock();
            *next = next.wrapping_add(1);
            *byte = *next;
        });
    }
}

struct Bench {
    pages: Arc<Pages>,
    database: Database,
    around: Around,
}

type Image = BTreeMap<u32, Page>;

impl Bench {
    fn new() -> Self {
        Self::of(&Image::new())
    }

    fn of(image: &Image) -> Self {
        let pages = Pages::of_image(image);
        let database = Database::open(Arc::clone(&pages)).expect("opened");
        let entropy = Arc::new(Counted(Mutex::new(0)));
        // 2026-01-31T08:15:00Z
        let around = Around { now: Some(WallMs(1_769_847_300_000)), entropy };
        Bench { pages, database, around }
    }

    fn ask(
        &mut self,
        sql: &str,
        params: impl SqlParams,
        may_write: bool,
    ) -> Result<Answer, SqlFailure> {
        let ask = Ask { sql, params: params.into_bound(), may_write, wants_rows: true };
        self.database.run(&self.around, ask).0
    }

    /// Inside of a turn.
    fn run(&mut self, sql: &str, params: impl SqlParams) -> Result<Answer, SqlFailure> {
        self.ask(sql, params, true)
    }

    fn turn(&mut self, sqls: &[&str]) {
        self.database.begin().expect("begun");
        for sql in sqls {
            self.run(sql, ()).unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
        }
        self.database.commit().expect("committed");
    }

    fn values(&mut self, sql: &str) -> Vec<SqlValue> {
        self.ask(sql, (), false).unwrap_or_else(|failure| panic!("{sql}: {failure:?}")).values
    }

    fn refused(&mut self, sql: &str) -> String {
        let failure = self.run(sql, ()).expect_err(sql);
        assert!(!failure.is_fatal, "{sql}: {failure:?}");
        format!("{}: {}", failure.error.code(), failure.error.message())
    }

    fn reopened(self) -> Self {
        let image = self.pages.image();
        drop(self.database);
        Self::of(&image)
    }
}

fn integers(numbers: &[i64]) -> Vec<SqlValue> {
    numbers.iter().map(|number| SqlValue::Integer(*number)).collect()
}

#[test]
fn what_a_transaction_left_is_there_when_the_pages_are_opened_again() {
    let mut bench = Bench::new();
    bench.turn(&[
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
    ]);
    bench.database.begin().expect("begun");
    bench.run("DELETE FROM t", ()).expect("run");
    assert_eq!(bench.run("SELECT count(*) FROM t", ()).expect("run").values, integers(&[0]));
    assert!(bench.database.roll_back());
    assert_eq!(bench.values("SELECT a FROM t"), integers(&[1, 2]));
    let mut bench = bench.reopened();
    assert_eq!(bench.values("SELECT a FROM t"), integers(&[1, 2]));
    assert_eq!(bench.values("PRAGMA quick_check"), [SqlValue::Text("ok".into())]);
    assert_eq!(bench.values("PRAGMA page_size"), integers(&[1_024]));
}

#[test]
fn what_an_object_may_not_do_is_refused_with_the_next_step() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a)", "CREATE TABLE u (a)"]);
    bench.database.begin().expect("begun");
    for sql in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "RELEASE s",
        "ROLLBACK TO s",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "SELECT load_extension('x')",
        "SELECT sqlite_version()",
        "CREATE TEMP TABLE x (a)",
        "CREATE TABLE durable_x (a)",
        "CREATE TABLE DURABLE_X (a)",
        "CREATE INDEX durable_i ON t (a)",
        "CREATE VIEW durable_v AS SELECT 1",
        "CREATE TRIGGER durable_t AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE durable_f USING fts5(a)",
        "ALTER TABLE t RENAME TO Durable_t",
        "ALTER TABLE t RENAME TO durable_migrations",
        "CREATE VIRTUAL TABLE d USING dbstat",
        "CREATE VIRTUAL TABLE d USING fts3(a)",
        "PRAGMA journal_mode = WAL",
        "PRAGMA journal_mode",
        "PRAGMA user_version = 5",
        "PRAGMA page_size = 4096",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA max_page_count = 5",
    ] {
        let refusal = bench.refused(sql);
        assert!(refusal.starts_with("sql.denied: ") && refusal.contains("; "), "{sql}: {refusal}");
    }
    // The table that could not be renamed is there as before, and the turn goes on.
    bench.run("ALTER TABLE t RENAME TO w", ()).expect("renamed");
    bench.run("INSERT INTO w VALUES (1)", ()).expect("inserted");
    bench.database.commit().expect("committed");
    assert_eq!(bench.values("SELECT a FROM w"), integers(&[1]));
}

#[test]
fn pragmas_of_the_list_are_let_through() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a PRIMARY KEY REFERENCES t(a), b)", "CREATE INDEX i ON t (a)"]);
    bench.database.begin().expect("begun");
    for sql in [
        "PRAGMA data_version",
        "PRAGMA foreign_keys",
        "PRAGMA defer_foreign_keys = ON",
        "PRAGMA recursive_triggers('yes')",
        "PRAGMA case_sensitive_like = true",
        "PRAGMA foreign_key_check",
        "PRAGMA foreign_key_list(t)",
        "PRAGMA index_info(i)",
        "PRAGMA index_list(t)",
        "PRAGMA index_xinfo(i)",
        "PRAGMA table_info(t)",
        "PRAGMA table_xinfo(t)",
        "PRAGMA table_list",
        "PRAGMA quick_check(5)",
        "PRAGMA optimize",
        "SELECT name FROM pragma_table_info('t')",
        "ANALYZE",
    ] {
        bench.run(sql, ()).unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
    }
    assert!(bench.database.is_worn(), "a setting must not outlive the turn");
}

#[test]
fn a_turn_that_may_only_read_only_reads() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a)"]);
    for sql in ["INSERT INTO t VALUES (1)", "CREATE TABLE u (a)", "DROP TABLE t", "DELETE FROM t"] {
        let failure = bench.ask(sql, (), false).expect_err(sql);
        assert_eq!((failure.error.code(), failure.is_fatal), ("sql.read_only", false), "{sql}");
    }
    let failure = bench.ask("PRAGMA case_sensitive_like = ON", (), false).expect_err("a setting");
    assert_eq!(failure.error.code(), "sql.denied");
    assert_eq!(bench.values("SELECT count(*) FROM t"), integers(&[0]));
}

#[test]
fn a_limit_is_told_with_both_numbers() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a)"]);
    bench.database.begin().expect("begun");
    let columns = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    bench
        .run(&format!("CREATE TABLE wide ({})", columns(SQL_COLUMNS_MAX)), ())
        .expect("as many as may");
    let many = vec!["?"; SQL_PARAMETERS_MAX + 1].join(", ");
    let long = format!("SELECT '{}'", "x".repeat(SQL_TEXT_BYTES_MAX));
    for (sql, numbers) in [
        (format!("CREATE TABLE wider ({})", columns(SQL_COLUMNS_MAX + 1)), vec![SQL_COLUMNS_MAX]),
        (format!("SELECT 1 IN ({many})"), vec![SQL_PARAMETERS_MAX]),
        (format!("SELECT ?{}", SQL_PARAMETERS_MAX + 1), vec![SQL_PARAMETERS_MAX]),
        (long.clone(), vec![long.len(), SQL_TEXT_BYTES_MAX]),
        (format!("SELECT zeroblob({})", SQL_VALUE_BYTES_MAX + 1), vec![SQL_VALUE_BYTES_MAX]),
        (format!("SELECT randomblob({})", SQL_VALUE_BYTES_MAX + 1), vec![SQL_VALUE_BYTES_MAX + 1]),
        (format!("SELECT length('{0}') = 1 OR 'a' LIKE '{0}'", "a".repeat(51)), vec![50]),
    ] {
        let refusal = bench.refused(&sql);
        assert!(refusal.starts_with("sql.too_large: "), "{refusal}");
        assert!(numbers.iter().all(|number| refusal.contains(&number.to_string())), "{refusal}");
    }
    let failure = bench
        .run("INSERT INTO t VALUES (?)", [vec![0; SQL_VALUE_BYTES_MAX + 1]])
        .expect_err("too large");
    assert!(failure.error.message().contains("2097153 bytes, the limit is 2097152"), "{failure:?}");
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
        SELECT zeroblob(1000000) FROM n";
    let refusal = bench.refused(rows);
    assert!(refusal.contains(&SQL_RESULT_BYTES_MAX.to_string()), "{refusal}");
    bench.run("INSERT INTO t VALUES (1)", ()).expect("the turn goes on");
}

#[test]
fn parameters_are_those_of_the_statement() {
    let mut bench = Bench::new();
    let named = SqlNamed([(":b", 2.into()), ("@a", "x".into())]);
    assert_eq!(
        bench.run("SELECT @a, :b", named).expect("run").values,
        [SqlValue::from("x"), 2.into()]
    );
    let listed = vec![SqlValue::Null, SqlValue::Real(0.5)];
    assert_eq!(bench.run("SELECT ?, ?", listed.clone()).expect("run").values, listed);
    let slice: &[i64] = &[1, i64::MAX];
    assert_eq!(bench.run("SELECT ?, ?", slice).expect("run").values, integers(slice));
    for (sql, params, text) in [
        ("SELECT ?, ?", Bound::Listed(integers(&[1])), "2 parameters and 1 are given"),
        ("SELECT 1", Bound::Listed(integers(&[1])), "0 parameters and 1 are given"),
        ("SELECT :a", Bound::Named(vec![(":b".into(), SqlValue::Null)]), "no parameter `:b`"),
        ("SELECT ?", Bound::Listed(vec![SqlValue::Real(f64::NAN)]), "NaN"),
    ] {
        let ask = Ask { sql, params, may_write: true, wants_rows: true };
        let error = bench.database.run(&bench.around, ask).0.expect_err(sql).error;
        assert!(error.code() == "sql.misbound" && error.message().contains(text), "{error}");
    }
}

#[test]
fn sql_that_is_wrong_says_where() {
    let mut bench = Bench::new();
    for (sql, text) in [
        ("SELEC 1", "near \"SELEC\""),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1; SELECT 2", "several statements"),
        (" -- nothing", "no statement"),
        ("SELECT nosuch(1)", "no such function: nosuch"),
    ] {
        let refusal = bench.refused(sql);
        assert!(refusal.starts_with("sql.invalid: ") && refusal.contains(text), "{refusal}");
    }
}

#[test]
fn values_come_back_as_they_were() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a)"]);
    let values = [
        SqlValue::Null,
        SqlValue::Integer(i64::MAX),
        SqlValue::Integer(i64::MIN),
        SqlValue::Real(f64::MIN_POSITIVE),
        SqlValue::Real(f64::INFINITY),
        SqlValue::Real(-0.1),
        SqlValue::Text(String::new()),
        SqlValue::Text("zoë\0\u{10ffff}".into()),
        SqlValue::Blob(Vec::new()),
        SqlValue::Blob(vec![0, 255]),
    ];
    bench.database.begin().expect("begun");
    for value in &values {
        bench.run("INSERT INTO t VALUES (?)", [value]).expect("inserted");
    }
    bench.database.commit().expect("committed");
    let mut bench = bench.reopened();
    assert_eq!(bench.values("SELECT a FROM t ORDER BY rowid"), values);
    let error = bench.run("SELECT CAST(x'ff' AS TEXT) AS bad", ()).expect_err("no text").error;
    assert!(error.code() == "sql.undecodable" && error.message().contains("`bad`"), "{error}");
}

#[test]
fn json_search_boxes_and_mathematics_are_there() {
    let mut bench = Bench::new();
    bench.turn(&[
        "CREATE VIRTUAL TABLE docs USING fts5(body)",
        "INSERT INTO docs VALUES ('a whale in the fog'), ('a ship')",
        "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)",
        "INSERT INTO boxes VALUES (1, 0, 10), (2, 20, 30)",
        "CREATE TABLE t (a, b AS (sqrt(a)))",
        "INSERT INTO t VALUES (16)",
    ]);
    let mut bench = bench.reopened();
    assert_eq!(bench.values("SELECT rowid FROM docs WHERE docs MATCH 'whale'"), integers(&[1]));
    assert_eq!(bench.values("SELECT id FROM boxes WHERE x0 >= 15"), integers(&[2]));
    assert_eq!(bench.values(r#"SELECT json_extract('{"a": [1, 2]}', '$.a[1]')"#), integers(&[2]));
    assert_eq!(bench.values("SELECT b FROM t"), [SqlValue::Real(4.0)]);
    for (sql, value) in [
        ("SELECT pow(2, 10)", SqlValue::Real(1024.0)),
        ("SELECT log(100)", SqlValue::Real(2.0)),
        ("SELECT log2(8)", SqlValue::Real(3.0)),
        ("SELECT ceil(1.5)", SqlValue::Real(2.0)),
        ("SELECT floor(7)", SqlValue::Integer(7)),
        ("SELECT mod(7, 4)", SqlValue::Real(3.0)),
        ("SELECT ln(-1)", SqlValue::Null),
        ("SELECT sqrt('4')", SqlValue::Real(2.0)),
        ("SELECT sqrt('x')", SqlValue::Null),
        ("SELECT pi() > 3.14", SqlValue::Integer(1)),
    ] {
        assert_eq!(bench.values(sql), [value], "{sql}");
    }
}

#[test]
fn time_and_randomness_are_those_of_the_turn() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.values("SELECT datetime('now'), CURRENT_DATE, unixepoch()"),
        ["2026-01-31 08:15:00".into(), "2026-01-31".into(), SqlValue::Integer(1_769_847_300)]
    );
    let first = i64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(
        bench.values("SELECT random(), randomblob(2)"),
        [first.into(), SqlValue::from([9, 10])]
    );
    let ask =
        |sql| Ask { sql, params: Bound::Listed(Vec::new()), may_write: true, wants_rows: true };
    let (_, asked) = bench.database.run(&bench.around, ask("SELECT 1"));
    assert_eq!(asked, Asked::default());
    let (_, asked) = bench.database.run(&bench.around, ask("SELECT random(), datetime('now')"));
    assert_eq!(asked, Asked { for_time: true, for_randomness: true });
}

#[test]
fn savepoints_nest() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a)"]);
    bench.database.begin().expect("begun");
    for depth in 1..=3 {
        bench.database.savepoint(Savepoint::Begin, depth).expect("begun");
        bench.run("INSERT INTO t VALUES (?)", [depth as i64]).expect("inserted");
    }
    bench.database.savepoint(Savepoint::Keep, 3).expect("kept");
    bench.database.savepoint(Savepoint::Undo, 2).expect("undone");
    bench.database.savepoint(Savepoint::Keep, 1).expect("kept");
    bench.database.commit().expect("committed");
    assert_eq!(bench.values("SELECT a FROM t"), integers(&[1]));
}

#[test]
fn a_transaction_that_is_gone_fails_the_turn() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a UNIQUE)", "INSERT INTO t VALUES (1)"]);
    bench.database.begin().expect("begun");
    bench.run("INSERT INTO t VALUES (2)", ()).expect("inserted");
    let failure = bench.run("INSERT OR ROLLBACK INTO t VALUES (1)", ()).expect_err("a conflict");
    assert_eq!((failure.error.code(), failure.is_fatal), ("sql.rolled_back", true));
    assert!(bench.database.roll_back());
    assert_eq!(bench.values("SELECT a FROM t"), integers(&[1]));
}

#[test]
fn a_turn_that_is_larger_than_the_cache_is_undone_and_kept_like_any_other() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a INTEGER PRIMARY KEY, b)", "CREATE INDEX i ON t (b)"]);
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO t (b) SELECT i || hex(zeroblob(500)) FROM n";
    for is_kept in [false, true, false] {
        let before = bench.values("SELECT count(*) FROM t");
        bench.database.begin().expect("begun");
        bench.run(rows, ()).expect("inserted");
        bench.database.savepoint(Savepoint::Begin, 1).expect("begun");
        bench.run("DELETE FROM t WHERE a % 3 > 0", ()).expect("deleted");
        bench.database.savepoint(Savepoint::Undo, 1).expect("undone");
        if is_kept {
            assert!(bench.database.commit().expect("committed"));
        } else {
            assert!(bench.database.roll_back());
        }
        let left = if is_kept { integers(&[2_000]) } else { before };
        assert_eq!(bench.values("SELECT count(*) FROM t INDEXED BY i WHERE b > ''"), left);
        assert_eq!(bench.values("PRAGMA quick_check"), [SqlValue::Text("ok".into())]);
        bench = bench.reopened();
        assert_eq!(bench.values("SELECT count(*) FROM t"), left);
    }
}

#[test]
fn a_database_that_is_full_fails_the_turn() {
    let mut bench = Bench::new();
    bench.turn(&["CREATE TABLE t (a)"]);
    let (set, _) = bench.database.run_ours(&bench.around, |connection| {
        connection.query_row("PRAGMA max_page_count = 20", [], |_| Ok(()))
    });
    set.expect("set");
    bench.database.begin().expect("begun");
    let failure = bench.run("INSERT INTO t VALUES (zeroblob(30000))", ()).expect_err("full");
    assert_eq!((failure.error.code(), failure.is_fatal), ("sql.full", true));
    assert!(failure.error.message().contains("10737418240 bytes"), "{failure:?}");
    assert!(bench.database.roll_back());
    assert_eq!(bench.values("SELECT count(*) FROM t"), integers(&[0]));
}

#[test]
fn a_constraint_that_is_looked_at_in_the_end_fails_the_commit() {
    let mut bench = Bench::new();
    bench.turn(&[
        "CREATE TABLE p (a INTEGER PRIMARY KEY)",
        "CREATE TABLE c (a REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    ]);
    bench.database.begin().expect("begun");
    bench.run("INSERT INTO c VALUES (7)", ()).expect("looked at later");
    let failure = bench.database.commit().expect_err("nobody is 7");
    assert_eq!(failure.error.code(), "sql.constraint");
    assert!(bench.database.roll_back());
    assert_eq!(bench.values("SELECT count(*) FROM c"), integers(&[0]));
}

#[test]
fn migrations_are_applied_once_and_in_order() {
    const FIRST: Migration =
        Migration { number: 1, name: "t", sql: "CREATE TABLE t (a); INSERT INTO t VALUES (1)" };
    const SECOND: Migration =
        Migration { number: 2, name: "more", sql: "INSERT INTO t VALUES (2);" };
    let changed = Migration { sql: "CREATE TABLE t (b)", ..FIRST };
    let broken = Migration { number: 3, name: "broken", sql: "INSERT INTO t VALUES (3); SELEC" };
    let mut bench = Bench::new();
    let apply = |bench: &mut Bench, migrations: &[Migration]| {
        migrate(&mut bench.database, &bench.around, migrations).0.map_err(|failure| failure.error)
    };
    apply(&mut bench, &[FIRST]).expect("applied");
    apply(&mut bench, &[FIRST]).expect("there already");
    let mut bench = bench.reopened();
    apply(&mut bench, &[FIRST, SECOND]).expect("applied");
    assert_eq!(bench.values("SELECT a FROM t"), integers(&[1, 2]));
    let names = bench.values("SELECT name FROM durable_migrations");
    assert_eq!(names, ["t".into(), "more".into()]);
    for (migrations, code) in [
        (&[FIRST] as &[Migration], "sql.newer"),
        (&[changed, SECOND], "sql.changed"),
        (&[FIRST, SECOND, broken], "sql.unmigrated"),
    ] {
        let error = apply(&mut bench, migrations).expect_err(code);
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(bench.values("SELECT a FROM t"), integers(&[1, 2]), "nothing was changed");
    }
    bench.database.begin().expect("begun");
    assert!(bench.refused("DELETE FROM durable_migrations").starts_with("sql.denied"));
    assert!(bench.refused("DROP TABLE durable_migrations").starts_with("sql.denied"));
}

/// A statement that may stand in any order with others.
fn statement() -> impl Strategy<Value = String> {
    let key = || 0_u8..40;
    prop_oneof![
        6 => (key(), 0_usize..1_500).prop_map(|(key, size)| {
            format!("INSERT OR REPLACE INTO t VALUES ({key}, '{}', {size})", "v".repeat(size))
        }),
        3 => key().prop_map(|key| format!("DELETE FROM t WHERE a = {key}")),
        2 => key().prop_map(|key| format!("UPDATE t SET c = c + 1 WHERE a < {key}")),
        2 => key().prop_map(|key| format!("INSERT INTO f (rowid, body) VALUES ({key} + 100 * random(), 'word{key} and')")),
        1 => Just("CREATE INDEX IF NOT EXISTS i ON t (c)".to_owned()),
        1 => Just("DROP INDEX IF EXISTS i".to_owned()),
        1 => Just("DELETE FROM t".to_owned()),
        1 => Just("INSERT INTO t VALUES (1, 2, 3), (1, 2, 3)".to_owned()),
    ]
}

const TABLES: &str = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c);
    CREATE TABLE f (body)";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn random_statements_leave_what_they_leave_in_a_database_in_memory(
        turns in prop::collection::vec((prop::collection::vec(statement(), 1..6), prop::bool::weighted(0.7)), 1..30),
        reopen_after in 1_usize..6,
    ) {
        let plain = rusqlite::Connection::open_in_memory().expect("opened");
        plain.execute_batch(TABLES).expect("made");
        let mut bench = Bench::new();
        bench.database.begin().expect("begun");
        bench.database.run_all(&bench.around, TABLES, true).0.expect("made");
        bench.database.commit().expect("committed");
        for (index, (statements, is_kept)) in turns.into_iter().enumerate() {
            bench.database.begin().expect("begun");
            plain.execute_batch("BEGIN").expect("begun");
            for sql in statements.iter().map(|sql| sql.replace("random()", "0")) {
                prop_assert_eq!(bench.run(&sql, ()).is_ok(), plain.execute(&sql, []).is_ok(), "{}", sql);
            }
            if is_kept {
                bench.database.commit().expect("committed");
            } else {
                prop_assert!(bench.database.roll_back());
            }
            plain.execute_batch(if is_kept { "COMMIT" } else { "ROLLBACK" }).expect("ended");
            if index % reopen_after == 0 {
                bench = bench.reopened();
            }
            let digest = "SELECT count(*), total(a), total(c), total(length(b)) FROM t";
            let wanted = plain.query_row(digest, [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?, row.get::<_, f64>(2)?, row.get::<_, f64>(3)?))
            });
            let (count, a, c, b) = wanted.expect("read");
            let wanted = [count.into(), a.into(), c.into(), b.into()];
            prop_assert_eq!(bench.values(digest), wanted.to_vec());
            prop_assert_eq!(bench.values("PRAGMA quick_check"), vec![SqlValue::Text("ok".into())]);
        }
    }
}
