//! Nodes as small numbers, for the model and for the tests.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive};

use peerage_node::{Node, NodeId, PublicKey, SecretKey};

pub(crate) fn key(node: u8) -> PublicKey {
    *SecretKey::from_bytes(&[node; 32]).unwrap().public()
}

pub(crate) fn id(node: u8) -> NodeId {
    key(node).id()
}

/// The way back, for the nodes that a driver names: deriving a key is a curve multiplication, so
/// they are not searched for.
#[derive(Debug)]
pub(crate) struct Numbers(BTreeMap<NodeId, u8>);

impl Numbers {
    pub(crate) fn of(nodes: RangeInclusive<u8>) -> Self {
        Self(nodes.map(|node| (id(node), node)).collect())
    }

    pub(crate) fn number(&self, of: &NodeId) -> u8 {
        self.0[of]
    }
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
