//! The running MAC of one direction of a connection
//! ([rlpx.md, MAC](https://github.com/ethereum/devp2p/blob/master/rlpx.md#mac)).
//!
//! It is a Keccak-256 state that absorbs all ciphertext of its direction; tags are digests of the
//! state on the way. Not here: which bytes it is fed with (`frame`).

mod sponge;

use aes::{
    Aes256Enc,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use subtle::ConstantTimeEq;

pub(crate) use sponge::Sponge;

/// The MAC of a header or of a frame: the first half of a digest.
#[derive(Clone, Copy)]
pub(crate) struct Tag([u8; Tag::SIZE]);

impl Tag {
    /// Bytes of a tag on the wire.
    pub(crate) const SIZE: usize = 16;

    /// The bytes to be sent.
    pub(crate) const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// Whether a peer sent this tag.
    ///
    /// # Security
    ///
    /// Takes the same time wherever the first difference is, so that a forger cannot find a tag
    /// byte by byte.
    pub(crate) fn matches(&self, received: &[u8]) -> bool {
        self.0.ct_eq(received).into()
    }
}

/// The running MAC of one direction.
pub(crate) struct Mac {
    sponge: Sponge,
    cipher: Aes256Enc,
    /// The digest of `sponge`. The tag of one frame is the seed of the next frame's header, for
    /// nothing is absorbed in between: keeping it saves one of four Keccak permutations beside the
    /// body.
    digest: Tag,
}

impl Mac {
    /// The MAC keyed with `secret` that goes on from `sponge`.
    pub(crate) fn new(secret: &[u8; 32], sponge: Sponge) -> Self {
        let digest = Tag(sponge.digest());
        Self { sponge, cipher: Aes256Enc::new(secret.into()), digest }
    }

    /// Absorbs the 16 bytes of an encrypted frame header and returns their tag.
    pub(crate) fn header(&mut self, header: &[u8; 16]) -> Tag {
        self.mix(header);
        self.digest
    }

    /// Absorbs a part of an encrypted frame body. How the body is cut makes no difference.
    pub(crate) fn absorb(&mut self, body: &[u8]) {
        self.sponge.absorb(body);
    }

    /// Ends a frame body and returns the frame's tag.
    pub(crate) fn frame(&mut self) -> Tag {
        let seed = self.sponge.digest();
        self.digest = Tag(seed);
        self.mix(&seed);
        self.digest
    }

    /// Absorbs `with`, masked with the encrypted digest.
    fn mix(&mut self, with: &[u8; 16]) {
        let mut seed = self.digest.0.into();
        self.cipher.encrypt_block(&mut seed);
        let masked = u128::from_ne_bytes(seed.into()) ^ u128::from_ne_bytes(*with);
        self.sponge.absorb(&masked.to_ne_bytes());
        self.digest = Tag(self.sponge.digest());
    }
}
