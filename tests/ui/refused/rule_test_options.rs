//! Every wrong option of a test is reported where it stands.
use durable::RuntimeBuilder;
use durable_testing::Sim;

pub fn bank(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder
}

#[durable_testing::test]
async fn without_options(_: Sim) {}

#[durable_testing::test(runtime = "bank", seed = 7, seeds = "many", wire = true)]
async fn of_the_wrong_kind(_: Sim) {}

#[durable_testing::test(runtime = bank, seeds = 0)]
async fn too_few(_: Sim) {}

#[durable_testing::test(runtime = bank, seeds = 1_000_001)]
async fn too_many(_: Sim) {}

#[durable_testing::test(runtime = bank, wire, seeds = 5, wire, seeds = 6)]
async fn twice(_: Sim) {}

#[durable_testing::test(runtime = bank, crash_everywhere, seeds = 5)]
async fn both(_: Sim) {}

#[durable_testing::test(runtime, crate = 5, seeds)]
async fn without_values(_: Sim) {}

#[durable_testing::test(200)]
async fn without_a_name(_: Sim) {}

fn main() {}
