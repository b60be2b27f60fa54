//! The two packets of the handshake, encrypted and in the open.

use alloy_rlp::{Encodable, Header};
use peerage_machine::Random;
use peerage_node::{PublicKey, RecoverableSignature, SecretKey};
use zeroize::Zeroizing;

use crate::{PeerMisbehaved, ecies};

/// Bytes of the size prefix.
const PREFIX: usize = 2;

/// The largest packet behind its prefix that is read: four times what anybody sends, and all that a
/// stranger can make us hold.
const MAX: usize = 2048;

/// The smallest packet behind its prefix that could be right: an ack without padding is a list of a
/// public key (66 bytes with its RLP prefix), a nonce (33) and a version (1).
const MIN: usize = ecies::OVERHEAD + 2 + 66 + 33 + 1;

/// The version that we write. Nobody may mind which it is.
const VERSION: u64 = 4;

/// How many bytes of a handshake packet follow its size prefix.
pub fn packet_size(prefix: [u8; 2]) -> Result<usize, PeerMisbehaved> {
    let size = usize::from(u16::from_be_bytes(prefix));
    if (MIN..=MAX).contains(&size) { Ok(size) } else { Err(PeerMisbehaved::HandshakeSize(size)) }
}

/// What the initiator says.
pub(super) struct Auth {
    /// By the initiator's ephemeral key, over the static shared secret xor `nonce`.
    pub(super) signature: RecoverableSignature,
    /// The initiator's static key.
    pub(super) remote: PublicKey,
    pub(super) nonce: [u8; 32],
}

impl Auth {
    /// The packet that says this to `recipient`, from who holds `key`.
    pub(super) fn encode(
        &self,
        key: &SecretKey,
        recipient: &PublicKey,
        random: &mut Random,
    ) -> Vec<u8> {
        let fields: [&[u8]; 3] = [&self.signature.to_bytes(), &self.remote.to_bytes(), &self.nonce];
        seal(&fields, key, recipient, random)
    }

    /// Reads a packet that was sent to `key`.
    pub(super) fn decode(key: &SecretKey, packet: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut plaintext = Zeroizing::new([0; MAX]);
        let mut fields = open(key, packet, &mut plaintext)?;
        let signature = RecoverableSignature::from_bytes(field(&mut fields)?);
        let remote = public_key(&mut fields)?;
        Ok(Self { signature, remote, nonce: field(&mut fields)? })
    }
}

/// What the recipient answers.
pub(super) struct Ack {
    /// The recipient's ephemeral key.
    pub(super) ephemeral: PublicKey,
    pub(super) nonce: [u8; 32],
}

impl Ack {
    /// The packet that says this to `initiator`, from who holds `key`.
    pub(super) fn encode(
        &self,
        key: &SecretKey,
        initiator: &PublicKey,
        random: &mut Random,
    ) -> Vec<u8> {
        let fields: [&[u8]; 2] = [&self.ephemeral.to_bytes(), &self.nonce];
        seal(&fields, key, initiator, random)
    }

    /// Reads a packet that was sent to `key`.
    pub(super) fn decode(key: &SecretKey, packet: &[u8]) -> Result<Self, PeerMisbehaved> {
        let mut plaintext = Zeroizing::new([0; MAX]);
        let mut fields = open(key, packet, &mut plaintext)?;
        let ephemeral = public_key(&mut fields)?;
        Ok(Self { ephemeral, nonce: field(&mut fields)? })
    }
}

/// The packet with these fields, our version and random padding.
fn seal(fields: &[&[u8]], key: &SecretKey, remote: &PublicKey, random: &mut Random) -> Vec<u8> {
    let payload_length =
        fields.iter().map(|field| field.length()).sum::<usize>() + VERSION.length();
    let list = Header { list: true, payload_length };
    // 100 to 300 bytes: at least 100 were once needed to tell this form from an older one, and the
    // random rest keeps the packet's size from giving it away. It is encrypted, so zeros will do.
    let padding = 100 + random.below(201) as usize;
    let plaintext = list.length_with_payload() + padding;

    let size = ecies::OVERHEAD + plaintext;
    let mut body = Zeroizing::new(Vec::with_capacity(plaintext));
    list.encode(&mut *body);
    for field in fields {
        field.encode(&mut *body);
    }
    VERSION.encode(&mut *body);
    body.resize(plaintext, 0);

    let mut packet = Vec::with_capacity(PREFIX + size);
    let size = u16::try_from(size).expect("because our packets are below 1 KiB");
    packet.extend_from_slice(&size.to_be_bytes());
    ecies::encrypt(key, remote, &body, &mut packet, random);
    packet
}

/// Decrypts a packet and returns the contents of its list.
///
/// What follows the list is padding. What follows the fields that are known, beginning with the
/// version, belongs to times to come (EIP-8): it is not looked at.
fn open<'a>(
    key: &SecretKey,
    packet: &[u8],
    plaintext: &'a mut [u8; MAX],
) -> Result<&'a [u8], PeerMisbehaved> {
    let (prefix, ciphertext) =
        packet.split_first_chunk().ok_or(PeerMisbehaved::HandshakeSize(packet.len()))?;
    if packet_size(*prefix)? != ciphertext.len() {
        return Err(PeerMisbehaved::HandshakeSize(ciphertext.len()));
    }
    let mut plaintext = ecies::decrypt(key, ciphertext, prefix, plaintext)?;
    Header::decode_bytes(&mut plaintext, true).map_err(|_| PeerMisbehaved::BadHandshake)
}

/// The next field, which has exactly this length.
fn field<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], PeerMisbehaved> {
    Header::decode_bytes(fields, false)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(PeerMisbehaved::BadHandshake)
}

/// The next field, which is a public key.
fn public_key(fields: &mut &[u8]) -> Result<PublicKey, PeerMisbehaved> {
    PublicKey::from_bytes(&field(fields)?).map_err(|_| PeerMisbehaved::NotOnCurve)
}
