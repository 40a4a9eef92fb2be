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
