//! Keys that live for one handshake.

use std::fmt;

use peerage_machine::Random;
use secp256k1::SECP256K1;

use super::{KeyError, PublicKey, RecoverableSignature, agree, draw, sign};

/// A secret key made for one handshake. Unlike [`SecretKey`](super::SecretKey) it derives its public
/// key only when asked to, since that is a curve multiplication which not every handshake step needs.
/// Zeroed when dropped; never shown by `Debug`.
pub struct EphemeralKey(secp256k1::SecretKey);

impl EphemeralKey {
    /// A fresh key drawn from `random`.
    pub fn generate(random: &mut Random) -> Self {
        draw(random, Self::from_bytes)
    }

    /// The key with these 32 big-endian bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        secp256k1::SecretKey::from_byte_array(*bytes).map(Self).map_err(|_| KeyError::OutOfRange)
    }

    /// Derives the public key: a curve multiplication at each call.
    pub fn public(&self) -> PublicKey {
        PublicKey(secp256k1::PublicKey::from_secret_key(SECP256K1, &self.0))
    }

    /// The x coordinate of `self * other`: the Diffie-Hellman secret of RLPx, 32 bytes.
    pub fn agree(&self, other: &PublicKey) -> [u8; 32] {
        agree(&self.0, other)
    }

    /// Signs a 32-byte digest (RFC 6979, deterministic), so that the signer can be recovered.
    pub fn sign(&self, digest: &[u8; 32]) -> RecoverableSignature {
        sign(&self.0, digest)
    }
}

impl Drop for EphemeralKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EphemeralKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    #[test]
    fn an_ephemeral_key_is_the_secret_key_with_the_same_bytes() {
        let ephemeral = EphemeralKey::from_bytes(&[3; 32]).unwrap();
        let secret = SecretKey::from_bytes(&[3; 32]).unwrap();
        let other = SecretKey::from_bytes(&[5; 32]).unwrap();
        assert_eq!(ephemeral.public(), *secret.public());
        assert_eq!(ephemeral.agree(other.public()), secret.agree(other.public()));
        assert_eq!(ephemeral.sign(&[7; 32]), secret.sign(&[7; 32]));
        assert_eq!(format!("{ephemeral:?}"), "EphemeralKey(..)");
    }

    #[test]
    fn generated_keys_differ() {
        let mut random = Random::from_seed([1; 32]);
        let (a, b) = (EphemeralKey::generate(&mut random), EphemeralKey::generate(&mut random));
        assert_ne!(a.public(), b.public());
    }
}
