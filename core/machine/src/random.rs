//! Seeded randomness: every machine owns one generator, seeded by its driver.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// 32 bytes from which all of a machine's randomness follows.
pub type Seed = [u8; 32];

/// A machine's own generator (ChaCha with 12 rounds, fit for keys and nonces).
///
/// Not `Clone`: two machines with one stream would draw the same secrets.
pub struct Random(ChaCha12Rng);

impl Random {
    /// The generator that follows from `seed`.
    pub fn from_seed(seed: Seed) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A number below `bound`, without bias worth mentioning (at most `bound / 2^64`); 0 if `bound`
    /// is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A seed for another machine, so that a driver needs to be seeded only once.
    pub fn fork(&mut self) -> Seed {
        self.bytes()
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_forks_differ() {
        let mut a = Random::from_seed([7; 32]);
        let mut b = Random::from_seed([7; 32]);
        assert_eq!(a.bytes::<64>(), b.bytes::<64>());
        assert_ne!(a.fork(), a.fork());
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut random = Random::from_seed([1; 32]);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[usize::try_from(random.below(5)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
    }
}
