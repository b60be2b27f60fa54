//! What a server tells of itself and of its peers, as plain values.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use peerage_node::{NodeId, PublicKey};
use peerage_peering::Slot;
use peerage_rlpx::Capability;
use serde_json::Value;

use crate::{peer::Peer, protocol::Protocol};

/// A peer at the moment of asking.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The node's id.
    pub id: NodeId,
    /// The node's public key.
    pub key: PublicKey,
    /// The name and version that its client gives itself: any text at all.
    pub client: String,
    /// Every capability that it announced.
    pub capabilities: Vec<Capability>,
    /// The capabilities that run on this connection.
    pub shared: Vec<Capability>,
    /// The slot that it holds: so whether it is static or trusted.
    pub slot: Slot,
    /// Whether it dialed us.
    pub inbound: bool,
    /// Its end of the transport, where the transport has addresses.
    pub remote: Option<SocketAddr>,
    /// Our end of the transport, where the transport has addresses.
    pub local: Option<SocketAddr>,
    /// How long it has been a peer.
    pub connected_for: Duration,
    /// Round trip of the last ping that it answered.
    pub round_trip: Option<Duration>,
    /// By protocol name, what [`Protocol::peer_info`] says; `"handshake"` where it says nothing
    /// yet, `"unknown"` where the protocol offers nothing.
    pub protocols: BTreeMap<String, Value>,
}

impl PeerInfo {
    /// What is known of `peer`. `protocol` is asked for each capability that runs.
    pub(crate) fn of(peer: &Peer, protocol: impl Fn(&Capability) -> Value) -> Self {
        Self {
            id: peer.id(),
            key: peer.key(),
            client: peer.client().into(),
            capabilities: peer.capabilities().into(),
            shared: peer.shared().into(),
            slot: peer.slot(),
            inbound: peer.is_inbound(),
            remote: peer.remote_addr(),
            local: peer.local_addr(),
            connected_for: peer.connected_for(),
            round_trip: peer.round_trip(),
            protocols: peer
                .shared()
                .iter()
                .map(|capability| (capability.name.to_string(), protocol(capability)))
                .collect(),
        }
    }

    /// Whether it holds the place of a static node.
    pub const fn is_static(&self) -> bool {
        matches!(self.slot, Slot::Static)
    }

    /// Whether it holds the place of a trusted node.
    pub const fn is_trusted(&self) -> bool {
        matches!(self.slot, Slot::Trusted)
    }
}

/// A server's account of itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Our id.
    pub id: NodeId,
    /// The name that our Hello gives.
    pub name: String,
    /// Our `enode:` URL.
    pub enode: String,
    /// Our record in its text form, `enr:`.
    pub enr: String,
    /// Where we listen.
    pub listen: Option<SocketAddr>,
    /// Where discovery takes datagrams; `None` if it is off.
    pub discovery: Option<SocketAddr>,
    /// By protocol name, what [`Protocol::node_info`] says; `"unknown"` where it offers nothing.
    pub protocols: BTreeMap<String, Value>,
}

/// The answers of all protocols, by name; of several versions, the highest that offers any.
pub(crate) fn node_infos(protocols: &[Arc<Protocol>]) -> BTreeMap<String, Value> {
    let mut infos = BTreeMap::new();
    for protocol in protocols {
        let info = protocol.node_info_value();
        if info != "unknown" || !infos.contains_key(&protocol.name) {
            infos.insert(protocol.name.clone(), info);
        }
    }
    infos
}
