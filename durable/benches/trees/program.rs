//! Other systems, each in a process of its own: `PROGRAM SYSTEM CASE COUNT` prints times in nanoseconds, one on a line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Trees;

/// A system in another program.
pub(crate) struct Program {
    program: PathBuf,
    args: Vec<String>,
}

impl Program {
    /// Erlang's own supervisor. `dir`: where `supervise.erl` is compiled to. `None`: there is no Erlang.
    pub(crate) fn erlang(dir: &Path) -> Option<Self> {
        let source = here().join("trees/supervise.erl");
        let compiled = Command::new("erlc").arg("-o").arg(dir).arg(source).status().ok()?;
        assert!(compiled.success(), "supervise.erl does not compile");
        let dir = dir.to_str().expect("a path of letters");
        let args = ["-noshell", "-pa", dir, "-run", "supervise", "main"];
        Some(Program { program: "erl".into(), args: args.map(str::to_owned).into() })
    }

    /// A crate, called by its name, in the package beside this bench: one of them asks a dependency of ours for a feature
    /// with which this crate cannot be built.
    pub(crate) fn peer(name: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(here().join("peers/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status();
        assert!(built.expect("cargo is there").success(), "the other crates do not build");
        Program { program: target.join("release/peers"), args: vec![name.to_owned()] }
    }

    fn measure(&self, case: &str, count: u32) -> Vec<Duration> {
        let ran = Command::new(&self.program)
            .args(&self.args)
            .args([case, &count.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("the program was just built or found");
        let text = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{case} failed: {text}");
        let nanos = text.lines().map(|line| line.parse().expect("a number"));
        nanos.map(Duration::from_nanos).collect()
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches")
}

impl Trees for Program {
    fn latencies(&self, crashes: u32) -> Vec<Duration> {
        self.measure("latencies", crashes)
    }

    fn restarts(&self, crashes: u32) -> Duration {
        self.measure("restarts", crashes)[0]
    }

    fn one_for_all(&self, children: u32) -> Duration {
        self.measure("one_for_all", children)[0]
    }

    fn start(&self, children: u32) -> Duration {
        self.measure("start", children)[0]
    }
}
