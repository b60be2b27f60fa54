#![doc = include_str!("../README.md")]

mod permutation;
#[cfg(test)]
mod tests;

/// How many bytes a sponge of Keccak-256 takes between two permutations.
pub const RATE: usize = 136;

/// A state of Keccak-f\[1600\]: 25 lanes of 64 bits.
///
/// Byte `i` of a state is byte `i % 8` of lane `i / 8`, the least significant first.
#[derive(Clone)]
pub struct State {
    lanes: [u64; 25],
}

impl State {
    /// The state that every sponge begins with.
    pub const fn new() -> Self {
        Self { lanes: [0; 25] }
    }

    /// Permutes the state.
    pub fn permute(&mut self) {
        permutation::absorb(&mut self.lanes, &[[0; RATE]]);
    }

    /// Absorbs whole blocks: each is combined with the first [`RATE`] bytes of the state, which is
    /// then permuted.
    pub fn absorb(&mut self, blocks: &[[u8; RATE]]) {
        if !blocks.is_empty() {
            permutation::absorb(&mut self.lanes, blocks);
        }
    }

    /// Combines `bytes` with those of the state from byte `at` on, by exclusive or.
    ///
    /// # Panics
    ///
    /// If they do not end within the first [`RATE`] bytes.
    pub fn xor(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= RATE, "{} bytes at {at} leave a block", bytes.len());
        let (words, rest) = bytes.as_chunks();
        let mut lane = at / 8;
        for word in words {
            self.xor_word(lane, at % 8, u64::from_le_bytes(*word));
            lane += 1;
        }
        if !rest.is_empty() {
            let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.xor_word(lane, at % 8, word);
        }
    }

    /// The lanes.
    pub const fn lanes(&self) -> &[u64; 25] {
        &self.lanes
    }

    /// Combines `word` with the eight bytes from byte `shift` of `lane` on.
    fn xor_word(&mut self, lane: usize, shift: usize, word: u64) {
        let bits = 8 * shift;
        self.lanes[lane] ^= word << bits;
        // What has left the lane at its upper end. In two steps, as a shift by 64 is none.
        self.lanes[lane + 1] ^= word >> 8 >> (56 - bits);
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for State {
    /// Shows nothing: a state may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State(..)")
    }
}

/// Permutes several states.
///
/// Faster than one after the other as soon as there is a kernel for it; the same today.
pub fn permute_all(states: &mut [&mut State]) {
    for state in states {
        state.permute();
    }
}
