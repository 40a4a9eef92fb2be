//! Where in the user's code this thread is.

use std::backtrace::Backtrace;
use std::env;

use super::suspended;

/// Crates whose frames say nothing to a user: what every program is made of, and ourselves.
const CRATES_SKIPPED: [&str; 14] = [
    "std",
    "core",
    "alloc",
    "test",
    "tokio",
    "ractor",
    "futures",
    "futures_core",
    "futures_util",
    "futures_executor",
    "durable",
    "libc",
    "rusqlite",
    "libsqlite3_sys",
];

/// Parts of paths under which cargo and rustup keep the sources of other people's crates.
const SOURCES_OF_OTHERS: [&str; 4] = ["/registry/src/", "/git/checkouts/", "/rustc/", "/rustlib/"];

/// Where the functions are that ask wards.
const SYMBOLS: &str = "/intercept/symbols.rs:";

/// This crate, where its own frames come from.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// The user's place that this thread is at, as `src/bank.rs:41 in bank::Account::deposit`.
///
/// It is the innermost frame outside of std, the runtime and this crate; one in a package that
/// cargo has fetched is given only if there is none in the user's own. `None` if the program has
/// no debug information. Reading that takes up to some hundred milliseconds, the first time.
pub(crate) fn place() -> Option<String> {
    suspended(|| innermost(&Backtrace::force_capture().to_string()))
}

/// Picks a frame out of the text of a backtrace.
fn innermost(backtrace: &str) -> Option<String> {
    let all: Vec<_> = frames(backtrace).collect();
    // What a ward does is not what made it be asked.
    let asked = all.iter().rposition(|frame| frame.at.contains(SYMBOLS)).map_or(0, |at| at + 1);
    let theirs: Vec<_> = all[asked..].iter().filter(|frame| !frame.is_skipped()).collect();
    let is_fetched = |frame: &&Frame<'_>| SOURCES_OF_OTHERS.iter().any(|s| frame.at.contains(s));
    let index = theirs.iter().position(|frame| !is_fetched(frame)).unwrap_or(0);
    let file = readable_file(theirs.get(index)?.at);
    // A closure that was inlined may have no name but `{closure#0}`: who called it has one.
    let name =
        theirs[index..].iter().map(|frame| readable_name(frame.name)).find(|n| !n.is_empty());
    Some(name.map_or_else(|| file.to_owned(), |name| format!("{file} in {name}")))
}

/// The frames whose place is known, the innermost first. Each has a line `4: name` and then a line
/// `at file:line:column`.
fn frames(backtrace: &str) -> impl Iterator<Item = Frame<'_>> {
    let mut name = "";
    backtrace.lines().map(str::trim).filter_map(move |line| {
        if let Some(at) = line.strip_prefix("at ") {
            return Some(Frame { name, at });
        }
        if let Some((_, frame)) = line.split_once(": ") {
            name = frame;
        }
        None
    })
}

/// One frame of a backtrace.
struct Frame<'a> {
    /// The function's; without its path if it was inlined and debug information is reduced to
    /// line tables.
    name: &'a str,
    /// File, line and, most often, column.
    at: &'a str,
}

impl Frame<'_> {
    /// Whether the frame belongs to what a user does not want to hear of.
    fn is_skipped(&self) -> bool {
        // The tests of this crate stand for a user of it.
        let is_test = || self.name.contains("::tests::") || self.at.contains("/tests.rs:");
        let of = |name: &str| CRATES_SKIPPED.contains(&name) || (name == OURS && !is_test());
        match head(root(self.name)).split_once("::") {
            Some((name, _)) => of(name),
            // Of C, or inlined: then the file tells the crate.
            None => {
                let file = readable_file(self.at);
                !file.contains(".rs:")
                    || ["/rustc/", "/rustlib/"].iter().any(|part| file.contains(part))
                    || of(&package(file))
            }
        }
    }
}

/// The name of the package that a file is of, as its crate is called: the folder around `src`,
/// without its version. Files of the package that is tested are relative.
fn package(file: &str) -> String {
    let folders = match file.split_once("/src/") {
        Some(_) if file.starts_with('/') => file.to_owned(),
        _ => format!("{}/{file}", env::current_dir().unwrap_or_default().display()),
    };
    // The last `src` is not always the package's, but that of a fetched one comes after cargo's.
    let folder = folders.rsplit("/src/").nth(1).and_then(|path| path.rsplit('/').next());
    let folder = folder.unwrap_or_default();
    let version =
        folder.rsplit_once('-').filter(|(_, v)| v.starts_with(|c: char| c.is_ascii_digit()));
    version.map_or(folder, |(name, _)| name).replace('-', "_")
}

/// The name from its crate on: `<&mut bank::Account as Trait>::method` begins with `bank`.
fn root(name: &str) -> &str {
    let mut rest = name;
    while let Some(shorter) = ["<", "&", "*", "(", "[", "mut ", "const ", "dyn ", "impl "]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))
    {
        rest = shorter;
    }
    rest
}

/// The name up to its generic arguments, which have paths of their own.
fn head(name: &str) -> &str {
    name.split_once(['<', ' ']).map_or(name, |(head, _)| head)
}

/// `./src/bank.rs:41:9` without the column and the dot.
fn readable_file(at: &str) -> &str {
    let line = match at.rsplit_once(':') {
        Some((line, column)) if line.contains(':') && column.parse::<u32>().is_ok() => line,
        _ => at,
    };
    line.strip_prefix("./").unwrap_or(line)
}

/// The name without closures, which the line tells apart better, and without the angle brackets
/// around a type that is not in a trait. Empty if nothing is left.
fn readable_name(name: &str) -> String {
    if !head(root(name)).contains("::") {
        // Inlined; its arguments are all that is long.
        return if name.starts_with('{') { String::new() } else { head(name).to_owned() };
    }
    let is_named = |part: &&str| !part.starts_with('{') && !is_hash(part);
    let name = name.split("::").filter(is_named).collect::<Vec<_>>().join("::");
    match name.strip_prefix('<').and_then(|inner| inner.split_once(">::")) {
        Some((of, method)) if !of.contains(['<', ' ']) => format!("{of}::{method}"),
        _ => name,
    }
}

/// Whether a part of a path is what older compilers append to every symbol.
fn is_hash(part: &str) -> bool {
    part.len() == 17 && part.starts_with('h') && part[1..].bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKTRACE: &str = "
   0: <std::backtrace::Backtrace>::create
             at /rustc/abc/library/std/src/backtrace.rs:331:13
   1: pthread_create
             at ./durable-testing/src/intercept/symbols.rs:31:7
   2: std::thread::spawn::<bank::work::{closure#0}, ()>
             at /rustc/abc/library/std/src/thread/mod.rs:725:20
   3: uuid::now
             at /home/a/.cargo/registry/src/index/uuid/src/lib.rs:9:1
   4: <bank::Account>::deposit::{closure#0}
             at ./src/bank.rs:41:9
   5: bank::main
             at ./src/main.rs:3:5
";

    #[test]
    fn the_innermost_frame_of_the_user_is_the_place() {
        assert_eq!(
            innermost(BACKTRACE).as_deref(),
            Some("src/bank.rs:41 in bank::Account::deposit")
        );
    }

    #[test]
    fn a_fetched_package_is_named_if_there_is_nothing_better() {
        let backtrace: Vec<&str> = BACKTRACE.lines().take(9).collect();
        let place = innermost(&backtrace.join("\n"));
        let expected = "/home/a/.cargo/registry/src/index/uuid/src/lib.rs:9 in uuid::now";
        assert_eq!(place.as_deref(), Some(expected));
    }

    #[test]
    fn frames_without_a_place_give_none() {
        assert_eq!(innermost("   0: bank::Account::deposit\n   1: <unknown>\n"), None);
    }

    #[test]
    fn inlined_frames_are_told_apart_by_their_files() {
        let backtrace = "
   0: sys_fill<core::option::Option<u8>>
             at /home/a/.cargo/registry/src/index/tokio-1.54.1/src/lib.rs:9:1
   1: {closure#0}<(), bank::Account>
             at /home/a/bank/src/lib.rs:7:3
   2: bank::Account::open
             at /home/a/bank/src/lib.rs:5:3
";
        assert_eq!(
            innermost(backtrace).as_deref(),
            Some("/home/a/bank/src/lib.rs:7 in bank::Account::open")
        );
        assert_eq!(
            package("/x/.cargo/registry/src/i/tokio-stream-0.1.17/src/a.rs:1"),
            "tokio_stream"
        );
        assert_eq!(package("/work/src/durable/src/object/turn.rs:1"), "durable");
        assert_eq!(package("src/place.rs:1"), env!("CARGO_PKG_NAME").replace('-', "_"));
    }

    #[test]
    fn names_lose_what_only_the_compiler_needs() {
        let names = [
            ("bank::deposit::{{closure}}::h0123456789abcdef", "bank::deposit"),
            ("<bank::Account>::deposit", "bank::Account::deposit"),
            ("deposit<alloc::vec::Vec<u8>>", "deposit"),
            ("{closure#0}<alloc::vec::Vec<u8>>", ""),
            ("<bank::Account as bank::Open>::open", "<bank::Account as bank::Open>::open"),
        ];
        for (name, readable) in names {
            assert_eq!(readable_name(name), readable);
        }
        assert_eq!(readable_file("src/a.rs:41"), "src/a.rs:41");
    }
}
