//! Node records: what a node signs about itself and lets others pass on.
//!
//! A [`Record`] is always well-formed and its signature checked. Ours, which changes, is
//! [`LocalRecord`](crate::LocalRecord).
//!
//! Spec: [EIP-778](https://eips.ethereum.org/EIPS/eip-778),
//! [enr.md](https://github.com/ethereum/devp2p/blob/master/enr.md).

pub(crate) mod scheme;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use alloy_rlp::{Decodable, Encodable, Header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{Crypto, NodeId, PublicKey};

/// The most bytes a record may have: EIP-778 sets it so that records fit into datagrams.
pub const MAX_RECORD_SIZE: usize = 300;

/// The keys whose meaning EIP-778 fixes.
pub(crate) mod key {
    pub(crate) const ID: &str = "id";
    pub(crate) const IP4: &str = "ip";
    pub(crate) const IP6: &str = "ip6";
    pub(crate) const PUBLIC_KEY: &str = "secp256k1";
    pub(crate) const TCP4: &str = "tcp";
    pub(crate) const TCP6: &str = "tcp6";
    pub(crate) const UDP4: &str = "udp";
    pub(crate) const UDP6: &str = "udp6";

    /// All of them: no protocol may use one for an attribute of its own.
    pub(crate) const RESERVED: [&str; 8] = [ID, IP4, IP6, PUBLIC_KEY, TCP4, TCP6, UDP4, UDP6];
}

const TEXT_PREFIX: &str = "enr:";

/// Why bytes or text are not a node record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The text after `enr:` is not base64.
    #[error("what follows enr: is not URL-safe base64 without padding")]
    Base64,
    /// The same key occurs twice.
    #[error("a key occurs twice in the record")]
    DuplicateKey,
    /// The public key is missing, has the wrong length or is not a point on the curve.
    #[error("the record has no valid secp256k1 public key")]
    PublicKey,
    /// Not a list of signature, sequence number and pairs in canonical RLP.
    #[error("the record is not an RLP list of signature, sequence number, keys and values")]
    Rlp,
    /// The signature does not belong to this content and public key.
    #[error("the record's signature is not valid")]
    Signature,
    /// The text does not begin with `enr:`.
    #[error("a record in text form begins with enr:")]
    TextPrefix,
    /// Longer than [`MAX_RECORD_SIZE`].
    #[error("a record has at most {MAX_RECORD_SIZE} bytes; this one has more")]
    TooBig,
    /// Bytes follow the record.
    #[error("something follows the end of the record")]
    TrailingBytes,
    /// The last key has no value.
    #[error("the record's last key has no value")]
    MissingValue,
    /// The identity scheme is not "v4", or there is none.
    #[error("the record's identity scheme is not \"v4\", the only one known")]
    Scheme,
    /// The keys are not in ascending order.
    #[error("the record's keys are not sorted")]
    UnsortedKeys,
}

/// A node's signed statement about itself. Cheap to clone, and small, as tables hold hundreds of
/// nodes.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Arc<Checked>);

/// A record whose signature is right.
#[derive(PartialEq, Eq)]
struct Checked {
    /// The whole record in RLP: everything below is derived from it.
    rlp: Box<[u8]>,
    /// Where the first key begins in `rlp`.
    pairs_at: usize,
    seq: u64,
    public_key: PublicKey,
    id: NodeId,
}

impl Record {
    /// The most bytes that a record holds beside itself, shared by its clones.
    pub(crate) const MAX_HEAP: usize =
        MAX_RECORD_SIZE + size_of::<Checked>() + 2 * size_of::<usize>();

    /// Decodes a record and checks its signature (one verification, about 30 us).
    ///
    /// Pairs with a known key and an unexpected value are kept, and read as absent.
    ///
    /// # Security
    ///
    /// Looks at nothing beyond [`MAX_RECORD_SIZE`] bytes, and verifies the signature last.
    pub fn decode(rlp: &[u8]) -> Result<Self, RecordError> {
        Self::decode_with(Crypto::Real, rlp)
    }

    /// [`decode`](Self::decode) by the scheme of the key of whoever reads the record.
    pub fn decode_with(crypto: Crypto, rlp: &[u8]) -> Result<Self, RecordError> {
        if rlp.len() > MAX_RECORD_SIZE {
            return Err(RecordError::TooBig);
        }
        let mut rest = rlp;
        let mut list = Header::decode_bytes(&mut rest, true).map_err(|_| RecordError::Rlp)?;
        if !rest.is_empty() {
            return Err(RecordError::TrailingBytes);
        }
        let signature = Header::decode_bytes(&mut list, false).map_err(|_| RecordError::Rlp)?;
        let content = list;
        let seq = u64::decode(&mut list).map_err(|_| RecordError::Rlp)?;
        let pairs_at = rlp.len() - list.len();

        let mut scheme = None;
        let mut public_key = None;
        let mut last: Option<&[u8]> = None;
        while !list.is_empty() {
            let (key, value) = take_pair(&mut list)?;
            match last {
                Some(last) if last == key => return Err(RecordError::DuplicateKey),
                Some(last) if last > key => return Err(RecordError::UnsortedKeys),
                _ => last = Some(key),
            }
            if key == key::ID.as_bytes() {
                scheme = string(value);
            } else if key == key::PUBLIC_KEY.as_bytes() {
                public_key = string(value);
            }
        }

        if scheme != Some(scheme::NAME) {
            return Err(RecordError::Scheme);
        }
        let public_key = public_key
            .filter(|bytes| bytes.len() == 33)
            .and_then(|bytes| PublicKey::from_sec1(bytes).ok())
            .ok_or(RecordError::PublicKey)?;
        let signature = signature.try_into().map_err(|_| RecordError::Signature)?;
        if !scheme::verify(crypto, &public_key, content, signature) {
            return Err(RecordError::Signature);
        }
        let id = public_key.id();
        Ok(Self(Arc::new(Checked { rlp: rlp.into(), pairs_at, seq, public_key, id })))
    }

    /// The record in RLP, byte for byte as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        self.0.rlp.to_vec()
    }

    /// The record in RLP, borrowed.
    pub fn as_rlp(&self) -> &[u8] {
        &self.0.rlp
    }

    /// The sequence number: of two records of one node, the higher is the newer.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// The key that signed the record.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The id of the node that signed the record.
    pub fn id(&self) -> NodeId {
        self.0.id
    }

    /// The IPv4 address.
    pub fn ip4(&self) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = string(self.get(key::IP4)?)?.try_into().ok()?;
        Some(bytes.into())
    }

    /// The IPv6 address.
    pub fn ip6(&self) -> Option<Ipv6Addr> {
        let bytes: [u8; 16] = string(self.get(key::IP6)?)?.try_into().ok()?;
        Some(bytes.into())
    }

    /// The TCP port, of IPv4 or of both families.
    pub fn tcp4(&self) -> Option<u16> {
        self.port(key::TCP4)
    }

    /// The TCP port of IPv6, where it differs.
    pub fn tcp6(&self) -> Option<u16> {
        self.port(key::TCP6)
    }

    /// The UDP port, of IPv4 or of both families.
    pub fn udp4(&self) -> Option<u16> {
        self.port(key::UDP4)
    }

    /// The UDP port of IPv6, where it differs.
    pub fn udp6(&self) -> Option<u16> {
        self.port(key::UDP6)
    }

    /// The value of `key`, in RLP.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.entries().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// All pairs, sorted by key: keys as bytes, values in RLP.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.0.rlp[self.0.pairs_at..];
        std::iter::from_fn(move || {
            (!rest.is_empty())
                .then(|| take_pair(&mut rest).expect("because decode() walked the same bytes"))
        })
    }

    /// A port that is there and is one: 0 means none.
    fn port(&self, key: &str) -> Option<u16> {
        alloy_rlp::decode_exact(self.get(key)?).ok().filter(|port| *port != 0)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({self})")
    }
}

impl fmt::Display for Record {
    /// `enr:` and the record in URL-safe base64 without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TEXT_PREFIX}{}", URL_SAFE_NO_PAD.encode(&self.0.rlp))
    }
}

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let text = text.strip_prefix(TEXT_PREFIX).ok_or(RecordError::TextPrefix)?;
        // Four characters hold three bytes.
        if text.len() > MAX_RECORD_SIZE / 3 * 4 {
            return Err(RecordError::TooBig);
        }
        Self::decode(&URL_SAFE_NO_PAD.decode(text).map_err(|_| RecordError::Base64)?)
    }
}

/// The record of `content` (sequence number and pairs in RLP) and its signature.
pub(crate) fn assemble(signature: &[u8; 64], content: &[u8]) -> Vec<u8> {
    let payload_length = signature.as_slice().length() + content.len();
    let mut rlp = Vec::with_capacity(3 + payload_length);
    Header { list: true, payload_length }.encode(&mut rlp);
    signature.as_slice().encode(&mut rlp);
    rlp.extend_from_slice(content);
    rlp
}

/// Takes one item off `rlp`, header included.
pub(crate) fn take_item<'a>(rlp: &mut &'a [u8]) -> Result<&'a [u8], alloy_rlp::Error> {
    let start = *rlp;
    let mut rest = *rlp;
    let payload = Header::decode(&mut rest)?.payload_length;
    // The decoded header guarantees that `payload` bytes are there.
    let (item, rest) = start.split_at(start.len() - rest.len() + payload);
    *rlp = rest;
    Ok(item)
}

/// Takes a key (its bytes) and a value (in RLP) off `rlp`.
fn take_pair<'a>(rlp: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), RecordError> {
    let key = Header::decode_bytes(rlp, false).map_err(|_| RecordError::Rlp)?;
    if rlp.is_empty() {
        return Err(RecordError::MissingValue);
    }
    Ok((key, take_item(rlp).map_err(|_| RecordError::Rlp)?))
}

/// The bytes of an RLP string; `None` for a list.
fn string(mut rlp: &[u8]) -> Option<&[u8]> {
    Header::decode_bytes(&mut rlp, false).ok()
}

#[cfg(test)]
mod tests;
