//! Chance, as far as the disk needs it: what survives a power cut.

use std::fmt;

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
