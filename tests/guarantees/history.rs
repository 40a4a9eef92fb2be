//! Going back in time: an object is exactly what it was, other objects are as they were, and it can be undone.

use std::path::Path;
use std::time::Duration;

use durable::prelude::*;
use durable::{Bookmark, Cause, History};
use futures_util::future::join_all;
use tests::WriterGate;
use tests::classes::{Account, bank};
use tests::diary::{Diary, DiaryStub, Everything};

async fn start(dir: &Path) -> Runtime {
    bank(Runtime::builder(dir)).start().await.unwrap()
}

async fn moment(runtime: &Runtime, diary: &DiaryStub) -> (Bookmark, Everything) {
    let everything = diary.read().await.unwrap();
    assert!(everything.agrees(), "{everything:?}");
    (runtime.bookmark(diary.id().unwrap()).await.unwrap(), everything)
}

/// Does something of every kind, and gives the moments between.
async fn live(runtime: &Runtime, diary: &DiaryStub) -> Vec<(Bookmark, Everything)> {
    let mut moments = vec![moment(runtime, diary).await];
    for round in 0..3_u64 {
        diary.write(format!("day {round}"), round * 10).await.unwrap();
        moments.push(moment(runtime, diary).await);
        diary.mark(round, 5).await.unwrap();
        moments.push(moment(runtime, diary).await);
        diary.note(9_000).await.unwrap();
        moments.push(moment(runtime, diary).await);
        diary.count_turn().await.unwrap();
        moments.push(moment(runtime, diary).await);
        diary.tear(format!("day {}", round / 2)).await.unwrap();
        moments.push(moment(runtime, diary).await);
        diary.rewrite(format!("{round}")).await.unwrap();
        moments.push(moment(runtime, diary).await);
        if round == 1 {
            diary.clear().await.unwrap();
            moments.push(moment(runtime, diary).await);
        }
    }
    moments
}

#[tokio::test]
async fn an_object_is_what_it_was_at_every_moment_and_every_restore_can_be_undone() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (diary, other) = (runtime.get::<Diary>("ada"), runtime.get::<Diary>("bob"));
    other.write("monday".to_owned(), 3).await.unwrap();
    let beside = moment(&runtime, &other).await;
    let moments = live(&runtime, &diary).await;
    assert_eq!(moments[0].0.commit(), 0, "it did not exist");
    let id = diary.id().unwrap();
    for (place, (bookmark, then)) in
        moments.iter().enumerate().rev().chain(moments.iter().enumerate())
    {
        let before = moment(&runtime, &diary).await;
        let undo = runtime.restore_to(id, bookmark).await.unwrap();
        assert_eq!(undo, before.0, "the moment before");
        assert_eq!(diary.read().await.unwrap(), *then, "moment {place}");
        if before.0 == *bookmark {
            continue;
        }
        assert!(runtime.bookmark(id).await.unwrap() > undo, "it is a new commit");
        runtime.restore_to(id, &undo).await.unwrap();
        assert_eq!(diary.read().await.unwrap(), before.1, "undone from moment {place}");
        runtime.restore_to(id, bookmark).await.unwrap();
        diary.write("later".to_owned(), 1).await.unwrap();
        assert!(diary.read().await.unwrap().agrees(), "it goes on from moment {place}");
    }
    assert_eq!(moment(&runtime, &other).await, beside, "nobody else was touched");
    runtime.shutdown().await.unwrap();
    let runtime = start(dir.path()).await;
    for (bookmark, then) in &moments {
        runtime.restore_to(id, bookmark).await.unwrap();
        assert_eq!(runtime.get::<Diary>("ada").read().await.unwrap(), *then, "after a restart");
    }
    runtime.shutdown().await.unwrap();
    let found = durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(found.is_sound(), "{found:?}");
}

#[tokio::test]
async fn before_its_birth_an_object_does_not_exist_and_its_history_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    let birth = runtime.bookmark(id).await.unwrap();
    assert_eq!(runtime.restore_to(id, &birth).await.unwrap(), birth, "it is that already");
    diary.write("monday".to_owned(), 3).await.unwrap();
    diary.note(5_000).await.unwrap();
    let then = diary.read().await.unwrap();
    let undo = runtime.restore_to(id, &birth).await.unwrap();
    assert!(runtime.list::<Diary>().page().await.unwrap().is_empty(), "it is not listed");
    let outside = durable::DataDirectory::open(dir.path()).unwrap();
    assert!(outside.object("sim.Diary", "ada").unwrap().is_none());
    assert!(outside.verify().unwrap().is_sound());
    assert_eq!(diary.read().await.unwrap(), Everything::default(), "it begins anew");
    runtime.shutdown().await.unwrap();
    let runtime = start(dir.path()).await;
    let diary = runtime.get::<Diary>("ada");
    diary.write("tuesday".to_owned(), 4).await.unwrap();
    assert_eq!(runtime.list::<Diary>().page().await.unwrap().len(), 1, "it is born again");
    let again = moment(&runtime, &diary).await;
    runtime.restore_to(id, &undo).await.unwrap();
    assert_eq!(diary.read().await.unwrap(), then);
    runtime.restore_to(id, &again.0).await.unwrap();
    assert_eq!(diary.read().await.unwrap(), again.1);
    assert!(runtime.delete(id).await.unwrap());
    let error = runtime.restore_to(id, &undo).await.unwrap_err();
    assert_eq!(error.code(), "bookmark.foreign", "deletion takes the history along");
}

#[tokio::test]
async fn calls_that_wait_are_served_by_the_object_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime = bank(Runtime::builder(dir.path())).host(gate.host()).start().await.unwrap();
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    diary.write("monday".to_owned(), 3).await.unwrap();
    let good = moment(&runtime, &diary).await;
    gate.close();
    let late = tokio::spawn(diary.write("tuesday".to_owned(), 4).into_future());
    yield_often().await;
    let going = (runtime.clone(), good.0);
    let restoring = tokio::spawn(async move { going.0.restore_to(id, &going.1).await });
    yield_often().await;
    let turns = tokio::spawn(diary.count_turn().into_future());
    yield_often().await;
    assert!(!late.is_finished() && !restoring.is_finished() && !turns.is_finished());
    gate.open();
    late.await.unwrap().unwrap();
    let undo = restoring.await.unwrap().unwrap();
    assert_eq!(turns.await.unwrap().unwrap(), good.1.turns + 1);
    runtime.restore_to(id, &undo).await.unwrap();
    assert_eq!(
        diary.read().await.unwrap().days.len(),
        2,
        "what was handed over before is undone, too"
    );
}

async fn yield_often() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn restores_and_calls_race_and_every_call_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    diary.write("monday".to_owned(), 3).await.unwrap();
    let good = runtime.bookmark(id).await.unwrap();
    let calls = join_all((0..100).map(|n| diary.write(format!("{n}"), n).into_future()));
    let restores = join_all((0..10).map(|_| runtime.restore_to(id, &good)));
    let (answers, restored) = tokio::join!(calls, restores);
    assert!(answers.into_iter().all(|answer| answer.is_ok()), "no call is lost to a restore");
    assert!(restored.into_iter().all(|restored| restored.is_ok()));
    assert!(diary.read().await.unwrap().agrees());
}

#[tokio::test]
async fn an_object_that_cannot_start_is_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    diary.write("monday".to_owned(), 3).await.unwrap();
    let good = moment(&runtime, &diary).await;
    diary.write("tuesday".to_owned(), 4).await.unwrap();
    runtime.shutdown().await.unwrap();
    change(dir.path(), "UPDATE snapshots SET body = x'00'");
    let runtime = start(dir.path()).await;
    let diary = runtime.get::<Diary>("ada");
    assert_eq!(failure(diary.read().await), "state.torn");
    let undo = runtime.restore_to(id, &good.0).await.unwrap();
    assert_eq!(diary.read().await.unwrap(), good.1);
    runtime.restore_to(id, &undo).await.unwrap();
    assert_eq!(failure(diary.read().await), "state.torn", "the damaged bytes were kept");
    runtime.restore_to(id, &good.0).await.unwrap();
    assert_eq!(diary.read().await.unwrap(), good.1);
}

fn failure<T: std::fmt::Debug>(answer: Result<T, CallError<Error>>) -> String {
    match answer.unwrap_err() {
        CallError::Failed(error) => error.code().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn change(dir: &Path, sql: &str) {
    let shard = rusqlite::Connection::open(dir.join("shards/000.db")).unwrap();
    assert!(shard.execute(sql, []).unwrap() > 0, "{sql}");
}

#[tokio::test]
async fn a_fork_is_a_new_object_in_whatever_shard() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = bank(Runtime::builder(dir.path())).shards(4).start().await.unwrap();
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    let birth = runtime.bookmark(id).await.unwrap();
    let moments = live(&runtime, &diary).await;
    let now = moment(&runtime, &diary).await;
    for (place, (bookmark, then)) in moments.iter().enumerate().skip(1) {
        let name = format!("fork {place}");
        let forked = runtime.fork::<Diary>(id, bookmark, &name).await.unwrap();
        let fork = runtime.get::<Diary>(&name);
        assert_eq!(fork.id().unwrap(), forked);
        assert_eq!(fork.read().await.unwrap(), *then);
        let past = runtime.history(forked, None, 10).await.unwrap();
        assert_eq!(past.len(), 1);
        assert_eq!((&past[0].cause, past[0].before.commit()), (&Cause::Fork, 0));
        fork.write("own".to_owned(), 1).await.unwrap();
        let error = runtime.fork::<Diary>(id, bookmark, &name).await.unwrap_err();
        assert_eq!(error.code(), "object.exists");
        let error = runtime.restore_to(forked, bookmark).await.unwrap_err();
        assert_eq!(error.code(), "bookmark.foreign", "it is not of the fork");
    }
    assert_eq!(moment(&runtime, &diary).await, now, "nothing has happened to it");
    let error = runtime.fork::<Diary>(id, &birth, "nothing").await.unwrap_err();
    assert_eq!(error.code(), "bookmark.foreign");
    let error = runtime.fork::<Diary>(id, &now.0, "n".repeat(2_000)).await.unwrap_err();
    assert_eq!(error.code(), "name.too_long");
    let error = runtime.fork::<Account>(id, &now.0, "ada").await.unwrap_err();
    assert_eq!(error.code(), "id.foreign");
    // One that was brought back to before its birth is not there.
    let gone = runtime.get::<Diary>("fork 1").id().unwrap();
    let its_birth = runtime.history(gone, None, 10).await.unwrap().pop().unwrap().before;
    runtime.restore_to(gone, &its_birth).await.unwrap();
    runtime.fork::<Diary>(id, &now.0, "fork 1").await.unwrap();
    assert_eq!(runtime.get::<Diary>("fork 1").read().await.unwrap(), now.1);
    runtime.shutdown().await.unwrap();
    let found = durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap();
    assert!(found.is_sound(), "{found:?}");
}

#[tokio::test]
async fn history_lists_commits_and_those_that_were_stored_together_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let gate = WriterGate::default();
    let runtime = bank(Runtime::builder(dir.path())).host(gate.host()).start().await.unwrap();
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    assert!(runtime.history(id, None, 10).await.unwrap().is_empty());
    diary.write("monday".to_owned(), 3).await.unwrap();
    diary.count_turn().await.unwrap();
    diary.mark(0, 4).await.unwrap();
    diary.note(4_000).await.unwrap();
    assert!(diary.write_and_refuse("never".to_owned()).await.is_err());
    gate.close();
    let first = tokio::spawn(diary.count_turn().into_future());
    while !gate.is_reached() {
        tokio::task::yield_now().await;
    }
    let calls: Vec<_> = (0..5).map(|n| tokio::spawn(diary.mark(n * 10, 2).into_future())).collect();
    yield_often().await;
    gate.open();
    first.await.unwrap().unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let past = runtime.history(id, None, 100).await.unwrap();
    let seen: Vec<_> = past
        .iter()
        .map(|entry| {
            let commits = (entry.first_commit, entry.bookmark.commit());
            (commits, entry.cause.to_string(), entry.has_struct, entry.keys, entry.pages > 0)
        })
        .collect();
    let entry = |from, upto, cause: &str, has_struct, keys, has_pages| {
        ((from, upto), cause.to_owned(), has_struct, keys, has_pages)
    };
    assert_eq!(
        seen,
        [
            // The first two marks were there already.
            entry(5, 10, "mark", true, 8, false),
            entry(4, 4, "note", false, 0, true),
            entry(3, 3, "mark", false, 4, false),
            entry(2, 2, "count_turn", true, 0, false),
            entry(1, 1, "write", true, 1, false),
        ]
    );
    assert!(
        past.windows(2).all(|pair| pair[0].before == pair[1].bookmark && pair[0].at >= pair[1].at)
    );
    let page = runtime.history(id, Some(&past[1].before), 2).await.unwrap();
    assert_eq!(page, past[2..4]);
    assert!(runtime.history(id, Some(&past[4].before), 2).await.unwrap().is_empty());
    let between = past[0].bookmark.to_string().replace("000000000000000a", "0000000000000008");
    let between: Bookmark = between.parse().unwrap();
    for code in [
        runtime.restore_to(id, &between).await.unwrap_err(),
        runtime.history(id, Some(&between), 2).await.unwrap_err(),
        runtime.fork::<Diary>(id, &between, "new").await.unwrap_err(),
    ] {
        assert_eq!(code.code(), "bookmark.foreign", "it was stored together with later ones");
    }
    let outside = durable::DataDirectory::open(dir.path()).unwrap();
    assert_eq!(outside.history("sim.Diary", "ada", None, 100).unwrap().unwrap(), past);
    assert_eq!(runtime.history(id, None, 0).await.unwrap_err().code(), "config.invalid");
}

#[tokio::test]
async fn what_is_no_moment_of_the_object_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let (ada, bob) = (runtime.get::<Diary>("ada"), runtime.get::<Diary>("bob"));
    for diary in [&ada, &bob] {
        diary.write("monday".to_owned(), 3).await.unwrap();
        diary.write("tuesday".to_owned(), 3).await.unwrap();
    }
    let (id, now) = (ada.id().unwrap(), moment(&runtime, &ada).await);
    let other = runtime.bookmark(bob.id().unwrap()).await.unwrap();
    let later = now.0.to_string().replace("0000000000000002-", "0000000000000003-");
    let earlier = now.0.to_string().replace("0000000000000002-", "0000000000000001-");
    // The commit was there, and not in that epoch.
    let elsewhere = earlier.replacen("0000", "0001", 1);
    for wrong in [other.to_string(), later, elsewhere] {
        let error = runtime.restore_to(id, &wrong.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.code(), "bookmark.foreign", "{wrong}");
        assert_eq!(error.object(), Some("sim.Diary(ada)"));
    }
    let unstored = runtime.get::<Diary>("cyd").id().unwrap();
    assert_eq!(runtime.restore_to(unstored, &now.0).await.unwrap_err().code(), "bookmark.foreign");
    assert_eq!(moment(&runtime, &ada).await, now);
    let account = runtime.get::<Account>("ada");
    account.deposit(5).await.unwrap();
    let off = runtime.bookmark(account.id().unwrap()).await.unwrap_err();
    assert_eq!(off.code(), "history.off");
    let shard = rusqlite::Connection::open(dir.path().join("shards/000.db")).unwrap();
    let count = "SELECT count(*) FROM history JOIN objects USING (object_no)
        JOIN classes USING (class_no) WHERE classes.name = 'sim.Account'";
    assert_eq!(shard.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn a_damaged_row_is_told_and_nothing_is_changed() {
    for (damage, problem) in [
        ("UPDATE history SET body = zeroblob(length(body)) WHERE commit_no = 2", "history.torn"),
        ("UPDATE history SET at_ms = at_ms + 1 WHERE commit_no = 2", "history.torn"),
        ("DELETE FROM history WHERE commit_no = 2", "history.torn"),
        ("DELETE FROM history WHERE commit_no = 3", "history.torn"),
        ("UPDATE history SET object_no = 99", "history.orphaned"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let runtime = start(dir.path()).await;
        let diary = runtime.get::<Diary>("ada");
        let id = diary.id().unwrap();
        diary.write("monday".to_owned(), 3).await.unwrap();
        let first = runtime.bookmark(id).await.unwrap();
        diary.write("tuesday".to_owned(), 3).await.unwrap();
        diary.write("wednesday".to_owned(), 3).await.unwrap();
        let now = moment(&runtime, &diary).await;
        change(dir.path(), damage);
        let found = durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap();
        assert_eq!(found.problems.len(), 1, "{damage}: {found:?}");
        assert_eq!(found.problems[0].kind.as_str(), problem, "{damage}");
        let code = runtime.restore_to(id, &first).await.unwrap_err().code();
        let expected = if problem == "history.torn" { "history.torn" } else { "history.pruned" };
        assert_eq!(code, expected, "{damage}");
        assert_eq!(moment(&runtime, &diary).await, now, "{damage}");
    }
}

#[tokio::test]
async fn a_class_that_keeps_no_history_any_more_forgets_it_at_the_next_start() {
    mod plain {
        use durable::prelude::*;

        #[derive(Default, DurableState)]
        pub struct Tally {
            pub count: u64,
        }

        #[durable_object(name = "test.Tally")]
        impl Tally {
            pub fn add(&mut self) -> u64 {
                self.count += 1;
                self.count
            }
        }
    }
    mod kept {
        use durable::prelude::*;

        #[derive(Default, DurableState)]
        pub struct Tally {
            pub count: u64,
        }

        #[durable_object(name = "test.Tally", history)]
        impl Tally {
            pub fn add(&mut self) -> u64 {
                self.count += 1;
                self.count
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let builder = || Runtime::builder(dir.path());
    let rows =
        || durable::DataDirectory::open(dir.path()).unwrap().history("test.Tally", "a", None, 9);
    for round in 0..2 {
        let runtime = builder().register::<plain::Tally>().start().await.unwrap();
        runtime.get::<plain::Tally>("a").add().await.unwrap();
        assert!(rows().unwrap().unwrap().is_empty(), "round {round}");
        runtime.shutdown().await.unwrap();
        let runtime = builder().register::<kept::Tally>().start().await.unwrap();
        let tally = runtime.get::<kept::Tally>("a");
        let counted = tally.add().await.unwrap();
        let past = rows().unwrap().unwrap();
        assert_eq!(past.len(), 1, "round {round}");
        runtime.restore_to(tally.id().unwrap(), &past[0].before).await.unwrap();
        assert_eq!(tally.add().await.unwrap(), counted, "it was one less again");
        runtime.shutdown().await.unwrap();
        assert!(durable::DataDirectory::open(dir.path()).unwrap().verify().unwrap().is_sound());
    }
}

#[tokio::test]
async fn a_backup_has_the_history() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = start(dir.path()).await;
    let moments = live(&runtime, &runtime.get::<Diary>("ada")).await;
    runtime.backup(to.path()).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime = start(to.path()).await;
    let diary = runtime.get::<Diary>("ada");
    runtime.restore_to(diary.id().unwrap(), &moments[3].0).await.unwrap();
    assert_eq!(diary.read().await.unwrap(), moments[3].1);
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Little of the past is kept.
fn short(builder: durable::RuntimeBuilder) -> durable::RuntimeBuilder {
    bank(builder).history(History::default().keep(5 * HOUR).bytes_per_object(20_000))
}

#[durable_testing::test(runtime = short, seeds = 10)]
async fn the_past_goes_when_it_is_too_old_or_too_much(
    sim: durable_testing::Sim,
) -> durable_testing::TestResult {
    let (diary, quiet) = (sim.get::<Diary>("ada"), sim.get::<Diary>("bob"));
    let mut moments = Vec::new();
    let begun = sim.wall();
    quiet.write("monday".to_owned(), 1).await?;
    for hour in 0..12 {
        diary.write(format!("{hour:02}"), hour).await?;
        moments.push((sim.bookmark(&diary).await?, sim.wall(), diary.read().await?));
        sim.advance(HOUR).await;
    }
    let past = sim.past(&diary).await?;
    // The fifth is a little older than five hours by then, and goes when the sweep comes.
    assert!((4..=6).contains(&past.len()), "five hours are kept, not {}", past.len());
    for (bookmark, at, then) in &moments {
        let found = sim.bookmark_at(&diary, *at).await;
        let is_kept = bookmark.commit() >= past.last().expect("some").before.commit();
        match found {
            Ok(found) => assert_eq!((found, is_kept), (*bookmark, true)),
            Err(error) => {
                assert!(!is_kept && error.to_string().contains("history.pruned"), "{error}");
                let error = sim.restore_to(&diary, bookmark).await.expect_err("it is pruned");
                assert!(error.to_string().contains("history.pruned"), "{error}");
                continue;
            }
        }
        let undo = sim.restore_to(&diary, bookmark).await?;
        assert_eq!(diary.read().await?, *then);
        sim.restore_to(&diary, &undo).await?;
    }
    // The sweep comes by itself to one that does not commit, and sleeps when nothing is left.
    assert!(sim.past(&quiet).await?.is_empty(), "bob's past is older than five hours");
    assert!(sim.bookmark_at(&quiet, begun).await.is_err());
    sim.advance(8 * HOUR).await;
    assert!(sim.past(&diary).await?.is_empty());
    for marks in 0..60 {
        diary.mark(marks, 100).await?;
        diary.write(format!("{marks:02}"), marks).await?;
    }
    let past = sim.past(&diary).await?;
    let bytes: u64 = past.iter().map(|entry| entry.bytes).sum();
    assert!((10_000..=20_000).contains(&bytes), "{bytes} bytes are kept");
    let oldest = past.last().expect("some").before;
    sim.restore_to(&diary, &oldest).await?;
    sim.power_cut().await;
    assert!(diary.read().await?.agrees());
    // One commit that replaces more than may be kept cuts the past off.
    diary.note(60_000).await?;
    diary.rewrite("1".to_owned()).await?;
    assert!(sim.past(&diary).await?.is_empty());
    diary.count_turn().await?;
    assert_eq!(sim.past(&diary).await?.len(), 1);
    Ok(())
}

#[durable_testing::test(runtime = bank, crash_everywhere)]
async fn a_restore_is_all_or_nothing_at_every_crash(
    sim: durable_testing::Sim,
) -> durable_testing::TestResult {
    let diary = sim.get::<Diary>("ada");
    let mut moments = vec![(sim.bookmark(&diary).await.ok(), Everything::default())];
    let mut known = Vec::new();
    for turn in 0..2_u64 {
        let _ = diary.write(format!("{turn}"), turn).await;
        let _ = diary.mark(turn, 2).await;
        sim.up().await;
        if let (Ok(then), Ok(bookmark)) = (diary.read().await, sim.bookmark(&diary).await) {
            assert!(then.agrees());
            moments.push((Some(bookmark), then.clone()));
            known.push(then);
        }
    }
    for (bookmark, then) in moments {
        let Some(bookmark) = bookmark else { continue };
        let before = diary.read().await;
        let restored = sim.restore_to(&diary, &bookmark).await;
        sim.up().await;
        let Ok(now) = diary.read().await else { continue };
        if restored.is_ok() {
            assert_eq!(now, then, "it was said to be restored");
        } else if let Ok(before) = before {
            assert!(now == then || now == before, "all of it or nothing: {now:?}");
        }
        let fork = sim.fork(&diary, &bookmark, format!("fork {}", bookmark.commit())).await;
        if let Ok(fork) = fork
            && let Ok(forked) = fork.read().await
        {
            assert_eq!(forked, then);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_diff_names_fields_keys_and_tables() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path()).await;
    let diary = runtime.get::<Diary>("ada");
    let id = diary.id().unwrap();
    let birth = runtime.bookmark(id).await.unwrap();
    diary.write("mon".to_owned(), 3).await.unwrap();
    diary.write("tue".to_owned(), 300).await.unwrap();
    let one = runtime.bookmark(id).await.unwrap();
    diary.write("tue".to_owned(), 4).await.unwrap();
    diary.tear("mon".to_owned()).await.unwrap();
    diary.mark(0, 1).await.unwrap();
    diary.note(3_000).await.unwrap();
    let other = runtime.bookmark(id).await.unwrap();
    assert!(runtime.diff(id, &one, &one).await.unwrap().is_empty());
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let size = |value: &Option<u64>| value.map_or_else(|| "-".to_owned(), |size| size.to_string());
    let lines = |diff: durable::Diff| {
        let fields = diff.fields.iter();
        let fields =
            fields.map(|f| format!("{}: {} -> {}", f.path, text(&f.before), text(&f.after)));
        let keys = diff.keys.iter();
        let keys =
            keys.map(|k| format!("key {}: {} -> {}", k.key, size(&k.before), size(&k.after)));
        let tables = diff.tables.iter().map(|t| {
            let made = if t.has_schema { " made" } else { "" };
            format!("table {}{made}: -{} +{}", t.table, t.rows_removed, t.rows_added)
        });
        fields.chain(keys).chain(tables).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(runtime.diff(id, &one, &other).await.unwrap()),
        [
            "days[\"mon\"]: 3 -> -",
            "days[\"tue\"]: 300 -> 4",
            "turns: 2 -> 3",
            "key mark/0: - -> 7",
            "key mon: 7 -> -",
            "key tue: 8 -> 7",
            "table days: -2 +1",
            "table notes: -0 +1",
        ]
    );
    assert_eq!(
        lines(runtime.diff(id, &other, &birth).await.unwrap()),
        [
            "days[\"tue\"]: 4 -> -",
            "turns: 3 -> -",
            "key mark/0: 7 -> -",
            "key tue: 7 -> -",
            "table days made: -1 +0",
            "table notes made: -1 +0",
        ]
    );
    assert_eq!(runtime.bookmark(id).await.unwrap(), other, "looking changes nothing");
    let unstored = runtime.get::<Diary>("bob").id().unwrap();
    let error = runtime.diff(unstored, &one, &one).await.unwrap_err();
    assert_eq!(error.code(), "bookmark.foreign");
}

/// A class of which there are two releases.
mod releases {
    pub mod first {
        use durable::prelude::*;

        #[derive(Default, DurableState)]
        pub struct Note {
            pub text: String,
        }

        #[durable_object(name = "test.Note", history)]
        impl Note {
            pub fn write(&mut self, text: String) {
                self.text = text;
            }
        }
    }

    pub mod second {
        use durable::prelude::*;

        #[derive(Default, DurableState)]
        pub struct Note {
            #[serde(default)]
            pub author: Option<String>,
            pub text: String,
        }

        #[durable_object(name = "test.Note", history)]
        impl Note {
            pub fn sign(&mut self, author: String) {
                self.author = Some(author);
            }

            pub fn read(&self) -> (Option<String>, String) {
                (self.author.clone(), self.text.clone())
            }
        }
    }
}

#[tokio::test]
async fn a_state_of_older_code_is_brought_back_and_read_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<releases::first::Note>().start().await.unwrap();
    let note = runtime.get::<releases::first::Note>("a");
    note.write("old".to_owned()).await.unwrap();
    let old = runtime.bookmark(note.id().unwrap()).await.unwrap();
    note.write("older no more".to_owned()).await.unwrap();
    runtime.shutdown().await.unwrap();
    let runtime =
        Runtime::builder(dir.path()).register::<releases::second::Note>().start().await.unwrap();
    let note = runtime.get::<releases::second::Note>("a");
    let id = note.id().unwrap();
    note.sign("ada".to_owned()).await.unwrap();
    let now = runtime.bookmark(id).await.unwrap();
    let fields = runtime.diff(id, &old, &now).await.unwrap().fields;
    let fields: Vec<_> = fields
        .iter()
        .map(|field| (&*field.path, field.before.as_deref(), field.after.as_deref()))
        .collect();
    assert_eq!(
        fields,
        [("text", Some("\"old\""), Some("\"older no more\"")), ("author", None, Some("\"ada\"")),]
    );
    runtime.restore_to(id, &old).await.unwrap();
    assert_eq!(note.read().await.unwrap(), (None, "old".to_owned()));
    note.sign("bob".to_owned()).await.unwrap();
    runtime.restore_to(id, &now).await.unwrap();
    assert_eq!(note.read().await.unwrap(), (Some("ada".to_owned()), "older no more".to_owned()));
}

/// A class with history whose tables come from files.
mod ledger {
    use durable::prelude::*;

    #[derive(Default, DurableState)]
    pub struct Ledger {
        pub turns: u64,
    }

    #[durable_object(name = "test.Ledger", migrations = "migrations/register", history)]
    impl Ledger {
        pub fn enter(&mut self, cx: &mut Context<'_, Self>, name: String) -> Result<(), Error> {
            self.turns += 1;
            cx.sql().exec("INSERT INTO people VALUES (?, 1)", [name]).map(drop)
        }

        pub fn people(&self, cx: &Context<'_, Self>) -> Result<i64, Error> {
            cx.sql().query_one("SELECT count(*) FROM people", ())
        }
    }
}

#[tokio::test]
async fn an_object_with_migrations_that_was_brought_back_before_its_birth_is_not_born_by_a_read() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder(dir.path()).register::<ledger::Ledger>().start().await.unwrap();
    let ledger = runtime.get::<ledger::Ledger>("a");
    let id = ledger.id().unwrap();
    let birth = runtime.bookmark(id).await.unwrap();
    ledger.enter("ada".to_owned()).await.unwrap();
    let undo = runtime.restore_to(id, &birth).await.unwrap();
    let gone = runtime.bookmark(id).await.unwrap();
    assert_eq!(ledger.people().await.unwrap(), 0);
    runtime.evict(id).await.unwrap();
    assert_eq!(ledger.people().await.unwrap(), 0);
    assert_eq!(runtime.bookmark(id).await.unwrap(), gone, "a read stores nothing");
    assert!(runtime.list::<ledger::Ledger>().page().await.unwrap().is_empty());
    ledger.enter("bob".to_owned()).await.unwrap();
    assert_eq!(ledger.people().await.unwrap(), 1);
    runtime.restore_to(id, &undo).await.unwrap();
    ledger.enter("bob".to_owned()).await.unwrap();
    assert_eq!(ledger.people().await.unwrap(), 2);
}
