//! Keys that live for one handshake.

use std::fmt;

use peerage_machine::Random;
use secp256k1::SECP256K1;

use super::{KeyError, PublicKey, RecoverableSignature, agree, agree_point, crypto, draw, sign};

/// A secret key made for one handshake. Unlike [`SecretKey`](super::SecretKey) it derives its
/// public key only when asked to, since that is a curve multiplication which not every handshake
/// step needs. Zeroed when dropped; never shown by `Debug`.
pub struct EphemeralKey(Scheme);

enum Scheme {
    Real(secp256k1::SecretKey),
    /// The node's own public key. That spares a multiplication, and nonces make the secrets of two
    /// connections differ all the same.
    StandIn(PublicKey),
}

impl EphemeralKey {
    /// A fresh key drawn from `random`.
    pub fn generate(random: &mut Random) -> Self {
        draw(random, Self::from_bytes)
    }

    /// The key with these 32 big-endian bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        secp256k1::SecretKey::from_byte_array(*bytes)
            .map(|secret| Self(Scheme::Real(secret)))
            .map_err(|_| KeyError::OutOfRange)
    }

    /// What stands in for an ephemeral key of the node `own`.
    pub(super) const fn stand_in(own: PublicKey) -> Self {
        Self(Scheme::StandIn(own))
    }

    /// Derives the public key: a curve multiplication at each call.
    pub fn public(&self) -> PublicKey {
        match &self.0 {
            Scheme::Real(secret) => {
                PublicKey(secp256k1::PublicKey::from_secret_key(SECP256K1, secret))
            }
            Scheme::StandIn(own) => *own,
        }
    }

    /// The x coordinate of `self * other`: the Diffie-Hellman secret of RLPx, 32 bytes.
    pub fn agree(&self, other: &PublicKey) -> [u8; 32] {
        match &self.0 {
            Scheme::Real(secret) => agree(secret, other),
            Scheme::StandIn(own) => crypto::agree(own, other),
        }
    }

    /// The point `self * other` in its compressed SEC1 form: the Diffie-Hellman secret of discovery
    /// v5, 33 bytes.
    pub fn agree_point(&self, other: &PublicKey) -> [u8; 33] {
        match &self.0 {
            Scheme::Real(secret) => agree_point(secret, other),
            Scheme::StandIn(own) => crypto::agree_point(own, other),
        }
    }

    /// Signs a 32-byte digest (RFC 6979, deterministic), so that the signer can be recovered.
    pub fn sign(&self, digest: &[u8; 32]) -> RecoverableSignature {
        match &self.0 {
            Scheme::Real(secret) => sign(secret, digest),
            Scheme::StandIn(own) => crypto::sign(own, digest),
        }
    }
}

impl Drop for EphemeralKey {
    fn drop(&mut self) {
        match &mut self.0 {
            Scheme::Real(secret) => secret.non_secure_erase(),
            Scheme::StandIn(_) => {}
        }
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
        assert_eq!(ephemeral.agree_point(other.public()), secret.agree_point(other.public()));
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
