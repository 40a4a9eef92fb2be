//! Whether an object's turns are short enough for its callers to run them in their own task.
//!
//! Whoever runs a turn does nothing else meanwhile, and one who calls many objects runs their turns one after another. That
//! is cheaper than to wake each object's own task as long as the turns take less than that, and else the objects had better
//! run beside each other. So it is looked at how long they take, now and then, and the last look is believed.

use std::time::Duration;

use crate::limits::{DRIVE_LOOK_EVERY, DRIVE_TIME, DRIVE_TRIED_EVERY};

/// What the last look has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick {
    is_slow: bool,
    /// Calls until the next look.
    left: u16,
}

/// What a caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drive {
    /// It runs the turn.
    Run,
    /// It runs the turn, and looks how long that takes.
    Look,
    /// It leaves it to the object's own task.
    Leave,
}

impl Quick {
    pub(crate) fn next(&mut self) -> Drive {
        match (self.left.checked_sub(1), self.is_slow) {
            (None, _) => Drive::Look,
            (Some(left), is_slow) => {
                self.left = left;
                if is_slow { Drive::Leave } else { Drive::Run }
            }
        }
    }

    /// What was looked at took so long.
    pub(crate) fn took(&mut self, time: Duration) {
        self.is_slow = time > DRIVE_TIME;
        self.left = if self.is_slow { DRIVE_TRIED_EVERY } else { DRIVE_LOOK_EVERY } - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(quick: &mut Quick, count: u16) -> Vec<Drive> {
        (0..count).map(|_| quick.next()).collect()
    }

    #[test]
    fn short_turns_are_run_and_long_ones_left_until_one_is_short_again() {
        let mut quick = Quick::default();
        assert_eq!(quick.next(), Drive::Look, "nothing is known of it");
        quick.took(DRIVE_TIME);
        let calls = next_of(&mut quick, DRIVE_LOOK_EVERY);
        let (last, before) = calls.split_last().expect("there are some");
        assert_eq!(*last, Drive::Look);
        assert!(before.iter().all(|call| *call == Drive::Run), "{before:?}");
        quick.took(DRIVE_TIME + Duration::from_nanos(1));
        let calls = next_of(&mut quick, DRIVE_TRIED_EVERY);
        let (last, before) = calls.split_last().expect("there are some");
        assert_eq!(*last, Drive::Look);
        assert!(before.iter().all(|call| *call == Drive::Leave), "{before:?}");
        quick.took(Duration::ZERO);
        assert_eq!(quick.next(), Drive::Run, "it is quick again");
    }
}
