//! The shape of the code, checked: floors, sizes, where a dependency may appear, what a source may not say.

#![allow(clippy::disallowed_methods, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the workspace.
struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["durable", "durable-macros", "durable-testing", "examples", "tests"] {
        collect(&root().join(folder), &mut found);
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source is text");
        let path = path.strip_prefix(root()).expect("inside").to_string_lossy().replace('\\', "/");
        Source { path, text }
    };
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target" && name != "wip") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a file holds only tests: they may be longer, and may reach further.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The lines of a file that are code, up to the tests that stand at its end, with their numbers.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let code = source.text.split("\n#[cfg(test)]\nmod ").next().expect("a first part");
    code.lines().enumerate().map(|(index, line)| (index + 1, line)).filter(|(_, line)| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.is_empty()
    })
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// The floors of `durable`, lowest first. A file may name what is on its own floor or below.
const FLOORS: [&[&str]; 7] = [
    &[
        "error",
        "cut",
        "history",
        "limits",
        "time",
        "id",
        "class",
        "codec",
        "config",
        "quarantine",
        "state",
        "keyed",
        "kv",
        "metadata",
        "trace",
        "sql",
        "inspection",
        "interceptor",
        "item_stream",
        "due",
        "when",
        "schedule",
        "send",
    ],
    &["kernel"],
    &["host", "wire"],
    &["storage"],
    &[
        "object",
        "alarm",
        "directory",
        "supervise",
        "caller",
        "exposed",
        "socket",
        "stub",
        "client",
        "runtime",
        "rewind",
        "listing",
        "lock",
        "data_directory",
        "registry",
        "bench",
        "fuzz",
    ],
    &["protocol", "http", "remote"],
    &["lib", "bin"],
];

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

#[test]
fn files_import_from_their_own_floor_or_from_floors_below() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(inside) = source.path.strip_prefix("durable/src/") else { continue };
        let module = inside.split(['/', '.']).next().expect("a first part");
        let Some(floor) = floor_of(module) else {
            broken.push(format!(
                "{}: no floor is known for `{module}`; add it to FLOORS",
                source.path
            ));
            continue;
        };
        for (number, line) in code_lines(&source) {
            for named in line.split("crate::").skip(1) {
                let end =
                    named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
                if floor_of(&named[..end]).is_some_and(|other| other > floor) {
                    let target = &named[..end];
                    broken.push(format!(
                        "{}:{number}: `{module}` may not know `{target}`",
                        source.path
                    ));
                }
            }
        }
    }
    report(&broken);
}

#[test]
fn the_kernel_is_pure() {
    let banned = [
        "async ",
        ".await",
        "std::time::Instant",
        "SystemTime",
        "std::sync",
        "parking_lot",
        "HashMap",
        "tokio",
        "ractor",
        "rusqlite",
        "std::fs",
        "std::thread",
        "getrandom",
        "crate::host",
    ];
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("durable/src/kernel/")) {
        for (number, line) in code_lines(source) {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{number}: a decision may not use `{word}`", source.path));
            }
        }
    }
    report(&broken);
}

#[test]
fn dependencies_stay_in_their_rooms() {
    let rooms: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("rusqlite", &["storage/"] as &[_]),
        ("ractor", &["object/", "supervise/"]),
        ("std::fs", &["host/os.rs"]),
        ("std::thread::", &["host/os.rs", "storage/writer.rs"]),
        ("Instant::now", &["host/os.rs"]),
        ("SystemTime::now", &["host/os.rs"]),
        ("getrandom::", &["host/os.rs"]),
        ("tokio::time", &["host/os.rs"]),
        ("tokio::spawn", &["host/os.rs"]),
        ("blake3::", &["id.rs", "keyed.rs", "storage/manifest.rs"]),
        ("crc32c::", &["storage/"]),
        ("toml::", &["storage/"]),
        ("croner::", &["when.rs"]),
        ("jiff::", &["when.rs"]),
        ("axum::", &["http.rs", "http/"]),
        (
            "hyper::",
            &[
                "exposed/fetch.rs",
                "wire.rs",
                "wire/goal.rs",
                "http/",
                "remote.rs",
                "remote/",
                "host/os/",
            ],
        ),
        ("h2::", &["remote/"]),
        (
            "tokio_rustls::",
            &["http.rs", "http/", "remote.rs", "remote/", "wire/goal.rs", "host/os/"],
        ),
        ("schemars::", &["exposed/", "http/openapi/"]),
        ("tokio_tungstenite::", &["http/", "wire/fault.rs", "host/os/"]),
        ("tokio::net", &["http/", "remote/", "host/os/"]),
    ]);
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        let Some(inside) = source.path.strip_prefix("durable/src/") else { continue };
        for (number, line) in code_lines(source) {
            for (dependency, allowed) in &rooms {
                let is_allowed = allowed.iter().any(|room| inside.starts_with(room));
                if line.contains(dependency) && !is_allowed {
                    broken.push(format!(
                        "{}:{number}: `{dependency}` belongs in {allowed:?}",
                        source.path
                    ));
                }
            }
        }
    }
    report(&broken);
}

#[test]
fn files_and_functions_and_lines_keep_to_their_sizes() {
    let mut broken = Vec::new();
    for source in sources() {
        // What the macro is shown may be as ugly as a user's worst day.
        if source.path.starts_with("tests/ui/") {
            continue;
        }
        let lines = source.text.lines().count();
        let lines_max = if is_test(&source.path) { 800 } else { 600 };
        if lines > lines_max {
            broken.push(format!("{}: {lines} lines, at most {lines_max}", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            let width = line.chars().count();
            // A comment or a text may run a little longer than code, which the formatter breaks.
            if width > 140 {
                broken.push(format!(
                    "{}:{}: {width} columns, at most 140",
                    source.path,
                    number + 1
                ));
            }
        }
        for (name, length) in long_functions(&source) {
            broken.push(format!("{}: `{name}` has {length} lines, at most 70", source.path));
        }
    }
    report(&broken);
}

/// Functions of more than 70 lines, found by the indentation that the formatter gives.
fn long_functions(source: &Source) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = source.text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_start = line.trim_start().split("fn ").next().is_some_and(|before| {
            line.contains("fn ")
                && before.chars().all(|c| c.is_ascii_lowercase() || "() ".contains(c))
        });
        if !is_start || line.trim_end().ends_with(['}', ';']) {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[start..].iter().position(|line| *line == closing).unwrap_or(0) + 1;
        if length > 70 {
            found.push((line.trim().to_owned(), length));
        }
    }
    found
}

#[test]
fn sources_leave_nothing_undone_and_hide_nothing() {
    // Written in two parts, so that this file does not contain them.
    let banned = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("#[ig", "nore"),
        ("unimpl", "emented!"),
        ("to", "do!("),
        ("thread::", "sleep"),
        ("unbounded", "_channel"),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            for (one, other) in banned {
                let word = format!("{one}{other}");
                // A kill must come at some moment that the child does not know.
                let is_kill_test =
                    word.ends_with("sleep") && is_test(&source.path) && line.contains("pause");
                // Real processes are waited for there, and real sleeps intercepted.
                let is_of_processes = word.ends_with("sleep")
                    && ["durable-testing/src/process/", "durable-testing/src/intercept/"]
                        .iter()
                        .any(|folder| source.path.starts_with(folder));
                if line.contains(&word) && !is_kill_test && !is_of_processes {
                    broken.push(format!("{}:{}: `{word}`", source.path, number + 1));
                }
            }
        }
    }
    report(&broken);
}

#[test]
fn library_code_states_its_invariants() {
    let mut broken = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path.starts_with("durable") && !is_test(&source.path))
    {
        if !source.path.contains("/src/") {
            continue;
        }
        for (number, line) in code_lines(source) {
            if line.contains(".unwrap()") {
                broken.push(format!("{}:{number}: say why it holds with `expect`", source.path));
            }
        }
        if !source.text.starts_with("//! ") {
            broken.push(format!("{}: no `//!` says what the file is", source.path));
        }
    }
    report(&broken);
}

#[test]
fn every_file_uses_one_word_for_one_thing() {
    let banned = ["grain", "helper", "manager", "util"];
    let mut broken = Vec::new();
    for source in
        sources().iter().filter(|source| source.path.contains("/src/") && !is_test(&source.path))
    {
        for (number, line) in source.text.lines().enumerate() {
            let lower = line.to_lowercase();
            let words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
            for word in words.filter(|word| banned.contains(word)) {
                broken.push(format!("{}:{}: `{word}`", source.path, number + 1));
            }
        }
    }
    report(&broken);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut documents = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for entry in fs::read_dir(root().join("durable/docs")).expect("the documents") {
        documents.push(entry.expect("an entry").path());
    }
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().expect("a first part");
            let is_outside = target.is_empty() || target.contains("://") || target.contains("::");
            let folder = document.parent().expect("a folder");
            if !is_outside && !folder.join(target).exists() {
                broken.push(format!("{} -> {target}", document.display()));
            }
        }
    }
    report(&broken);
}
