//! The contents of the six packets, and how they are written as lists.
//!
//! Each `decode` takes the first list, ignores elements beyond those it knows, and ignores what
//! comes after the list: EIP-8 asks for both.

use alloy_rlp::{Decodable, Encodable, Error, Header, Result};

use super::{Endpoint, Neighbor, Target, Token};
use crate::rlp::{open_list, skip, take_item, with_list};

/// The protocol version that is written into a [`Ping`]. That of others is not looked at.
const VERSION: u8 = 4;

/// A request for a [`Pong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Where the sender believes to be. Only its TCP port is worth anything: the rest is seen.
    pub from: Endpoint,
    /// Where the packet is sent to.
    pub to: Endpoint,
    /// UNIX time in seconds from which on the packet is to be ignored.
    pub expiration: u64,
    /// The sequence number of the sender's record (EIP-868).
    pub seq: Option<u64>,
}

/// The answer to a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Where the ping was seen to come from.
    pub to: Endpoint,
    /// The hash of the ping.
    pub token: Token,
    /// UNIX time in seconds from which on the packet is to be ignored.
    pub expiration: u64,
    /// The sequence number of the sender's record (EIP-868).
    pub seq: Option<u64>,
}

/// A request for [`Neighbors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindNode {
    /// What the nodes should be close to.
    pub target: Target,
    /// UNIX time in seconds from which on the packet is to be ignored.
    pub expiration: u64,
}

/// A part of the answer to a [`FindNode`], which may come in several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbors {
    /// The nodes; at most [`MAX_NEIGHBORS`](super::MAX_NEIGHBORS) may be sent at once.
    pub nodes: Vec<Neighbor>,
    /// UNIX time in seconds from which on the packet is to be ignored.
    pub expiration: u64,
}

/// A request for an [`EnrResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrRequest {
    /// UNIX time in seconds from which on the packet is to be ignored.
    pub expiration: u64,
}

/// The answer to an [`EnrRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrResponse {
    /// The hash of the request.
    pub token: Token,
    /// The sender's record in RLP. Not decoded, as that verifies a signature, before it is known
    /// that somebody asked.
    pub record: Vec<u8>,
}

impl Ping {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        with_list(out, |list| {
            VERSION.encode(list);
            self.from.encode(list);
            self.to.encode(list);
            self.expiration.encode(list);
            encode_seq(self.seq, list);
        });
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self> {
        let mut list = open_list(content)?;
        skip(&mut list)?;
        Ok(Self {
            from: Endpoint::decode(&mut list)?,
            to: Endpoint::decode(&mut list)?,
            expiration: u64::decode(&mut list)?,
            seq: decode_seq(list),
        })
    }
}

impl Pong {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        with_list(out, |list| {
            self.to.encode(list);
            self.token.encode(list);
            self.expiration.encode(list);
            encode_seq(self.seq, list);
        });
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self> {
        let mut list = open_list(content)?;
        Ok(Self {
            to: Endpoint::decode(&mut list)?,
            token: Token::decode(&mut list)?,
            expiration: u64::decode(&mut list)?,
            seq: decode_seq(list),
        })
    }
}

impl FindNode {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        with_list(out, |list| {
            self.target.0.as_slice().encode(list);
            self.expiration.encode(list);
        });
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self> {
        let mut list = open_list(content)?;
        let target = Header::decode_bytes(&mut list, false)?;
        let target = target.try_into().map_err(|_| Error::UnexpectedLength)?;
        Ok(Self { target: Target(target), expiration: u64::decode(&mut list)? })
    }
}

impl Neighbors {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        with_list(out, |list| {
            with_list(list, |list| self.nodes.iter().for_each(|node| node.encode(list)));
            self.expiration.encode(list);
        });
    }

    /// As many nodes as came: the size of a packet bounds them.
    pub(super) fn decode(content: &[u8]) -> Result<Self> {
        let mut list = open_list(content)?;
        let mut told = Header::decode_bytes(&mut list, true)?;
        let mut nodes = Vec::new();
        while !told.is_empty() {
            nodes.push(Neighbor::decode(&mut told)?);
        }
        Ok(Self { nodes, expiration: u64::decode(&mut list)? })
    }
}

impl EnrRequest {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        with_list(out, |list| self.expiration.encode(list));
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self> {
        let mut list = open_list(content)?;
        Ok(Self { expiration: u64::decode(&mut list)? })
    }
}

impl EnrResponse {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        with_list(out, |list| {
            self.token.encode(list);
            list.extend_from_slice(&self.record);
        });
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self> {
        let mut list = open_list(content)?;
        let token = Token::decode(&mut list)?;
        Ok(Self { token, record: take_item(&mut list)?.to_vec() })
    }
}

fn encode_seq(seq: Option<u64>, out: &mut Vec<u8>) {
    if let Some(seq) = seq {
        seq.encode(out);
    }
}

/// The optional number at the end. Anything else there is an element that EIP-8 has us ignore.
fn decode_seq(mut rest: &[u8]) -> Option<u64> {
    u64::decode(&mut rest).ok()
}
