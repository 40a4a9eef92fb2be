//! `mutations SECONDS [TARGET] [SEED]` mutates the stored corpus of one target, or of each, for so long; it needs no fuzzer.
//! Bytes that harm a decoder stay in the corpus.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use durable::fuzz::{TARGETS, Target};

#[path = "../../../src/fuzz/tests/mutate.rs"]
mod mutate;

use mutate::{Chance, mutate};

/// The longest input: longer ones find nothing more, and take longer.
const BYTES_MAX: usize = 8 << 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let seconds = seconds.expect("usage: mutations SECONDS [TARGET] [SEED]");
    let only = arguments.next();
    let seed = arguments.next().map_or(1, |text| text.parse().expect("a seed is a number"));
    for (target, run) in TARGETS {
        if only.as_ref().is_none_or(|only| only == target) {
            let times = fuzz(target, run, Duration::from_secs(seconds), seed);
            println!("{target}: {times} runs in {seconds} s, seed {seed}");
        }
    }
}

fn fuzz(target: &str, run: Target, time: Duration, seed: u64) -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let corpus = read(&folder);
    let mut chance = Chance(seed.max(1));
    let begin = Instant::now();
    let mut times = 0;
    while begin.elapsed() < time {
        for _ in 0..256 {
            let mut bytes = mutate(&corpus, &mut chance);
            bytes.truncate(BYTES_MAX);
            if std::panic::catch_unwind(|| durable_fuzz::run(run, &bytes)).is_err() {
                let path = folder.join(format!("found_{seed}_{times}"));
                fs::write(&path, &bytes).expect("a file of the corpus");
                panic!("run {times} harms {target}; its bytes are in {}", path.display());
            }
            times += 1;
        }
    }
    times
}

/// The files of a folder, by name, so that a seed means the same in every run.
fn read(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).expect("a folder of the corpus");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}
