//! Nodes as small numbers, for the model and for the tests.

use std::{net::SocketAddr, sync::LazyLock};

use peerage_node::{Node, NodeId, PublicKey, SecretKey};

/// Every node's key and id, derived once: a curve multiplication each.
static NODES: LazyLock<Vec<(PublicKey, NodeId)>> = LazyLock::new(|| {
    let key = |node| *SecretKey::from_bytes(&[node; 32]).unwrap().public();
    (1..=60).map(|node| (key(node), key(node).id())).collect()
});

pub(crate) fn key(node: u8) -> PublicKey {
    NODES[usize::from(node) - 1].0
}

pub(crate) fn id(node: u8) -> NodeId {
    NODES[usize::from(node) - 1].1
}

pub(crate) fn number(of: &NodeId) -> u8 {
    (1..=60).find(|node| id(*node) == *of).unwrap()
}

pub(crate) fn endpoint(node: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node], 30_303))
}

pub(crate) fn node(node: u8) -> Node {
    Node::from_endpoint(key(node), endpoint(node), None)
}

/// The node at another address, or under a name.
pub(crate) fn node_at(node: u8, host: &str) -> Node {
    format!("enode://{}@{host}", key(node)).parse().unwrap()
}
