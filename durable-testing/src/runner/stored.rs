//! Plans of worlds that failed, kept beside the tests, so that they are run again also when seeds mean something else.

#![allow(clippy::disallowed_methods, reason = "a test's own files are not the world's")]

use std::fs;
use std::path::PathBuf;

use super::Place;
use crate::plan::Plan;
use crate::report::Report;

/// Where the plans of a crate's tests are kept, in its directory.
const FOLDER: &str = "simulated-failures";

/// A world that once failed.
pub(super) struct Stored {
    pub(super) seed: u64,
    pub(super) plan: Plan,
}

fn path(place: &Place, name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(place.manifest_dir()?).join(FOLDER);
    Some(folder.join(format!("{}.txt", name.replace("::", "."))))
}

/// All that are kept of a test.
pub(super) fn read(place: &Place, name: &str) -> Vec<Stored> {
    let text = path(place, name).and_then(|path| fs::read_to_string(path).ok());
    let parse = |line: &str| {
        let (world, _) = line.split_once(' ').unwrap_or((line, ""));
        let (seed, plan) = world.split_once(':')?;
        Some(Stored { seed: u64::from_str_radix(seed, 16).ok()?, plan: plan.parse().ok()? })
    };
    text.unwrap_or_default().lines().filter_map(parse).collect()
}

/// Keeps one more, and says where. `None`: it could not be written, or is kept already.
pub(super) fn write(
    place: &Place,
    name: &str,
    seed: u64,
    plan: &Plan,
    report: &Report,
) -> Option<String> {
    let path = path(place, name)?;
    let (check, _) = report.failed()?;
    let line = format!("{seed:x}:{plan} {check}\n");
    let before = fs::read_to_string(&path).unwrap_or_default();
    if before.contains(&line) {
        return None;
    }
    fs::create_dir_all(path.parent()?).ok()?;
    fs::write(&path, before + &line).ok()?;
    Some(path.display().to_string())
}
