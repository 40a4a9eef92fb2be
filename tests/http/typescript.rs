//! The client in TypeScript is the one that `.ci/typescript` has compiled and run.

use durable::Runtime;

use crate::shop::{Shop, client};

#[tokio::test]
async fn the_client_is_as_it_was_checked() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Shop>().start().await.unwrap();
    let (made, checked) = (client(&runtime), include_str!("shop.ts"));
    let differs = made.lines().zip(checked.lines()).position(|(one, other)| one != other);
    assert!(
        made == checked,
        "line {differs:?} of `tests/http/shop.ts` differs; run `.ci/typescript`, which writes it anew and checks it"
    );
}
