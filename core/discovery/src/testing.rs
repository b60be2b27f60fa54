//! Nodes for the tests of this crate.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![cfg_attr(not(test), allow(dead_code, reason = "the fuzz targets need only some"))]

#[cfg(test)]
pub(crate) mod net;

use std::net::{IpAddr, SocketAddr};

use peerage_node::{LocalRecord, Node, NodeId, PublicKey, Record, SecretKey};

/// The `n`th key.
pub(crate) fn secret(n: u32) -> SecretKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

/// The node of a key at an address such as `10.0.0.1:30303`, without a record.
pub(crate) fn unsigned(key: &PublicKey, addr: &str) -> Node {
    Node::from_endpoint(*key, addr.parse().unwrap(), None)
}

/// The `n`th address of a network that the table does not count.
pub(crate) fn lan(n: u32) -> SocketAddr {
    SocketAddr::from(((0x0a00_0001 + n).to_be_bytes(), 30303))
}

/// The address of a host alone in the `n`th public /24.
pub(crate) fn public(n: u32) -> SocketAddr {
    SocketAddr::from(((0x0b00_0001 + n * 256).to_be_bytes(), 30303))
}

/// Nodes without records, in one local network.
pub(crate) fn nodes(count: u32) -> Vec<Node> {
    (0..count).map(|n| Node::from_endpoint(*secret(n).public(), lan(n), None)).collect()
}

/// Keys of nodes at `distance` from `own`, as many as there are among some.
pub(crate) fn at_distance(own: &NodeId, distance: u16) -> impl Iterator<Item = PublicKey> {
    let own = *own;
    (0..).map(|n| *secret(n).public()).filter(move |key| own.log_distance(&key.id()) == distance)
}

/// The record of a key: its `seq`th, at `addr`, or at no address.
pub(crate) fn record(secret: &SecretKey, seq: u64, addr: Option<&str>) -> Record {
    let mut local = LocalRecord::new(secret.clone(), seq - 1);
    if let Some(addr) = addr.map(|addr| addr.parse::<SocketAddr>().unwrap()) {
        match addr.ip() {
            IpAddr::V4(ip) => local.set_ip4(Some(ip)).unwrap(),
            IpAddr::V6(ip) => local.set_ip6(Some(ip)).unwrap(),
        }
        local.set_tcp4(Some(addr.port())).unwrap();
        local.set_udp4(Some(addr.port())).unwrap();
    }
    local.record().clone()
}
