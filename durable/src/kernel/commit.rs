//! What becomes of a turn that may have changed its object.

/// How the method ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It returned a value, or `Ok`.
    Kept,
    /// It returned `Err`.
    Rejected,
    /// It returned, and what it had asked of storage could not be read: whatever it returned may rest on that.
    Failed,
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

/// Whether the turn has changed what the object keeps beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    Same,
    Changed,
}

/// What the shell must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Submit the new state and the rows; the answer leaves with that commit.
    Commit,
    /// Nothing changed; the answer only waits for earlier commits.
    Answer,
    /// Drop the rows, build the object anew from the last submitted state, then answer as above. Also if only rows have
    /// changed: fields that are not stored may say what they were.
    RollBack,
    /// As [`Verdict::RollBack`], and the answer is the reason why the turn cannot be kept.
    Refuse,
    /// Answer with the panic and end the activation; the next one starts from the last commit.
    Crash,
}

/// Decides about one `&mut self` turn.
pub(crate) fn judge(ended: Ended, encoded: Encoded, rows: Rows) -> Verdict {
    match (ended, encoded, rows) {
        (Ended::Panicked, ..) => Verdict::Crash,
        (Ended::Kept, Encoded::Impossible, _) | (Ended::Failed, ..) => Verdict::Refuse,
        (Ended::Kept | Ended::Rejected, Encoded::Same, Rows::Same) => Verdict::Answer,
        (Ended::Kept, ..) => Verdict::Commit,
        (Ended::Rejected, ..) => Verdict::RollBack,
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
            (Kept, Same, Verdict::Answer, Verdict::Commit),
            (Kept, Different, Verdict::Commit, Verdict::Commit),
            (Kept, Impossible, Verdict::Refuse, Verdict::Refuse),
            (Rejected, Same, Verdict::Answer, Verdict::RollBack),
            (Rejected, Different, Verdict::RollBack, Verdict::RollBack),
            (Rejected, Impossible, Verdict::RollBack, Verdict::RollBack),
            (Failed, Same, Verdict::Refuse, Verdict::Refuse),
            (Failed, Different, Verdict::Refuse, Verdict::Refuse),
            (Failed, Impossible, Verdict::Refuse, Verdict::Refuse),
            (Panicked, Same, Verdict::Crash, Verdict::Crash),
            (Panicked, Different, Verdict::Crash, Verdict::Crash),
            (Panicked, Impossible, Verdict::Crash, Verdict::Crash),
        ];
        for (ended, encoded, without_rows, with_rows) in table {
            assert_eq!(judge(ended, encoded, Rows::Same), without_rows, "{ended:?} {encoded:?}");
            assert_eq!(judge(ended, encoded, Rows::Changed), with_rows, "{ended:?} {encoded:?}");
        }
    }
}
