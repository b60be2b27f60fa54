//! ECIES: encryption to a node's public key, as the two handshake packets use it
//! ([rlpx.md, ECIES
//! encryption](https://github.com/ethereum/devp2p/blob/master/rlpx.md#ecies-encryption)).
//!
//! Not here: what the packets say (`handshake`). Nothing else in RLPx uses ECIES.
//!
//! ```text
//!   R (65: 0x04, x, y) | iv (16) | ciphertext | tag (32)
//! ```

use aes::cipher::KeyIvInit;
use ctr::cipher::StreamCipher;
use hmac::{Hmac, KeyInit, Mac};
use peerage_machine::Random;
use peerage_node::{PublicKey, SecretKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::PeerMisbehaved;

const POINT: usize = 65;
const IV: usize = 16;
const TAG: usize = 32;

/// How much longer a ciphertext is than its plaintext.
pub(crate) const OVERHEAD: usize = POINT + IV + TAG;

/// The counter is the whole block: its random start may carry into the upper half.
type Cipher = ctr::Ctr128BE<aes::Aes128>;

/// Appends `plaintext` encrypted to `remote` to `packet`, whose contents so far are authenticated
/// with it but not encrypted. Of the sender's `key`, only the scheme counts.
pub(crate) fn encrypt(
    key: &SecretKey,
    remote: &PublicKey,
    plaintext: &[u8],
    packet: &mut Vec<u8>,
    random: &mut Random,
) {
    let ephemeral = key.ephemeral(random);
    let iv = random.bytes::<IV>();
    let keys = Keys::derive(&Zeroizing::new(ephemeral.agree(remote)));

    let prefix = packet.len();
    packet.push(0x04);
    packet.extend_from_slice(&ephemeral.public().to_bytes());
    packet.extend_from_slice(&iv);
    packet.extend_from_slice(plaintext);
    keys.cipher(&iv).apply_keystream(&mut packet[prefix + POINT + IV..]);
    let tag = keys.authenticator(&packet[prefix + POINT..], &packet[..prefix]).finalize();
    packet.extend_from_slice(&tag.into_bytes());
}

/// Decrypts `ciphertext`, which came with `prefix`, into the front of `plaintext` and returns that
/// part of it.
///
/// # Security
///
/// The point is checked to be on the curve before our key is multiplied with it (invalid-curve
/// attack), and nothing is decrypted before the tag was found right, in constant time.
///
/// # Panics
///
/// When `plaintext` is shorter than `ciphertext` less [`OVERHEAD`].
pub(crate) fn decrypt<'a>(
    key: &SecretKey,
    ciphertext: &[u8],
    prefix: &[u8],
    plaintext: &'a mut [u8],
) -> Result<&'a [u8], PeerMisbehaved> {
    if ciphertext.len() < OVERHEAD {
        return Err(PeerMisbehaved::BadHandshake);
    }
    let (point, rest) = ciphertext.split_at(POINT);
    let (sealed, tag) = rest.split_at(rest.len() - TAG);
    let (iv, body) = sealed.split_at(IV);

    let point = PublicKey::from_sec1(point).map_err(|_| PeerMisbehaved::NotOnCurve)?;
    let keys = Keys::derive(&Zeroizing::new(key.agree(&point)));
    keys.authenticator(sealed, prefix)
        .verify_slice(tag)
        .map_err(|_| PeerMisbehaved::BadHandshake)?;

    let plaintext = &mut plaintext[..body.len()];
    plaintext.copy_from_slice(body);
    let iv = iv.first_chunk().expect("because it was split off at this length");
    keys.cipher(iv).apply_keystream(plaintext);
    Ok(plaintext)
}

/// What NIST SP 800-56 concatenation makes of one Diffie-Hellman secret: 16 bytes for AES, and 16
/// that are hashed into the key of the HMAC.
struct Keys {
    encryption: Zeroizing<[u8; 16]>,
    authentication: Zeroizing<[u8; 32]>,
}

impl Keys {
    fn derive(shared: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(1_u32.to_be_bytes());
        hash.update(shared);
        let mut derived = Zeroizing::new([0; 32]);
        derived.copy_from_slice(&hash.finalize());

        let mut encryption = Zeroizing::new([0; 16]);
        encryption.copy_from_slice(&derived[..16]);
        let mut authentication = Zeroizing::new([0; 32]);
        authentication.copy_from_slice(&Sha256::digest(&derived[16..]));
        Self { encryption, authentication }
    }

    fn cipher(&self, iv: &[u8; IV]) -> Cipher {
        Cipher::new((&*self.encryption).into(), iv.into())
    }

    fn authenticator(&self, sealed: &[u8], prefix: &[u8]) -> Hmac<Sha256> {
        let mut hmac = Hmac::new_from_slice(&*self.authentication)
            .expect("because HMAC takes keys of any length");
        hmac.update(sealed);
        hmac.update(prefix);
        hmac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plaintext: &[u8]) -> (SecretKey, Vec<u8>) {
        let mut random = Random::from_seed([7; 32]);
        let key = SecretKey::generate(&mut random);
        let mut packet = vec![0xab, 0xcd];
        encrypt(&key, key.public(), plaintext, &mut packet, &mut random);
        (key, packet)
    }

    fn open(key: &SecretKey, packet: &[u8]) -> Result<Vec<u8>, PeerMisbehaved> {
        let mut plaintext = [0; 2048];
        decrypt(key, &packet[2..], &packet[..2], &mut plaintext).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_encrypted_to_a_key_is_read_with_it_and_with_no_other() {
        for length in [0, 1, 15, 16, 17, 400] {
            let plaintext = vec![0x5a; length];
            let (key, packet) = sealed(&plaintext);
            assert_eq!(packet.len(), 2 + OVERHEAD + length);
            assert_eq!(open(&key, &packet).as_deref(), Ok(&*plaintext));
            let other = SecretKey::from_bytes(&[9; 32]).unwrap();
            assert_eq!(open(&other, &packet), Err(PeerMisbehaved::BadHandshake));
        }
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let (key, packet) = sealed(b"secret");
        for position in 0..packet.len() {
            let mut tampered = packet.clone();
            tampered[position] ^= 1;
            // The first 65 bytes behind the prefix are the point: a change takes it off the curve.
            let expected = if (2..2 + POINT).contains(&position) {
                PeerMisbehaved::NotOnCurve
            } else {
                PeerMisbehaved::BadHandshake
            };
            assert_eq!(open(&key, &tampered), Err(expected), "byte {position}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let (key, packet) = sealed(b"secret");
        for length in 2..packet.len() {
            assert_eq!(open(&key, &packet[..length]), Err(PeerMisbehaved::BadHandshake));
        }
    }

    #[test]
    fn the_counter_carries_over_the_whole_block() {
        // The cipher's counter carries: an iv of ff..ff goes on at 00..00.
        let keys = Keys::derive(&[1; 32]);
        let mut wrapped = [0; 32];
        keys.cipher(&[0xff; IV]).apply_keystream(&mut wrapped);
        let mut zero = [0; 16];
        keys.cipher(&[0; IV]).apply_keystream(&mut zero);
        assert_eq!(wrapped[16..], zero);
    }
}
