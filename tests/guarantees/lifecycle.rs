//! Classes that are renamed and deleted, with everything that their objects have stored.

use durable::prelude::*;
use durable::{ObjectId, RuntimeBuilder};

/// A class under whatever name it has in this release.
macro_rules! basket {
    ($module:ident, $name:literal) => {
        mod $module {
            use durable::prelude::*;

            #[derive(Default, DurableState)]
            pub struct Basket {
                items: u64,
            }

            #[durable_object(name = $name)]
            impl Basket {
                pub async fn add(&mut self, cx: &mut Context<'_, Self>) -> Result<u64, Error> {
                    self.items += 1;
                    cx.kv().put(format!("item {}", self.items), &self.items)?;
                    Ok(self.items)
                }

                pub async fn items(&self, cx: &Context<'_, Self>) -> Result<(u64, u64), Error> {
                    let (mut list, mut found) = (cx.kv().list(), 0);
                    while list.next::<u64>().await?.is_some() {
                        found += 1;
                    }
                    Ok((self.items, found))
                }
            }
        }
    };
}

basket!(old, "shop.Basket");
basket!(new, "shop.Cart");

fn release(dir: &std::path::Path) -> RuntimeBuilder {
    Runtime::builder(dir).shards(3)
}

/// Baskets of the old name, as many as there are letters.
async fn fill(dir: &std::path::Path, names: &[&str]) -> Vec<ObjectId> {
    let runtime = release(dir).register::<old::Basket>().start().await.unwrap();
    let mut ids = Vec::new();
    for name in names {
        let basket = runtime.get::<old::Basket>(*name);
        basket.add().await.unwrap();
        ids.push(basket.id().unwrap());
    }
    runtime.shutdown().await.unwrap();
    ids
}

#[tokio::test]
async fn objects_of_a_renamed_class_keep_ids_names_and_states() {
    let dir = tempfile::tempdir().unwrap();
    let ids = fill(dir.path(), &["a", "b", "c", "d"]).await;
    for _ in 0..2 {
        let builder = release(dir.path()).renamed("shop.Basket", "shop.Cart");
        let runtime = builder.register::<new::Basket>().start().await.unwrap();
        for (name, id) in ["a", "b", "c", "d"].iter().zip(&ids) {
            let basket = runtime.get::<new::Basket>(*name);
            assert_eq!(basket.id().unwrap(), *id);
            assert_eq!(basket.items().await.unwrap(), (1, 1));
        }
        assert_eq!(runtime.list::<new::Basket>().page().await.unwrap().len(), 4);
        runtime.shutdown().await.unwrap();
    }
    // The step may be taken out once every directory has seen it, and the old name may be used again.
    let builder = release(dir.path()).register::<new::Basket>().register::<old::Basket>();
    let runtime = builder.start().await.unwrap();
    assert_eq!(runtime.get::<new::Basket>("a").items().await.unwrap(), (1, 1));
    let other = runtime.get::<old::Basket>("a");
    assert_eq!(other.items().await.unwrap(), (0, 0));
    assert_ne!(other.id().unwrap(), ids[0], "the two have no ids in common");
    other.add().await.unwrap();
    assert_eq!(runtime.get::<new::Basket>("a").items().await.unwrap(), (1, 1));
}

#[tokio::test]
async fn a_name_with_objects_is_not_taken_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["a"]).await;
    let runtime = release(dir.path()).register::<new::Basket>().start().await.unwrap();
    runtime.get::<new::Basket>("a").add().await.unwrap();
    runtime.shutdown().await.unwrap();
    let builder = release(dir.path()).renamed("shop.Basket", "shop.Cart");
    let error = builder.register::<new::Basket>().start().await.unwrap_err();
    assert_eq!(error.code(), "class.taken");
    assert!(error.message().contains("shop.Basket is to be renamed to shop.Cart"), "{error}");
    let builder = release(dir.path()).register::<new::Basket>().register::<old::Basket>();
    let runtime = builder.start().await.unwrap();
    assert_eq!(runtime.get::<new::Basket>("a").items().await.unwrap(), (1, 1));
    assert_eq!(runtime.get::<old::Basket>("a").items().await.unwrap(), (1, 1));
}

#[tokio::test]
async fn a_name_that_was_registered_too_early_is_taken_while_it_has_no_objects() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["a"]).await;
    let runtime = release(dir.path()).register::<new::Basket>().start().await.unwrap();
    runtime.shutdown().await.unwrap();
    let builder = release(dir.path()).renamed("shop.Basket", "shop.Cart");
    let runtime = builder.register::<new::Basket>().start().await.unwrap();
    assert_eq!(runtime.get::<new::Basket>("a").items().await.unwrap(), (1, 1));
}

#[tokio::test]
async fn objects_of_a_deleted_class_are_gone_with_everything_that_they_stored() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..1_200).map(|number| format!("n{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let ids = fill(dir.path(), &names).await;
    for _ in 0..2 {
        let builder = release(dir.path()).deleted("shop.Basket").register::<new::Basket>();
        builder.start().await.unwrap().shutdown().await.unwrap();
    }
    for shard in 0..3 {
        let file = dir.path().join(format!("shards/{shard:03}.db"));
        let shard = rusqlite::Connection::open(file).unwrap();
        for table in ["objects", "snapshots", "kv"] {
            let count = format!("SELECT count(*) FROM {table}");
            let left: i64 = shard.query_row(&count, [], |row| row.get(0)).unwrap();
            assert_eq!(left, 0, "{table}");
        }
    }
    let runtime = release(dir.path()).register::<old::Basket>().start().await.unwrap();
    let anew = runtime.get::<old::Basket>("n0");
    assert_eq!(anew.items().await.unwrap(), (0, 0));
    assert_eq!(anew.add().await.unwrap(), 1);
    assert!(runtime.get_by_id::<old::Basket>(ids[0]).is_err(), "the class is another one");
}

#[tokio::test]
async fn a_class_that_is_gone_is_not_registered() {
    let dir = tempfile::tempdir().unwrap();
    let builder = release(dir.path()).renamed("shop.Basket", "shop.Cart");
    let error = builder.register::<old::Basket>().start().await.unwrap_err();
    assert_eq!(error.code(), "class.invalid");
    assert!(error.message().contains("renamed to `shop.Cart`"), "{error}");
    let builder = release(dir.path()).deleted("shop.Basket").register::<old::Basket>();
    let error = builder.start().await.unwrap_err();
    assert!(error.message().contains("said to be deleted"), "{error}");
}

/// The second release, which renames.
fn renaming(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.shards(3).renamed("shop.Basket", "shop.Cart").register::<new::Basket>()
}

#[test]
fn a_rename_that_is_cut_off_anywhere_is_finished_by_the_next_start() {
    use durable::host::Host;
    use durable_testing::disk::{Crash, SimDisk};

    let tokio = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let host = |disk: &SimDisk| Host { disk: std::sync::Arc::new(disk.clone()), ..Host::os() };
    let first = SimDisk::new(1);
    tokio().block_on(async {
        let builder = Runtime::builder("/data").shards(3).register::<old::Basket>();
        let runtime = builder.host(host(&first)).start().await.unwrap();
        for name in ["a", "b", "c", "d"] {
            runtime.get::<old::Basket>(name).add().await.unwrap();
        }
        runtime.shutdown().await.unwrap();
    });
    let image = first.contents();
    let mut op = 0;
    loop {
        op += 1;
        let disk = SimDisk::holding(op, &image);
        disk.die_at_op(op);
        let tokio = tokio();
        let start = async || renaming(Runtime::builder("/data")).host(host(&disk)).start().await;
        let started = tokio.block_on(start());
        let is_whole = started.is_ok();
        disk.crash(Crash::PowerTorn, &mut || op);
        drop(started);
        let disk = disk.revive();
        tokio.block_on(async {
            let builder = renaming(Runtime::builder("/data")).host(host(&disk));
            let runtime = builder.start().await.unwrap();
            for name in ["a", "b", "c", "d"] {
                assert_eq!(runtime.get::<new::Basket>(name).items().await.unwrap(), (1, 1));
            }
            runtime.shutdown().await.unwrap();
        });
        if is_whole {
            break;
        }
    }
    assert!(op > 10, "only {op} operations were cut off");
}
