//! How much memory this process holds.

use std::fs;

/// Bytes of this process that are in memory. Of the kernel's several counts, the one that is exact.
pub(crate) fn resident_bytes() -> f64 {
    let rollup =
        fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells what is resident");
    let kibibytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<f64>().ok());
    kibibytes.expect("the kernel writes `Rss: … kB`") * 1_024.0
}
