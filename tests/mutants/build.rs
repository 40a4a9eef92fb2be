//! Builds the copy's workload.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::Workload;

/// The test binary that the workload is in.
const BINARY: &str = "sim";

/// Builds the copy in the target directory that this test was built in, whose third-party crates it uses.
///
/// # Errors
/// What the compiler says.
pub fn build(copy: &Path) -> Result<Workload, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        // The features of third-party crates depend on what is built with them, and all is what the gate builds.
        .args(["test", "--workspace", "--test", BINARY, "--no-run", "--offline", "--locked"])
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .args(profile())
        .env("CARGO_TARGET_DIR", target)
        .current_dir(copy)
        .stdin(Stdio::null());
    let built = cargo.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Err(format!("the copy with all mutants in it does not build:\n{said}"));
    }
    let binary = executable(&String::from_utf8_lossy(&built.stdout))
        .ok_or("cargo does not say where the copy's workload is".to_owned())?;
    Ok(Workload { binary, folder: copy.to_owned() })
}

/// As this test was built.
fn profile() -> Vec<String> {
    let exe = env::current_exe().expect("a process knows its program");
    let folder = exe.parent().and_then(Path::parent).and_then(Path::file_name);
    match folder.and_then(|name| name.to_str()) {
        None | Some("debug") => Vec::new(),
        Some(profile) => vec!["--profile".to_owned(), profile.to_owned()],
    }
}

/// What cargo says of the binary, a JSON object in a line.
fn executable(said: &str) -> Option<PathBuf> {
    let name = format!("\"name\":\"{BINARY}\"");
    let line = said.lines().rfind(|line| {
        line.contains(&name) && line.contains("\"executable\":\"") && line.contains("artifact")
    })?;
    let (_, path) = line.split_once("\"executable\":\"")?;
    path.split('"').next().map(PathBuf::from)
}
