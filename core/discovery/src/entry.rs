//! A node as the table knows it: where it was heard, and how well it answers.
//!
//! Not here: where in the table it stands ([`Table`](crate::Table)).

use std::net::SocketAddr;

use peerage_machine::Instant;
use peerage_node::{Node, NodeId};

/// A node in the table, or one that waits for a place in it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) node: Node,
    pub(crate) endpoint: SocketAddr,
    pub(crate) added: Instant,
    pub(crate) last_seen: Option<Instant>,
    pub(crate) is_live: bool,
    pub(crate) checks: u32,
    pub(crate) failures: u32,
    /// Whether a check of `endpoint` is under way. A new endpoint voids it: an answer from the old
    /// one proves nothing about the new.
    pub(crate) is_checking: bool,
}

impl Entry {
    pub(crate) const fn new(node: Node, endpoint: SocketAddr, now: Instant) -> Self {
        Self {
            node,
            endpoint,
            added: now,
            last_seen: None,
            is_live: false,
            checks: 0,
            failures: 0,
            is_checking: false,
        }
    }

    /// The node. Its preferred UDP endpoint is [`endpoint`](Self::endpoint).
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// The node's id.
    pub const fn id(&self) -> NodeId {
        self.node.id()
    }

    /// Where it is asked: what its record states, or where it was heard since.
    pub const fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }

    /// The sequence number of its record; 0 without one.
    pub fn seq(&self) -> u64 {
        seq(&self.node)
    }

    /// When it came into the table, or into the list of replacements.
    pub const fn added(&self) -> Instant {
        self.added
    }

    /// When it was last heard from, if it was.
    pub const fn last_seen(&self) -> Option<Instant> {
        self.last_seen
    }

    /// Whether it has answered a check at its present endpoint: only then others are told of it, as
    /// long as there is a choice.
    pub const fn is_live(&self) -> bool {
        self.is_live
    }

    /// Its credit: checks answered, divided by three for each that was not.
    pub const fn checks(&self) -> u32 {
        self.checks
    }

    /// Queries in a row that it left without an answer.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

/// The sequence number of a node's record; 0 without one.
pub(crate) fn seq(node: &Node) -> u64 {
    node.record().map_or(0, peerage_node::Record::seq)
}
