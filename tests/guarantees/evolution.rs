//! P10, when the struct changes: what older code stored is read by names and through migrations, or refused with a text
//! that says what to do, and stays as it is until the object commits again.

use std::path::Path;

use durable::prelude::*;
use durable::{ErrorKind, Object};

mod migrated;

/// The first release.
mod first {
    use std::collections::BTreeMap;

    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Cart {
        pub gone: Vec<String>,
        pub lines: Vec<Line>,
        pub by_place: BTreeMap<(u32, char), Kind>,
        pub note: Option<Line>,
        pub old_name: String,
        pub paid_cents: u32,
    }

    #[derive(DurableState)]
    pub struct Line {
        pub sku: String,
        pub dropped: u64,
        pub kind: Kind,
    }

    #[derive(DurableState)]
    pub enum Kind {
        Plain,
        Number(u64),
        Named { at: i64, on: bool },
    }

    #[durable_object(name = "test.Cart")]
    impl Cart {
        pub fn fill(&mut self) {
            let line = |sku: &str, kind| Line { sku: sku.to_owned(), dropped: 9, kind };
            self.gone = vec!["gone".to_owned()];
            self.lines =
                vec![line("pen", Kind::Plain), line("ink", Kind::Named { at: -5, on: true })];
            self.by_place = BTreeMap::from([((1, 'x'), Kind::Number(7)), ((2, 'y'), Kind::Plain)]);
            self.note = Some(line("note", Kind::Number(8)));
            self.old_name = "ada".to_owned();
            self.paid_cents = 300;
        }

        pub fn paid(&self) -> u32 {
            self.paid_cents
        }
    }
}

/// Fields and variants reordered, added, removed, renamed and widened, everywhere.
mod second {
    use std::collections::BTreeMap;

    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Cart {
        #[serde(alias = "old_name")]
        pub name: String,
        #[serde(default = "one")]
        pub added: u64,
        pub paid_cents: u64,
        pub note: Option<Line>,
        pub by_place: BTreeMap<(u64, char), Kind>,
        pub lines: Vec<Line>,
    }

    fn one() -> u64 {
        1
    }

    #[derive(Debug, DurableState)]
    pub struct Line {
        #[serde(default)]
        pub count: u64,
        pub kind: Kind,
        pub sku: String,
    }

    #[derive(Debug, DurableState)]
    pub enum Kind {
        Inserted(String),
        Named {
            on: bool,
            #[serde(default)]
            new: Option<u8>,
            at: i64,
        },
        Number(u64),
        #[serde(alias = "Plain")]
        Simple,
    }

    #[durable_object(name = "test.Cart")]
    impl Cart {
        pub fn show(&self) -> String {
            let Cart { name, added, paid_cents, note, by_place, lines } = self;
            format!("{name} {added} {paid_cents} {note:?} {by_place:?} {lines:?}")
        }

        pub fn touch(&mut self) -> u64 {
            self.paid_cents
        }

        pub fn pay(&mut self, cents: u64) -> u64 {
            self.paid_cents += cents;
            self.paid_cents
        }

        pub fn keep(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
            cx.kv().put("key", &1_u64)
        }
    }
}

const SECOND: &str = "ada 1 300 Some(Line { count: 0, kind: Number(8), sku: \"note\" }) \
    {(1, 'x'): Number(7), (2, 'y'): Simple} \
    [Line { count: 0, kind: Simple, sku: \"pen\" }, \
    Line { count: 0, kind: Named { on: true, new: None, at: -5 }, sku: \"ink\" }]";

async fn runtime<C: Object>(dir: &Path) -> Runtime {
    Runtime::builder(dir).register::<C>().start().await.unwrap()
}

/// What is stored of an object.
fn body(dir: &Path, name: &str) -> Vec<u8> {
    tests::first_shard(dir)
        .query_row(
            "SELECT body FROM snapshots JOIN objects USING (object_no) WHERE name = ?1",
            [name],
            |row| row.get(0),
        )
        .unwrap()
}

/// A directory with the carts `ada` and `bob` of the first release.
async fn stored() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime::<first::Cart>(dir.path()).await;
    runtime.get::<first::Cart>("ada").fill().await.unwrap();
    runtime.get::<first::Cart>("bob").fill().await.unwrap();
    runtime.shutdown().await.unwrap();
    dir
}

#[tokio::test]
async fn fields_and_variants_move_come_and_go_at_every_depth() {
    let dir = stored().await;
    let before = body(dir.path(), "ada");
    let second = runtime::<second::Cart>(dir.path()).await;
    let ada = second.get::<second::Cart>("ada");
    assert_eq!(ada.show().await.unwrap(), SECOND);
    assert_eq!(ada.touch().await.unwrap(), 300);
    assert_eq!(body(dir.path(), "ada"), before, "an object that changes nothing stays as stored");
    second.evict(ada.id().unwrap()).await.unwrap();
    assert_eq!(ada.show().await.unwrap(), SECOND);
    assert_eq!(ada.pay(5).await.unwrap(), 305);
    assert_ne!(body(dir.path(), "ada")[8..16], before[8..16], "a commit stores the new form");
    second.evict(ada.id().unwrap()).await.unwrap();
    assert_eq!(ada.show().await.unwrap(), SECOND.replace("300", "305"));
    second.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "bob"), before, "nobody has called bob");
}

#[tokio::test]
async fn a_commit_of_keys_alone_stores_the_new_form_too() {
    let dir = stored().await;
    let before = body(dir.path(), "ada");
    let second = runtime::<second::Cart>(dir.path()).await;
    second.get::<second::Cart>("ada").keep().await.unwrap();
    let after = body(dir.path(), "ada");
    assert_ne!(after[8..16], before[8..16]);
    second.get::<second::Cart>("ada").keep().await.unwrap();
    second.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "ada"), after);
    let second = runtime::<second::Cart>(dir.path()).await;
    assert_eq!(second.get::<second::Cart>("ada").show().await.unwrap(), SECOND);
}

#[tokio::test]
async fn a_rollback_reads_what_was_not_stored_anew_and_refuses_the_rest() {
    let dir = stored().await;
    let second = runtime::<second::Cart>(dir.path()).await;
    second.get::<second::Cart>("ada").pay(5).await.unwrap();
    second.get::<second::Cart>("bob").show().await.unwrap();
    second.shutdown().await.unwrap();
    drop(second);
    let stored = body(dir.path(), "ada");

    let first = runtime::<first::Cart>(dir.path()).await;
    assert_eq!(first.get::<first::Cart>("bob").paid().await.unwrap(), 300);
    let error = first.get::<first::Cart>("ada").paid().await.unwrap_err();
    assert_eq!(error.code(), "state.changed");
    assert!(error.message().contains("field `note.dropped`"), "{error}");
    first.get::<first::Cart>("bob").fill().await.unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "ada"), stored);
}

/// A field that must be there, in a list; and a variant that is gone.
mod strict {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Cart {
        pub lines: Vec<Line>,
        pub paid_cents: u64,
    }

    #[derive(DurableState)]
    pub struct Line {
        pub sku: String,
        pub must: bool,
    }

    #[durable_object(name = "test.Cart")]
    impl Cart {
        pub fn pay(&mut self, cents: u64) -> u64 {
            self.paid_cents += cents;
            self.paid_cents
        }

        pub fn paid(&self) -> u64 {
            self.paid_cents
        }
    }
}

/// Numbers that are too narrow, at one object.
mod narrow {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Cart {
        pub paid_cents: u8,
    }

    #[durable_object(name = "test.Cart")]
    impl Cart {
        pub fn paid(&self) -> u8 {
            self.paid_cents
        }

        pub fn pay(&mut self, cents: u8) -> u8 {
            self.paid_cents += cents;
            self.paid_cents
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_class_object_field_and_next_step() {
    let dir = stored().await;
    let before = body(dir.path(), "ada");
    let strict = runtime::<strict::Cart>(dir.path()).await;
    let ada = strict.get::<strict::Cart>("ada");
    let error = ada.pay(1).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("state.changed", ErrorKind::Corrupt));
    for error in [error, ada.pay(1).await.unwrap_err(), ada.paid().await.unwrap_err()] {
        assert_eq!(error.object(), Some("test.Cart(ada)"));
        for part in [
            "test.Cart(ada)",
            "version 1",
            "strict::Cart",
            "field `lines[0].must`",
            "missing field `must`",
            "give it `#[serde(default)]`, or set `version = 2` and add `#[migrate(from = 1)]`",
        ] {
            assert!(error.message().contains(part), "{part}: {error}");
        }
    }
    assert_eq!(strict.get::<strict::Cart>("new").pay(1).await.unwrap(), 1, "others notice nothing");
    strict.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "ada"), before);
    assert_eq!(body(dir.path(), "bob"), before);

    let narrow = runtime::<narrow::Cart>(dir.path()).await;
    let error = narrow.get::<narrow::Cart>("ada").pay(1).await.unwrap_err();
    assert_eq!(error.code(), "state.changed");
    for part in ["field `paid_cents`", "300", "give it the type that it had, or set `version = 2`"]
    {
        assert!(error.message().contains(part), "{part}: {error}");
    }
    assert_eq!(narrow.get::<narrow::Cart>("other").pay(1).await.unwrap(), 1);
    narrow.shutdown().await.unwrap();
    assert_eq!(body(dir.path(), "ada"), before);
}

#[tokio::test]
async fn a_schema_that_is_gone_or_damaged_is_said_and_harms_only_its_states() {
    for (damage, code) in [
        ("DELETE FROM schemas", "schema.missing"),
        ("UPDATE schemas SET schema = x'1507'", "schema.torn"),
    ] {
        let dir = stored().await;
        let before = body(dir.path(), "ada");
        tests::first_shard(dir.path()).execute(damage, []).unwrap();
        let second = runtime::<second::Cart>(dir.path()).await;
        let ada = second.get::<second::Cart>("ada");
        let error = ada.pay(1).await.unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, ErrorKind::Corrupt), "{error}");
        for error in [error, ada.show().await.unwrap_err()] {
            assert!(error.message().contains("test.Cart(ada)"), "{error}");
            assert!(error.message().contains("restore the shard's file"), "{error}");
        }
        assert_eq!(second.get::<second::Cart>("new").pay(1).await.unwrap(), 1);
        second.shutdown().await.unwrap();
        drop(second);
        assert_eq!(body(dir.path(), "ada"), before);
        // The code that wrote it needs no schema, and stores the one that is missing.
        let first = runtime::<first::Cart>(dir.path()).await;
        assert_eq!(first.get::<first::Cart>("ada").paid().await.unwrap(), 300);
        first.shutdown().await.unwrap();
        drop(first);
        let second = runtime::<second::Cart>(dir.path()).await;
        assert_eq!(second.get::<second::Cart>("ada").show().await.unwrap(), SECOND);
    }
}

#[tokio::test]
async fn each_schema_is_stored_once() {
    let dir = stored().await;
    let count = || -> i64 {
        let sql = "SELECT count(*) FROM schemas";
        tests::first_shard(dir.path()).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(), 1);
    for _ in 0..3 {
        let second = runtime::<second::Cart>(dir.path()).await;
        second.get::<second::Cart>("ada").pay(5).await.unwrap();
        second.get::<second::Cart>("bob").pay(5).await.unwrap();
        second.shutdown().await.unwrap();
    }
    assert_eq!(count(), 2);
}
