//! Makes the copy of the workspace that mutants are planted in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Mutant, plant};

/// What a build of the copy needs: its folders, and its files beside them.
const FOLDERS: [&str; 5] = ["durable", "durable-macros", "durable-testing", "examples", "tests"];
const FILES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "README.md"];
const EXTENSIONS: [&str; 6] = ["rs", "toml", "md", "txt", "sql", "ts"];

/// Crates that mutants can be planted in.
const ROOTS: [&str; 2] = ["durable/src/lib.rs", "durable-testing/src/lib.rs"];

/// The switch, at the end of the copied crates.
const SWITCH: &str = r#"
/// Whether it is the turn of the mutant called `name`.
#[doc(hidden)]
pub fn mutant(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("DURABLE_MUTANT").ok()).as_deref() == Some(name)
}
"#;

/// The members' version in the copy. Build products are told apart by it; with the same version the copy's would take the
/// place of the workspace's own.
const VERSION: &str = "version = \"0.0.0-mutants\"";

/// Worlds that once failed. In the copy there are none: a mutant is to be found by seeds.
const KEPT_WORLDS: &str = "tests/sim/seeds.txt";

/// Files by their path from the workspace's root, with `/`.
type Files = BTreeMap<String, Vec<u8>>;

/// The workspace that this test is of.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of a workspace")
}

/// Copies the workspace as it is, with all mutants in it, and gives the folder. What has not changed since the last copy is
/// left alone, so that it need not be built again.
///
/// # Errors
/// The mutants that do not apply, or what the disk says.
pub fn make(mutants: &[&Mutant]) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let mut files = read(workspace()).map_err(|error| format!("the workspace: {error}"))?;
    let mut wrong = Vec::new();
    let planted: BTreeSet<_> =
        mutants.iter().flat_map(|mutant| mutant.edits).map(|edit| edit.file).collect();
    for file in planted {
        let text = files.get(file).map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
        match plant::plant(mutants, file, &text) {
            Ok(text) => drop(files.insert(file.to_owned(), text.into_bytes())),
            Err(why) => wrong.push(why),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    for root in ROOTS {
        files.get_mut(root).expect("a crate has a root").extend_from_slice(SWITCH.as_bytes());
    }
    files.insert(KEPT_WORLDS.to_owned(), Vec::new());
    rename(&mut files);
    write(&folder, &files).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// Gives the members another version.
fn rename(files: &mut Files) {
    let mut change = |file: &str, part: &str, is_ours: fn(&str) -> bool| {
        let bytes = files.get_mut(file).expect("a workspace has this file");
        let text = String::from_utf8_lossy(bytes);
        let parts = text.split(part).enumerate().map(|(index, text)| {
            let is_version = |line: &&str| line.starts_with("version = \"");
            match text.lines().find(is_version).filter(|_| index > 0 && is_ours(text)) {
                Some(version) => text.replacen(version, VERSION, 1),
                None => text.to_owned(),
            }
        });
        *bytes = parts.collect::<Vec<_>>().join(part).into_bytes();
    };
    change("Cargo.toml", "[workspace.package]", |_| true);
    // What comes from elsewhere says from where.
    change("Cargo.lock", "[[package]]", |package| !package.contains("\nsource = "));
}

fn read(root: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for file in FILES {
        files.insert(file.to_owned(), fs::read(root.join(file))?);
    }
    for folder in FOLDERS {
        let is_wanted = |path: &Path| {
            path.extension().is_some_and(|end| EXTENSIONS.iter().any(|wanted| end == *wanted))
        };
        for path in walk(&root.join(folder))?.into_iter().filter(|path| is_wanted(path)) {
            files.insert(name(root, &path), fs::read(&path)?);
        }
    }
    Ok(files)
}

fn write(folder: &Path, files: &Files) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for path in walk(folder)? {
        if !files.contains_key(&name(folder, &path)) {
            fs::remove_file(path)?;
        }
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        if fs::read(&path).ok().as_ref() != Some(bytes) {
            fs::create_dir_all(path.parent().expect("it lies in the folder"))?;
            fs::write(path, bytes)?;
        }
    }
    Ok(())
}

/// The path of a file from `root`, with `/`.
fn name(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).expect("it was found inside");
    path.to_string_lossy().replace('\\', "/")
}

/// All files in a folder, but for build products.
fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if !path.is_dir() {
                files.push(path);
            } else if path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            }
        }
    }
    Ok(files)
}
