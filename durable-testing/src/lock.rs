//! The lock of a program, and golden states of its classes: files to commit, which say what older data relies on.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use durable::lock::{Lock, Locked};
use durable::{Object, Runtime, RuntimeBuilder};

/// Set to `write`, it accepts what changed.
const ACCEPT: &str = "DURABLE_LOCK";

/// Checks that the classes of a program are as the file at `path` says, from the folder of the package on; it is written if
/// there is none.
///
/// It holds the schema of every class's state and the types of its methods, sorted, one thing in each line, so that a review
/// sees what changes. A test that calls this fails when anything does, and says of each change whether states that are stored
/// and calls of older code are still understood, and if not, what to do. With `DURABLE_LOCK=write` in the environment it
/// writes the file anew.
///
/// Whether states can be read is tried out, with made-up states of the old schema and the code as it is; a type that takes
/// only some values may refuse one. Methods are compared by how their types are written; what is behind an alias is not seen.
///
/// ```
/// use durable::RuntimeBuilder;
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Cart { lines: Vec<String> }
///
/// #[durable_object(name = "doc.Cart")]
/// impl Cart {
///     pub fn add(&mut self, line: String) { self.lines.push(line); }
/// }
///
/// fn shop(builder: RuntimeBuilder) -> RuntimeBuilder { builder.register::<Cart>() }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("durable.lock");
/// durable_testing::assert_locked(&path, shop);
/// let text = std::fs::read_to_string(&path).unwrap();
/// assert!(text.contains("  method add(String) -> ()"));
/// durable_testing::assert_locked(&path, shop);
/// ```
///
/// # Panics
/// If something is not as it was, or the file cannot be read or written.
pub fn assert_locked(path: impl AsRef<Path>, program: fn(RuntimeBuilder) -> RuntimeBuilder) {
    let path = path.as_ref();
    let builder = program(Runtime::builder("never started"));
    let text = builder.lock().to_string();
    let Some(before) = read(path) else { return write(path, &text) };
    if before == text {
        return;
    }
    if env::var_os(ACCEPT).is_some_and(|wish| wish == "write") {
        return write(path, &text);
    }
    let old = Lock::parse(&before)
        .unwrap_or_else(|why| panic!("{} is no lock, {why}; restore it", path.display()));
    let (new, changes) = (builder.lock(), builder.changes_since(&old));
    let mut said = format!("the program is not what {} says\n", path.display());
    let classes: BTreeSet<_> = changes.iter().map(|change| change.class.as_str()).collect();
    for class in classes {
        let own = changes.iter().filter(|change| change.class == class);
        own.for_each(|change| said.push_str(&format!("- {change}\n")));
        said.push_str(&difference(old.class(class), new.class(class)));
    }
    panic!("{said}run the test with {ACCEPT}=write to accept it, and commit the file");
}

/// Checks that states of class `O` that earlier runs have kept in the folder `path` are still read, and keeps `sample`, once
/// for each schema that the class ever had.
///
/// The folder is to be committed. A test that calls this fails when a state of an earlier release can no longer be read, or
/// when `sample` is stored in other bytes than it was with the same schema.
///
/// ```
/// use durable::prelude::*;
///
/// #[derive(Default, DurableState)]
/// struct Cart { lines: Vec<String> }
///
/// #[durable_object(name = "doc.Cart")]
/// impl Cart {
///     pub fn add(&mut self, line: String) { self.lines.push(line); }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let folder = dir.path().join("golden");
/// let sample = Cart { lines: vec!["pen".to_owned()] };
/// durable_testing::assert_state_golden(&folder, &sample);
/// durable_testing::assert_state_golden(&folder, &sample);
/// ```
///
/// # Panics
/// As said, or if the folder cannot be read or written.
pub fn assert_state_golden<O: Object>(path: impl AsRef<Path>, sample: &O) {
    let folder = path.as_ref();
    let present = Locked::of::<O>();
    let name = format!("v{:03}-{:016x}.state", O::CLASS.version, present.fingerprint().0);
    let bytes = hex(&durable::alone::encode(sample)
        .unwrap_or_else(|why| panic!("the sample of {} does not encode: {why}", O::CLASS.name)));
    let text = format!(
        "# A state that was stored once. Written by a test; commit it.\n\n{present}bytes {bytes}\n"
    );
    match read(&folder.join(&name)) {
        None => write(&folder.join(&name), &text),
        Some(before) => {
            let was = split(&before).1;
            assert!(
                was == bytes,
                "the sample of {} is stored in other bytes than {} has, with the same schema:\n\
                 - {was}\n+ {bytes}\nbring its `Serialize` back, or set another version",
                O::CLASS.name,
                folder.join(&name).display()
            );
        }
    }
    let entries = fs::read_dir(folder).unwrap_or_else(|error| fail(folder, &error));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "state")) {
        let text = read(path).unwrap_or_default();
        let (class, bytes) = split(&text);
        let old = Lock::parse(class).ok().and_then(|lock| lock.class(O::CLASS.name).cloned());
        let (Some(old), Some(bytes)) = (old, unhex(bytes)) else {
            panic!("{} is no state of {}; restore it", path.display(), O::CLASS.name)
        };
        if let Err(error) = old.read::<O>(&bytes) {
            let schemas = difference(Some(&old), Some(&present));
            panic!("{} is not read any more: {error}\n{schemas}", path.display());
        }
    }
}

/// The class, and the bytes as they are written.
fn split(text: &str) -> (&str, &str) {
    let (class, bytes) = text.split_once("\nbytes ").unwrap_or((text, ""));
    (class, bytes.trim_end())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| digit.try_into().ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// The lines of a class that are not what they were, in their order.
fn difference(before: Option<&Locked>, after: Option<&Locked>) -> String {
    let text = |class: Option<&Locked>| class.map(ToString::to_string).unwrap_or_default();
    lines_that_differ(&text(before), &text(after))
}

fn lines_that_differ(before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    // How many lines two rests have in common at most.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut said) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            let _ = writeln!(said, "    - {}", old[i]);
            i += 1;
        } else {
            let _ = writeln!(said, "    + {}", new[j]);
            j += 1;
        }
    }
    said
}

/// `None`: there is no such file.
fn read(path: &Path) -> Option<String> {
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => fail(path, &error),
    }
}

#[expect(clippy::disallowed_methods, reason = "it is a file of the package, not one of a world")]
fn write(path: &Path, text: &str) {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(path, text)).unwrap_or_else(|error| fail(path, &error));
}

fn fail(path: &Path, error: &std::io::Error) -> ! {
    panic!("{} cannot be used: {error}; mend its permissions", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_in_both_texts_are_not_shown() {
        let before = "class b\n  1\n  2\n  3\n";
        let after = "class b\n  1\n  two\n  3\n  4\n";
        assert_eq!(lines_that_differ(before, after), "    -   2\n    +   two\n    +   4\n");
        assert_eq!(lines_that_differ(before, before), "");
    }
}
