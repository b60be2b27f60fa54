//! The packets of discovery v4, written and read anew from the specification: a mistake in the
//! codec of ours does not show to itself. Also writes packets that no node should send.
//!
//! Spec: [discv4.md](https://github.com/ethereum/devp2p/blob/master/discv4.md#wire-protocol).

use std::net::{IpAddr, SocketAddr};

use alloy_rlp::{BufMut, Encodable, Header};
use keccak_asm::Keccak256;
use peerage_node::{PublicKey, RecoverableSignature, SecretKey};

pub(crate) const PING: u8 = 0x01;
pub(crate) const PONG: u8 = 0x02;
pub(crate) const FIND_NODE: u8 = 0x03;
pub(crate) const NEIGHBORS: u8 = 0x04;
pub(crate) const ENR_REQUEST: u8 = 0x05;
pub(crate) const ENR_RESPONSE: u8 = 0x06;

const MAX_SIZE: usize = 1280;

/// Something that is encoded already.
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Encodable for Raw {
    fn encode(&self, out: &mut dyn BufMut) {
        out.put_slice(&self.0);
    }

    fn length(&self) -> usize {
        self.0.len()
    }
}

/// A list of these items.
pub(crate) fn list(items: &[&dyn Encodable]) -> Raw {
    let mut out = Vec::new();
    alloy_rlp::encode_list::<&dyn Encodable, dyn Encodable>(items, &mut out);
    Raw(out)
}

/// `[ip, udp-port, tcp-port]`.
pub(crate) fn endpoint(ip: IpAddr, udp: u16, tcp: u16) -> Raw {
    match ip {
        IpAddr::V4(ip) => list(&[&ip.octets().as_slice(), &udp, &tcp]),
        IpAddr::V6(ip) => list(&[&ip.octets().as_slice(), &udp, &tcp]),
    }
}

/// `[ip, udp-port, tcp-port]` of a socket that takes no connections.
pub(crate) fn endpoint_of(address: SocketAddr) -> Raw {
    endpoint(address.ip(), address.port(), 0)
}

/// `hash || signature || type || data`, and the hash.
pub(crate) fn seal(key: &SecretKey, kind: u8, data: &Raw) -> (Vec<u8>, [u8; 32]) {
    let mut signed = vec![kind];
    signed.extend_from_slice(&data.0);
    let mut hashed = key.sign(&keccak(&signed)).to_bytes().to_vec();
    hashed.extend_from_slice(&signed);
    let hash = keccak(&hashed);
    ([hash.as_slice(), &hashed].concat(), hash)
}

/// A packet that came.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) hash: [u8; 32],
    pub(crate) signer: PublicKey,
    pub(crate) kind: u8,
    /// The items of its list.
    pub(crate) data: Vec<Item>,
}

/// An item of RLP, with its encoding where that may be signed.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Bytes(Vec<u8>),
    List { items: Vec<Item>, encoded: Vec<u8> },
}

impl Packet {
    /// Reads a datagram.
    pub(crate) fn open(datagram: &[u8]) -> Self {
        assert!(datagram.len() <= MAX_SIZE, "{} bytes are too many", datagram.len());
        let hash = keccak(&datagram[32..]);
        assert_eq!(hash, datagram[..32], "the hash is that of another packet");
        let signature = RecoverableSignature::from_bytes(datagram[32..97].try_into().unwrap());
        let signer = signature.recover(&keccak(&datagram[97..])).unwrap();
        let mut rest = &datagram[98..];
        let Item::List { items, .. } = Item::read(&mut rest) else { panic!("no list") };
        assert!(rest.is_empty(), "{} bytes follow the list", rest.len());
        Self { hash, signer, kind: datagram[97], data: items }
    }
}

impl Item {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::List { .. } => panic!("a list where bytes should be"),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        let bytes = self.bytes();
        assert!(bytes.first() != Some(&0), "{bytes:02x?} begins with a zero");
        assert!(bytes.len() <= 8, "{bytes:02x?} is too large");
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List { items, .. } => items,
            Self::Bytes(bytes) => panic!("{bytes:02x?} where a list should be"),
        }
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        match self {
            Self::List { encoded, .. } => encoded,
            Self::Bytes(bytes) => panic!("{bytes:02x?} where a list should be"),
        }
    }

    fn read(rest: &mut &[u8]) -> Self {
        let start = *rest;
        let header = Header::decode(rest).unwrap();
        let (mut payload, after) = rest.split_at(header.payload_length);
        *rest = after;
        if !header.list {
            return Self::Bytes(payload.to_vec());
        }
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.push(Self::read(&mut payload));
        }
        let encoded = start[..start.len() - after.len()].to_vec();
        Self::List { items, encoded }
    }
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}
