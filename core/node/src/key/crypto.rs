//! Which cryptography a key speaks: the real one, or a stand-in that costs next to nothing.
//!
//! A simulation of ten thousand nodes spends nearly all of its time on curve operations that prove
//! nothing there. With stand-ins everything keeps its type, its size and its checks, but nothing is
//! secret:
//!
//! - keys are points on the curve, as ever, so all parsing stays what it is;
//! - a signature is the public key of its maker, masked with the digest, and marked;
//! - an agreement is the two x coordinates, mixed;
//! - an ephemeral key is the node's own.

use super::{KeyError, PublicKey, RecoverableSignature};

/// The recovery id of a stand-in signature. Real ones are 0 to 3, so neither is taken for the
/// other.
const MARK: u8 = 0xff;

/// A scheme of signatures and agreements, chosen when a [`SecretKey`](crate::SecretKey) is made.
///
/// Who checks something on behalf of a node uses the scheme of that node's own key. There is no
/// other switch: no feature and no global state.
///
/// # Security
///
/// [`StandIn`](Self::StandIn) has NO SECURITY: anybody can sign for anybody and read everything. A
/// node with a real key never accepts what was made with a stand-in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crypto {
    /// secp256k1: ECDSA and Diffie-Hellman.
    #[default]
    Real,
    /// For simulations only: no security whatsoever.
    StandIn,
}

/// What stands in for a signature by `public` over `digest`.
pub(super) fn sign(public: &PublicKey, digest: &[u8; 32]) -> RecoverableSignature {
    let mut bytes = [MARK; 65];
    bytes[..64].copy_from_slice(&mask(&public.to_bytes(), digest));
    RecoverableSignature(bytes)
}

/// Whom `signature` over `digest` names. With another digest there is almost never a point at the
/// end.
pub(super) fn recover(signature: &[u8; 65], digest: &[u8; 32]) -> Result<PublicKey, KeyError> {
    let (masked, mark) = signature.split_first_chunk().expect("because 65 bytes are more than 64");
    if mark != [MARK] {
        return Err(KeyError::Signature);
    }
    PublicKey::from_bytes(&mask(masked, digest)).map_err(|_| KeyError::Signature)
}

/// Whether `rs` names `public`.
pub(super) fn verify(public: &PublicKey, digest: &[u8; 32], rs: &[u8; 64]) -> bool {
    mask(rs, digest) == public.to_bytes()
}

/// What stands in for an agreement: the same at both ends.
pub(super) fn agree(ours: &PublicKey, theirs: &PublicKey) -> [u8; 32] {
    let (ours, theirs) = (ours.to_bytes(), theirs.to_bytes());
    std::array::from_fn(|i| ours[i] ^ theirs[i])
}

/// What stands in for the point of an agreement: the same at both ends.
pub(super) fn agree_point(ours: &PublicKey, theirs: &PublicKey) -> [u8; 33] {
    let (ours, theirs) = (ours.to_compressed(), theirs.to_compressed());
    std::array::from_fn(|i| ours[i] ^ theirs[i])
}

fn mask(bytes: &[u8; 64], digest: &[u8; 32]) -> [u8; 64] {
    std::array::from_fn(|i| bytes[i] ^ digest[i % 32])
}

#[cfg(test)]
mod tests {
    use peerage_machine::Random;

    use super::*;
    use crate::SecretKey;

    fn stand_in(byte: u8) -> SecretKey {
        SecretKey::stand_in_from_bytes(&[byte; 32]).unwrap()
    }

    fn real(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn rs(signature: RecoverableSignature) -> [u8; 64] {
        signature.to_rs()
    }

    #[test]
    fn a_stand_in_has_the_public_key_of_the_same_bytes_and_its_clones_stay_stand_ins() {
        assert_eq!(stand_in(1).public(), real(1).public());
        assert_eq!(stand_in(1).clone().crypto(), Crypto::StandIn);
        assert_eq!(real(1).crypto(), Crypto::Real);
        assert_eq!(SecretKey::stand_in(&mut Random::from_seed([1; 32])).crypto(), Crypto::StandIn);
    }

    #[test]
    fn what_a_stand_in_signs_is_its_own_and_nobody_elses() {
        let signature = stand_in(1).sign(&[9; 32]);
        let recover = |digest| signature.recover_with(Crypto::StandIn, &digest);
        assert_eq!(recover([9; 32]), Ok(*stand_in(1).public()));
        assert_eq!(recover([8; 32]), Err(KeyError::Signature));
        let verify = |byte, digest| {
            stand_in(byte).public().verify_with(Crypto::StandIn, &digest, &rs(signature))
        };
        assert!(verify(1, [9; 32]));
        assert!(!verify(1, [8; 32]) && !verify(2, [9; 32]));
    }

    #[test]
    fn both_ends_agree_statically_and_with_ephemeral_keys() {
        let (a, b, c) = (stand_in(1), stand_in(2), stand_in(3));
        assert_eq!(a.agree(b.public()), b.agree(a.public()));
        assert_eq!(a.agree_point(b.public()), b.agree_point(a.public()));
        assert_ne!(a.agree(b.public()), a.agree(c.public()));
        let mut random = Random::from_seed([1; 32]);
        let (ea, eb) = (a.ephemeral(&mut random), b.ephemeral(&mut random));
        assert_eq!(ea.agree(&eb.public()), eb.agree(&ea.public()));
        assert_eq!(ea.sign(&[7; 32]).recover_with(Crypto::StandIn, &[7; 32]), Ok(ea.public()));
    }

    #[test]
    fn the_real_scheme_refuses_stand_ins_and_the_other_way_round() {
        for digest in (0..=u8::MAX).map(|byte| [byte; 32]) {
            let (ours, real) = (stand_in(1).sign(&digest), real(1).sign(&digest));
            assert_eq!(ours.recover(&digest), Err(KeyError::Signature));
            assert_eq!(ours.recover_with(Crypto::Real, &digest), Err(KeyError::Signature));
            assert_eq!(real.recover_with(Crypto::StandIn, &digest), Err(KeyError::Signature));
            let public = *stand_in(1).public();
            assert!(!public.verify(&digest, &rs(ours)));
            assert!(!public.verify_with(Crypto::StandIn, &digest, &rs(real)));
        }
        assert_ne!(stand_in(1).agree(real(2).public()), real(2).agree(stand_in(1).public()));
    }

    #[test]
    fn debug_shows_no_secret_of_a_stand_in_either() {
        let mut random = Random::from_seed([1; 32]);
        assert_eq!(format!("{:?}", stand_in(1)), "SecretKey(..)");
        assert_eq!(format!("{:?}", stand_in(1).ephemeral(&mut random)), "EphemeralKey(..)");
    }
}
