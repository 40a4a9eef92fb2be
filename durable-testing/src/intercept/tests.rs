//! A world's thread sees its wards, every other thread the operating system.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "they are what is tested")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime};

use super::*;

/// The first wall-clock second of a [`Fixed`] world: in the year 2001.
const EPOCH_S: u64 = 1_000_000_000;

/// Wards whose entropy is a count from a seed and whose clocks go on by one second per reading.
#[derive(Default)]
struct Fixed {
    seed: u8,
    readings: Cell<u64>,
    watching: Cell<bool>,
    misuses: RefCell<Vec<(Misuse, Option<String>)>>,
}

impl Fixed {
    fn new(seed: u8) -> Rc<Self> {
        Rc::new(Self { seed, ..Self::default() })
    }

    fn next_ns(&self) -> u64 {
        self.readings.set(self.readings.get() + 1);
        self.readings.get() * 1_000_000_000
    }

    fn kinds(&self) -> Vec<Misuse> {
        self.misuses.borrow().iter().map(|(misuse, _)| *misuse).collect()
    }

    /// That the only misuse was in this line of this file.
    fn assert_misused_at(&self, line: u32) {
        let misuses = self.misuses.borrow();
        let [(_, Some(place))] = misuses.as_slice() else { panic!("{misuses:?}") };
        // The name of the function follows, if the compiler has left one.
        let (file_and_line, _) = place.split_once(" in ").unwrap_or((place, ""));
        assert!(file_and_line.ends_with(&format!("intercept/tests.rs:{line}")), "{place}");
    }
}

impl Wards for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        for (byte, count) in bytes.iter_mut().zip(0_u32..) {
            *byte = self.seed.wrapping_add(count as u8 & 7);
        }
    }

    fn monotonic_ns(&self) -> u64 {
        self.next_ns()
    }

    fn wall_ns(&self) -> u64 {
        EPOCH_S * 1_000_000_000 + self.next_ns()
    }

    fn misused(&self, misuse: Misuse) {
        self.misuses.borrow_mut().push((misuse, place()));
    }

    fn is_watching(&self) -> bool {
        self.watching.get()
    }
}

/// Runs `work` on a fresh thread that is in the world of `Fixed::new(seed)`.
fn in_world<T: Send>(seed: u8, work: impl FnOnce(&Fixed) -> T + Send) -> T {
    thread::scope(|scope| {
        let world = scope.spawn(move || {
            let wards = Fixed::new(seed);
            let _entered = enter(wards.clone());
            work(&wards)
        });
        world.join().expect("the work does not panic")
    })
}

/// Everything random or timed that a thread can get at without system calls of its own.
fn observed() -> String {
    let map: HashMap<u32, ()> = (0..64).map(|key| (key, ())).collect();
    let mut entropy = [0; 300];
    getrandom::fill(&mut entropy).expect("there is entropy");
    let mut more = [0_u8; 16];
    // SAFETY: the pointer and the length are the array's.
    let got = unsafe { libc::getentropy(more.as_mut_ptr().cast::<c_void>(), more.len()) };
    assert_eq!(got, 0);
    let started = Instant::now();
    // SAFETY: `time` may be given null.
    let time = unsafe { libc::time(ptr::null_mut()) };
    format!(
        "{:?} {entropy:?} {more:?} {:?} {time} {:?} {:?}",
        map.keys().collect::<Vec<_>>(),
        started.elapsed(),
        SystemTime::now(),
        Instant::now(),
    )
}

#[test]
fn what_a_worlds_thread_sees_is_a_function_of_its_wards() {
    let first = in_world(1, |_| observed());
    assert_eq!(in_world(1, |_| observed()), first);
    assert_ne!(in_world(2, |_| observed()), first);
    assert_ne!(thread::spawn(observed).join().expect("no panic"), first);
}

#[test]
fn clocks_are_the_wards_to_the_nanosecond() {
    in_world(0, |wards| {
        let started = Instant::now();
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        assert_eq!(wall, Duration::from_secs(EPOCH_S + 3));
        let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: `time` can be written, and the zone may be null.
        assert_eq!(unsafe { libc::gettimeofday(&raw mut time, ptr::null_mut()) }, 0);
        assert_eq!(time.tv_sec, EPOCH_S.cast_signed() + 4);
        assert_eq!(wards.kinds(), []);
    });
}

#[test]
fn sqlite_on_the_real_disk_asks_the_wards_too() {
    let now = || {
        let connection = rusqlite::Connection::open_in_memory().expect("memory");
        let text = "SELECT strftime('%s', 'now')";
        connection.query_row(text, [], |row| row.get::<_, String>(0)).expect("a time")
    };
    let seconds: u64 = in_world(0, |_| now()).parse().expect("a number");
    assert!((EPOCH_S..EPOCH_S + 100).contains(&seconds), "{seconds}");
    assert!(now().parse::<u64>().expect("a number") > EPOCH_S + 100);
}

#[test]
fn another_thread_keeps_the_real_ones_meanwhile() {
    let inside = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _entered = enter(Fixed::new(7));
            inside.wait(); // the other one looks now
            inside.wait();
            assert_eq!(Instant::now().elapsed(), Duration::from_secs(1));
        });
        inside.wait();
        let mut entropy = [0; 16];
        getrandom::fill(&mut entropy).expect("there is entropy");
        assert_ne!(entropy[..8], [7, 8, 9, 10, 11, 12, 13, 14]);
        let (first, second) = (Instant::now(), Instant::now());
        assert!(second >= first && second - first < Duration::from_secs(1));
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        assert!(since > Duration::from_secs(EPOCH_S + 1_000));
        thread::spawn(|| ()).join().expect("threads can be started");
        inside.wait();
    });
}

#[test]
fn a_thread_is_not_started_and_its_place_is_told() {
    in_world(0, |wards| {
        let line = line!() + 1;
        let error = thread::Builder::new().spawn(|| ()).expect_err("a world has one thread");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(wards.kinds(), [Misuse::Thread]);
        wards.assert_misused_at(line);
    });
}

#[test]
fn a_blocking_task_panics_where_it_is_spawned() {
    in_world(0, |wards| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime needs no thread");
        let line = line!() + 2;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { drop(tokio::task::spawn_blocking(|| ())) });
        }));
        assert!(outcome.is_err());
        assert_eq!(wards.kinds(), [Misuse::Thread]);
        wards.assert_misused_at(line);
    });
}

#[test]
fn a_sleep_takes_no_time_and_its_place_is_told() {
    in_world(0, |wards| {
        thread::sleep(Duration::from_secs(1_000_000));
        // SAFETY: both take a number.
        assert_eq!(unsafe { libc::sleep(1_000_000) + libc::usleep(1_000_000).cast_unsigned() }, 0);
        assert_eq!(wards.kinds(), [Misuse::Sleep; 3]);
        for (_, place) in &*wards.misuses.borrow() {
            assert!(place.as_ref().is_some_and(|place| place.contains("intercept/tests.rs:")));
        }
    });
}

#[test]
fn a_clock_is_misused_only_while_a_method_runs() {
    in_world(0, |wards| {
        let started = Instant::now();
        assert_eq!(wards.kinds(), []);
        wards.watching.set(true);
        let line = line!() + 1;
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        wards.watching.set(false);
        assert_eq!(wards.kinds(), [Misuse::Clock]);
        wards.assert_misused_at(line);
    });
}

#[test]
fn a_ward_sees_the_real_world() {
    /// Reads a real clock for each virtual one.
    struct Curious;
    impl Wards for Curious {
        fn fill(&self, bytes: &mut [u8]) {
            getrandom::fill(bytes).expect("there is entropy");
        }
        fn monotonic_ns(&self) -> u64 {
            let started = Instant::now();
            thread::spawn(|| ()).join().expect("threads can be started");
            assert!(started.elapsed() < Duration::from_secs(60));
            5
        }
        fn wall_ns(&self) -> u64 {
            SystemTime::now().elapsed().expect("a clock that goes on").as_secs()
        }
        fn misused(&self, _: Misuse) {}
        fn is_watching(&self) -> bool {
            true
        }
    }
    let _entered = enter(Rc::new(Curious));
    assert_eq!(Instant::now(), Instant::now());
    assert_eq!(SystemTime::now(), SystemTime::UNIX_EPOCH);
    assert!(suspended(SystemTime::now) > SystemTime::UNIX_EPOCH);
    getrandom::fill(&mut [0; 16]).expect("there is entropy");
}

#[test]
fn the_panic_of_a_ward_waits_for_the_end_of_the_world() {
    /// Has nothing to give.
    struct Broken;
    impl Wards for Broken {
        fn fill(&self, _: &mut [u8]) {
            panic!("no entropy");
        }
        fn monotonic_ns(&self) -> u64 {
            panic!("no clock");
        }
        fn wall_ns(&self) -> u64 {
            0
        }
        fn misused(&self, _: Misuse) {
            panic!("no misuse");
        }
        fn is_watching(&self) -> bool {
            false
        }
    }
    let entered = enter(Rc::new(Broken));
    let mut bytes = [1; 4];
    getrandom::fill(&mut bytes).expect("zeros");
    assert_eq!(bytes, [0; 4]);
    assert_eq!(Instant::now(), Instant::now());
    thread::Builder::new().spawn(|| ()).expect_err("a world has one thread");
    let panic = catch_unwind(AssertUnwindSafe(|| drop(entered))).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no entropy"));
    thread::spawn(|| ()).join().expect("the world is left");
}

#[test]
fn a_world_is_left_when_its_stay_is_dropped_and_not_entered_twice() {
    let entered = enter(Fixed::new(0));
    let twice = catch_unwind(|| drop(enter(Fixed::new(1))));
    assert!(twice.is_err());
    assert_eq!(Instant::now().elapsed(), Duration::from_secs(1));
    drop(entered);
    assert!(Instant::now().elapsed() < Duration::from_secs(1));
    let _again = enter(Fixed::new(0));
    assert_eq!(Instant::now().elapsed(), Duration::from_secs(1));
}
