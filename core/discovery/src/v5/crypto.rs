//! The cryptography of discovery v5: the keys of a session, what proves an identity, and the cipher
//! of messages.
//!
//! Not here: which session a packet is of, or when a handshake is due.
//!
//! Spec: [discv5-theory.md, "Handshake"][1].
//!
//! [1]: https://github.com/ethereum/devp2p/blob/master/discv5/discv5-theory.md#handshake

use std::fmt;

use aes::Aes128Enc;
use aes_gcm::{
    AeadInOut, AesGcm, KeyInit,
    aead::{array::Array, consts::U12},
};
use hkdf::Hkdf;
use peerage_node::NodeId;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::packet::{ChallengeData, Nonce};

/// What the key of a session is derived for.
const KEY_INFO: &[u8] = b"discovery v5 key agreement";

/// What the proof of an identity is over, beside what it is bound to.
const IDENTITY_INFO: &[u8] = b"discovery v5 identity proof";

/// Bytes of the tag behind a sealed message.
pub const TAG_SIZE: usize = 16;

/// The two keys of a session, of 16 bytes each. Zeroed after use.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// What the initiator of the handshake seals with.
    pub initiator: [u8; 16],
    /// What its recipient seals with.
    pub recipient: [u8; 16],
}

impl SessionKeys {
    /// The keys that follow from the agreed `secret`, a compressed point, for the initiator and the
    /// recipient of a handshake that answers `challenge`.
    pub fn derive(
        secret: &[u8; 33],
        initiator: &NodeId,
        recipient: &NodeId,
        challenge: &ChallengeData,
    ) -> Self {
        let mut keys = [0; 32];
        Hkdf::<Sha256>::new(Some(challenge), secret)
            .expand_multi_info(&[KEY_INFO, &initiator.0, &recipient.0], &mut keys)
            .expect("because 32 bytes are fewer than 255 hashes");
        let mut derived = Self { initiator: [0; 16], recipient: [0; 16] };
        derived.initiator.copy_from_slice(&keys[..16]);
        derived.recipient.copy_from_slice(&keys[16..]);
        keys.zeroize();
        derived
    }
}

impl Drop for SessionKeys {
    fn drop(&mut self) {
        self.initiator.zeroize();
        self.recipient.zeroize();
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

/// What the initiator of a handshake signs, to prove to `recipient` that it is who it says.
pub fn identity_digest(
    challenge: &ChallengeData,
    ephemeral: &[u8; 33],
    recipient: &NodeId,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(IDENTITY_INFO);
    hash.update(challenge);
    hash.update(ephemeral);
    hash.update(recipient.0);
    hash.finalize().into()
}

/// AES-128-GCM in one direction, with the schedule of its key: what sealing and opening would else
/// compute for each packet.
pub struct Cipher(AesGcm<Aes128Enc, U12>);

impl Cipher {
    /// The cipher of a key.
    pub fn new(key: &[u8; 16]) -> Self {
        Self(AesGcm::new(&Array(*key)))
    }

    /// Encrypts `message` in place. The tag, which covers `head` too.
    pub fn seal(&self, nonce: &Nonce, head: &[u8], message: &mut [u8]) -> [u8; TAG_SIZE] {
        let sealed = self.0.encrypt_inout_detached(&Array(*nonce), head, message.into());
        sealed.expect("because no packet is as long as GCM allows").0
    }

    /// What `sealed`, with its tag at the end, says behind `head`; `None` if it is not of this key.
    pub fn open(&self, nonce: &Nonce, head: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (text, tag) = sealed.split_last_chunk::<TAG_SIZE>()?;
        let mut text = text.to_vec();
        self.0
            .decrypt_inout_detached(&Array(*nonce), head, text.as_mut_slice().into(), &Array(*tag))
            .ok()?;
        Some(text)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

#[cfg(test)]
mod tests {
    use peerage_node::{EphemeralKey, PublicKey, SecretKey};

    use super::*;

    const CHALLENGE: &str = "000000000000000000000000000000006469736376350001010102030405060708090a\
                             0b0c00180102030405060708090a0b0c0d0e0f100000000000000000";
    const EPHEMERAL: &str = "fb757dc581730490a1d7a00deea65e9b1936924caaea8f44d476014856b68736";
    const A: &str = "aaaa8419e9f49d0083561b48287df592939a8d19947d8c0ef88f2a4856a69fbb";
    const B: &str = "bbbb9d047f0488c0b5a93c1c3f2d8bafc7c8ff337024a55434a0d0555de64db9";

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_key_derivation_vector_holds() {
        let ephemeral = EphemeralKey::from_bytes(&bytes(EPHEMERAL)).unwrap();
        let destination = "0317931e6e0840220642f230037d285d122bc59063221ef3226b1f403ddc69ca91";
        let destination = PublicKey::from_sec1(&bytes::<33>(destination)).unwrap();
        let keys = SessionKeys::derive(
            &ephemeral.agree_point(&destination),
            &A.parse().unwrap(),
            &B.parse().unwrap(),
            &bytes(CHALLENGE),
        );
        assert_eq!(hex::encode(keys.initiator), "dccc82d81bd610f4f76d3ebe97a40571");
        assert_eq!(hex::encode(keys.recipient), "ac74bb8773749920b0d3a8881c173ec5");
        assert_eq!(format!("{keys:?}"), "SessionKeys(..)");
    }

    #[test]
    fn the_identity_vector_holds() {
        let ephemeral = "039961e4c2356d61bedb83052c115d311acb3a96f5777296dcf297351130266231";
        let ephemeral: [u8; 33] = bytes(ephemeral);
        let key = SecretKey::from_bytes(&bytes(EPHEMERAL)).unwrap();
        let digest = identity_digest(&bytes(CHALLENGE), &ephemeral, &B.parse().unwrap());
        let signature = key.sign(&digest).to_rs();
        assert_eq!(
            hex::encode(signature),
            "94852a1e2318c4e5e9d422c98eaf19d1d90d876b29cd06ca7cb7546d0fff7b48\
             4fe86c09a064fe72bdbef73ba8e9c34df0cd2b53e9d65528c2c7f336d5dfc6e6"
        );
        assert!(key.public().verify(&digest, &signature));
    }

    #[test]
    fn the_cipher_vector_holds_and_nothing_else_opens() {
        let cipher = Cipher::new(&bytes("9f2d77db7004bf8a1a85107ac686990b"));
        let nonce: Nonce = bytes("27b5af763c446acd2749fe8e");
        let head: [u8; 32] =
            bytes("93a7400fa0d6a694ebc24d5cf570f65d04215b6ac00757875e3f3a5f42107903");
        let mut message: [u8; 4] = bytes("01c20101");
        let tag = cipher.seal(&nonce, &head, &mut message);
        let sealed = [&message[..], &tag].concat();
        assert_eq!(hex::encode(&sealed), "a5d12a2d94b8ccb3ba55558229867dc13bfa3648");
        assert_eq!(cipher.open(&nonce, &head, &sealed), Some(vec![1, 0xc2, 1, 1]));
        assert_eq!(cipher.open(&nonce, &head[1..], &sealed), None);
        assert_eq!(cipher.open(&[0; 12], &head, &sealed), None);
        assert_eq!(Cipher::new(&[0; 16]).open(&nonce, &head, &sealed), None);
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(cipher.open(&nonce, &head, &other), None, "{at}");
        }
        assert_eq!(cipher.open(&nonce, &head, &[0; 15]), None);
    }
}
