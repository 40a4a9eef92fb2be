//! Shows on stderr how far the file is counted.

use std::io::{self, IsTerminal, Write};

/// How progress is shown.
#[derive(Debug)]
pub(crate) enum Meter {
    /// Not at all: stderr is a file or a pipe, where it would only be noise.
    Silent,
    /// On one line of a terminal, again and again.
    OneLine,
    /// A line each time, for logs and for whoever waits for a certain point.
    Lines,
}

impl Meter {
    /// One line if stderr is a terminal, else silent.
    pub(crate) fn automatic() -> Self {
        if io::stderr().is_terminal() { Meter::OneLine } else { Meter::Silent }
    }

    /// A line each time.
    pub(crate) fn lines() -> Self {
        Meter::Lines
    }

    /// `at` of `bytes` bytes are counted.
    pub(crate) fn show(&mut self, at: u64, bytes: u64) {
        let percent = (at * 100).checked_div(bytes).unwrap_or(100);
        // Progress that cannot be shown is no reason to stop counting.
        let _ = match self {
            Meter::Silent => Ok(()),
            Meter::OneLine => write!(io::stderr(), "\r{at} of {bytes} bytes counted, {percent} %"),
            Meter::Lines => writeln!(io::stderr(), "{at} of {bytes} bytes counted, {percent} %"),
        };
    }

    /// Removes what stands on the terminal, so that the result begins on an empty line.
    pub(crate) fn clear(&mut self) {
        if matches!(self, Meter::OneLine) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
