//! What becomes of a turn that may have changed its object.

/// How the method ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It returned a value, or `Ok`.
    Kept,
    /// It returned `Err`.
    Rejected,
    /// It panicked; the object in memory cannot be trusted.
    Panicked,
}

/// How the object's encoded state compares to the last submitted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    Same,
    Different,
    /// It cannot be encoded, or is too large.
    Impossible,
}

/// What the shell must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Submit the new state; the answer leaves with that commit.
    Commit,
    /// Nothing changed; the answer only waits for earlier commits.
    Answer,
    /// Build the object anew from the last submitted state, then answer as above.
    RollBack,
    /// As [`Verdict::RollBack`], and the answer is the reason why the state could not be encoded.
    Refuse,
    /// Answer with the panic and end the activation; the next one starts from the last commit.
    Crash,
}

/// Decides about one `&mut self` turn.
pub(crate) fn judge(ended: Ended, encoded: Encoded) -> Verdict {
    match (ended, encoded) {
        (Ended::Panicked, _) => Verdict::Crash,
        (Ended::Kept, Encoded::Different) => Verdict::Commit,
        (Ended::Kept | Ended::Rejected, Encoded::Same) => Verdict::Answer,
        (Ended::Rejected, Encoded::Different | Encoded::Impossible) => Verdict::RollBack,
        (Ended::Kept, Encoded::Impossible) => Verdict::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_turn_has_its_verdict() {
        use Encoded::*;
        use Ended::*;
        let table = [
            (Kept, Same, Verdict::Answer),
            (Kept, Different, Verdict::Commit),
            (Kept, Impossible, Verdict::Refuse),
            (Rejected, Same, Verdict::Answer),
            (Rejected, Different, Verdict::RollBack),
            (Rejected, Impossible, Verdict::RollBack),
            (Panicked, Same, Verdict::Crash),
            (Panicked, Different, Verdict::Crash),
            (Panicked, Impossible, Verdict::Crash),
        ];
        for (ended, encoded, expected) in table {
            assert_eq!(judge(ended, encoded), expected, "{ended:?} {encoded:?}");
        }
    }
}
