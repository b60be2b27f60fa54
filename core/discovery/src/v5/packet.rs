//! The datagrams of discovery v5: a header, masked for whom it is meant, and a sealed message.
//!
//! Reading one has steps, from cheap to costly, so that the [machine](super::V5) can stop early:
//! [`Unmasked::check`] uncovers the header, a [`Cipher`] opens the message, and
//! [`Message::decode`] reads it.
//!
//! Not here: which key opens a message, and what follows from it.
//!
//! Spec: [discv5-wire.md](https://github.com/ethereum/devp2p/blob/master/discv5/discv5-wire.md).

mod message;

use std::fmt;

use aes::{Aes128Enc, cipher::KeyInit};
use ctr::{
    Ctr128BE, CtrCore,
    cipher::{InnerIvInit, StreamCipher},
};
pub use message::{Message, MessageError, RequestId};
use peerage_node::{MAX_RECORD_SIZE, NodeId};

use super::crypto::{Cipher, TAG_SIZE};

/// The most bytes that a datagram may have: what surely passes every link of the Internet unbroken.
pub const MAX_PACKET_SIZE: usize = 1280;

/// The fewest bytes that a datagram may have: those of a WHOAREYOU, which is so never larger than
/// what it answers.
pub const MIN_PACKET_SIZE: usize = HEAD_SIZE + CHALLENGE_SIZE;

/// The most bytes of a message in a packet of a session.
pub const MAX_MESSAGE_SIZE: usize = MAX_PACKET_SIZE - HEAD_SIZE - ID_SIZE - TAG_SIZE;

/// What every packet begins with behind its IV.
const PROTOCOL_ID: [u8; 6] = *b"discv5";
const VERSION: u16 = 1;

const IV_SIZE: usize = 16;
/// Protocol id, version, flag, nonce and the size of what follows.
const STATIC_SIZE: usize = 6 + 2 + 1 + 12 + 2;
const HEAD_SIZE: usize = IV_SIZE + STATIC_SIZE;
const ID_SIZE: usize = 32;
/// Of the authentication data of a WHOAREYOU: the id-nonce and a sequence number.
const CHALLENGE_SIZE: usize = 16 + 8;
const SIGNATURE_SIZE: usize = 64;
const KEY_SIZE: usize = 33;
/// Of the authentication data of a handshake, without the record.
const PROOF_SIZE: usize = ID_SIZE + 2 + SIGNATURE_SIZE + KEY_SIZE;
/// The most bytes of an IV and a header.
pub(super) const MAX_HEAD_SIZE: usize = HEAD_SIZE + PROOF_SIZE + MAX_RECORD_SIZE;

/// The flags of the specification.
mod flag {
    pub(super) const MESSAGE: u8 = 0;
    pub(super) const WHO_ARE_YOU: u8 = 1;
    pub(super) const HANDSHAKE: u8 = 2;
}

/// What a packet is sealed with, by which a WHOAREYOU names the packet that it answers.
pub type Nonce = [u8; 12];

/// What masks a header.
pub type Iv = [u8; IV_SIZE];

/// A WHOAREYOU as it was before it was masked: what the handshake that answers it is bound to.
pub type ChallengeData = [u8; MIN_PACKET_SIZE];

/// Why a datagram is not a packet of discovery v5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Its header does not say so: most likely another protocol, or meant for another node.
    #[error("the header does not say that it is of discovery v5: not meant for this node")]
    Foreign,
    /// The header says so, but what follows is not what its flag demands.
    #[error("the packet of flag {flag} is malformed")]
    Malformed {
        /// The flag.
        flag: u8,
    },
    /// Larger than [`MAX_PACKET_SIZE`], or smaller than [`MIN_PACKET_SIZE`].
    #[error("{size} bytes are not a packet of discovery v5")]
    Size {
        /// How many bytes came.
        size: usize,
    },
}

/// What the headers of packets for one node are masked with: its id, as the schedule of a key.
///
/// # Security
///
/// Anybody who knows the id sees through it. It hides the protocol from those who do not.
#[derive(Clone)]
pub struct Mask(Aes128Enc);

impl Mask {
    /// The mask of packets for this node.
    pub fn of(id: &NodeId) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&id.0[..16]);
        Self(Aes128Enc::new(&key.into()))
    }

    fn stream(&self, iv: &Iv) -> Ctr128BE<&Aes128Enc> {
        Ctr128BE::from_core(CtrCore::inner_iv_init(&self.0, &(*iv).into()))
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(..)")
    }
}

/// A packet whose header is uncovered and has the form that its flag demands. Its message is still
/// sealed, and nothing is proved.
#[derive(Clone, Debug)]
pub struct Unmasked<'a> {
    /// The IV and the header.
    head: [u8; MAX_HEAD_SIZE],
    size: usize,
    message: &'a [u8],
}

/// What the header of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header<'h> {
    /// A message of a session. One of no session asks for a [`WhoAreYou`](Self::WhoAreYou).
    Message {
        /// Who says to have sent it.
        source: NodeId,
    },
    /// What a packet is answered with that cannot be opened. Its nonce is that of the packet.
    WhoAreYou {
        /// Makes the challenge unlike any other.
        id_nonce: [u8; 16],
        /// The sequence number of the record that its sender has of the recipient; 0 for none.
        seq: u64,
    },
    /// A message, and what proves who sent it.
    Handshake(Handshake<'h>),
}

/// What proves who sent a message: the answer to a WHOAREYOU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake<'h> {
    /// Who says to have sent it.
    pub source: NodeId,
    /// Its signature over the [digest](super::crypto::identity_digest).
    pub signature: &'h [u8; SIGNATURE_SIZE],
    /// Its half of the agreement, compressed.
    pub ephemeral: &'h [u8; KEY_SIZE],
    /// Its record in RLP, not decoded; empty if the challenge said that it is known.
    pub record: &'h [u8],
}

impl<'a> Unmasked<'a> {
    /// Uncovers the header of a datagram that is meant for the node of `mask`. A few blocks of AES
    /// tell whether it is of discovery v5; nothing else is copied.
    pub fn check(mask: &Mask, bytes: &'a [u8]) -> Result<Self, PacketError> {
        let size = bytes.len();
        if !(MIN_PACKET_SIZE..=MAX_PACKET_SIZE).contains(&size) {
            return Err(PacketError::Size { size });
        }
        let mut head = [0; MAX_HEAD_SIZE];
        head[..HEAD_SIZE].copy_from_slice(&bytes[..HEAD_SIZE]);
        let iv = head.first_chunk().expect("because an IV is shorter");
        let mut stream = mask.stream(iv);
        stream.apply_keystream(&mut head[IV_SIZE..HEAD_SIZE]);
        let fixed = &head[IV_SIZE..HEAD_SIZE];
        if fixed[..6] != PROTOCOL_ID || fixed[6..8] != VERSION.to_be_bytes() {
            return Err(PacketError::Foreign);
        }
        let flag = fixed[8];
        let malformed = PacketError::Malformed { flag };
        let wanted = match flag {
            flag::MESSAGE => ID_SIZE..=ID_SIZE,
            flag::WHO_ARE_YOU => CHALLENGE_SIZE..=CHALLENGE_SIZE,
            flag::HANDSHAKE => PROOF_SIZE..=PROOF_SIZE + MAX_RECORD_SIZE,
            _ => return Err(malformed),
        };
        let data = usize::from(u16::from_be_bytes([fixed[21], fixed[22]]));
        let end = HEAD_SIZE + data;
        if !wanted.contains(&data) || end > size {
            return Err(malformed);
        }
        head[HEAD_SIZE..end].copy_from_slice(&bytes[HEAD_SIZE..end]);
        stream.apply_keystream(&mut head[HEAD_SIZE..end]);
        let message = &bytes[end..];
        let has_sizes = head[HEAD_SIZE + ID_SIZE..][..2] == [SIGNATURE_SIZE as u8, KEY_SIZE as u8];
        let is_whole = match flag {
            flag::WHO_ARE_YOU => message.is_empty(),
            flag::HANDSHAKE => has_sizes && message.len() > TAG_SIZE,
            _ => message.len() > TAG_SIZE,
        };
        if is_whole { Ok(Self { head, size: end, message }) } else { Err(malformed) }
    }

    /// What the packet is sealed with, or which packet a WHOAREYOU answers.
    pub fn nonce(&self) -> Nonce {
        *self.head[IV_SIZE + 9..].first_chunk().expect("because a header is longer")
    }

    /// What the header says.
    pub fn header(&self) -> Header<'_> {
        let data = &self.head[HEAD_SIZE..self.size];
        let because = "because its size was checked";
        match self.head[IV_SIZE + 8] {
            flag::WHO_ARE_YOU => {
                let (id_nonce, seq) = data.split_first_chunk().expect(because);
                let seq = u64::from_be_bytes(seq.try_into().expect(because));
                Header::WhoAreYou { id_nonce: *id_nonce, seq }
            }
            flag::HANDSHAKE => {
                let (source, rest) = data.split_first_chunk().expect(because);
                let (signature, rest) = rest[2..].split_first_chunk().expect(because);
                let (ephemeral, record) = rest.split_first_chunk().expect(because);
                let source = NodeId(*source);
                Header::Handshake(Handshake { source, signature, ephemeral, record })
            }
            _ => Header::Message { source: NodeId(*data.first_chunk().expect(because)) },
        }
    }

    /// The IV and the header: what the tag of the message covers too.
    pub fn head(&self) -> &[u8] {
        &self.head[..self.size]
    }

    /// Of a WHOAREYOU, what the handshake that answers it is bound to.
    pub fn challenge_data(&self) -> &ChallengeData {
        self.head.first_chunk().expect("because every header is as long")
    }

    /// The message with its tag, sealed.
    pub const fn message(&self) -> &'a [u8] {
        self.message
    }
}

/// A packet of a session, from `source` to the node of `mask`.
pub fn message(
    mask: &Mask,
    iv: &Iv,
    nonce: &Nonce,
    source: &NodeId,
    cipher: &Cipher,
    text: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_SIZE + ID_SIZE + text.len() + TAG_SIZE);
    write_head(&mut bytes, iv, flag::MESSAGE, nonce, &[&source.0]);
    seal(mask, iv, nonce, cipher, bytes, text)
}

/// A packet of no session, which asks the node of `mask` for a WHOAREYOU: a message of this many
/// `random` bytes, of which the last 16 stand where a tag is.
pub fn probe(mask: &Mask, iv: &Iv, nonce: &Nonce, source: &NodeId, random: &[u8; 44]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_SIZE + ID_SIZE + random.len());
    write_head(&mut bytes, iv, flag::MESSAGE, nonce, &[&source.0]);
    let end = bytes.len();
    bytes.extend_from_slice(random);
    mask.stream(iv).apply_keystream(&mut bytes[IV_SIZE..end]);
    bytes
}

/// The answer to the packet with this nonce, which could not be opened; and what its own answer is
/// bound to.
pub fn who_are_you(
    mask: &Mask,
    iv: &Iv,
    nonce: &Nonce,
    id_nonce: &[u8; 16],
    seq: u64,
) -> ([u8; MIN_PACKET_SIZE], ChallengeData) {
    let mut bytes = Vec::with_capacity(MIN_PACKET_SIZE);
    write_head(&mut bytes, iv, flag::WHO_ARE_YOU, nonce, &[id_nonce, &seq.to_be_bytes()]);
    let data: ChallengeData = bytes.try_into().expect("because that is its size");
    let mut masked = data;
    mask.stream(iv).apply_keystream(&mut masked[IV_SIZE..]);
    (masked, data)
}

/// A message with what proves who sent it.
pub fn handshake(
    mask: &Mask,
    iv: &Iv,
    nonce: &Nonce,
    proof: &Handshake<'_>,
    cipher: &Cipher,
    text: &[u8],
) -> Vec<u8> {
    let sizes = [SIGNATURE_SIZE as u8, KEY_SIZE as u8];
    let data: [&[u8]; 5] =
        [&proof.source.0, &sizes, proof.signature, proof.ephemeral, proof.record];
    let size = HEAD_SIZE + PROOF_SIZE + proof.record.len() + text.len() + TAG_SIZE;
    let mut bytes = Vec::with_capacity(size);
    write_head(&mut bytes, iv, flag::HANDSHAKE, nonce, &data);
    seal(mask, iv, nonce, cipher, bytes, text)
}

fn write_head(out: &mut Vec<u8>, iv: &Iv, flag: u8, nonce: &Nonce, data: &[&[u8]]) {
    let size: usize = data.iter().map(|part| part.len()).sum();
    let size = u16::try_from(size).expect("because a record is short");
    out.extend_from_slice(iv);
    out.extend_from_slice(&PROTOCOL_ID);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.push(flag);
    out.extend_from_slice(nonce);
    out.extend_from_slice(&size.to_be_bytes());
    data.iter().for_each(|part| out.extend_from_slice(part));
}

/// `bytes`, a head, with the sealed `text` behind it, and masked.
fn seal(
    mask: &Mask,
    iv: &Iv,
    nonce: &Nonce,
    cipher: &Cipher,
    mut bytes: Vec<u8>,
    text: &[u8],
) -> Vec<u8> {
    let end = bytes.len();
    bytes.extend_from_slice(text);
    let (head, sealed) = bytes.split_at_mut(end);
    let tag = cipher.seal(nonce, head, sealed);
    bytes.extend_from_slice(&tag);
    mask.stream(iv).apply_keystream(&mut bytes[IV_SIZE..end]);
    bytes
}

#[cfg(test)]
mod tests;
