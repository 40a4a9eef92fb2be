//! What an object keeps under keys: read as it was left, committed with the rest of the turn, listed in order.

use std::future::IntoFuture;

use durable::limits::{KV_KEY_BYTES_MAX, KV_VALUE_BYTES_MAX};
use durable::prelude::*;
use tests::WriterGate;

mod model;

/// One thing that can be done to a [`Drawer`] in a turn.
#[derive(Clone, Debug, DurableState)]
pub enum Step {
    Put(String, u64),
    PutMany(Vec<(String, u64)>),
    Delete(String),
    DeleteMany(Vec<String>),
    List(Wish),
    GetMany(Vec<String>),
}

/// What is asked of a list.
#[derive(Clone, Debug, Default, DurableState)]
pub struct Wish {
    pub prefix: Option<String>,
    pub start: Option<String>,
    pub start_after: Option<String>,
    pub end: Option<String>,
    pub reverse: bool,
    pub limit: Option<u64>,
}

type Rows = Vec<(String, u64)>;

/// Keeps everything under keys, and a number in its struct.
#[derive(Default, DurableState)]
pub struct Drawer {
    n: u64,
}

#[durable_object(name = "test.Drawer")]
impl Drawer {
    pub fn put(
        &mut self,
        cx: &mut Context<'_, Self>,
        key: String,
        value: u64,
    ) -> Result<(), Error> {
        cx.kv().put(key, &value)
    }

    pub fn put_with_state(
        &mut self,
        cx: &mut Context<'_, Self>,
        key: String,
    ) -> Result<u64, Error> {
        self.n += 1;
        cx.kv().put(key, &self.n)?;
        Ok(self.n)
    }

    pub fn put_bytes(
        &mut self,
        cx: &mut Context<'_, Self>,
        key: Vec<u8>,
        size: usize,
    ) -> Result<(), Error> {
        cx.kv().put_bytes(key, vec![7; size])
    }

    pub async fn bytes(
        &self,
        cx: &Context<'_, Self>,
        key: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Error> {
        cx.kv().get_bytes(key).await
    }

    pub async fn get(&self, cx: &Context<'_, Self>, key: String) -> Result<Option<u64>, Error> {
        cx.kv().get(key).await
    }

    pub async fn text(&self, cx: &Context<'_, Self>, key: String) -> Result<Option<String>, Error> {
        cx.kv().get(key).await
    }

    pub fn n(&self) -> u64 {
        self.n
    }

    pub async fn get_many(&self, cx: &Context<'_, Self>, keys: Vec<String>) -> Result<Rows, Error> {
        let found = cx.kv().get_many::<u64>(keys).await?;
        Ok(found.into_iter().map(|(key, value)| (text(&key), value)).collect())
    }

    pub async fn delete(&mut self, cx: &mut Context<'_, Self>, key: String) -> Result<bool, Error> {
        cx.kv().delete(key).await
    }

    pub async fn delete_many(
        &mut self,
        cx: &mut Context<'_, Self>,
        keys: Vec<String>,
    ) -> Result<usize, Error> {
        cx.kv().delete_many(keys).await
    }

    pub async fn list(&self, cx: &Context<'_, Self>, wish: Wish) -> Result<Rows, Error> {
        list(cx.kv(), wish).await
    }

    pub fn fill(&mut self, cx: &mut Context<'_, Self>, from: u64, to: u64) -> Result<(), Error> {
        cx.kv().put_many((from..to).map(|n| (format!("{n:05}"), n)))
    }

    /// A good pair, and one that is too large.
    pub fn put_too_much(&mut self, cx: &mut Context<'_, Self>) -> Result<String, String> {
        let many = [("a", vec![1; 10]), ("b", vec![1; KV_VALUE_BYTES_MAX + 1])];
        match cx.kv().put_many_bytes(many) {
            Ok(()) => Err("it was put".to_owned()),
            Err(error) => Ok(error.to_string()),
        }
    }

    /// Steps in one turn, and what each of them found.
    pub async fn run(
        &mut self,
        cx: &mut Context<'_, Self>,
        steps: Vec<Step>,
    ) -> Result<Vec<Rows>, Error> {
        let mut found = Vec::new();
        for step in steps {
            let kv = cx.kv();
            found.push(match step {
                Step::Put(key, value) => kv.put(key, &value).map(|()| Rows::new())?,
                Step::PutMany(rows) => kv.put_many(rows).map(|()| Rows::new())?,
                Step::Delete(key) => vec![(String::new(), u64::from(kv.delete(key).await?))],
                Step::DeleteMany(keys) => vec![(String::new(), kv.delete_many(keys).await? as u64)],
                Step::List(wish) => list(kv, wish).await?,
                Step::GetMany(keys) => {
                    let found = kv.get_many::<u64>(keys).await?;
                    found.into_iter().map(|(key, value)| (text(&key), value)).collect()
                }
            });
        }
        Ok(found)
    }

    /// Deletes and puts what a list is about to come to.
    pub async fn change_while_listing(
        &mut self,
        cx: &mut Context<'_, Self>,
    ) -> Result<Rows, Error> {
        let kv = cx.kv();
        kv.put_many(["a", "b", "c", "d"].map(|key| (key, 0_u64)))?;
        let (mut list, mut found) = (kv.list(), Rows::new());
        while let Some((key, value)) = list.next::<u64>().await? {
            if key == "b" {
                kv.delete("c").await?;
                kv.put("a", &9_u64)?;
                kv.put("bb", &1_u64)?;
                kv.put("d", &1_u64)?;
            }
            found.push((text(&key), value));
        }
        Ok(found)
    }

    pub fn put_and_refuse(
        &mut self,
        cx: &mut Context<'_, Self>,
        key: String,
    ) -> Result<(), String> {
        cx.kv().put(key, &1_u64).map_err(|error| error.to_string())?;
        Err("refused".to_owned())
    }

    pub fn put_and_panic(&mut self, cx: &mut Context<'_, Self>, key: String) -> Result<(), Error> {
        cx.kv().put(key, &1_u64)?;
        panic!("asked to")
    }

    pub async fn delete_and_panic(
        &mut self,
        cx: &mut Context<'_, Self>,
        key: String,
    ) -> Result<(), Error> {
        assert!(cx.kv().delete(key).await?);
        panic!("asked to")
    }

    /// Tries to write in a read.
    pub async fn write_in_a_read(&self, cx: &Context<'_, Self>) -> Vec<String> {
        let kv = cx.kv();
        let errors = [
            kv.put("k", &1).unwrap_err(),
            kv.put_many([("k", 1)]).unwrap_err(),
            kv.put_bytes("k", b"1").unwrap_err(),
            kv.put_many_bytes([("k", b"1")]).unwrap_err(),
            kv.delete("k").await.unwrap_err(),
            kv.delete_many(["k"]).await.unwrap_err(),
        ];
        errors.iter().map(ToString::to_string).collect()
    }
}

async fn list(kv: durable::Kv<'_>, wish: Wish) -> Result<Rows, Error> {
    let mut list = kv.list();
    if let Some(prefix) = wish.prefix {
        list = list.prefix(prefix);
    }
    if let Some(start) = wish.start {
        list = list.start(start);
    }
    if let Some(start_after) = wish.start_after {
        list = list.start_after(start_after);
    }
    if let Some(end) = wish.end {
        list = list.end(end);
    }
    if wish.reverse {
        list = list.reverse();
    }
    if let Some(limit) = wish.limit {
        list = list.limit(usize::try_from(limit).unwrap());
    }
    let mut rows = Rows::new();
    while let Some((key, value)) = list.next().await? {
        rows.push((text(&key), value));
    }
    Ok(rows)
}

fn text(key: &durable::KvKey) -> String {
    key.as_str().expect("the keys here are text").to_owned()
}

async fn drawers(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Drawer>().start().await.unwrap()
}

fn keys<const N: usize>(keys: [&str; N]) -> Vec<String> {
    keys.map(str::to_owned).into()
}

fn rows<const N: usize>(rows: [(&str, u64); N]) -> Rows {
    rows.map(|(key, value)| (key.to_owned(), value)).into()
}

/// Case 06.
#[tokio::test]
async fn several_keys_are_given_in_order_without_the_missing_and_a_delete_says_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    drawer.run(vec![Step::PutMany(rows([("a", 1), ("b", 2), ("c", 3)]))]).await.unwrap();
    for _ in 0..2 {
        let found = drawer.get_many(keys(["c", "zz", "a", "c"])).await.unwrap();
        assert_eq!(found, rows([("a", 1), ("c", 3)]));
        runtime.evict(drawer.id().unwrap()).await.unwrap();
    }
    assert_eq!(drawer.delete_many(keys(["a", "zz", "a"])).await.unwrap(), 1);
    assert!(drawer.delete("b".into()).await.unwrap());
    assert!(!drawer.delete("b".into()).await.unwrap());
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), rows([("c", 3)]));
}

/// Case 07.
#[tokio::test]
async fn a_list_is_a_half_open_range_in_the_order_of_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    let all = [("a", 1), ("b", 2), ("ba", 3), ("bb", 4), ("c", 5), ("é", 6)];
    drawer.run(vec![Step::PutMany(rows(all))]).await.unwrap();
    let wish = Wish::default;
    let table = [
        (wish(), rows(all)),
        (Wish { prefix: Some("b".into()), ..wish() }, rows([("b", 2), ("ba", 3), ("bb", 4)])),
        (
            Wish { start: Some("b".into()), end: Some("bb".into()), ..wish() },
            rows([("b", 2), ("ba", 3)]),
        ),
        (
            Wish { start_after: Some("b".into()), end: Some("c".into()), ..wish() },
            rows([("ba", 3), ("bb", 4)]),
        ),
        (Wish { reverse: true, limit: Some(2), ..wish() }, rows([("é", 6), ("c", 5)])),
        (
            Wish { reverse: true, start: Some("bb".into()), ..wish() },
            rows([("é", 6), ("c", 5), ("bb", 4)]),
        ),
        (
            Wish { prefix: Some("b".into()), start: Some("ba".into()), limit: Some(1), ..wish() },
            rows([("ba", 3)]),
        ),
        (Wish { start: Some("c".into()), end: Some("b".into()), ..wish() }, rows([])),
        (Wish { prefix: Some("a".into()), start: Some("b".into()), ..wish() }, rows([])),
    ];
    for _ in 0..2 {
        for (wish, expected) in &table {
            assert_eq!(drawer.list(wish.clone()).await.unwrap(), *expected, "{wish:?}");
        }
        runtime.evict(drawer.id().unwrap()).await.unwrap();
    }
    let impossible = [
        (Wish { limit: Some(0), ..wish() }, "a list has a limit of 0 rows, the least is 1"),
        (
            Wish { start: Some("a".into()), start_after: Some("a".into()), ..wish() },
            "a list has both a `start` and a `start_after`",
        ),
    ];
    for (wish, text) in impossible {
        let error = drawer.list(wish).await.unwrap_err().rejection().cloned().unwrap();
        assert_eq!(error.code(), "kv.list_invalid");
        assert!(error.message().starts_with(text), "{error}");
    }
}

/// Case 08.
#[tokio::test]
async fn of_several_values_all_are_kept_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    let error = drawer.put_too_much().await.unwrap();
    assert_eq!(
        error,
        format!(
            "kv.value_too_large: the value for key \"b\" of test.Drawer(ada) has {} bytes once encoded, \
             the limit is {KV_VALUE_BYTES_MAX}; spread it over several keys",
            KV_VALUE_BYTES_MAX + 1
        )
    );
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), rows([]));
    assert_eq!(tests::stored_objects(dir.path()), 0, "nothing was there to store");
}

#[tokio::test]
async fn the_largest_key_and_the_largest_value_are_kept_and_larger_ones_refused_with_both_numbers()
{
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    let largest = vec![0xff; KV_KEY_BYTES_MAX];
    drawer.put_bytes(largest.clone(), KV_VALUE_BYTES_MAX).await.unwrap();
    runtime.evict(drawer.id().unwrap()).await.unwrap();
    let bytes = drawer.bytes(largest).await.unwrap().unwrap();
    assert_eq!(bytes, vec![7; KV_VALUE_BYTES_MAX]);
    let table: [(usize, usize, &str, [usize; 2]); 3] = [
        (0, 1, "kv.key_empty", [0, 1]),
        (KV_KEY_BYTES_MAX + 1, 1, "kv.key_too_long", [KV_KEY_BYTES_MAX + 1, KV_KEY_BYTES_MAX]),
        (
            1,
            KV_VALUE_BYTES_MAX + 1,
            "kv.value_too_large",
            [KV_VALUE_BYTES_MAX + 1, KV_VALUE_BYTES_MAX],
        ),
    ];
    for (key, value, code, numbers) in table {
        let error = drawer.put_bytes(vec![b'k'; key], value).await.unwrap_err();
        let error = error.rejection().cloned().unwrap();
        assert_eq!((error.code(), error.object()), (code, Some("test.Drawer(ada)")));
        for number in numbers {
            assert!(error.message().contains(&number.to_string()), "{error} has no {number}");
        }
    }
    let too_long = drawer.bytes(vec![b'k'; KV_KEY_BYTES_MAX + 1]).await.unwrap_err();
    assert_eq!(too_long.rejection().unwrap().code(), "kv.key_too_long");
}

#[tokio::test]
async fn a_turn_sees_what_it_has_written_itself() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    drawer.put("b".into(), 1).await.unwrap();
    runtime.evict(drawer.id().unwrap()).await.unwrap();
    let steps = vec![
        Step::Put("a".into(), 2),
        Step::List(Wish::default()),
        Step::Put("b".into(), 3),
        Step::GetMany(keys(["a", "b"])),
        Step::Delete("b".into()),
        Step::Delete("b".into()),
        Step::List(Wish::default()),
        Step::GetMany(keys(["a", "b"])),
    ];
    let found = drawer.run(steps).await.unwrap();
    let count = |n| rows([("", n)]);
    let expected = [
        rows([]),
        rows([("a", 2), ("b", 1)]),
        rows([]),
        rows([("a", 2), ("b", 3)]),
        count(1),
        count(0),
        rows([("a", 2)]),
        rows([("a", 2)]),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_list_sees_what_its_turn_writes_ahead_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    let found = drawer.change_while_listing().await.unwrap();
    assert_eq!(found, rows([("a", 0), ("b", 0), ("bb", 1), ("d", 1)]));
    let left = rows([("a", 9), ("b", 0), ("bb", 1), ("d", 1)]);
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), left);
    // The same once more, over rows that are stored.
    runtime.evict(drawer.id().unwrap()).await.unwrap();
    assert_eq!(drawer.change_while_listing().await.unwrap(), found);
}

#[tokio::test]
async fn a_turn_that_refuses_or_panics_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    drawer.put_and_refuse("first".into()).await.unwrap_err();
    drawer.put_and_panic("first".into()).await.unwrap_err();
    assert_eq!(tests::stored_objects(dir.path()), 0);
    drawer.put("kept".into(), 5).await.unwrap();
    drawer.put_and_refuse("kept".into()).await.unwrap_err();
    assert_eq!(drawer.get("kept".into()).await.unwrap(), Some(5));
    drawer.put_and_panic("kept".into()).await.unwrap_err();
    assert_eq!(drawer.get("kept".into()).await.unwrap(), Some(5));
    drawer.delete_and_panic("kept".into()).await.unwrap_err();
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), rows([("kept", 5)]));
}

#[tokio::test]
async fn struct_and_keys_come_back_together_after_eviction_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    assert_eq!(drawer.put_with_state("one".into()).await.unwrap(), 1);
    assert_eq!(drawer.put_with_state("two".into()).await.unwrap(), 2);
    // The struct stays as it is, so only rows are stored.
    drawer.put("three".into(), 3).await.unwrap();
    assert!(drawer.delete("one".into()).await.unwrap());
    let left = rows([("three", 3), ("two", 2)]);
    runtime.evict(drawer.id().unwrap()).await.unwrap();
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), left);
    runtime.shutdown().await.unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    assert_eq!(drawer.n().await.unwrap(), 2);
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), left);
    let other = runtime.get::<Drawer>("bob");
    assert_eq!(other.list(Wish::default()).await.unwrap(), rows([]), "keys are an object's own");
    assert_eq!(tests::stored_objects(dir.path()), 1, "a read stores nothing");
}

#[tokio::test]
async fn what_is_not_durable_yet_is_read_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime =
        Runtime::builder(dir.path()).register::<Drawer>().host(gate.host()).start().await.unwrap();
    let drawer = runtime.get::<Drawer>("ada");
    drawer.fill(0, 300).await.unwrap();
    runtime.evict(drawer.id().unwrap()).await.unwrap();
    drawer.n().await.unwrap();
    gate.close();
    let mut put = drawer.put("00007".into(), 1_000).into_future();
    let mut put_many = drawer.fill(298, 302).into_future();
    let mut delete = drawer.delete("00008".into()).into_future();
    let mut delete_again = drawer.delete("00008".into()).into_future();
    let wish = Wish { start: Some("00006".into()), limit: Some(3), ..Wish::default() };
    let mut first = drawer.list(wish).into_future();
    let wish = Wish { reverse: true, limit: Some(3), ..Wish::default() };
    let mut last = drawer.list(wish).into_future();
    let mut all = drawer.list(Wish::default()).into_future();
    macro_rules! held {
        ($($call:ident),+) => { $( assert!(is_held(&mut $call).await, stringify!($call)); )+ };
    }
    held!(put, put_many, delete, delete_again, first, last, all);
    gate.open();
    put.await.unwrap();
    put_many.await.unwrap();
    assert!(delete.await.unwrap());
    assert!(!delete_again.await.unwrap());
    assert_eq!(first.await.unwrap(), rows([("00006", 6), ("00007", 1_000), ("00009", 9)]));
    assert_eq!(last.await.unwrap(), rows([("00301", 301), ("00300", 300), ("00299", 299)]));
    let all = all.await.unwrap();
    assert_eq!(all.len(), 301);
    assert_eq!(drawer.list(Wish::default()).await.unwrap(), all, "from the disk it is the same");
}

/// Polls a future often enough that it would have ended if nothing held it.
async fn is_held<F: Future + Unpin>(mut future: F) -> bool {
    for _ in 0..1_000 {
        if futures_util::poll!(&mut future).is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn a_read_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    let errors = drawer.write_in_a_read().await.unwrap();
    assert_eq!(errors.len(), 6);
    for error in errors {
        let text = "kv.read_only: a turn that takes `&self` of test.Drawer(ada) writes";
        assert!(error.starts_with(text), "{error}");
    }
    assert_eq!(tests::stored_objects(dir.path()), 0);
}

/// Writes when it is made, and when it is woken.
#[derive(Default, DurableState)]
pub struct Eager {
    init_error: String,
}

#[durable_object(name = "test.Eager")]
impl Eager {
    #[init]
    fn new(cx: &Context<'_, Self>) -> Self {
        let error = cx.kv().put("made", &1).unwrap_err();
        Eager { init_error: error.to_string() }
    }

    #[on_activate]
    async fn wake(&mut self, cx: &mut Context<'_, Self>) -> Result<(), Error> {
        let woken = cx.kv().get::<u64>("woken").await?.unwrap_or_default();
        cx.kv().put("woken", &(woken + 1))
    }

    pub async fn woken(&self, cx: &Context<'_, Self>) -> Result<Option<u64>, Error> {
        cx.kv().get("woken").await
    }

    pub fn init_error(&self) -> String {
        self.init_error.clone()
    }
}

#[tokio::test]
async fn a_hook_may_write_and_the_beginning_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Eager>().start().await.unwrap();
    let eager = runtime.get::<Eager>("ada");
    for times in 1..4 {
        assert_eq!(eager.woken().await.unwrap(), Some(times));
        runtime.evict(eager.id().unwrap()).await.unwrap();
    }
    let error = eager.init_error().await.unwrap();
    assert!(error.starts_with("kv.read_only: `#[init]` of test.Eager(ada) writes"), "{error}");
}

#[tokio::test]
async fn ten_thousand_keys_are_listed_in_order_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    for n in (0..10).rev() {
        drawer.fill(n * 1_000, (n + 1) * 1_000).await.unwrap();
    }
    runtime.evict(drawer.id().unwrap()).await.unwrap();
    let mut wanted: Rows = (0..10_000).map(|n| (format!("{n:05}"), n)).collect();
    assert!(drawer.list(Wish::default()).await.unwrap() == wanted);
    wanted.reverse();
    let wish = Wish { reverse: true, ..Wish::default() };
    assert!(drawer.list(wish).await.unwrap() == wanted);
}

#[tokio::test]
async fn a_value_that_cannot_be_used_is_an_error_that_names_it_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    drawer.put("k".into(), 1_000).await.unwrap();
    let error = drawer.text("k".into()).await.unwrap_err().rejection().cloned().unwrap();
    assert_eq!((error.code(), error.object()), ("kv.undecodable", Some("test.Drawer(ada)")));
    assert!(error.message().contains("key \"k\" of test.Drawer(ada)"), "{error}");
    drawer.put_bytes(b"raw".to_vec(), 3).await.unwrap();
    let error = drawer.get("raw".into()).await.unwrap_err().rejection().cloned().unwrap();
    assert!(error.is(durable::Code::KvUndecodable) && error.message().contains("put as bytes"));
    runtime.shutdown().await.unwrap();
    let flip =
        "UPDATE kv SET value = flipped(value, length(value) - 1) WHERE key = CAST('k' AS BLOB)";
    let row = |dir| -> Vec<u8> {
        let sql = "SELECT value FROM kv WHERE key = CAST('k' AS BLOB)";
        tests::first_shard(dir).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(tests::first_shard(dir.path()).execute(flip, []).unwrap(), 1);
    let damaged = row(dir.path());
    let runtime = drawers(dir.path()).await;
    let drawer = runtime.get::<Drawer>("ada");
    let error = drawer.get("k".into()).await.unwrap_err().rejection().cloned().unwrap();
    assert_eq!(error.code(), "kv.torn");
    assert!(error.message().contains("under key \"k\" of test.Drawer(ada) is damaged"), "{error}");
    assert_eq!(
        drawer.bytes(b"raw".to_vec()).await.unwrap().unwrap(),
        [7; 3],
        "the others are well"
    );
    drawer.put("other".into(), 1).await.unwrap();
    runtime.shutdown().await.unwrap();
    assert_eq!(row(dir.path()), damaged);
}
