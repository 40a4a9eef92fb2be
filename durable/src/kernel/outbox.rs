//! How a send waits for those before it, what follows on a delivery, and when it is given up.
//!
//! Sends of one source to one target are a *pair*. Only the first of a pair may be delivered; the next one may when the first
//! is over: it took effect, became a dead letter, or was taken back. A send with a delay is of no pair.

use crate::due::{Alarm, AlarmSpec};
use crate::id::ObjectId;
use crate::kernel::alarm::{AfterFailure, after_failure};
use crate::time::WallMs;

/// The time of a send that is due, whatever the clock shows: it may be set back meanwhile.
pub(crate) const AT_ONCE: WallMs = WallMs(0);

/// Stands for a pair. Two pairs may share a number: then they wait for each other, which costs time and breaks nothing.
pub(crate) fn pair(source: Option<&ObjectId>, target: &ObjectId) -> i64 {
    let word = |id: &ObjectId| {
        let bytes = id.as_bytes().first_chunk().expect("an id has more than eight bytes");
        u64::from_le_bytes(*bytes)
    };
    let source = source.map_or(0, word);
    // Ids are hashes, or random: no more than their order has to be told apart.
    (source.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(target)).cast_signed()
}

/// From when on a new send may be delivered. `None`: not before those of its pair that are there.
pub(crate) fn first_due(until: Option<WallMs>, is_behind: bool) -> Option<WallMs> {
    match until {
        Some(until) => Some(until.min(WallMs::MAX)),
        None if is_behind => None,
        None => Some(AT_ONCE),
    }
}

/// Sends of one pair that are delivered together, in their order. Each but the first may run when the turn of the one before it was
/// kept and its commit is on its way, in the same activation: then it is stored with that one, or neither is.
#[derive(Debug, Default)]
pub(crate) struct Train {
    /// The activation that has kept the last one. `None`: none has, or what became of it is not known.
    kept_by: Option<u64>,
}

impl Train {
    /// One could run now, in the activation of this epoch. `false`: it waits in its outbox, and so do those behind it.
    pub(crate) fn may_begin(&mut self, is_first: bool, epoch: u64) -> bool {
        let kept_by = self.kept_by.take();
        is_first || kept_by == Some(epoch)
    }

    /// The one that began was kept.
    pub(crate) fn kept(&mut self, epoch: u64) {
        self.kept_by = Some(epoch);
    }
}

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// It took effect now or earlier, or is a dead letter: the target's commit that says so is durable.
    Settled,
    /// The method failed, and may be tried again.
    Failed { due: WallMs, retries: u32 },
    /// Nobody could take it, or nothing of it could be stored.
    Unmet,
}

/// What becomes of the send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It leaves the outbox, and the next of its pair may be delivered.
    Over,
    /// It stays, and is delivered again from then on.
    Again { due: WallMs, retries: u32 },
    /// It stays as it is, and is delivered again before long.
    Hold,
}

/// Decides.
pub(crate) fn after_delivery(delivered: Delivered) -> Next {
    match delivered {
        Delivered::Settled => Next::Over,
        Delivered::Failed { due, retries } => Next::Again { due, retries },
        Delivered::Unmet => Next::Hold,
    }
}

/// What follows on a run of the method that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Another one.
    Again { due: WallMs, retries: u32 },
    /// A dead letter, after so many runs.
    Dead { attempts: u32 },
}

/// Decides, as about an alarm. `retries`: runs that failed before this one; `now`: when it failed; `chance`: any number,
/// each as likely as any other.
pub(crate) fn after_run(retries: u32, spec: &AlarmSpec, now: WallMs, chance: u64) -> Failed {
    match after_failure(Alarm { retries, ..Alarm::at(now) }, spec, now, chance) {
        AfterFailure::Again(Alarm { due, retries, .. }) => Failed::Again { due, retries },
        AfterFailure::Dead { attempts } => Failed::Dead { attempts },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> ObjectId {
        let mut bytes = [7; ObjectId::BYTES];
        bytes[0] = first;
        ObjectId::from_bytes(bytes)
    }

    #[test]
    fn a_pair_is_told_from_others_and_from_itself_turned_round() {
        let (one, other) = (id(1), id(2));
        let pairs = [
            pair(None, &one),
            pair(None, &other),
            pair(Some(&one), &one),
            pair(Some(&one), &other),
            pair(Some(&other), &one),
            pair(Some(&other), &other),
        ];
        for (at, number) in pairs.iter().enumerate() {
            assert!(!pairs[..at].contains(number), "{at} is a pair of its own");
        }
        assert_eq!(pair(Some(&one), &other), pairs[3], "and always the same");
    }

    #[test]
    fn a_send_waits_for_its_time_or_for_those_before_it() {
        let table = [
            (None, false, Some(AT_ONCE)),
            (None, true, None),
            (Some(WallMs(9)), false, Some(WallMs(9))),
            (Some(WallMs(9)), true, Some(WallMs(9))),
            (Some(WallMs(u64::MAX)), false, Some(WallMs::MAX)),
        ];
        for (until, is_behind, due) in table {
            assert_eq!(first_due(until, is_behind), due, "{until:?} {is_behind}");
        }
    }

    #[test]
    fn a_train_stops_where_one_is_not_kept_or_another_activation_goes_on() {
        let mut train = Train::default();
        assert!(!train.may_begin(false, 7), "not without the first");
        assert!(train.may_begin(true, 7));
        train.kept(7);
        assert!(train.may_begin(false, 7));
        train.kept(7);
        assert!(!train.may_begin(false, 8), "what was kept may fail with the activation before");
        assert!(!train.may_begin(false, 7), "nor any behind it");
        assert!(train.may_begin(true, 9));
        assert!(!train.may_begin(false, 9), "the one before was not kept");
    }

    #[test]
    fn only_what_is_settled_leaves_the_outbox() {
        let (due, retries) = (WallMs(5), 3);
        let table = [
            (Delivered::Settled, Next::Over),
            (Delivered::Failed { due, retries }, Next::Again { due, retries }),
            (Delivered::Unmet, Next::Hold),
        ];
        for (delivered, next) in table {
            assert_eq!(after_delivery(delivered), next, "{delivered:?}");
        }
    }

    #[test]
    fn a_run_that_fails_is_retried_as_an_alarm_until_it_is_a_dead_letter() {
        let spec = AlarmSpec::new().retries(2).delay_ms(1_000);
        let now = WallMs(10_000);
        let table = [
            (0, Failed::Again { due: WallMs(11_000), retries: 1 }),
            (1, Failed::Again { due: WallMs(12_000), retries: 2 }),
            (2, Failed::Dead { attempts: 3 }),
            (u32::MAX, Failed::Dead { attempts: u32::MAX }),
        ];
        for (retries, failed) in table {
            assert_eq!(after_run(retries, &spec, now, 0), failed, "{retries}");
        }
        let Failed::Again { due, .. } = after_run(0, &spec, now, u64::MAX) else { panic!() };
        assert_eq!(due, WallMs(11_250), "a quarter more at most");
    }
}
