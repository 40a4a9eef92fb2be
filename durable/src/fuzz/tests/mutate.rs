//! Seeded mutations of bytes, the same in every run. Knows nothing of what they mean: a program outside takes it along.

#![allow(unreachable_pub, reason = "it is a file of two crates")]

/// Numbers from a seed that is not 0.
pub struct Chance(pub u64);

impl Chance {
    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

/// What lengths, counts and numbers are broken with.
const ODD: [&[u8]; 10] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff; 4],
    &[0, 0, 0, 1],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    &[0x80, 0x80, 0x80, 0x80, 0],
];

/// Bytes that are made of one or two of `corpus` by one to eight changes.
pub fn mutate(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(8) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + chance.below(17)).min(bytes.len());
        match chance.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            2 if at < bytes.len() => bytes[at] = chance.below(256) as u8,
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let part = bytes[at..end].to_vec();
                let to = chance.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            6 => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len() + 1);
                let part = other[from..(from + chance.below(64)).min(other.len())].to_vec();
                bytes.splice(at..end, part);
            }
            _ => {
                let odd = ODD[chance.below(ODD.len())];
                bytes.splice(at..(at + odd.len()).min(bytes.len()), odd.iter().copied());
            }
        }
    }
    bytes
}
