//! P7: a send takes effect exactly once at its target, if the sending turn committed; never otherwise.

use std::time::Duration;

use durable::prelude::*;
use durable::{DataDirectory, DeadLetterKind};
use durable_testing::prelude::*;
use tests::sends::{NAMES, Post, PostStub, offices, one_office, take_back_after_a_crash};

const SECOND: Duration = Duration::from_secs(1);

async fn wait_ms(sim: &Sim, ms: u64) {
    sim.advance(Duration::from_millis(ms)).await;
}

fn name(text: &str) -> String {
    text.to_owned()
}

/// What has come from one sender.
async fn from(post: &PostStub, sender: &str) -> TestResult<Vec<u64>> {
    let came = post.came().await?;
    Ok(came.into_iter().filter(|(from, _)| from == sender).map(|(_, number)| number).collect())
}

fn three(sim: &Sim) -> [PostStub; 3] {
    NAMES.map(|name| sim.get::<Post>(name))
}

#[durable_testing::test(runtime = offices, seeds = 20)]
async fn what_a_turn_sends_comes_once_and_in_order(sim: Sim) -> TestResult {
    let [one, two, three] = three(&sim);
    one.post(name("two"), 5).await?;
    one.post(name("three"), 2).await?;
    one.post(name("two"), 5).await?;
    one.post(name("one"), 3).await?;
    sim.heal().await?;
    assert_eq!(from(&two, "one").await?, (1..=10).collect::<Vec<_>>());
    assert_eq!(from(&three, "one").await?, [1, 2]);
    assert_eq!(from(&one, "one").await?, [1, 2, 3], "also to itself");
    wait_ms(&sim, 60_000).await;
    assert_eq!(two.came().await?.len(), 10, "and no more");
    Ok(())
}

#[test]
fn what_a_turn_sends_that_fails_never_comes() {
    Simulation::new().seeds(20).allow_panics().check(offices, async |sim: Sim| {
        let [one, two, _] = three(&sim);
        one.post_and_refuse(name("two")).await.unwrap_err();
        one.post_and_panic(name("two")).await.unwrap_err();
        one.post_in_vain(name("two")).await?;
        sim.heal().await?;
        wait_ms(&sim, 10_000).await;
        assert_eq!(two.came().await?, [(name("one"), 1)], "only what was kept of the last");
        TestResult::Ok(())
    });
}

/// Letters of one kind to all three, from one and from outside, with a crash wherever it can come.
async fn send_through_a_crash(sim: Sim) -> TestResult {
    let [one, two, three] = three(&sim);
    let sent = one.post(name("two"), 2).await;
    let more = one.post(name("one"), 1).await;
    let outside = three.take_late(7).send().await;
    sim.heal().await?;
    let letters = from(&two, "one").await?;
    // What was answered with an error may have been kept all the same; it is then whole.
    let is_whole = letters == [1, 2] || sent.is_err() && letters.is_empty();
    assert!(is_whole, "{letters:?} came of {sent:?}");
    assert!(one.came().await?.len() == 1 || more.is_err());
    let late = three.came_late().await?;
    assert!(late == [7] || outside.is_err(), "{late:?} of {outside:?}");
    wait_ms(&sim, 5_000).await;
    sim.power_cut().await;
    sim.heal().await?;
    assert_eq!(from(&two, "one").await?, letters, "nothing comes twice");
    // What nobody was told of may have come since.
    let late = three.came_late().await?;
    assert!(late == [7] || outside.is_err() && late.is_empty(), "{late:?} of {outside:?}");
    Ok(())
}

#[durable_testing::test(runtime = offices, crash_everywhere)]
async fn a_send_survives_a_crash_anywhere_on_its_way(sim: Sim) -> TestResult {
    send_through_a_crash(sim).await
}

#[durable_testing::test(runtime = one_office, crash_everywhere)]
async fn so_does_a_send_inside_of_one_shard(sim: Sim) -> TestResult {
    send_through_a_crash(sim).await
}

#[durable_testing::test(runtime = offices, seeds = 20)]
async fn a_send_with_a_delay_comes_at_its_time_also_after_a_restart(sim: Sim) -> TestResult {
    let [one, two, three] = three(&sim);
    one.post_later(name("two"), 5_000).await?;
    three.take_late(9).send_after(5 * SECOND).await?;
    wait_ms(&sim, 4_500).await;
    assert_eq!((two.came_late().await?, three.came_late().await?), (vec![], vec![]));
    sim.restart().await;
    wait_ms(&sim, 1_500).await;
    sim.heal().await?;
    assert_eq!(two.came_late().await?, [5_000]);
    assert_eq!(three.came_late().await?, [9]);
    Ok(())
}

#[durable_testing::test(runtime = offices, seeds = 20)]
async fn a_send_is_taken_back_while_it_waits(sim: Sim) -> TestResult {
    let [one, two, _] = three(&sim);
    one.post_later(name("two"), 1_000).await?;
    assert!(one.cancel_last().await?.is_some());
    let id = one.post_later(name("two"), 2_000).await?;
    assert!(sim.cancel_send(id).await?, "it waits");
    assert!(!sim.cancel_send(id).await?, "it does not any more");
    let id = one.post_later(name("two"), 3_000).await?;
    wait_ms(&sim, 10_000).await;
    assert_eq!(two.came_late().await?, [3_000]);
    assert!(!sim.cancel_send(id).await?, "it has come");
    one.cancel(id).await?;
    assert_eq!("nonsense".parse::<durable::SendId>().unwrap_err().code(), "send.unknown");
    Ok(())
}

#[durable_testing::test(runtime = offices, crash_everywhere)]
async fn a_send_that_has_taken_effect_is_not_taken_back(sim: Sim) -> TestResult {
    take_back_after_a_crash(sim).await
}

#[test]
fn a_send_that_fails_is_tried_again_and_those_behind_it_wait() {
    Simulation::new().seeds(20).allow_panics().check(offices, async |sim: Sim| {
        let [one, two, _] = three(&sim);
        for is_wild in [false, true] {
            let before = two.came().await?.len();
            two.fail(1, is_wild).await?;
            let sent = one.post(name("two"), 3).await?;
            wait_ms(&sim, 200).await;
            assert_eq!(two.came().await?.len(), before, "none overtakes the first");
            two.fail(0, false).await?;
            wait_ms(&sim, 2_000).await;
            sim.heal().await?;
            let came = from(&two, "one").await?;
            assert_eq!(came, (1..=sent).collect::<Vec<_>>());
        }
        assert!(sim.dead_letters(None).await?.is_empty());
        TestResult::Ok(())
    });
}

#[durable_testing::test(runtime = offices, seeds = 20)]
async fn one_that_has_failed_too_often_is_a_dead_letter_and_the_next_one_comes(
    sim: Sim,
) -> TestResult {
    let [one, two, _] = three(&sim);
    two.fail(1, false).await?;
    one.post(name("two"), 1).await?;
    wait_ms(&sim, 3_000).await;
    two.fail(0, false).await?;
    one.post(name("two"), 1).await?;
    sim.heal().await?;
    assert_eq!(from(&two, "one").await?, [2]);
    let letters = sim.dead_letters(None).await?;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.kind, letter.attempts), (DeadLetterKind::Send, 3));
    assert_eq!(letter.method.as_deref(), Some("take"));
    assert_eq!((letter.object, letter.schedule.as_deref()), (two.id()?, None));
    assert!(letter.send.is_some() && letter.error.contains("returned an error"), "{letter:?}");
    sim.restart().await;
    sim.retry_dead_letter(letter.id).await?;
    sim.heal().await?;
    assert_eq!(two.came_again().await?, [(name("one"), 1)], "it comes after all, once");
    assert_eq!(from(&two, "one").await?, [2]);
    assert!(sim.dead_letters(None).await?.is_empty());
    Ok(())
}

#[durable_testing::test(runtime = offices, seeds = 20)]
async fn what_waits_goes_with_its_source_and_what_the_erasing_turn_sends_does_not(
    sim: Sim,
) -> TestResult {
    let [one, two, three] = three(&sim);
    one.post_later(name("two"), 1_000).await?;
    one.post_and_erase(name("three")).await?;
    sim.heal().await?;
    assert_eq!(three.came_late().await?, [0], "what a turn sends that erases its object comes");
    one.post_later(name("two"), 2_000).await?;
    three.post_later(name("two"), 3_000).await?;
    one.take_late(7).send_after(Duration::from_millis(4_000)).await?;
    sim.delete(&two).await?;
    assert!(sim.delete(&one).await?, "it has gone before its send has left");
    sim.restart().await;
    wait_ms(&sim, 5_000).await;
    sim.heal().await?;
    assert_eq!(two.came_late().await?, [3_000], "what others have sent begins its target anew");
    assert_eq!(one.came_late().await?, [7], "and what nobody's turn has sent");
    Ok(())
}

/// Behind one that is being delivered wait three, in a row of which nobody knows the next but the first.
#[durable_testing::test(runtime = one_office, seeds = 20)]
async fn those_behind_one_that_went_with_its_source_are_let_go(sim: Sim) -> TestResult {
    let [one, two, _] = three(&sim);
    two.slow(500).await?;
    one.post(name("two"), 3).await?;
    sim.advance(Duration::from_millis(50)).await;
    sim.delete(&one).await?;
    one.post(name("two"), 2).await?;
    wait_ms(&sim, 5_000).await;
    sim.heal().await?;
    let came = from(&two, "one").await?;
    assert!(came.ends_with(&[1, 2]) && came.len() <= 5, "{came:?}");
    Ok(())
}

#[durable_testing::test(runtime = offices, crash_everywhere)]
async fn an_erasure_takes_what_waits_with_it_or_leaves_all(sim: Sim) -> TestResult {
    let [one, two, _] = three(&sim);
    let sent = one.post_later(name("two"), 60_000).await;
    let erased = sim.delete(&one).await;
    sim.heal().await?;
    wait_ms(&sim, 70_000).await;
    sim.heal().await?;
    if sent.is_ok() && erased.is_ok() {
        assert!(two.came_late().await?.is_empty(), "it was erased before its send left");
    }
    Ok(())
}

/// The effect erases what could have said that there was one.
#[durable_testing::test(runtime = offices, crash_everywhere)]
async fn a_send_that_erases_its_target_does_so_once(sim: Sim) -> TestResult {
    let [one, two, _] = three(&sim);
    let _ = one.take_late(1).await;
    let sent = one.take_and_erase().send().await;
    sim.heal().await?;
    // A call may overtake a send that a crash has left in the outbox.
    wait_ms(&sim, 1_000).await;
    let before = one.take_late(2).await;
    sim.heal().await?;
    wait_ms(&sim, 5_000).await;
    sim.power_cut().await;
    sim.heal().await?;
    let came = one.came_late().await?;
    if before.is_ok() {
        assert!(came.ends_with(&[2]), "{came:?}, although the send was {sent:?}");
    }
    drop(two);
    Ok(())
}

#[durable_testing::test(runtime = offices, seeds = 10)]
async fn a_turn_sends_as_much_as_it_may_and_only_by_its_context(sim: Sim) -> TestResult {
    let [one, ..] = three(&sim);
    let code = |error: Error| name(error.code());
    let in_a_read = one.post_in_a_read().await;
    assert_eq!(in_a_read.map_err(code), Err(name("send.read_only")));
    assert_eq!(one.post_beside().await?, "send.in_turn");
    one.post_many(1_024).await?;
    assert_eq!(one.post_many(1_025).await.map_err(code), Err(name("send.too_many")));
    one.post_bytes(2_000_000).await?;
    assert_eq!(one.post_bytes(2_100_000).await.map_err(code), Err(name("send.too_large")));
    let long = one.weigh("x".repeat(2_100_000)).send().await;
    assert_eq!(long.map_err(code), Err(name("send.too_large")));
    let far = one.take_late(1).send_after(Duration::from_secs(1 << 40)).await;
    assert_eq!(far.map_err(code), Err(name("send.too_far")));
    sim.heal().await?;
    let mut came = one.came_late().await?;
    came.sort_unstable();
    assert_eq!(came, (0..1_024).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_send_waits_while_its_target_is_shut_in() {
    Simulation::new().seeds(10).allow_panics().check(frail, async |sim: Sim| {
        let patient = sim.get::<Frail>("f");
        patient.count().send().await?;
        sim.heal().await?;
        for _ in 0..2 {
            patient.crash().await.unwrap_err();
        }
        patient.count().send().await?;
        wait_ms(&sim, 500).await;
        assert_eq!(sim.quarantined().await?.len(), 1);
        assert!(sim.dead_letters(None).await?.is_empty(), "nobody has failed it");
        wait_ms(&sim, 120_000).await;
        assert_eq!(patient.counted().await?, 2, "it comes when its target runs again");
        TestResult::Ok(())
    });
}

#[test]
fn a_send_comes_as_soon_as_its_target_is_released() {
    Simulation::new().seeds(10).allow_panics().check(frail, async |sim: Sim| {
        let patient = sim.get::<Frail>("f");
        for _ in 0..2 {
            patient.crash().await.unwrap_err();
        }
        for _ in 0..8 {
            let wait = patient.counted().await.unwrap_err().retry_after().expect("it says when");
            sim.advance(wait + Duration::from_millis(1)).await;
            patient.crash().await.unwrap_err();
        }
        patient.count().send().await?;
        // By now it is looked at once in 51 s.
        wait_ms(&sim, 60_000).await;
        sim.release(&patient).await?;
        wait_ms(&sim, 500).await;
        assert_eq!(patient.counted().await?, 1);
        TestResult::Ok(())
    });
}

fn frail(builder: durable::RuntimeBuilder) -> durable::RuntimeBuilder {
    builder.register::<Frail>()
}

use calm::{Calm, Frail};

/// A calm object, and one that is shut in.
mod calm {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Frail {
        pub count: u64,
    }

    #[durable_object(name = "test.Frail", crashes = 1, alarm_retries = 0)]
    impl Frail {
        pub fn count(&mut self) {
            self.count += 1;
        }

        pub fn counted(&self) -> u64 {
            self.count
        }

        pub fn crash(&mut self) {
            panic!("asked to")
        }
    }

    #[derive(Default, DurableState)]
    pub struct Calm {
        pub got: Vec<u64>,
    }

    #[durable_object(name = "test.Calm", alarm_retries = 0)]
    impl Calm {
        pub fn pass(&mut self, cx: &mut Context<'_, Self>, to: String, number: u64) {
            cx.send(cx.get::<Calm>(&to).get(number));
        }

        pub fn get(&mut self, number: u64) {
            self.got.push(number);
        }

        pub fn got(&self) -> Vec<u64> {
            self.got.clone()
        }
    }
}

#[tokio::test]
async fn an_operator_sees_that_everything_is_whole_while_sends_wait() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Runtime::builder(dir.path()).register::<Calm>().start();
    let runtime = start().await.unwrap();
    let (one, two) = (runtime.get::<Calm>("one"), runtime.get::<Calm>("two"));
    let later = two.get(3).send_after(Duration::from_secs(3_600)).await.unwrap();
    one.pass("two".to_owned(), 1).await.unwrap();
    while two.got().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    runtime.shutdown().await.unwrap();
    let verified = DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert_eq!(verified.problems, []);
    let runtime = start().await.unwrap();
    assert!(runtime.cancel_send(later).await.unwrap());
    assert!(!runtime.cancel_send(later).await.unwrap());
    assert_eq!(runtime.get::<Calm>("two").got().await.unwrap(), [1]);
    runtime.shutdown().await.unwrap();
}

/// Starts on a directory with both classes.
async fn both(dir: &std::path::Path) -> Runtime {
    Runtime::builder(dir).register::<Calm>().register::<Frail>().start().await.unwrap()
}

#[tokio::test]
async fn a_send_waits_for_a_class_that_is_not_registered_and_goes_with_one_that_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = both(dir.path()).await;
    let (calm, frail) = (runtime.get::<Calm>("c"), runtime.get::<Frail>("f"));
    let day = Duration::from_secs(86_400);
    let for_calm = calm.get(7).send_after(day).await.unwrap();
    let for_frail = frail.count().send_after(day).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = Runtime::builder(dir.path()).register::<Calm>().start().await.unwrap();
    runtime.shutdown().await.unwrap();
    let builder = Runtime::builder(dir.path()).register::<Calm>().deleted("test.Frail");
    let runtime = builder.start().await.unwrap();
    assert!(!runtime.cancel_send(for_frail).await.unwrap(), "it went with its class");
    assert!(runtime.cancel_send(for_calm).await.unwrap(), "and no other");
    runtime.shutdown().await.unwrap();
}

/// A copy goes on by itself: what waits in it is sent, and what it sends anew is not taken for what the original has sent.
#[tokio::test]
async fn a_copy_has_the_sends_that_wait_and_sends_of_its_own() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = both(dir.path()).await;
    let calm = runtime.get::<Calm>("c");
    calm.pass("c".to_owned(), 1).await.unwrap();
    while calm.got().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let later = calm.get(9).send_after(Duration::from_secs(86_400)).await.unwrap();
    let copied = copy.path().join("copy");
    runtime.backup(&copied).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = both(&copied).await;
    let calm = runtime.get::<Calm>("c");
    calm.pass("c".to_owned(), 2).await.unwrap();
    while calm.got().await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calm.got().await.unwrap(), [1, 2]);
    assert!(runtime.cancel_send(later).await.unwrap(), "it waits in the copy, too");
    runtime.shutdown().await.unwrap();
}
