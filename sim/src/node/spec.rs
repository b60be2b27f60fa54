//! What a node is made of: what its user would write into a configuration.

use std::time::Duration;

use peerage_discovery::{Config as Discovery, Version};
use peerage_node::{Node, NodeId, Policy, SecretKey, Source};
use peerage_peering::{Config as Peering, DIAL_TIMEOUT, Limits};
use peerage_rlpx::{Config, Timeouts};

use super::{Chat, ProtocolSpec};

/// The configuration of a simulated node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeSpec {
    /// Its key: a stand-in key makes all of its cryptography cheap.
    pub key: SecretKey,
    /// Its port, of both transports.
    pub port: u16,
    /// Discovery, with the boot nodes in it; `None` for none.
    pub discovery: Option<Discovery>,
    /// Whether it states its own address, instead of waiting for the vote.
    pub knows_address: bool,
    /// How many of everything.
    pub limits: Limits,
    /// Whether it dials.
    pub dialing: bool,
    /// Nodes that it stays connected to.
    pub static_nodes: Vec<Node>,
    /// Nodes that it always lets in.
    pub trusted: Vec<NodeId>,
    /// Whom it may talk to.
    pub policy: Policy,
    /// When connections give up.
    pub timeouts: Timeouts,
    /// When a dial gives up.
    pub dial_timeout: Duration,
    /// What it speaks: nodes that share none are of no use to each other.
    pub protocols: Vec<ProtocolSpec>,
}

impl NodeSpec {
    /// A node with every default, discovery included.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            port: 30_303,
            discovery: Some(Discovery::default().with_versions(&[Version::V4])),
            knows_address: true,
            limits: Limits::default(),
            dialing: true,
            static_nodes: Vec::new(),
            trusted: Vec::new(),
            policy: Policy::default(),
            timeouts: Timeouts::default(),
            dial_timeout: DIAL_TIMEOUT,
            protocols: vec![Chat::default().into()],
        }
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.key.public().id()
    }

    /// A node that does nothing but discovery.
    pub fn discovery_only(key: SecretKey) -> Self {
        let limits = Limits::default().with_max_peers(0).with_max_handshakes(0);
        Self { limits, dialing: false, ..Self::new(key) }
    }

    /// Whether it takes connections: without any slot for handshakes there is nobody to take them.
    pub const fn takes_streams(&self) -> bool {
        self.limits.max_handshakes > 0
    }

    pub(crate) fn connection(&self) -> Config {
        Config::new(self.key.clone(), "peerage-sim")
            .with_capabilities(self.protocols.iter().map(ProtocolSpec::capability).collect())
            .with_timeouts(self.timeouts)
    }

    /// Who finds candidates.
    pub(super) fn sources(&self) -> impl Iterator<Item = Source> {
        self.discovery.iter().flat_map(Discovery::sources)
    }

    pub(super) fn peering(&self) -> Peering {
        Peering::new(self.id())
            .with_limits(self.limits.clone())
            .with_policy(self.policy.clone())
            .with_static_nodes(self.static_nodes.clone())
            .with_trusted(self.trusted.clone())
            .with_dialing(self.dialing)
            .with_dial_timeout(self.dial_timeout)
    }
}
