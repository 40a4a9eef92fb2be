//! Starting the test binary once more.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::MARK;

/// Runs the test `name` of this test binary in a process of its own, and gives its exit status.
///
/// `name` is the whole name that libtest knows the test by. The process has `env` in addition to
/// this one's environment, and [`is_reexecuted`](super::is_reexecuted) is true in it. `on_line` is
/// given each line of its standard output and error, in the order in which they were written,
/// without the line's end; libtest's own lines are among them.
///
/// Addresses are not randomised in it, where the system permits that. It is killed when this thread
/// ends or panics.
///
/// # Errors
/// If the process cannot be started or waited for.
pub(crate) fn reexec(
    name: &str,
    env: &[(&str, String)],
    on_line: &mut dyn FnMut(&str),
) -> io::Result<ExitStatus> {
    let (output, writer) = io::pipe()?;
    let mut command = Command::new(env::current_exe()?);
    command
        .args([name, "--exact", "--test-threads=1", "--nocapture", "--include-ignored"])
        .env(MARK, "1")
        .envs(env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    // SAFETY: between fork and exec there are only system calls, on no memory of this process.
    unsafe {
        command.pre_exec(|| {
            fix_addresses();
            die_with_parent();
            Ok(())
        });
    }
    let mut running = Running(command.spawn()?);
    drop(command); // with its ends of the pipe, which else would never end
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
    running.0.wait()
}

/// Asks that the program executed next finds everything at the same addresses each time. A
/// container may forbid that; then only what is derived from addresses differs.
fn fix_addresses() {
    // SAFETY: takes and gives numbers; the first call only asks.
    unsafe {
        let personality = libc::personality(0xffff_ffff);
        if personality >= 0 {
            libc::personality((personality | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong);
        }
    }
}

/// Has the kernel kill this process when the thread that forked it ends.
pub(super) fn die_with_parent() {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// A process that does not outlive this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing if the process has been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
