//! The count in simulated worlds.

use super::*;
use durable_testing::prelude::*;

/// So few that the text has several parts.
const FEW_BYTES: u64 = 8;

#[durable_testing::test(runtime = wordcount, crash_everywhere)]
async fn every_word_is_counted_once_wherever_the_node_crashes(sim: Sim) -> TestResult {
    let mut file = tempfile::tempfile()?;
    file.write_all(b"one two one three two one")?;
    let text = Text::of("text".into(), file)?;
    let mut runs = 1;
    // What was cut short is begun again, as a person does.
    while let Err(failure) = count(&sim.client(), &text, FEW_BYTES, &mut Meter::Silent).await {
        runs += 1;
        assert!(runs <= 2, "one crash cuts one run short, not another: {failure}");
    }
    sim.heal().await?;
    for (word, times) in [("one", 3), ("two", 2), ("three", 1)] {
        assert_eq!(sim.get::<Word>(word).tally().await?.0, times, "{word}");
    }
    Ok(())
}
