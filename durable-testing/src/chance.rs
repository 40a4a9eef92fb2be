//! Chance: streams of numbers from a seed, one for each thing that draws.

/// A seeded generator (SplitMix64). One for each thing that draws, so that a fault that is taken out of a plan does not
/// change what the others draw.
#[derive(Clone, Debug)]
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

    /// A number below `sides`; 0 if there are none.
    pub(crate) fn below(&mut self, sides: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(sides);
        u64::try_from(wide >> 64).expect("below a number of 64 bits")
    }

    /// Overwrites all of `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Spreads every bit of a number over all of them.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number from text, the same in every build.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(mix(bytes.len() as u64), |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash.rotate_left(23) ^ u64::from_le_bytes(word))
    })
}
