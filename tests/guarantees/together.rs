//! What was promised of quarantine, of objects that own objects, of alarms and schedules, and of the end, when all of it meets.

use std::future::IntoFuture;
use std::time::Duration;

use durable::prelude::*;
use durable::{Supervisor, objects};
use durable_testing::prelude::*;
use futures_util::future::join3;
use tests::poison::code;
use tests::together::{Home, HomeStub, Kid, KidStub, homes, kid_of};

const SECOND: Duration = Duration::from_secs(1);

fn on_every_seed<F: Future<Output = TestResult>>(test: impl Fn(Sim) -> F) {
    Simulation::new().seeds(10).allow_panics().check(homes, test);
}

/// Crashes it until it is quarantined.
async fn poison(kid: &KidStub) {
    for _ in 0..6 {
        assert_eq!(code(kid.crash().await), "call.panicked");
    }
    assert_eq!(code(kid.turns().await), "object.quarantined");
}

/// Crashes it until it is quarantined.
async fn poison_home(home: &HomeStub) {
    for _ in 0..6 {
        assert_eq!(code(home.crash().await), "call.panicked");
    }
    assert_eq!(code(home.count().await), "object.quarantined");
}

/// The code of a failure.
fn code_of<T>(answer: Result<T, CallError<Error>>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(CallError::Rejected(error) | CallError::Failed(error)) => error.code(),
    }
}

#[test]
fn a_quarantined_child_costs_its_parent_no_more_than_its_crashes() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let (kid, other) = (kid_of(&sim, &home, "a").await?, kid_of(&sim, &home, "b").await?);
        poison(&kid).await;
        for _ in 0..50 {
            assert_eq!(code(kid.turns().await), "object.quarantined");
        }
        assert_eq!(other.count().await?, 2);
        sim.advance(SECOND / 100).await;
        assert_eq!(home.told().await?, (2, 6), "it has heard of the crashes, and of nothing else");
        TestResult::Ok(())
    });
}

#[test]
fn a_child_that_does_not_start_is_quarantined_and_its_parent_goes_on() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        kid.daze().await?;
        sim.evict(&kid).await?;
        for _ in 0..6 {
            assert_eq!(code(kid.turns().await), "object.unstartable");
        }
        for _ in 0..50 {
            assert_eq!(code(kid.turns().await), "object.quarantined");
        }
        sim.advance(SECOND / 100).await;
        assert_eq!(home.told().await?, (1, 6));
        kid_of(&sim, &home, "b").await?;
        TestResult::Ok(())
    });
}

#[test]
fn the_children_of_a_quarantined_parent_are_refused_in_its_name_and_nothing_counts_for_them() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        poison_home(&home).await;
        for _ in 0..20 {
            let error = kid.turns().await.expect_err("its parent does not run");
            assert_eq!(error.code(), "object.quarantined");
            assert!(error.message().contains("together.Home(h)"), "{error}");
            assert!(error.retry_after().is_some());
        }
        let found = sim.quarantined().await?;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(sim.release(&home).await?);
        assert_eq!(kid.turns().await?, 1);
        TestResult::Ok(())
    });
}

#[test]
fn a_call_of_a_child_may_be_the_one_that_its_parent_is_tried_with() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        poison_home(&home).await;
        sim.advance(SECOND).await;
        assert_eq!(kid.turns().await?, 1, "its time has come");
        // The parent opens when it next looks for work, a moment after the answer.
        sim.advance(SECOND / 10).await;
        assert_eq!(home.told().await?.0, 1);
        sim.advance(SECOND).await;
        assert_eq!(sim.quarantined().await?, []);
        TestResult::Ok(())
    });
}

#[test]
fn a_parent_that_still_does_not_start_is_tried_by_its_children_ever_more_rarely() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        home.daze().await?;
        sim.evict(&home).await?;
        for _ in 0..6 {
            assert_eq!(code(kid.turns().await), "object.unstartable");
        }
        for doubled in [1, 2, 4] {
            assert_eq!(code(kid.turns().await), "object.quarantined");
            sim.advance(doubled * SECOND).await;
            assert_eq!(code(kid.turns().await), "object.unstartable");
        }
        let found = sim.quarantined().await?;
        assert_eq!((found.len(), found[0].failed_trials), (1, 3));
        assert_eq!(found[0].class, "together.Home");
        TestResult::Ok(())
    });
}

#[test]
fn a_trial_whose_turn_calls_a_child_goes_well_and_whoever_is_told_is_served() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        home.count().await?;
        poison_home(&home).await;
        sim.advance(SECOND).await;
        kid_of(&sim, &home, "a").await?;
        assert_eq!(home.told().await?.0, 2);
        TestResult::Ok(())
    });
}

#[test]
fn a_child_that_erases_itself_while_it_is_tried_is_free() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        poison(&kid).await;
        sim.advance(SECOND).await;
        kid.leave().await?;
        sim.advance(SECOND / 100).await;
        assert_eq!(sim.quarantined().await?, []);
        for _ in 0..5 {
            assert_eq!(code_of(home.hurt("a".to_owned()).await), "call.panicked");
        }
        kid_of(&sim, &home, "a").await?;
        assert_eq!(kid.count().await?, 2, "it has its whole budget");
        TestResult::Ok(())
    });
}

#[test]
fn what_is_deleted_and_born_anew_has_never_crashed() {
    for is_inside in [true, false] {
        on_every_seed(async |sim: Sim| {
            let home = sim.get::<Home>("h");
            for _ in 0..3 {
                let kid = kid_of(&sim, &home, "a").await?;
                for _ in 0..2 {
                    assert_eq!(code(kid.crash().await), "call.panicked");
                }
                if is_inside {
                    kid.leave().await?;
                } else {
                    assert!(sim.delete(&kid).await?);
                }
            }
            assert_eq!(kid_of(&sim, &home, "a").await?.turns().await?, 1);
            assert_eq!(sim.quarantined().await?, []);
            TestResult::Ok(())
        });
    }
}

#[test]
fn a_parent_that_is_deleted_takes_the_quarantines_of_all_below_along() {
    for is_inside in [true, false] {
        on_every_seed(async |sim: Sim| {
            let home = sim.get::<Home>("h");
            let kid = kid_of(&sim, &home, "a").await?;
            kid.every(700).await?;
            poison(&kid).await;
            sim.advance(SECOND * 6).await;
            for _ in 0..6 {
                assert_eq!(code_of(home.hurt("unborn".to_owned()).await), "call.panicked");
            }
            assert_eq!(code_of(home.hurt("unborn".to_owned()).await), "object.quarantined");
            if is_inside {
                home.burn().await?;
            } else {
                assert!(sim.delete(&home).await?);
            }
            sim.advance(SECOND / 100).await;
            assert_eq!(sim.quarantined().await?, []);
            let again = kid_of(&sim, &home, "a").await?;
            assert_eq!(again.turns().await?, 1, "it begins anew");
            assert_eq!(sim.schedules(&again)?.len(), 0);
            for _ in 0..5 {
                assert_eq!(code(again.crash().await), "call.panicked");
            }
            assert_eq!(again.count().await?, 2, "it has its whole budget");
            kid_of(&sim, &home, "unborn").await?;
            sim.restart().await;
            assert_eq!(sim.quarantined().await?, []);
            TestResult::Ok(())
        });
    }
}

#[test]
fn an_object_is_deleted_while_it_rests_after_crashes() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        for _ in 0..4 {
            assert_eq!(code(kid.crash().await), "call.panicked");
        }
        let began = sim.now();
        let (played, deleted) =
            futures_util::future::join(home.play("a".to_owned()).into_future(), sim.delete(&kid))
                .await;
        assert!(deleted? && sim.now() - began < SECOND);
        assert!(played.is_ok_and(|turns| turns <= 2));
        TestResult::Ok(())
    });
}

#[test]
fn a_schedule_of_a_quarantined_child_waits_and_its_run_may_be_what_it_is_tried_with() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        kid.every(400).await?;
        poison(&kid).await;
        sim.advance(SECOND / 2).await;
        assert_eq!(sim.quarantined().await?.len(), 1);
        let refused = sim.trace().count("schedule.fires");
        assert_eq!(refused, 0, "no run begins meanwhile");
        sim.advance(3 * SECOND).await;
        assert_eq!(sim.quarantined().await?, [], "a run has let it out");
        assert!(kid.later().await?.0 >= 1);
        TestResult::Ok(())
    });
}

#[test]
fn a_schedule_of_a_quarantined_child_fires_after_a_release_and_after_a_restart() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        kid.every(3_000).await?;
        kid.ring_after(3_000).await?;
        kid.daze().await?;
        sim.evict(&kid).await?;
        for _ in 0..6 {
            assert_eq!(code(kid.turns().await), "object.unstartable");
        }
        sim.restart().await;
        sim.advance(10 * SECOND).await;
        let found = sim.quarantined().await?;
        assert_eq!(found.len(), 1);
        let ends = sim.trace().count("object.crashed");
        sim.advance(10 * SECOND).await;
        assert!(sim.trace().count("object.crashed") < ends + 6, "no busy loop");
        let was = sim.past(&kid).await?;
        sim.restore_to(&kid, &was[was.len() - 2].bookmark).await?;
        sim.advance(SECOND).await;
        let (runs, rung) = kid.later().await?;
        assert!(runs >= 1 && rung == 1, "{runs} {rung}");
        TestResult::Ok(())
    });
}

#[test]
fn a_run_that_crashes_counts_once_as_a_run_and_once_as_a_crash() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        kid.sicken(true).await?;
        kid.every(60_000).await?;
        sim.advance(Duration::from_secs(64)).await;
        let letters = sim.dead_letters(None).await?;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].attempts, 4);
        assert_eq!(home.told().await?.1, 4);
        assert_eq!(sim.quarantined().await?, []);
        sim.advance(Duration::from_secs(60)).await;
        assert_eq!(sim.dead_letters(None).await?.len(), 2, "the schedule goes on");
        TestResult::Ok(())
    });
}

#[test]
fn a_child_at_work_may_call_its_sibling_while_the_parent_is_to_leave() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let (a, b) = (kid_of(&sim, &home, "a").await?, kid_of(&sim, &home, "b").await?);
        sim.evict(&b).await?;
        let asking = a.ask(100, b.to_ref()?).into_future();
        let leaving = async {
            sim.advance(SECOND / 50).await;
            sim.evict(&home).await
        };
        let patience = std::pin::pin!(sim.advance(10 * SECOND));
        let both = std::pin::pin!(futures_util::future::join(asking, leaving));
        let both = futures_util::future::select(both, patience).await;
        let futures_util::future::Either::Left(((asked, left), _)) = both else {
            panic!("they wait for each other");
        };
        assert!(asked.is_ok_and(|turns| turns == 1) && left?);
        TestResult::Ok(())
    });
}

#[test]
fn a_run_of_a_childs_schedule_may_end_before_the_node_does() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        kid.slowly(10, 300).await?;
        sim.advance(SECOND / 20).await;
        sim.restart().await;
        assert_eq!(kid.later().await?.0, 1);
        sim.advance(SECOND).await;
        assert_eq!((kid.later().await?.0, sim.schedules(&kid)?.len()), (1, 0), "once");
        TestResult::Ok(())
    });
}

#[test]
fn who_waits_for_a_child_that_rests_does_not_hang_when_the_node_ends() {
    on_every_seed(async |sim: Sim| {
        let home = sim.get::<Home>("h");
        let kid = kid_of(&sim, &home, "a").await?;
        for _ in 0..5 {
            assert_eq!(code(kid.crash().await), "call.panicked");
        }
        let began = sim.now();
        let (turns, ()) =
            futures_util::future::join(kid.turns().into_future(), sim.restart()).await;
        assert!(turns.is_ok_and(|turns| turns == 1) && sim.now() - began < SECOND);
        assert_eq!(kid.turns().await?, 1);
        TestResult::Ok(())
    });
}

#[tokio::test]
async fn children_do_not_wake_a_parent_whose_class_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Supervisor::one_for_one("top").child(objects::<Home>());
    let builder = Runtime::builder(dir.path()).register::<Kid>().supervise(tree);
    let runtime = builder.start().await.unwrap();
    let home = runtime.get::<Home>("h");
    let mut kids = Vec::new();
    for name in ["a", "b"] {
        home.play(name.to_owned()).await.unwrap();
        kids.push(runtime.bind(&home.kid(name.to_owned()).await.unwrap()).unwrap());
    }
    let [a, b] = &kids[..] else { panic!("there are two") };
    runtime.evict(b.id().unwrap()).await.unwrap();
    let top = runtime.supervisor("top");
    let mut slow = a.slow(200).into_future();
    assert!(futures_util::poll!(&mut slow).is_pending());
    let late = async {
        while home.told().await.is_ok() {
            tokio::task::yield_now().await;
        }
        b.turns().await
    };
    let (slow, stopped, late) = join3(slow, top.terminate_child("together.Home"), late).await;
    stopped.unwrap();
    slow.unwrap();
    assert_eq!(code(late), "class.stopped", "its parent leaves, and does not come back for it");
    assert_eq!(runtime.resident_objects(), 0);
    assert_eq!(code(b.turns().await), "class.stopped");
    top.restart_child("together.Home").await.unwrap();
    assert_eq!(b.turns().await.unwrap(), 1);
    runtime.shutdown().await.unwrap();
}
