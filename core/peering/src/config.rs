//! What a server is made of: its bounds, its policy, and the nodes named beforehand.
//!
//! Not here: deadlines of handshakes, which are the connection's.

use std::time::Duration;

use peerage_node::{Node, NodeId, Policy};

use crate::{Limits, intake::DIAL_TIMEOUT};

/// Everything that a [`Server`](crate::Server) is made of, beside its seed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Our own id: never dialed, never admitted.
    pub own: NodeId,
    /// How many of everything.
    pub limits: Limits,
    /// Who may be talked to, until [`Input::SetPolicy`](crate::envelope::Input::SetPolicy) says
    /// otherwise. Holds for accepted connections, at both checkpoints, and for every address that
    /// is dialed, also after a name was resolved.
    pub policy: Policy,
    /// Nodes to stay connected to, whatever happens.
    pub static_nodes: Vec<Node>,
    /// Nodes that are let in when no ordinary slot is free.
    pub trusted: Vec<NodeId>,
    /// Whether to dial at all, static nodes included. Without, the slots for dialed peers go to
    /// inbound ones.
    pub dialing: bool,
    /// How long a dial may take until somebody answers, all of its addresses together.
    pub dial_timeout: Duration,
    /// Whether a peer without any shared capability is useless. False for a server that has no
    /// protocols of its own, such as a crawler.
    pub require_shared_capability: bool,
}

impl Config {
    /// The defaults, for the node `own`.
    pub fn new(own: NodeId) -> Self {
        Self {
            own,
            limits: Limits::default(),
            policy: Policy::default(),
            static_nodes: Vec::new(),
            trusted: Vec::new(),
            dialing: true,
            dial_timeout: DIAL_TIMEOUT,
            require_shared_capability: true,
        }
    }

    /// The same settings with this [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same settings with this [`policy`](Self::policy).
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same settings with this [`static_nodes`](Self::static_nodes).
    #[must_use]
    pub fn with_static_nodes(mut self, static_nodes: Vec<Node>) -> Self {
        self.static_nodes = static_nodes;
        self
    }

    /// The same settings with this [`trusted`](Self::trusted).
    #[must_use]
    pub fn with_trusted(mut self, trusted: Vec<NodeId>) -> Self {
        self.trusted = trusted;
        self
    }

    /// The same settings, and the nodes that the user's [lists](peerage_node::List) have from an
    /// earlier run. Of two with one id, the one in the settings counts: it was said now.
    #[must_use]
    pub fn with_kept(mut self, static_nodes: Vec<Node>, trusted: Vec<NodeId>) -> Self {
        self.static_nodes.splice(0..0, static_nodes);
        self.trusted.extend(trusted);
        self
    }

    /// The same settings with this [`dialing`](Self::dialing).
    #[must_use]
    pub const fn with_dialing(mut self, dialing: bool) -> Self {
        self.dialing = dialing;
        self
    }

    /// The same settings with this [`dial_timeout`](Self::dial_timeout).
    #[must_use]
    pub const fn with_dial_timeout(mut self, dial_timeout: Duration) -> Self {
        self.dial_timeout = dial_timeout;
        self
    }

    /// The same settings with this [`require_shared_capability`](Self::require_shared_capability).
    #[must_use]
    pub const fn with_require_shared_capability(mut self, require_shared_capability: bool) -> Self {
        self.require_shared_capability = require_shared_capability;
        self
    }
}
