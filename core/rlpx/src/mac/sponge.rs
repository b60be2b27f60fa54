//! Keccak-256 that goes on after a digest: a state of ours and a position in it.

use peerage_keccak_lanes::{RATE, State};

/// Where the padding of Keccak begins, as it was before SHA-3 changed it.
const PADDING: u8 = 0x01;

/// A Keccak-256 that has absorbed some bytes.
///
/// What does not fill a block is in the state already, so that a digest costs a copy and one
/// permutation, and several sponges may be permuted together.
#[derive(Clone)]
pub(crate) struct Sponge {
    state: State,
    /// Where the next byte goes: below [`RATE`].
    position: usize,
}

impl Sponge {
    /// A sponge that has absorbed nothing.
    pub(crate) const fn new() -> Self {
        Self { state: State::new(), position: 0 }
    }

    /// Absorbs `bytes`. How they are cut makes no difference.
    pub(crate) fn absorb(&mut self, mut bytes: &[u8]) {
        if self.position > 0 {
            let Some((first, rest)) = bytes.split_at_checked(RATE - self.position) else {
                self.state.xor(self.position, bytes);
                self.position += bytes.len();
                return;
            };
            self.state.xor(self.position, first);
            self.state.permute();
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.state.absorb(blocks);
        self.state.xor(0, rest);
        self.position = rest.len();
    }

    /// The first half of the digest of all that was absorbed. More can be absorbed after it.
    pub(crate) fn digest(&self) -> [u8; 16] {
        let last = self.finish();
        let [first, second, ..] = last.lanes().map(u64::to_le_bytes);
        std::array::from_fn(|i| if i < 8 { first[i] } else { second[i - 8] })
    }

    /// The state that a digest is read from.
    fn finish(&self) -> State {
        let mut state = self.state.clone();
        state.xor(self.position, &[PADDING]);
        state.xor(RATE - 1, &[0x80]);
        state.permute();
        state
    }
}

#[cfg(test)]
impl Sponge {
    /// A sponge that has absorbed `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut sponge = Self::new();
        sponge.absorb(bytes);
        sponge
    }

    /// The whole digest.
    pub(crate) fn whole_digest(&self) -> [u8; 32] {
        let bytes: Vec<u8> =
            self.finish().lanes()[..4].iter().flat_map(|it| it.to_le_bytes()).collect();
        bytes.try_into().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use keccak_asm::{Digest, Keccak256};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_around_a_block_is_hashed_as_by_the_library() {
        let bytes: Vec<u8> = (0..3 * RATE).map(|n| (n * 7) as u8).collect();
        for length in 0..bytes.len() {
            let expected: [u8; 32] = Keccak256::digest(&bytes[..length]).into();
            let sponge = Sponge::of(&bytes[..length]);
            assert_eq!(sponge.whole_digest(), expected, "{length} bytes");
            assert_eq!(sponge.digest(), expected[..16], "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn digests_on_the_way_and_cuts_change_nothing(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..8),
        ) {
            let (mut sponge, mut library) = (Sponge::new(), Keccak256::new());
            for piece in pieces {
                sponge.absorb(&piece);
                library.update(&piece);
                let expected: [u8; 32] = library.clone().finalize().into();
                prop_assert_eq!(sponge.whole_digest(), expected);
            }
        }
    }
}
