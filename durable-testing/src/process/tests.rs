//! Each of these tests starts itself once more and forks in there, where nothing else runs.
#![allow(clippy::disallowed_methods, reason = "real processes are waited for in real time")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "lines of processes are tested")]

use std::fs;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Longer than any test takes that passes.
const PLENTY: Duration = Duration::from_secs(60);

/// Runs `body` in a process of its own. `name` is the test's, without its module.
fn alone(name: &str, body: impl FnOnce()) {
    if is_reexecuted() {
        return body();
    }
    let (_, module) = module_path!().split_once("::").expect("a module of a crate");
    let mut lines = Vec::new();
    let status = reexec(&format!("{module}::{name}"), &[], &mut |line| lines.push(line.to_owned()))
        .expect("a process can be started");
    assert!(status.success(), "{status}\n{}", lines.join("\n"));
    assert!(lines.iter().any(|line| line.contains("1 passed")), "{lines:?}");
}

fn returned(forked: Forked) -> Vec<u8> {
    match forked {
        Forked::Returned(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

fn died(forked: Forked) -> (Option<i32>, Option<i32>, String) {
    match forked {
        Forked::Died { signal, code, stderr } => (signal, code, stderr),
        other => panic!("{other:?}"),
    }
}

/// Where things are in this process, and what a thread is called, as text.
fn addresses() -> Vec<u8> {
    let heap: Vec<Box<[u8]>> = (1..50).map(|size| vec![0; size * 37].into()).collect();
    let heap: Vec<_> = heap.iter().map(|block| block.as_ptr()).collect();
    let stack = 0;
    let id = thread::current().id();
    format!("{id:?} {:p} {MARK:p} {heap:?}", &raw const stack).into_bytes()
}

/// The entries of a folder of this process in `/proc`.
fn count(folder: &str) -> usize {
    fs::read_dir(format!("/proc/self/{folder}")).expect("a folder").count()
}

/// The children of this process, dead ones included.
fn children() -> String {
    let thread = unsafe { libc::gettid() }; // SAFETY: takes nothing.
    fs::read_to_string(format!("/proc/self/task/{thread}/children")).unwrap_or_default()
}

#[test]
fn a_process_is_quiet_marked_and_its_lines_come_one_by_one() {
    let name = "process::tests::a_process_is_quiet_marked_and_its_lines_come_one_by_one";
    if is_reexecuted() {
        let child = returned(forked(PLENTY, addresses));
        println!("threads {}", count("task"));
        eprintln!("greeting {}", std::env::var("GREETING").expect("it was given"));
        let personality = unsafe { libc::personality(0xffff_ffff) }; // SAFETY: it only asks.
        println!("fixed {}", personality & libc::ADDR_NO_RANDOMIZE != 0);
        println!("{}", String::from_utf8_lossy(&child));
        std::process::exit(7);
    }
    let run = || {
        let mut lines = Vec::new();
        let env = [("GREETING", "hello".to_owned())];
        let status =
            reexec(name, &env, &mut |line| lines.push(line.to_owned())).expect("a process");
        assert_eq!(status.code(), Some(7), "{lines:?}");
        lines
    };
    let lines = run();
    // libtest's own thread waits for the test and does nothing else.
    let threads = lines.iter().position(|line| line.ends_with("threads 2")).expect("few threads");
    assert_eq!(lines[threads + 1], "greeting hello");
    if lines.contains(&"fixed true".to_owned()) {
        assert_eq!(run(), lines);
    }
}

#[test]
fn a_process_that_is_not_there_is_an_exit_code() {
    let status =
        reexec("no::such::test", &[("A", "b".to_owned())], &mut |_| ()).expect("a process");
    assert_eq!(status.code(), Some(0)); // of no tests, all have passed
}

#[test]
fn bytes_come_back() {
    alone("bytes_come_back", || {
        assert_eq!(returned(forked(PLENTY, Vec::new)), Vec::<u8>::new());
        let many: Vec<u8> = (0..3_000_000_u32).map(|count| count as u8).collect();
        assert!(returned(forked(PLENTY, || many.clone())) == many);
        let borrowed = std::rc::Rc::new(5);
        assert_eq!(returned(forked(Duration::MAX, || vec![*borrowed])), [5]);
    });
}

#[test]
fn a_child_that_goes_on_for_ever_is_killed() {
    alone("a_child_that_goes_on_for_ever_is_killed", || {
        let started = Instant::now();
        let limit = Duration::from_millis(50);
        let spins = forked(limit, || {
            loop {
                std::hint::spin_loop();
            }
        });
        assert!(matches!(spins, Forked::TimedOut), "{spins:?}");
        // Not even one that talks all the time, or has let go of all its descriptors.
        let talks = forked(limit, || {
            loop {
                eprintln!("still here");
            }
        });
        assert!(matches!(talks, Forked::TimedOut), "{talks:?}");
        let deaf = forked(limit, || {
            for fd in 3..64 {
                unsafe { libc::close(fd) }; // SAFETY: nothing of this process is used again.
            }
            loop {
                thread::park();
            }
        });
        assert!(matches!(deaf, Forked::TimedOut), "{deaf:?}");
        assert!((limit * 3..PLENTY).contains(&started.elapsed()));
        assert_eq!(children(), "");
    });
}

#[test]
fn a_child_that_panics_is_reported_with_its_words() {
    alone("a_child_that_panics_is_reported_with_its_words", || {
        let (signal, code, stderr) = died(forked(PLENTY, || panic!("lost {}", 41 + 1)));
        assert_eq!((signal, code), (None, Some(101)));
        assert!(stderr.contains("lost 42"), "{stderr}");
    });
}

#[test]
fn a_child_that_aborts_faults_or_exits_is_reported() {
    alone("a_child_that_aborts_faults_or_exits_is_reported", || {
        let aborts = forked(PLENTY, || {
            eprintln!("{}the end", "filler ".repeat(100_000));
            std::process::abort()
        });
        let (signal, code, stderr) = died(aborts);
        assert_eq!((signal, code), (Some(libc::SIGABRT), None));
        assert!(stderr.ends_with("the end\n") && stderr.len() == 64 << 10);

        let faults = forked(PLENTY, || {
            // SAFETY: none; the fault is what is wanted.
            vec![unsafe { ptr::read_volatile(black_box(ptr::without_provenance::<u8>(8))) }]
        });
        assert_eq!(died(faults), (Some(libc::SIGSEGV), None, String::new()));

        let (signal, code, _) = died(forked(PLENTY, || unsafe { libc::_exit(9) })); // SAFETY: ends
        assert_eq!((signal, code), (None, Some(9)));

        let (signal, _, stderr) = died(forked(PLENTY, || vec![overflow(0)]));
        assert_eq!(signal, Some(libc::SIGABRT));
        assert!(stderr.contains("overflowed its stack"), "{stderr}");
        assert_eq!(children(), "");
    });
}

/// Uses up any stack.
#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u8 {
    let frame = black_box([depth; 128]);
    overflow(frame[0] + 1).wrapping_add(frame[1] as u8)
}

#[test]
fn every_child_begins_with_the_same_memory() {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    alone("every_child_begins_with_the_same_memory", || {
        let child = || {
            let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
            [counter.to_le_bytes().as_slice(), &addresses()].concat()
        };
        let first = returned(forked(PLENTY, child));
        let mut kept = Vec::new();
        for size in 0..100 {
            kept.push(vec![1_u8; size * 100]); // what this process does between is not seen
            assert_eq!(returned(forked(PLENTY, child)), first);
        }
        assert_eq!(COUNTER.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn two_thousand_children_leave_nothing_behind() {
    alone("two_thousand_children_leave_nothing_behind", || {
        let descriptors = count("fd");
        let started = Instant::now();
        for number in 0..2_000_u32 {
            let bytes = forked(PLENTY, || number.to_le_bytes().to_vec());
            assert_eq!(returned(bytes), number.to_le_bytes());
        }
        println!("{:?} for each child", started.elapsed() / 2_000);
        for _ in 0..20 {
            died(forked(PLENTY, || std::process::abort()));
            forked(Duration::from_millis(1), || {
                loop {
                    thread::park();
                }
            });
        }
        assert_eq!(count("fd"), descriptors);
        assert_eq!(count("task"), 2);
        // SAFETY: no status is wanted. There is nobody to wait for.
        assert_eq!(unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) }, -1);
        assert_eq!(children(), "");
    });
}

#[test]
fn a_child_leaves_what_its_parent_has_buffered_alone() {
    let name = "process::tests::a_child_leaves_what_its_parent_has_buffered_alone";
    if is_reexecuted() {
        extern "C" fn at_exit() {
            eprintln!("handler ran");
        }
        unsafe { libc::atexit(at_exit) }; // SAFETY: the function lives as long as the program.
        print!("once;"); // stays in the buffer until the line ends
        assert_eq!(returned(forked(PLENTY, || vec![1])), [1]);
        died(forked(PLENTY, || panic!("not seen")));
        println!();
        return;
    }
    let mut lines = Vec::new();
    let status = reexec(name, &[], &mut |line| lines.push(line.to_owned())).expect("a process");
    assert!(status.success(), "{lines:?}");
    let text = lines.join("\n");
    assert_eq!(text.matches("once;").count(), 1, "{text}");
    assert_eq!(text.matches("handler ran").count(), 1, "{text}");
    assert!(!text.contains("not seen"), "{text}");
}
