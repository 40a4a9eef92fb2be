//! The reminders, as a person uses them, and as a machine ends them.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of a whole program")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The program, while it runs.
struct Reminders {
    child: Child,
    wishes: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Reminders {
    fn start(data: &Path) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_reminders"));
        let mut child =
            program.arg(data).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (wishes, says) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Reminders { child, wishes, says: BufReader::new(says) }
    }

    fn ask(&mut self, line: &str) {
        writeln!(self.wishes, "{line}").unwrap();
    }

    /// The next line that it prints.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_reminder_comes_after_the_process_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut reminders = Reminders::start(dir.path());
    assert_eq!(reminders.hear(), "0 planned");
    reminders.ask("in 1.5 drink tea");
    assert_eq!(reminders.hear(), "will remind: drink tea");
    reminders.ask("cron 0 9 * * MON Europe/Berlin weekly meeting");
    assert_eq!(reminders.hear(), "will remind: weekly meeting");
    reminders.ask("cron 0 25 * * MON Europe/Berlin never");
    let wrong = reminders.hear();
    assert!(wrong.contains("field 2 (hour)") && wrong.contains("`25`"), "{wrong}");
    reminders.kill();
    let mut reminders = Reminders::start(dir.path());
    // A machine that is slow starts it when the tea is overdue.
    let mut heard = [reminders.hear(), reminders.hear()];
    heard.sort();
    assert!(["1 planned", "2 planned"].contains(&heard[0].as_str()), "{heard:?}");
    assert_eq!(heard[1], "reminder: drink tea");
    reminders.ask("list");
    assert_eq!(reminders.hear(), "1 planned");
    let line = reminders.hear();
    assert!(line.starts_with("weekly meeting: 0 9 * * MON in Europe/Berlin; next "), "{line}");
    reminders.ask("forget weekly meeting");
    assert_eq!(reminders.hear(), "forgotten");
    let Reminders { mut child, wishes, .. } = reminders;
    drop(wishes);
    assert!(child.wait().unwrap().success(), "it ends when nothing more is typed");
}
