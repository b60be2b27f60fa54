//! Keys and ids: secp256k1 as devp2p uses it.
//!
//! A node *is* its public key; its id is the Keccak-256 of that key
//! ([EIP-778, "v4" identity scheme](https://eips.ethereum.org/EIPS/eip-778#v4-identity-scheme)).

mod crypto;
mod ephemeral;

use std::{fmt, str::FromStr};

pub use crypto::Crypto;
pub use ephemeral::EphemeralKey;
use keccak_asm::Keccak256;
use peerage_machine::Random;
use secp256k1::{
    Message, SECP256K1, ecdh,
    ecdsa::{RecoverableSignature as RawSignature, RecoveryId},
};
use zeroize::Zeroize;

/// Why bytes or text are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not hexadecimal, or not of the right length.
    #[error("a key is {expected} hexadecimal digits, with or without 0x")]
    Hex {
        /// How many digits there should be.
        expected: usize,
    },
    /// The public key is not a point on secp256k1.
    #[error("this public key is not a point on the curve secp256k1")]
    NotOnCurve,
    /// The secret key is zero, or not below the order of the curve.
    #[error("a secret key is a number from 1 to the order of secp256k1; this one is not")]
    OutOfRange,
    /// The signature is malformed or no key fits it.
    #[error("the signature is not valid")]
    Signature,
}

/// A node's secret key. Zeroed when dropped; never shown by `Debug`.
#[derive(Clone)]
pub struct SecretKey {
    secret: secp256k1::SecretKey,
    /// Derived once: a curve multiplication that would otherwise be paid at each connection.
    public: PublicKey,
    crypto: Crypto,
}

impl SecretKey {
    /// A fresh key drawn from `random`.
    pub fn generate(random: &mut Random) -> Self {
        draw(random, Self::from_bytes)
    }

    /// The key with these 32 big-endian bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::with(Crypto::Real, bytes)
    }

    /// A fresh key for a simulation, drawn from `random`.
    ///
    /// # Security
    ///
    /// None: see [`Crypto::StandIn`].
    pub fn stand_in(random: &mut Random) -> Self {
        draw(random, Self::stand_in_from_bytes)
    }

    /// The key for a simulation with these 32 big-endian bytes; its public key is that of
    /// [`from_bytes`](Self::from_bytes).
    ///
    /// # Security
    ///
    /// None: see [`Crypto::StandIn`].
    pub fn stand_in_from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::with(Crypto::StandIn, bytes)
    }

    fn with(crypto: Crypto, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let secret =
            secp256k1::SecretKey::from_byte_array(*bytes).map_err(|_| KeyError::OutOfRange)?;
        let public = PublicKey(secp256k1::PublicKey::from_secret_key(SECP256K1, &secret));
        Ok(Self { secret, public, crypto })
    }

    /// A key for one handshake, of the scheme of this one: fresh, unless this is a stand-in.
    pub fn ephemeral(&self, random: &mut Random) -> EphemeralKey {
        match self.crypto {
            Crypto::Real => EphemeralKey::generate(random),
            Crypto::StandIn => EphemeralKey::stand_in(self.public),
        }
    }

    /// The 32 big-endian bytes of the key: a secret, to be zeroed after use.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.secret.secret_bytes()
    }

    /// The public key.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What this key signs and agrees with, and what whoever holds it is to check others with.
    pub const fn crypto(&self) -> Crypto {
        self.crypto
    }

    /// The x coordinate of `self * other`: the Diffie-Hellman secret of RLPx, 32 bytes.
    pub fn agree(&self, other: &PublicKey) -> [u8; 32] {
        match self.crypto {
            Crypto::Real => agree(&self.secret, other),
            Crypto::StandIn => crypto::agree(&self.public, other),
        }
    }

    /// The point `self * other` in its compressed SEC1 form: the Diffie-Hellman secret of discovery
    /// v5, 33 bytes.
    pub fn agree_point(&self, other: &PublicKey) -> [u8; 33] {
        match self.crypto {
            Crypto::Real => agree_point(&self.secret, other),
            Crypto::StandIn => crypto::agree_point(&self.public, other),
        }
    }

    /// Signs a 32-byte digest (RFC 6979, deterministic), so that the signer can be recovered.
    pub fn sign(&self, digest: &[u8; 32]) -> RecoverableSignature {
        match self.crypto {
            Crypto::Real => sign(&self.secret, digest),
            Crypto::StandIn => crypto::sign(&self.public, digest),
        }
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    /// Parses 64 hexadecimal digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = parse_hex::<32>(text)?;
        let key = Self::from_bytes(&bytes);
        bytes.zeroize();
        key
    }
}

/// A point on secp256k1, other than infinity: what a node is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(secp256k1::PublicKey);

impl PublicKey {
    /// The key with these 64 bytes (x and y, big-endian), the form RLPx and enode URLs use.
    ///
    /// # Security
    ///
    /// Refuses points that are not on the curve, which would leak secret keys through
    /// [`SecretKey::agree`] (invalid-curve attack).
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, KeyError> {
        let mut tagged = [4; 65];
        tagged[1..].copy_from_slice(bytes);
        Self::from_sec1(&tagged)
    }

    /// The key in SEC 1 form: 33 bytes (compressed) or 65 bytes beginning with `0x04`.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, KeyError> {
        if !matches!((bytes.len(), bytes.first()), (33, Some(2 | 3)) | (65, Some(4))) {
            return Err(KeyError::NotOnCurve);
        }
        secp256k1::PublicKey::from_slice(bytes).map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// 64 bytes: x and y, big-endian.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&self.0.serialize_uncompressed()[1..]);
        bytes
    }

    /// 33 bytes: SEC 1 compressed, the form node records use.
    pub fn to_compressed(&self) -> [u8; 33] {
        self.0.serialize()
    }

    /// The id of the node with this key: one Keccak permutation.
    pub fn id(&self) -> NodeId {
        NodeId(Keccak256::digest(self.to_bytes()).into())
    }

    /// Whether this key made the 64-byte signature `rs` (r and s) over `digest`.
    ///
    /// Signatures with a high `s` are refused, as libsecp256k1 does.
    pub fn verify(&self, digest: &[u8; 32], rs: &[u8; 64]) -> bool {
        secp256k1::ecdsa::Signature::from_compact(rs).is_ok_and(|signature| {
            SECP256K1.verify_ecdsa(Message::from_digest(*digest), &signature, &self.0).is_ok()
        })
    }

    /// [`verify`](Self::verify) by the scheme of the key of whoever wants to know.
    pub fn verify_with(&self, crypto: Crypto, digest: &[u8; 32], rs: &[u8; 64]) -> bool {
        match crypto {
            Crypto::Real => self.verify(digest, rs),
            Crypto::StandIn => crypto::verify(self, digest, rs),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Display for PublicKey {
    /// 128 hexadecimal digits, as in enode URLs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Parses 128 hexadecimal digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&parse_hex::<64>(text)?)
    }
}

/// A 65-byte signature (r, s, recovery id 0 to 3) from which the signer can be recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverableSignature([u8; 65]);

impl RecoverableSignature {
    /// Takes 65 bytes as they came; [`recover`](Self::recover) judges them.
    pub const fn from_bytes(bytes: [u8; 65]) -> Self {
        Self(bytes)
    }

    /// The 65 bytes: r, s, recovery id.
    pub const fn to_bytes(self) -> [u8; 65] {
        self.0
    }

    /// `r` and `s`, without what the signer is recovered by.
    pub fn to_rs(self) -> [u8; 64] {
        *self.0.first_chunk().expect("because 64 bytes are fewer than 65")
    }

    /// The key that made this signature over `digest`.
    pub fn recover(&self, digest: &[u8; 32]) -> Result<PublicKey, KeyError> {
        let id = RecoveryId::try_from(i32::from(self.0[64])).map_err(|_| KeyError::Signature)?;
        let signature =
            RawSignature::from_compact(&self.0[..64], id).map_err(|_| KeyError::Signature)?;
        SECP256K1
            .recover_ecdsa(Message::from_digest(*digest), &signature)
            .map(PublicKey)
            .map_err(|_| KeyError::Signature)
    }

    /// [`recover`](Self::recover) by the scheme of the key of whoever wants to know.
    pub fn recover_with(&self, crypto: Crypto, digest: &[u8; 32]) -> Result<PublicKey, KeyError> {
        match crypto {
            Crypto::Real => self.recover(digest),
            Crypto::StandIn => crypto::recover(&self.0, digest),
        }
    }
}

/// A node's id: the Keccak-256 of its public key. The address of discovery's metric, and the name
/// under which everything else keeps a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

impl fmt::Debug for NodeId {
    /// The first 8 digits: enough to tell nodes apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({}..)", hex::encode(&self.0[..4]))
    }
}

impl fmt::Display for NodeId {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for NodeId {
    type Err = KeyError;

    /// Parses 64 hexadecimal digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        parse_hex::<32>(text).map(Self)
    }
}

/// Draws 32 bytes until they are a key.
fn draw<K>(random: &mut Random, from_bytes: impl Fn(&[u8; 32]) -> Result<K, KeyError>) -> K {
    loop {
        let mut bytes = random.bytes::<32>();
        let key = from_bytes(&bytes);
        bytes.zeroize();
        // Fails for fewer than one draw in 2^127.
        if let Ok(key) = key {
            return key;
        }
    }
}

fn agree(secret: &secp256k1::SecretKey, other: &PublicKey) -> [u8; 32] {
    let mut point = ecdh::shared_secret_point(&other.0, secret);
    let mut x = [0; 32];
    x.copy_from_slice(&point[..32]);
    point.zeroize();
    x
}

fn agree_point(secret: &secp256k1::SecretKey, other: &PublicKey) -> [u8; 33] {
    let mut point = ecdh::shared_secret_point(&other.0, secret);
    let mut compressed = [0; 33];
    // The sign of y, as SEC1 has it.
    compressed[0] = 2 | point[63] & 1;
    compressed[1..].copy_from_slice(&point[..32]);
    point.zeroize();
    compressed
}

fn sign(secret: &secp256k1::SecretKey, digest: &[u8; 32]) -> RecoverableSignature {
    let signature = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(*digest), secret);
    let (id, rs) = signature.serialize_compact();
    let mut bytes = [0; 65];
    bytes[..64].copy_from_slice(&rs);
    bytes[64] = u8::try_from(i32::from(id)).expect("because a recovery id is 0 to 3");
    RecoverableSignature(bytes)
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyError::Hex { expected: 2 * N })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn both_sides_agree_on_one_secret() {
        assert_eq!(key(1).agree(key(2).public()), key(2).agree(key(1).public()));
    }

    #[test]
    fn go_ethereums_static_agreement_vector_holds() {
        let a: SecretKey =
            "7ebbc6a8358bc76dd73ebc557056702c8cfc34e5cfcd90eb83af0347575fd2ad".parse().unwrap();
        let b: SecretKey =
            "6a3d6396903245bba5837752b9e0348874e72db0c4e11e9c485a81b4ea4353b9".parse().unwrap();
        assert_eq!(
            hex::encode(a.agree(b.public())),
            "167ccc13ac5e8a26b131c3446030c60fbfac6aa8e31149d0869f93626a4cdf62"
        );
    }

    #[test]
    fn the_agreement_vector_of_discovery_v5_holds() {
        let secret: SecretKey =
            "fb757dc581730490a1d7a00deea65e9b1936924caaea8f44d476014856b68736".parse().unwrap();
        let public =
            hex::decode("039961e4c2356d61bedb83052c115d311acb3a96f5777296dcf297351130266231");
        let public = PublicKey::from_sec1(&public.unwrap()).unwrap();
        assert_eq!(
            hex::encode(secret.agree_point(&public)),
            "033b11a2a1f214567e1537ce5e509ffd9b21373247f2a3ff6841f4976f53165e7e"
        );
        assert_eq!(key(1).agree_point(key(2).public()), key(2).agree_point(key(1).public()));
    }

    #[test]
    fn the_signer_is_recovered_and_no_other() {
        let signature = key(3).sign(&[9; 32]);
        assert_eq!(signature.recover(&[9; 32]), Ok(*key(3).public()));
        assert_ne!(signature.recover(&[8; 32]), Ok(*key(3).public()));
        let mut bytes = signature.to_bytes();
        bytes[64] = 4;
        assert_eq!(
            RecoverableSignature::from_bytes(bytes).recover(&[9; 32]),
            Err(KeyError::Signature)
        );
    }

    #[test]
    fn points_off_the_curve_and_scalars_out_of_range_are_refused() {
        assert_eq!(PublicKey::from_bytes(&[1; 64]), Err(KeyError::NotOnCurve));
        assert_eq!(PublicKey::from_sec1(&[6; 65]), Err(KeyError::NotOnCurve));
        assert!(matches!(SecretKey::from_bytes(&[0; 32]), Err(KeyError::OutOfRange)));
        assert!(matches!(SecretKey::from_bytes(&[0xff; 32]), Err(KeyError::OutOfRange)));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        assert_eq!(format!("{:?}", key(7)), "SecretKey(..)");
    }

    #[test]
    fn text_forms_round_trip_with_and_without_0x() {
        let id = key(5).public().id();
        assert_eq!(format!("0x{id}").parse(), Ok(id));
        assert_eq!(key(5).public().to_string().parse(), Ok(*key(5).public()));
        assert_eq!("12".parse::<NodeId>(), Err(KeyError::Hex { expected: 64 }));
    }
}
