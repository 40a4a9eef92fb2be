//! Carts in simulated worlds.

use super::*;
use durable_testing::prelude::*;
use objects::{Line, Refused, TOTAL_CENTS_MAX};

/// The struct and the keys say the same.
async fn assert_sound(cart: &CartStub) -> TestResult {
    let contents = cart.contents().await?;
    let sum: i64 = contents.lines.iter().map(|(_, line)| line.sum_cents()).sum();
    assert_eq!(contents.total_cents, sum, "of {:?}", contents.lines);
    Ok(())
}

#[durable_testing::test(runtime = shop, seeds = 100)]
async fn a_cart_costs_what_its_lines_do_whatever_happens(sim: Sim) -> TestResult {
    let carts = ["ada", "bob"].map(|name| sim.get::<Cart>(name));
    sim.always("no cart is too dear", |world| {
        let carts = world.all::<Cart>();
        carts.iter().all(|(_, cart)| (0..=TOTAL_CENTS_MAX).contains(&cart.total_cents))
    });
    sim.faults(Faults::all().power_cuts(1..3));
    let changed = sim
        .clients(3, async |client| {
            let mut changed = false;
            for _ in 0..8 {
                let cart = client.pick(&carts);
                let sku = (*client.pick(&["pen", "ink", "desk"])).to_owned();
                // What a crash cut short is not tried again: the history says what came of it.
                match client.int(0..4) {
                    0 | 1 => {
                        let (pieces, cents) = (client.int(1..4) as u32, client.int(1..400_000));
                        drop(cart.add(sku, pieces, cents as i64).await);
                    }
                    2 => drop(cart.remove(sku).await),
                    _ => {
                        let Ok(seen) = cart.contents().await else { continue };
                        let ordered = cart.check_out(seen.total_cents).await;
                        let refusal = ordered.as_ref().err().and_then(CallError::rejection);
                        changed |= matches!(refusal, Some(Refused::Changed { .. }));
                    }
                }
            }
            changed
        })
        .await;
    sim.heal().await?;
    for cart in &carts {
        assert_sound(cart).await?;
    }
    sim.check_history(&carts)?;
    sim.sometimes("a crash", |trace| trace.count("node.crashes") > 0);
    sim.sometimes("a cart that changed after it was looked at", |_| changed.contains(&true));
    Ok(())
}

#[durable_testing::test(runtime = shop, crash_everywhere)]
async fn an_order_is_whole_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let cart = sim.get::<Cart>("ada");
    let _ = cart.add("pen".to_owned(), 2, 150).await;
    let _ = cart.add("ink".to_owned(), 1, 700).await;
    let seen = cart.contents().await.unwrap_or_default();
    let _ = cart.check_out(seen.total_cents).await;
    sim.heal().await?;
    assert_sound(&cart).await?;
    if let Some(order) = cart.order(1).await? {
        assert_eq!(order, seen, "what was ordered is what was seen");
        assert_eq!(cart.contents().await?, Contents::default(), "and is in the cart no more");
    }
    sim.check_history([&cart])
}

#[durable_testing::test(runtime = shop, seeds = 5)]
async fn a_refused_call_changes_neither_struct_nor_keys(sim: Sim) -> TestResult {
    let cart = sim.get::<Cart>("ada");
    cart.add("pen".to_owned(), 2, 150).await?;
    let before = cart.contents().await?;
    let dear = cart.add("desk".to_owned(), u32::MAX, i64::MAX).await.err();
    let too_dear = Refused::TooDear(i64::MAX);
    assert_eq!(dear.as_ref().and_then(CallError::rejection), Some(&too_dear));
    let outdated = cart.check_out(100).await.err();
    let changed = Refused::Changed { seen_cents: 100, now_cents: 300 };
    assert_eq!(outdated.as_ref().and_then(CallError::rejection), Some(&changed));
    assert_eq!(cart.contents().await?, before);
    Ok(())
}

/// The first release of the shop.
mod first {
    use durable::RuntimeBuilder;
    use durable::prelude::*;

    use super::Line;

    #[derive(Default, DurableState)]
    pub(super) struct Cart {
        total: f64,
    }

    #[durable_object(name = "shop.Cart")]
    impl Cart {
        pub fn add(
            &mut self,
            cx: &mut Context<'_, Self>,
            sku: String,
            cents: i64,
        ) -> Result<(), Error> {
            self.total += cents as f64 / 100.0;
            cx.kv().put(format!("line/{sku}"), &Line { pieces: 1, cents })
        }
    }

    pub(super) fn shop(builder: RuntimeBuilder) -> RuntimeBuilder {
        builder.register::<Cart>()
    }
}

#[durable_testing::test(runtime = first::shop, seeds = 5)]
async fn a_cart_of_the_first_release_is_still_a_cart(sim: Sim) -> TestResult {
    let cart = sim.get::<first::Cart>("ada");
    for (sku, cents) in [("pen", 10), ("ink", 20)] {
        cart.add(sku.to_owned(), cents).await?;
    }
    sim.upgrade(shop).await;
    let cart = sim.get::<Cart>("ada");
    assert_eq!(cart.add("desk".to_owned(), 1, 9_970).await?, 10_000);
    assert_sound(&cart).await
}
