//! How much of an object's past is taken away: the oldest of what is too old or too much, and never anything between.

use crate::time::WallMs;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) keep_ms: u64,
    pub(crate) bytes: u64,
}

/// A stored row of an object's history, as far as keeping it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) at: WallMs,
    pub(crate) bytes: u64,
    /// Bytes of this row and of those that were stored before it.
    pub(crate) total: u64,
}

/// How many of an object's oldest rows go. `oldest`: from the oldest on, as many as may go at once; `total`: of the newest
/// of all its rows.
///
/// A row is of use only together with all later ones, so what goes is always a beginning: a row that is due behind one that
/// is not, which a clock that was set back makes, waits for it.
pub(crate) fn expired(bounds: Bounds, oldest: &[Kept], total: u64, now: WallMs) -> usize {
    let is_due = |row: &&Kept| {
        let from_it_on = total.saturating_sub(row.total).saturating_add(row.bytes);
        due(bounds, row.at) < now || from_it_on > bounds.bytes
    };
    oldest.iter().take_while(is_due).count()
}

/// Until when a row is kept, if there is room.
pub(crate) fn due(bounds: Bounds, at: WallMs) -> WallMs {
    WallMs(at.0.saturating_add(bounds.keep_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows of these ages in milliseconds and bytes, oldest first, at a time of 1,000.
    fn rows(rows: &[(u64, u64)]) -> (Vec<Kept>, u64) {
        let mut total = 0;
        let kept = rows.iter().map(|(age, bytes)| {
            total += bytes;
            Kept { at: WallMs(1_000 - age), bytes: *bytes, total }
        });
        (kept.collect(), total)
    }

    #[test]
    fn the_oldest_of_what_is_too_old_or_too_much_goes() {
        let bounds = Bounds { keep_ms: 100, bytes: 10 };
        for (ages_and_bytes, gone) in [
            (&[(100, 5), (50, 5)][..], 0),
            (&[(101, 5), (50, 5)], 1),
            (&[(101, 5), (101, 5)], 2),
            (&[(50, 5), (101, 5)], 0),
            (&[(50, 1), (40, 5), (30, 5)], 1),
            (&[(50, 10), (40, 1), (30, 10)], 2),
            (&[(50, 1), (30, 11)], 2),
            (&[], 0),
        ] {
            let (rows, total) = rows(ages_and_bytes);
            assert_eq!(expired(bounds, &rows, total, WallMs(1_000)), gone, "{ages_and_bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_end_and_fits(
            ages_and_bytes in prop::collection::vec((0_u64..200, 0_u64..20), 0..20),
            keep_ms in 0_u64..200, bytes in 0_u64..100,
        ) {
            let (rows, total) = rows(&ages_and_bytes);
            let gone = expired(Bounds { keep_ms, bytes }, &rows, total, WallMs(1_000));
            let left = &rows[gone..];
            let kept: u64 = left.iter().map(|row| row.bytes).sum();
            prop_assert!(kept <= bytes);
            prop_assert!(left.first().is_none_or(|row| 1_000 - row.at.0 <= keep_ms));
            // No row too many: with the last one that went, it was too much or too old.
            if let Some(last) = gone.checked_sub(1).map(|last| rows[last]) {
                prop_assert!(kept + last.bytes > bytes || 1_000 - last.at.0 > keep_ms);
            }
        }
    }
}
