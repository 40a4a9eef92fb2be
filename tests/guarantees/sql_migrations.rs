//! Tables that numbered files make: applied in order, once, in the commit of the activation, and never guessed at.

use std::path::Path;

use durable::prelude::*;

use tests::{first_shard, stored_objects};

/// A class as three releases have it.
macro_rules! stock {
    ($release:ident, $folder:literal) => {
        mod $release {
            use durable::prelude::*;

            #[derive(Default, DurableState)]
            pub struct Stock {
                turns: u64,
            }

            #[durable_object(name = "test.Stock", migrations = $folder)]
            impl Stock {
                pub fn add(&mut self, cx: &mut Context<'_, Self>, left: i64) -> Result<(), Error> {
                    self.turns += 1;
                    cx.sql().exec("INSERT INTO articles (left) VALUES (?)", [left]).map(drop)
                }

                pub fn rows(
                    &self,
                    cx: &Context<'_, Self>,
                    sql: String,
                ) -> Result<Vec<String>, Error> {
                    Ok(cx.sql().query(&sql, ())?.map(|row| format!("{:?}", row.values())).collect())
                }

                pub fn turns(&self) -> u64 {
                    self.turns
                }
            }
        }
    };
}

stock!(first, "migrations/stock_1");
stock!(second, "migrations/stock_2");
stock!(changed, "migrations/stock_changed");

async fn start<C: durable::Object>(dir: &Path) -> Runtime {
    Runtime::builder(dir).register::<C>().start().await.expect("the runtime starts")
}

const APPLIED: &str = "SELECT number, name FROM durable_migrations ORDER BY number";

#[tokio::test]
async fn a_new_object_has_its_tables_and_is_stored_with_its_first_commit() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start::<first::Stock>(dir.path()).await;
    let stock = runtime.get::<first::Stock>("a");
    let left = "SELECT left FROM articles".to_owned();
    assert_eq!(stock.rows(left.clone()).await.unwrap(), ["[Integer(10)]"]);
    assert_eq!(stock.rows(APPLIED.into()).await.unwrap(), [r#"[Integer(1), Text("articles")]"#]);
    assert_eq!(stored_objects(dir.path()), 0, "a read stores nothing");
    stock.add(5).await.unwrap();
    runtime.evict(stock.id().unwrap()).await.unwrap();
    assert_eq!(stock.rows(left).await.unwrap(), ["[Integer(10)]", "[Integer(5)]"]);
}

#[tokio::test]
async fn a_stored_object_is_given_what_it_lacks_in_the_commit_of_its_activation() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start::<first::Stock>(dir.path()).await;
    runtime.get::<first::Stock>("a").add(5).await.unwrap();
    runtime.shutdown().await.unwrap();
    let commits = |dir: &Path| -> i64 {
        first_shard(dir).query_row("SELECT commit_no FROM snapshots", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(commits(dir.path()), 1);
    let runtime = start::<second::Stock>(dir.path()).await;
    let stock = runtime.get::<second::Stock>("a");
    // A call that has nothing to do with SQL: its activation brings the tables up to date.
    assert_eq!(stock.turns().await.unwrap(), 1);
    assert_eq!(commits(dir.path()), 2);
    let names = stock.rows("SELECT name, left FROM articles".into()).await.unwrap();
    assert_eq!(
        names,
        [r#"[Text("article 1"), Integer(10)]"#, r#"[Text("article 2"), Integer(5)]"#]
    );
    runtime.evict(stock.id().unwrap()).await.unwrap();
    assert_eq!(stock.turns().await.unwrap(), 1);
    assert_eq!(commits(dir.path()), 2, "once");
}

#[tokio::test]
async fn what_was_applied_and_is_not_what_the_code_has_is_refused_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start::<second::Stock>(dir.path()).await;
    runtime.get::<second::Stock>("a").add(5).await.unwrap();
    runtime.shutdown().await.unwrap();
    let bytes = |dir: &Path| -> String {
        let sql = "SELECT (SELECT group_concat(hex(deltas)) FROM sql_log) || (SELECT count(*) FROM sql_pages)";
        first_shard(dir).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = bytes(dir.path());
    let runtime = start::<first::Stock>(dir.path()).await;
    let error = runtime.get::<first::Stock>("a").turns().await.unwrap_err();
    assert_eq!((error.code(), error.object()), ("sql.newer", Some("test.Stock(a)")));
    assert!(error.message().contains("migration 2 `names`, this code has 1"), "{error}");
    runtime.shutdown().await.unwrap();
    let runtime = start::<changed::Stock>(dir.path()).await;
    let error = runtime.get::<changed::Stock>("a").turns().await.unwrap_err();
    assert_eq!(error.code(), "sql.newer");
    runtime.shutdown().await.unwrap();
    assert_eq!(bytes(dir.path()), before);
    let other = tempfile::tempdir().unwrap();
    let runtime = start::<first::Stock>(other.path()).await;
    runtime.get::<first::Stock>("a").add(5).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = start::<changed::Stock>(other.path()).await;
    let error = runtime.get::<changed::Stock>("a").turns().await.unwrap_err();
    assert_eq!((error.code(), error.object()), ("sql.changed", Some("test.Stock(a)")));
    assert!(
        error.message().contains("migration 1 `articles` was applied with checksum"),
        "{error}"
    );
    assert_eq!(runtime.get::<changed::Stock>("b").turns().await.unwrap(), 0, "nobody else notices");
}
