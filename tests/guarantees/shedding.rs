//! P11 by time: calls whose time is over take up no room, and a call that could not begin in time is refused at once.

use std::future::IntoFuture;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use durable::prelude::*;
use durable::{CallFuture, ErrorKind, Outcome};
use futures_util::future::{FutureExt, join, join_all};

use super::Counter;
use tests::time::{ms, pause};

/// Serves one guest after the other.
#[derive(Default, DurableState)]
pub struct Desk {
    served: u64,
}

#[durable_object(name = "shed.Desk", durability = "relaxed", alarm_delay = "1ms")]
impl Desk {
    pub async fn serve(&mut self, time: u64) -> u64 {
        pause(time).await;
        self.served += 1;
        self.served
    }

    pub fn wake_me(&mut self, cx: &mut Context<'_, Self>, after: u64) {
        cx.alarm().set_after(ms(after));
    }

    /// Has another desk serve somebody, whose time is that of the call.
    pub async fn pass_on(&self, cx: &Context<'_, Self>, to: String) -> String {
        let serve = cx.get::<Desk>(to).serve(10).timeout(ms(20));
        serve.await.map_or_else(|error| error.code().to_owned(), |_| String::new())
    }

    #[alarm]
    fn ring(&mut self) {
        self.served += 1_000;
    }
}

/// Has room for two calls.
#[derive(Default, DurableState)]
pub struct Booth {
    served: u64,
}

#[durable_object(name = "shed.Booth", in_flight = 2, durability = "relaxed")]
impl Booth {
    pub async fn serve(&mut self, time: u64) -> u64 {
        pause(time).await;
        self.served += 1;
        self.served
    }
}

async fn start(dir: &Path, inbox: usize, in_flight: usize) -> Runtime {
    let builder = Runtime::builder(dir).register::<Desk>().register::<Booth>();
    let builder = builder.register::<Counter>().inbox_max(inbox).in_flight_max(in_flight);
    builder.start().await.unwrap()
}

type Made<O> = CallFuture<O, Result<u64, Error>>;

/// Makes a call whose caller then looks away.
async fn make<O: durable::Object>(call: durable::Call<O, Result<u64, Error>>) -> Made<O> {
    let mut call = call.into_future();
    let is_answered = futures_util::future::poll_fn(|task| {
        std::task::Poll::Ready(Pin::new(&mut call).poll(task).is_ready())
    });
    assert!(!is_answered.await);
    call
}

fn assert_expired(answer: Option<Result<u64, Error>>) {
    let error = answer.expect("it was told").unwrap_err();
    assert_eq!((error.code(), error.outcome()), ("call.expired", Outcome::NotStarted));
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_is_not_full_of_those_whose_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 3, 1_000).await;
    let desk = runtime.get::<Desk>("d");
    desk.serve(0).await.unwrap();
    let long = tokio::spawn(desk.serve(1_000).into_future());
    pause(1).await;
    // The one that has time stands before, between or behind the others.
    for living in 0..3 {
        let mut made = Vec::new();
        for nth in 0..3 {
            let time = if nth == living { ms(300) } else { ms(5) };
            made.push(make(desk.serve(0).timeout(time)).await);
        }
        assert_eq!(desk.serve(0).await.unwrap_err().code(), "object.overloaded");
        pause(10).await;
        let mut more = Vec::new();
        for _ in 0..2 {
            more.push(make(desk.serve(0)).await);
        }
        let error = desk.serve(0).await.unwrap_err();
        assert!(error.message().contains("3 calls wait"), "{error}");
        for (nth, call) in made.into_iter().enumerate() {
            let answer = call.now_or_never();
            if nth == living { assert!(answer.is_none()) } else { assert_expired(answer) }
        }
    }
    assert_eq!(long.await.unwrap().unwrap(), 2);
    assert_eq!(desk.serve(0).await.unwrap(), 3, "nobody else was served");
}

#[tokio::test(start_paused = true)]
async fn a_class_and_a_runtime_are_not_full_of_those_whose_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 1_000, 4).await;
    let (booth, desk) = (runtime.get::<Booth>("b"), runtime.get::<Desk>("d"));
    let long = join(booth.serve(2_000).into_future(), desk.serve(2_000).into_future());
    let long = tokio::spawn(long);
    pause(1).await;
    let in_class = make(booth.serve(0).timeout(ms(5))).await;
    let in_runtime = make(desk.serve(0).timeout(ms(5))).await;
    let other = runtime.get::<Booth>("other");
    assert_eq!(other.serve(0).await.unwrap_err().code(), "class.overloaded");
    let counter = runtime.get::<Counter>("c");
    let refused = counter.add(1).relaxed().await.unwrap_err();
    assert_eq!(refused.code(), "runtime.overloaded");
    pause(10).await;
    // Whoever comes again when told to finds room.
    drop((other.serve(0).await, counter.add(1).relaxed().await));
    pause(u64::try_from(refused.retry_after().unwrap().as_millis()).unwrap()).await;
    other.serve(0).await.unwrap();
    counter.add(1).relaxed().await.unwrap();
    assert_expired(in_class.now_or_never());
    assert_expired(in_runtime.now_or_never());
    // Those who wait for room do not wait for the dead either.
    let dead = [make(desk.serve(0).timeout(ms(5))).await, make(desk.serve(0).timeout(ms(5))).await];
    pause(100).await;
    let began = tokio::time::Instant::now();
    counter.add(1).relaxed().wait_for_capacity().await.unwrap();
    assert!(began.elapsed() < ms(200), "{:?}", began.elapsed());
    for call in dead {
        assert_expired(call.now_or_never());
    }
    let (first, second) = long.await.unwrap();
    assert_eq!((first.unwrap(), second.unwrap()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_room_hold_nobody_up_when_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 2, 1_000).await;
    let desk = runtime.get::<Desk>("d");
    let long = tokio::spawn(desk.serve(1_000).into_future());
    pause(1).await;
    let mut made = Vec::new();
    for _ in 0..2 {
        made.push(make(desk.serve(0).timeout(ms(5))).await);
    }
    for _ in 0..3 {
        made.push(make(desk.serve(0).timeout(ms(5)).wait_for_capacity()).await);
    }
    let error = desk.serve(0).await.unwrap_err();
    assert!(error.message().contains("3 calls wait for room"), "{error}");
    pause(10).await;
    let living = make(desk.serve(0)).await;
    made.into_iter().for_each(|call| assert_expired(call.now_or_never()));
    assert_eq!((long.await.unwrap().unwrap(), living.await.unwrap()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_alarm_keeps_its_place_among_those_who_are_still_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 4, 1_000).await;
    let desk = runtime.get::<Desk>("d");
    desk.wake_me(3_600_000).synced().await.unwrap();
    let long = tokio::spawn(desk.serve(1_000).into_future());
    pause(1).await;
    let before = make(desk.serve(0)).await;
    let mut dead = Vec::new();
    for _ in 0..3 {
        dead.push(make(desk.serve(0).timeout(ms(100))).await);
    }
    let (here, id) = (runtime.clone(), desk.id().unwrap());
    let rung = tokio::spawn(async move { here.run_alarm(id).await });
    pause(200).await;
    let behind = join_all([make(desk.serve(0)).await, make(desk.serve(0)).await]);
    assert_eq!(long.await.unwrap().unwrap(), 1);
    assert_eq!(before.await.unwrap(), 2);
    let behind: Vec<_> = behind.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(behind, [1_003, 1_004], "the alarm came before them");
    assert!(rung.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn those_whose_time_is_over_are_skipped_and_nothing_of_them_runs() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 2_000, 10_000).await;
    let desk = runtime.get::<Desk>("d");
    let long = tokio::spawn(desk.serve(1_000).into_future());
    pause(1).await;
    let mut dead = Vec::new();
    for _ in 0..1_500 {
        dead.push(make(desk.serve(10).timeout(ms(500))).await);
    }
    let behind = desk.serve(10).await.unwrap();
    assert_eq!((long.await.unwrap().unwrap(), behind), (1, 2));
    dead.into_iter().for_each(|call| assert_expired(call.now_or_never()));
}

/// Lets so many guests wait at a desk, each of whom takes ten milliseconds, until it is known how fast they are served.
async fn crowd(runtime: &Runtime, name: &str, guests: u64) -> Vec<Made<Desk>> {
    let desk = runtime.get::<Desk>(name);
    let mut made = Vec::new();
    for _ in 0..guests + 22 {
        made.push(make(desk.serve(10).timeout(ms(60_000))).await);
    }
    pause(225).await;
    made
}

#[tokio::test(start_paused = true)]
async fn a_call_that_could_not_begin_in_time_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 2_000, 10_000).await;
    let desk = runtime.get::<Desk>("d");
    let guests = crowd(&runtime, "d", 100).await;
    let began = tokio::time::Instant::now();
    let error = desk.serve(10).timeout(ms(200)).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!((error.code(), error.kind()), ("object.overloaded", ErrorKind::Backoff));
    assert_eq!((error.outcome(), error.object()), (Outcome::NotStarted, Some("shed.Desk(d)")));
    for part in ["calls wait at shed.Desk(d)", "in about", "has 200ms", "call again later"] {
        assert!(error.message().contains(part), "{error}");
    }
    let wait = error.retry_after().unwrap();
    assert!(wait > ms(600) && wait < ms(900), "{wait:?}");
    // What could perhaps begin in time, has all the time, or has said that it waits, is not refused.
    let perhaps = make(desk.serve(10).timeout(ms(1_200))).await;
    let endless = make(desk.serve(10)).await;
    let patient = make(desk.serve(10).timeout(ms(200)).wait_for_capacity()).await;
    // Nor is what a turn calls.
    let inside = runtime.get::<Desk>("other").pass_on("d".to_owned()).await.unwrap();
    assert_eq!(inside, "call.expired");
    // Whoever comes again when told to is served.
    pause(u64::try_from(wait.as_millis()).unwrap()).await;
    let again = make(desk.serve(10).timeout(ms(500))).await;
    assert_expired(patient.now_or_never());
    for guest in guests {
        guest.await.unwrap();
    }
    let served = [perhaps.await.unwrap(), endless.await.unwrap(), again.await.unwrap()];
    assert_eq!(served, [123, 124, 125]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_by_what_was_not_measured() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 2_000, 10_000).await;
    // A long turn runs, and nothing is known of those that wait.
    let desk = runtime.get::<Desk>("d");
    let long = tokio::spawn(desk.serve(10_000).into_future());
    pause(1).await;
    let guests = join_all((0..100).map(|_| desk.serve(0).timeout(ms(20_000)).into_future()));
    let answers = join(long, guests).await.1;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // Guests were slow, once.
    drop(crowd(&runtime, "d", 30).await);
    pause(1_000).await;
    let answers = join_all((0..100).map(|_| desk.serve(0).timeout(ms(50)).into_future())).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_because_of_those_who_have_left() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = start(dir.path(), 2_000, 10_000).await;
    let desk = runtime.get::<Desk>("d");
    let mut guests = crowd(&runtime, "d", 100).await;
    let refused = desk.serve(10).timeout(ms(200)).await.unwrap_err();
    assert_eq!(refused.code(), "object.overloaded");
    pause(50).await;
    let left = guests.split_off(35);
    drop(left);
    assert!(desk.serve(10).timeout(ms(200)).await.is_ok());
}
