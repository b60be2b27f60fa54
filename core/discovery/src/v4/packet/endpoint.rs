//! Endpoints as packets write them, and the nodes that neighbors are told as.

use std::net::{IpAddr, SocketAddr};

use alloy_rlp::{Decodable, Encodable, Error, Header, Result};
use peerage_node::{Node, PublicKey};

use crate::rlp::{decode_ip, encode_ip, encode_list};

/// An address and two ports, `[ip, udp, tcp]`. Nothing is checked: what is said need not be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The address, never IPv4-mapped; `None` if it has neither 4 nor 16 bytes.
    pub ip: Option<IpAddr>,
    /// The UDP port, or 0.
    pub udp: u16,
    /// The TCP port, or 0.
    pub tcp: u16,
}

impl Endpoint {
    /// The endpoint at `udp`, with a TCP port or 0.
    pub fn new(udp: SocketAddr, tcp: u16) -> Self {
        Self { ip: Some(udp.ip().to_canonical()), udp: udp.port(), tcp }
    }

    /// Where it takes datagrams, if it says so.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.ip.filter(|_| self.udp != 0).map(|ip| SocketAddr::new(ip, self.udp))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut payload = Vec::with_capacity(24);
        self.encode_fields(&mut payload);
        encode_list(&payload, out);
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Result<Self> {
        let mut list = Header::decode_bytes(rest, true)?;
        let (ip, udp) = (decode_ip(&mut list)?, u16::decode(&mut list)?);
        // Some old clients leave out the TCP port of the recipient, which they do not know.
        let tcp = if list.is_empty() { 0 } else { u16::decode(&mut list)? };
        Ok(Self { ip, udp, tcp })
    }

    fn encode_fields(&self, out: &mut Vec<u8>) {
        encode_ip(self.ip, out);
        self.udp.encode(out);
        self.tcp.encode(out);
    }
}

/// A node as one node tells another of it: `[ip, udp, tcp, key]`, signed by neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Where it is said to be.
    pub endpoint: Endpoint,
    /// What should be its public key. Checked only when somebody wants to know.
    pub key: [u8; 64],
}

impl Neighbor {
    /// How to tell of `node`, which takes datagrams at `udp`.
    pub fn new(node: &Node, udp: SocketAddr) -> Self {
        let tcp = node
            .tcp_endpoints()
            .into_iter()
            .find(|tcp| tcp.ip() == udp.ip())
            .map_or(0, |tcp| tcp.port());
        Self { endpoint: Endpoint::new(udp, tcp), key: node.public_key().to_bytes() }
    }

    /// The node that is told of, if it has a key and a place.
    pub fn to_node(&self) -> Option<Node> {
        let udp = self.endpoint.udp_addr()?;
        let key = PublicKey::from_bytes(&self.key).ok()?;
        let tcp = SocketAddr::new(udp.ip(), self.endpoint.tcp);
        Some(Node::from_endpoint(key, tcp, Some(udp.port())))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut payload = Vec::with_capacity(92);
        self.endpoint.encode_fields(&mut payload);
        self.key.as_slice().encode(&mut payload);
        encode_list(&payload, out);
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Result<Self> {
        let mut list = Header::decode_bytes(rest, true)?;
        let endpoint = Endpoint {
            ip: decode_ip(&mut list)?,
            udp: u16::decode(&mut list)?,
            tcp: u16::decode(&mut list)?,
        };
        let key = Header::decode_bytes(&mut list, false)?;
        let key = key.try_into().map_err(|_| Error::UnexpectedLength)?;
        Ok(Self { endpoint, key })
    }
}
