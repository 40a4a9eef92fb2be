use std::sync::atomic::AtomicUsize;
use std::sync::{OnceLock, mpsc};

use super::*;

struct Count {
    waiting: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl LaneWork for Count {
    fn step(&mut self) -> Step {
        match self.waiting.swap(0, Ordering::AcqRel) {
            0 => Step::Idle,
            some => {
                self.done.fetch_add(some, Ordering::AcqRel);
                Step::Again
            }
        }
    }
}

#[test]
fn no_poke_is_lost_and_stop_finishes_what_waits() {
    for _ in 0..50 {
        let (waiting, done) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let work = Count { waiting: waiting.clone(), done: done.clone() };
        let lane = OsLanes.start("count", Box::new(work)).expect("a thread");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        waiting.fetch_add(1, Ordering::AcqRel);
                        lane.poke();
                    }
                });
            }
        });
        lane.stop();
        lane.stop();
        assert_eq!(done.load(Ordering::Acquire), 4_000);
    }
}

/// Answers every step on a channel, so that a lost poke shows as a test that waits for ever.
struct Echo(Arc<AtomicBool>, mpsc::Sender<()>);

impl LaneWork for Echo {
    fn step(&mut self) -> Step {
        if self.0.swap(false, Ordering::AcqRel) {
            self.1.send(()).expect("the test listens");
        }
        Step::Idle
    }
}

#[test]
fn every_poke_wakes_a_parked_lane() {
    let (sender, receiver) = mpsc::channel();
    let wanted = Arc::new(AtomicBool::new(false));
    let lane = OsLanes.start("echo", Box::new(Echo(wanted.clone(), sender))).expect("a thread");
    for _ in 0..20_000 {
        wanted.store(true, Ordering::Release);
        lane.poke();
        receiver.recv().expect("the lane answers");
    }
}

struct StopsItself(Arc<OnceLock<Arc<dyn Lane>>>, mpsc::Sender<()>);

impl LaneWork for StopsItself {
    fn step(&mut self) -> Step {
        if let Some(lane) = self.0.get() {
            lane.stop();
        }
        Step::Idle
    }
}

impl Drop for StopsItself {
    fn drop(&mut self) {
        self.1.send(()).expect("the test listens");
    }
}

#[test]
fn a_lane_can_be_stopped_on_its_own_thread() {
    let (sender, receiver) = mpsc::channel();
    let own = Arc::<OnceLock<_>>::default();
    let lane = OsLanes.start("own", Box::new(StopsItself(own.clone(), sender))).expect("a thread");
    assert!(own.set(lane.clone()).is_ok());
    lane.poke();
    receiver.recv().expect("the work is dropped");
    lane.stop();
}

struct Panics;

impl LaneWork for Panics {
    fn step(&mut self) -> Step {
        panic!("on purpose");
    }
}

#[test]
fn a_lane_whose_work_panicked_can_be_poked_and_stopped() {
    let lane = OsLanes.start("panics", Box::new(Panics)).expect("a thread");
    lane.poke();
    lane.stop();
    lane.poke();
}

fn taken(lock: io::Result<Result<LockGuard, String>>) -> LockGuard {
    lock.expect("a file").unwrap_or_else(|holder| panic!("held by {holder}"))
}

#[test]
fn a_lock_has_one_holder_and_names_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("LOCK");
    let guard = taken(OsDisk.lock(&path, "first, a longer text"));
    assert_eq!(
        OsDisk.lock(&path, "second").expect("a file").err().expect("held"),
        "first, a longer text"
    );
    drop(guard);
    let _guard = taken(OsDisk.lock(&path, "third"));
    assert_eq!(fs::read_to_string(&path).expect("text"), "third");
}

#[test]
fn a_lock_ends_with_its_guard_whoever_has_a_copy_of_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("LOCK");
    let file = File::create(&path).expect("a new file");
    file.try_lock().expect("nobody holds it");
    let copy = file.try_clone().expect("as a process that is just starting has it");
    drop(Locked(file));
    let _guard = taken(OsDisk.lock(&path, "another"));
    drop(copy);
}

#[test]
fn a_file_is_replaced_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let nested = directory.path().join("a/b/c");
    OsDisk.create_dir_all(&nested).expect("directories");
    OsDisk.create_dir_all(&nested).expect("directories that exist already");
    let path = nested.join("file");
    assert_eq!(OsDisk.read(&path).expect("readable"), None);
    OsDisk.write_atomically(&path, b"first, a longer text").expect("written");
    OsDisk.write_atomically(&path, b"second").expect("written");
    assert_eq!(OsDisk.read(&path).expect("readable").as_deref(), Some(&b"second"[..]));
}

#[tokio::test]
async fn sleep_ends_at_its_time_and_not_before() {
    let host = host();
    let end = host.clock.now() + Duration::from_millis(5);
    host.clock.sleep_until(end).await;
    assert!(host.clock.now() >= end);
    host.clock.sleep_until(MonoNs(0)).await;
}

#[test]
fn a_file_that_there_is_is_made_longer_behind_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let (there, missing) = (dir.path().join("there"), dir.path().join("missing"));
    fs::write(&there, b"abc").expect("written");
    assert_eq!(OsDisk.lengthen(&there, 100_000).expect("there is room"), 100_003);
    let bytes = fs::read(&there).expect("readable");
    assert!(bytes.starts_with(b"abc") && bytes[3..].iter().all(|byte| *byte == 0));
    assert_eq!(bytes.len(), 100_003);
    let error = OsDisk.lengthen(&missing, 1).expect_err("there is none");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(!missing.exists(), "and none is made");
}
