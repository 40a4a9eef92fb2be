//! The face: every form of method, key and return type that the macro takes, used as a user would.

use std::fmt;
use std::str::FromStr;

use durable::prelude::*;

/// A key of two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CartId {
    shop: u32,
    user: u32,
}

impl fmt::Display for CartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shop, self.user)
    }
}

impl FromStr for CartId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (shop, user) = text.split_once('/').unwrap_or((text, ""));
        Ok(CartId { shop: shop.parse()?, user: user.parse()? })
    }
}

/// A result by another name.
pub type Outcome<T, E = Refusal> = Result<T, E>;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    Empty,
    TooMany { asked: u32, max: u32 },
}

#[derive(Default, DurableState)]
pub struct Cart {
    items: Vec<(String, u32)>,
    opened_ms: u64,
}

#[durable_object(name = "test.Cart", key = CartId)]
impl Cart {
    pub fn add(&mut self, sku: String, count: u32) -> Outcome<u32> {
        self.items.push((sku, count));
        if count > 9 { Err(Refusal::TooMany { asked: count, max: 9 }) } else { Ok(self.total()) }
    }

    #[rpc(name = "buy")]
    pub async fn checkout(&mut self) -> Result<Vec<(String, u32)>, Refusal> {
        tokio::task::yield_now().await;
        if self.items.is_empty() {
            Err(Refusal::Empty)
        } else {
            Ok(std::mem::take(&mut self.items))
        }
    }

    pub fn owner(&self, cx: &Context<'_, Self>) -> Result<u32, String> {
        cx.key().map(|key| key.user).map_err(|error| error.to_string())
    }

    pub async fn age_ms(&self, cx: &Context<'_, Self>) -> u64 {
        cx.now().0 - self.opened_ms
    }

    #[rpc(skip)]
    pub fn total(&self) -> u32 {
        self.items.iter().map(|(_, count)| count).sum()
    }

    #[deprecated(note = "ask `owner`")]
    pub fn shop(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.name().map(str::to_owned)
    }

    #[cfg(any())]
    pub fn not_compiled(&self) -> Nothing {}

    #[init]
    fn open(cx: &Context<'_, Self>) -> Self {
        Cart { items: Vec::new(), opened_ms: cx.now().0 }
    }
}

async fn carts(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Cart>().start().await.unwrap()
}

#[tokio::test]
async fn typed_keys_lead_to_objects_and_are_known_inside() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = carts(dir.path()).await;
    let key = CartId { shop: 1, user: 42 };
    let cart = runtime.get::<Cart>(key);
    assert_eq!(cart.name(), Some("1/42"));
    assert_eq!(runtime.get::<Cart>(&key).id().unwrap(), cart.id().unwrap());
    assert_eq!(cart.owner().await.unwrap(), 42);
    let nameless = runtime.unique::<Cart>().owner().await.unwrap_err();
    assert!(nameless.rejection().unwrap().contains("key.malformed"), "{nameless:?}");
}

#[tokio::test]
async fn results_by_any_name_roll_back_and_reach_the_caller_typed() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = carts(dir.path()).await;
    let cart = runtime.get::<Cart>(CartId { shop: 1, user: 1 });
    assert_eq!(cart.add("pear".into(), 2).await.unwrap(), 2);
    let refused = cart.add("plum".into(), 10).await.unwrap_err();
    assert_eq!(refused.rejection(), Some(&Refusal::TooMany { asked: 10, max: 9 }));
    assert_eq!(cart.checkout().await.unwrap(), [("pear".to_owned(), 2)]);
    assert_eq!(cart.checkout().await.unwrap_err().rejection(), Some(&Refusal::Empty));
}

#[tokio::test]
async fn init_makes_the_object_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = carts(dir.path()).await;
    let cart = runtime.get::<Cart>(CartId { shop: 1, user: 1 });
    assert!(cart.age_ms().await.unwrap() < 60_000);
    runtime.shutdown().await.unwrap();
    assert_eq!(tests::stored_objects(dir.path()), 0);
}

/// What this crate's own types are good for inside of objects.
#[derive(Default, DurableState)]
pub struct Diary {
    last: Option<(ObjectId, durable::WallMs)>,
}

#[durable_object(name = "test.Diary")]
impl Diary {
    pub fn note(&mut self, cx: &Context<'_, Self>, about: ObjectId) -> Option<ObjectId> {
        self.last.replace((about, cx.now())).map(|(before, _)| before)
    }

    /// Passes on what another object of the same runtime answers, with `?`.
    pub async fn ask(
        &self,
        cx: &Context<'_, Self>,
        other: String,
    ) -> Result<Option<ObjectId>, Error> {
        Ok(cx.get::<Diary>(&other).ask_nobody().await?)
    }

    pub fn ask_nobody(&self) -> Result<Option<ObjectId>, Error> {
        Ok(self.last.as_ref().map(|(about, _)| *about))
    }
}

#[tokio::test]
async fn ids_times_and_errors_can_be_kept_and_passed() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Diary>().start().await.unwrap();
    let (diary, other) = (runtime.get::<Diary>("d"), runtime.get::<Diary>("o"));
    let id = runtime.unique::<Diary>().id().unwrap();
    assert_eq!(diary.note(id).await.unwrap(), None);
    runtime.evict(diary.id().unwrap()).await.unwrap();
    assert_eq!(diary.note(id).await.unwrap(), Some(id));
    assert_eq!(other.ask("d".into()).await.unwrap(), Some(id));
}

#[tokio::test]
async fn an_error_names_its_object_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = carts(dir.path()).await;
    let cart = runtime.get::<Cart>(CartId { shop: 1, user: 2 });
    let error = cart.checkout().timeout(std::time::Duration::ZERO).await.unwrap_err();
    assert_eq!(error.failure().unwrap().object(), Some("test.Cart(1/2)"));
    let runtime = super::counters(tempfile::tempdir().unwrap().path()).await;
    let odd = runtime.get::<super::Counter>("a\nb");
    assert_eq!(odd.add_and_panic(1).await.unwrap_err().object(), Some("test.Counter(a\\nb)"));
}

#[tokio::test]
async fn the_class_says_what_it_is() {
    use durable::{Access, Object};
    let methods: Vec<_> = Cart::CLASS
        .methods
        .iter()
        .map(|method| (method.name, method.access, method.is_async))
        .collect();
    assert_eq!(
        methods,
        [
            ("add", Access::Write, false),
            ("buy", Access::Write, true),
            ("owner", Access::Read, false),
            ("age_ms", Access::Read, true),
            ("shop", Access::Read, false),
        ]
    );
    let call = CartCall::Add { sku: "pear".into(), count: 1 };
    assert_eq!(Cart::method(&call).name, "add");
}
