//! Chance, as far as the disk needs it: what survives a power cut, and bytes from a seed.

use std::fmt;

/// A seeded generator (SplitMix64), one for each thing that draws, so that a fault that is taken
/// out of a plan does not change what the others draw.
pub(crate) struct Stream(u64);

impl Stream {
    /// `salt`: tells the streams of one seed apart.
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        Stream(seed ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Spreads every bit of a number over all of them.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The caller's random numbers.
pub(crate) struct Dice<'a>(pub(crate) &'a mut dyn FnMut() -> u64);

impl Dice<'_> {
    /// A number below `sides`; 0 if there are none.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        // The high bits are the best ones of many generators.
        let wide = u128::from((self.0)()) * (sides as u128);
        usize::try_from(wide >> 64).expect("below a usize")
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

impl fmt::Debug for Dice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dice").finish_non_exhaustive()
    }
}

/// What a power cut leaves of a change that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survival {
    None,
    Torn,
    Whole,
}

/// Which of the changes that were not synced reach the device. Chance for each of them alone would
/// almost never leave all but one, or a clean beginning, when there are many.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The device wrote nothing.
    Nothing,
    /// It wrote in no order at all.
    Any,
    /// It wrote in order and was interrupted in this one.
    UpTo(usize),
    /// It had written all but this one.
    AllBut(usize),
}

impl Order {
    pub(crate) fn draw(survival: Survival, changes: usize, dice: &mut Dice<'_>) -> Self {
        if survival == Survival::None {
            return Order::Nothing;
        }
        match dice.below(4) {
            0 => Order::UpTo(dice.below(changes + 1)),
            1 => Order::AllBut(dice.below(changes)),
            _ => Order::Any,
        }
    }

    /// What is left of the change at `index`.
    pub(crate) fn survival(self, index: usize, dice: &mut Dice<'_>) -> Survival {
        let chance = |dice: &mut Dice<'_>| match dice.below(3) {
            0 => Survival::None,
            1 => Survival::Torn,
            _ => Survival::Whole,
        };
        match self {
            Order::Nothing => Survival::None,
            Order::Any => chance(dice),
            Order::UpTo(last) if index == last => chance(dice),
            Order::UpTo(last) if index < last => Survival::Whole,
            Order::UpTo(_) => Survival::None,
            Order::AllBut(one) if index == one => chance(dice),
            Order::AllBut(_) => Survival::Whole,
        }
    }
}
