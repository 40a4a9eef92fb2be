//! Values that are stored once and named by small numbers, so that comparing and remembering them
//! is cheap, and a hasher whose order is the same in every run.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

/// A map whose hasher has no key of its own.
pub(super) type FoldMap<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// A set likewise.
pub(super) type FoldSet<K> = HashSet<K, BuildHasherDefault<Fold>>;

/// Folds words into one by rotating and multiplying. Keys are not chosen by an adversary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fold(u64);

/// Each value once, in the order in which they came.
#[derive(Debug)]
pub(super) struct Interned<T> {
    values: Vec<Rc<T>>,
    numbers: FoldMap<Rc<T>, u32>,
}

impl<T: Eq + Hash> Interned<T> {
    pub(super) fn new() -> Self {
        Interned { values: Vec::new(), numbers: FoldMap::default() }
    }

    /// The number of a value that is equal to this one.
    pub(super) fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("under four billion values");
        let value = Rc::new(value);
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }

    pub(super) fn value(&self, number: u32) -> &Rc<T> {
        &self.values[number as usize]
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The map looks at the lowest and the highest bits, and multiplying leaves the low ones weak.
        self.0 ^ (self.0 >> 32)
    }
}
