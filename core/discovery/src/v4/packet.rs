//! The datagrams of discovery v4: a hash, a signature, a type and a list.
//!
//! Reading one has steps, from cheap to costly, so that the [machine](super::V4) can stop early:
//! [`Sealed::check`] hashes, [`Sealed::decode`] parses, [`Sealed::recover`] does the elliptic
//! curve.
//!
//! Not here: whether a packet was asked for, and what follows from it.
//!
//! Spec: [discv4.md](https://github.com/ethereum/devp2p/blob/master/discv4.md#wire-protocol),
//! [EIP-8](https://eips.ethereum.org/EIPS/eip-8),
//! [EIP-868](https://eips.ethereum.org/EIPS/eip-868).

mod body;
mod endpoint;

use std::time::Duration;

pub use body::{EnrRequest, EnrResponse, FindNode, Neighbors, Ping, Pong};
pub use endpoint::{Endpoint, Neighbor};
use keccak_asm::Keccak256;
use peerage_machine::Random;
use peerage_node::{Crypto, NodeId, PublicKey, RecoverableSignature, SecretKey};

use crate::{Version, finder};

/// The most bytes a datagram may have: what surely passes every link of the Internet unbroken.
pub const MAX_PACKET_SIZE: usize = 1280;

/// How many neighbors surely fit into one packet: 12 with IPv6 addresses make 1,200 bytes, 13 too
/// many.
pub const MAX_NEIGHBORS: usize = 12;

/// Hash, signature and type.
const HEAD_SIZE: usize = HASH_SIZE + SIGNATURE_SIZE + 1;
const HASH_SIZE: usize = 32;
const SIGNATURE_SIZE: usize = 65;

/// The packet types of the specification.
mod kind {
    pub(super) const PING: u8 = 0x01;
    pub(super) const PONG: u8 = 0x02;
    pub(super) const FIND_NODE: u8 = 0x03;
    pub(super) const NEIGHBORS: u8 = 0x04;
    pub(super) const ENR_REQUEST: u8 = 0x05;
    pub(super) const ENR_RESPONSE: u8 = 0x06;
}

/// The hash of a packet, by which replies name what they answer.
pub type Token = [u8; 32];

/// Why a datagram is not a packet of discovery v4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The hash at its beginning is not that of the rest: most likely another protocol.
    #[error("the hash does not match: not a packet of discovery v4")]
    Hash,
    /// The content is not the list that the type demands.
    #[error("the content of the packet of type {kind:#04x} is malformed")]
    Malformed {
        /// The type.
        kind: u8,
    },
    /// No key can have made the signature.
    #[error("the signature is not valid")]
    Signature,
    /// Larger than [`MAX_PACKET_SIZE`], or shorter than hash, signature and type.
    #[error("{size} bytes are not a packet of discovery v4")]
    Size {
        /// How many bytes came.
        size: usize,
    },
    /// A type that the specification does not know; to be ignored.
    #[error("packets of type {kind:#04x} are not known")]
    UnknownType {
        /// The type.
        kind: u8,
    },
}

/// What a packet says. Documented where its fields are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Asks for a [`Pong`](Packet::Pong): type 0x01.
    Ping(Ping),
    /// Proves that the sender is where the ping went: type 0x02.
    Pong(Pong),
    /// Asks for nodes: type 0x03.
    FindNode(FindNode),
    /// Tells nodes: type 0x04.
    Neighbors(Neighbors),
    /// Asks for the record: type 0x05.
    EnrRequest(EnrRequest),
    /// Tells the record: type 0x06.
    EnrResponse(EnrResponse),
}

impl Packet {
    /// The whole datagram, signed with `key`, and its hash.
    ///
    /// At most [`MAX_PACKET_SIZE`] bytes if there are at most [`MAX_NEIGHBORS`] neighbors.
    pub fn encode(&self, key: &SecretKey) -> (Vec<u8>, Token) {
        let mut bytes = vec![0; HEAD_SIZE];
        bytes[HEAD_SIZE - 1] = self.kind();
        match self {
            Self::Ping(body) => body.encode(&mut bytes),
            Self::Pong(body) => body.encode(&mut bytes),
            Self::FindNode(body) => body.encode(&mut bytes),
            Self::Neighbors(body) => body.encode(&mut bytes),
            Self::EnrRequest(body) => body.encode(&mut bytes),
            Self::EnrResponse(body) => body.encode(&mut bytes),
        }
        let signature = key.sign(&keccak(&bytes[HEAD_SIZE - 1..])).to_bytes();
        bytes[HASH_SIZE..HEAD_SIZE - 1].copy_from_slice(&signature);
        let hash = keccak(&bytes[HASH_SIZE..]);
        bytes[..HASH_SIZE].copy_from_slice(&hash);
        (bytes, hash)
    }

    /// Reads a whole datagram: what it says, who signed it, and its hash.
    pub fn decode(bytes: &[u8]) -> Result<(Self, PublicKey, Token), PacketError> {
        Self::decode_with(Crypto::Real, bytes)
    }

    /// [`decode`](Self::decode) by the scheme of the key of whoever reads the packet.
    pub fn decode_with(
        crypto: Crypto,
        bytes: &[u8],
    ) -> Result<(Self, PublicKey, Token), PacketError> {
        let sealed = Sealed::check(bytes)?;
        Ok((sealed.decode()?, sealed.recover_with(crypto)?, sealed.hash()))
    }

    /// Whether the packet states a time that is past at `unix`. An [`EnrResponse`] states none.
    ///
    /// Numbers from 2^63 on are past too: clients that compute a time before 1970 send them.
    pub fn is_expired(&self, unix: Duration) -> bool {
        let expiration = match self {
            Self::Ping(body) => body.expiration,
            Self::Pong(body) => body.expiration,
            Self::FindNode(body) => body.expiration,
            Self::Neighbors(body) => body.expiration,
            Self::EnrRequest(body) => body.expiration,
            Self::EnrResponse(_) => return false,
        };
        i64::try_from(expiration).is_err() || expiration < unix.as_secs()
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::Ping(_) => kind::PING,
            Self::Pong(_) => kind::PONG,
            Self::FindNode(_) => kind::FIND_NODE,
            Self::Neighbors(_) => kind::NEIGHBORS,
            Self::EnrRequest(_) => kind::ENR_REQUEST,
            Self::EnrResponse(_) => kind::ENR_RESPONSE,
        }
    }
}

/// A datagram whose size and hash are those of a packet; its signature and content are not looked
/// at.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    bytes: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Checks size and hash, at about one microsecond. Where several protocols share a port, this
    /// tells whether a datagram belongs to discovery v4.
    pub fn check(bytes: &'a [u8]) -> Result<Self, PacketError> {
        // Content is at least the byte of an empty list.
        if bytes.len() <= HEAD_SIZE || bytes.len() > MAX_PACKET_SIZE {
            return Err(PacketError::Size { size: bytes.len() });
        }
        if keccak(&bytes[HASH_SIZE..]) != bytes[..HASH_SIZE] {
            return Err(PacketError::Hash);
        }
        Ok(Self { bytes })
    }

    /// The hash: what a reply to this packet names.
    pub fn hash(&self) -> Token {
        let mut hash = [0; HASH_SIZE];
        hash.copy_from_slice(&self.bytes[..HASH_SIZE]);
        hash
    }

    /// What the packet says. Elements that EIP-8 allows to follow are ignored.
    pub fn decode(&self) -> Result<Packet, PacketError> {
        let kind = self.bytes[HEAD_SIZE - 1];
        let content = &self.bytes[HEAD_SIZE..];
        let packet = match kind {
            kind::PING => Ping::decode(content).map(Packet::Ping),
            kind::PONG => Pong::decode(content).map(Packet::Pong),
            kind::FIND_NODE => FindNode::decode(content).map(Packet::FindNode),
            kind::NEIGHBORS => Neighbors::decode(content).map(Packet::Neighbors),
            kind::ENR_REQUEST => EnrRequest::decode(content).map(Packet::EnrRequest),
            kind::ENR_RESPONSE => EnrResponse::decode(content).map(Packet::EnrResponse),
            kind => return Err(PacketError::UnknownType { kind }),
        };
        packet.map_err(|_| PacketError::Malformed { kind })
    }

    /// Who signed the packet: one recovery of a public key, by far the most costly step.
    pub fn recover(&self) -> Result<PublicKey, PacketError> {
        self.recover_with(Crypto::Real)
    }

    /// [`recover`](Self::recover) by the scheme of the key of whoever reads the packet.
    pub fn recover_with(&self, crypto: Crypto) -> Result<PublicKey, PacketError> {
        let mut signature = [0; SIGNATURE_SIZE];
        signature.copy_from_slice(&self.bytes[HASH_SIZE..HEAD_SIZE - 1]);
        RecoverableSignature::from_bytes(signature)
            .recover_with(crypto, &keccak(&self.bytes[HEAD_SIZE - 1..]))
            .map_err(|_| PacketError::Signature)
    }
}

/// A datagram of this type and content with a right signature and hash, for the fuzz targets.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn seal(kind: u8, content: &[u8], key: &SecretKey) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_SIZE];
    bytes[HEAD_SIZE - 1] = kind;
    bytes.extend_from_slice(content);
    let signature = key.sign(&keccak(&bytes[HEAD_SIZE - 1..])).to_bytes();
    bytes[HASH_SIZE..HEAD_SIZE - 1].copy_from_slice(&signature);
    let hash = keccak(&bytes[HASH_SIZE..]);
    bytes[..HASH_SIZE].copy_from_slice(&hash);
    bytes
}

/// What a lookup in discovery v4 is for: 64 bytes in the place of a public key, and no more than
/// their hash counts.
///
/// That is why v4 can look for a key, or for nothing in particular, but not for a known id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub [u8; 64]);

impl Target {
    /// The id that the nodes found should be close to.
    pub fn id(&self) -> NodeId {
        NodeId(keccak(&self.0))
    }
}

impl finder::Target for Target {
    const VERSION: Version = Version::V4;

    fn of(key: &PublicKey) -> Self {
        key.into()
    }

    fn at(_: NodeId) -> Option<Self> {
        None
    }

    fn random(random: &mut Random) -> Self {
        Self(random.bytes())
    }

    fn id(&self) -> NodeId {
        self.id()
    }
}

impl From<&PublicKey> for Target {
    fn from(key: &PublicKey) -> Self {
        Self(key.to_bytes())
    }
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
