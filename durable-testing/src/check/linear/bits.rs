//! Sets of small numbers.

/// A set that is compared and remembered. There are usually fewer than 64 numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Set {
    Word(u64),
    Words(Box<[u64]>),
}

impl Set {
    /// The bits from `start` to `end`, moved down to 0.
    pub(super) fn window(bits: &[u64], start: usize, end: usize) -> Set {
        let len = end.saturating_sub(start).div_ceil(64);
        let (from, shift) = (start / 64, start % 64);
        let word = |index: usize| {
            let low = bits.get(from + index).map_or(0, |word| word >> shift);
            let next = if shift == 0 { None } else { bits.get(from + index + 1) };
            low | next.map_or(0, |word| word << (64 - shift))
        };
        match len {
            0 => Set::Word(0),
            1 => Set::Word(word(0)),
            _ => Set::Words((0..len).map(word).collect()),
        }
    }

    /// Whether `other`, of a window of the same length, has everything that this one has.
    pub(super) fn is_within(&self, other: &Set) -> bool {
        let (ours, theirs) = (self.words(), other.words());
        debug_assert_eq!(ours.len(), theirs.len(), "sets of different windows");
        ours.iter().zip(theirs).all(|(ours, theirs)| ours & !theirs == 0)
    }

    fn words(&self) -> &[u64] {
        match self {
            Set::Word(word) => std::slice::from_ref(word),
            Set::Words(words) => words,
        }
    }
}

pub(super) fn has(bits: &[u64], index: usize) -> bool {
    bits[index / 64] >> (index % 64) & 1 == 1
}

pub(super) fn flip(bits: &mut [u64], index: usize) {
    bits[index / 64] ^= 1 << (index % 64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_same_numbers_wherever_it_begins() {
        for (start, len) in [(0, 0), (0, 64), (3, 60), (60, 8), (64, 64), (63, 65), (70, 130)] {
            let members: Vec<_> = (0..len).filter(|n| n % 3 == 0 || n % 64 == 63).collect();
            let (mut bits, mut moved) = ([0; 4], [0; 4]);
            for number in &members {
                flip(&mut bits, start + number);
                flip(&mut moved, *number);
            }
            assert!(members.iter().all(|number| has(&bits, start + number)));
            let window = Set::window(&bits, start, start + len);
            assert_eq!(window, Set::window(&moved, 0, len), "{len} from {start}");
            assert!(window.is_within(&window));
            if let Some(last) = members.last() {
                flip(&mut bits, start + last);
                let less = Set::window(&bits, start, start + len);
                assert!(less.is_within(&window) && !window.is_within(&less));
            }
        }
    }
}
