//! Guards in simulated worlds, and what they count.

use super::*;
use durable_testing::prelude::*;

#[durable_testing::test(runtime = safes, crash_everywhere)]
async fn only_its_owner_opens_a_safe_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let (ada, eve) = (SignedIn("ada".to_owned()), SignedIn("eve".to_owned()));
    let (ada, eve) = (sim.client().with_interceptor(ada), sim.client().with_interceptor(eve));
    let _ = ada.get::<Safe>("ada").put("ring".to_owned()).await;
    let _ = ada.get::<Safe>("ada").give("bob".to_owned()).await;
    sim.heal().await?;
    for safe in ["ada", "bob"] {
        let refused = eve.get::<Safe>(safe).take().await.expect_err("it is not hers");
        assert_eq!(refused.code(), "call.refused", "{refused}");
    }
    let refused = sim.get::<Safe>("ada").things().await.expect_err("nobody is signed in");
    assert_eq!(refused.code(), "call.refused", "{refused}");
    let left = ada.get::<Safe>("ada").things().await?;
    let bob = sim.client().with_interceptor(SignedIn("bob".to_owned()));
    let given = bob.get::<Safe>("bob").take().await?;
    assert!(left.len() + given.len() <= 1, "there is one ring: {left:?}, {given:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_counts_sees_what_is_turned_away() {
    let (dir, metrics) = (tempfile::tempdir().expect("a folder"), Metrics::default());
    let builder = Runtime::builder(dir.path()).intercept(metrics.clone());
    let runtime = safes(builder).start().await.expect("it starts");
    let client = runtime.client();
    let said = obey(&client, "ada", &["put", "ring"]).await.expect("she may");
    assert_eq!(said, "1 things");
    obey(&client, "eve", &["take-from", "ada"]).await.expect_err("she may not");
    let all = metrics.all();
    let of = |method: &str| (all[method].turns, all[method].refused);
    assert_eq!((of("example.Safe.put"), of("example.Safe.take")), ((1, 0), (0, 1)));
}
