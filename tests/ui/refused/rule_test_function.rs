//! A test is a plain `async fn` that takes its world: all that is wrong is reported at once.
use durable::RuntimeBuilder;
use durable_testing::Sim;

pub fn bank(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder
}

#[durable_testing::test(runtime = bank)]
fn not_async(_: Sim) {}

#[durable_testing::test(runtime = bank)]
async fn no_world() {}

#[durable_testing::test(runtime = bank)]
async fn more_than_a_world(_: Sim, _: u64, _: String) {}

#[durable_testing::test(runtime = bank)]
async fn lent(_: &mut Sim) {}

#[durable_testing::test(runtime = bank)]
async fn any_world(_: impl Into<Sim>) {}

#[durable_testing::test(runtime = bank)]
async fn generic<T>(_: Sim) {}

#[durable_testing::test(runtime = bank)]
async fn with_a_clause(_: Sim)
where
    Sim: Send,
{
}

#[durable_testing::test(runtime = bank)]
#[test]
async unsafe fn much(_: Sim, _: u64) {}

#[durable_testing::test(seeds = 0)]
fn everything() {}

#[durable_testing::test(runtime = bank)]
pub struct Bank;

pub struct Tests;

impl Tests {
    #[durable_testing::test(runtime = bank)]
    async fn method(&self) {}
}

fn main() {}
