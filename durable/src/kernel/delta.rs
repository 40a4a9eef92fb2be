//! What of a page has changed: the ranges of bytes that a log needs to make the new page of the old one.

use std::ops::Range;

/// Bytes that a log spends on the position of one range.
pub(crate) const RANGE_HEAD_BYTES: usize = 4;

/// Equal bytes between two changes that cost no more than the position of another range.
const GAP_BYTES: usize = RANGE_HEAD_BYTES + 4;

/// Share of a page from which it is stored whole, in percent: a page that is mostly new says more than its parts.
const WHOLE_PERCENT: usize = 75;

/// The ranges in which `new` differs from `old`, rising and apart. Empty: nowhere. `None`: so much has changed that the
/// page is better stored whole.
pub(crate) fn ranges(old: &[u8], new: &[u8]) -> Option<Vec<Range<usize>>> {
    assert_eq!(old.len(), new.len(), "pages have one size");
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(step) = old[at..].iter().zip(&new[at..]).position(|(old, new)| old != new) {
        let start = at + step;
        let same = old[start..].iter().zip(&new[start..]).position(|(old, new)| old == new);
        let end = same.map_or(new.len(), |same| start + same);
        match ranges.last_mut() {
            Some(last) if start - last.end <= GAP_BYTES => last.end = end,
            _ => ranges.push(start..end),
        }
        at = end;
    }
    let is_mostly_new = bytes(&ranges) * 100 > new.len() * WHOLE_PERCENT;
    (!is_mostly_new).then_some(ranges)
}

/// Bytes that a log spends on these ranges.
pub(crate) fn bytes(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(|range| RANGE_HEAD_BYTES + range.len()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_where_pages_differ() {
        let old = [0_u8; 64];
        let changed = |places: &[usize]| {
            let mut new = old;
            places.iter().for_each(|place| new[*place] = 1);
            ranges(&old, &new)
        };
        assert_eq!(changed(&[]), Some(vec![]));
        assert_eq!(changed(&[0, 63]), Some(vec![0..1, 63..64]));
        assert_eq!(
            changed(&[10, 18, 40]),
            Some(vec![10..19, 40..41]),
            "a gap is not worth a range"
        );
        assert_eq!(changed(&[10, 20]), Some(vec![10..11, 20..21]));
        assert_eq!(ranges(&old, &[1; 64]), None, "all of it");
    }

    proptest! {
        #[test]
        fn ranges_make_the_new_page_of_the_old(
            old in prop::collection::vec(0_u8..3, 128),
            edits in prop::collection::vec((0_usize..128, 0_u8..3), 0..40),
        ) {
            let mut new = old.clone();
            edits.iter().for_each(|(at, byte)| new[*at] = *byte);
            if let Some(ranges) = ranges(&old, &new) {
                let mut made = old;
                for range in &ranges {
                    made[range.clone()].copy_from_slice(&new[range.clone()]);
                }
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!(made, new);
            }
        }
    }
}
