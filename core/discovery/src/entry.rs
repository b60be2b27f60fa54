//! A node as the table knows it: where it was heard, and how well it answers.
//!
//! Not here: where in the table it stands ([`Table`](crate::Table)).

mod endpoints;
mod liveness;

use std::net::SocketAddr;

use peerage_machine::Instant;
use peerage_node::{Node, NodeId};

pub use self::endpoints::Endpoints;
use self::liveness::Liveness;

/// A node in the table, or one that waits for a place in it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) node: Node,
    endpoints: Endpoints,
    pub(crate) added: Instant,
    pub(crate) last_seen: Option<Instant>,
    liveness: Liveness,
    checks: u32,
    failures: u32,
}

impl Entry {
    /// The most bytes held besides the entry itself. What each entry is taken to hold, so that the
    /// memory of a table can be asked for after each event without a look at its entries.
    pub(crate) const MAX_HEAP: usize = Node::MAX_HEAP + Endpoints::MAX_HEAP;

    pub(crate) const fn new(node: Node, endpoint: SocketAddr, now: Instant) -> Self {
        Self {
            node,
            endpoints: Endpoints::new(endpoint),
            added: now,
            last_seen: None,
            liveness: Liveness::Unproved,
            checks: 0,
            failures: 0,
        }
    }

    /// A check of the endpoint in use begins. Whether it does: one may be under way.
    pub(crate) fn begin_check(&mut self) -> bool {
        let begun = self.liveness.begin();
        self.liveness = begun.unwrap_or(self.liveness);
        begun.is_some()
    }

    /// The node answered its check. Whether there was one.
    pub(crate) fn on_alive(&mut self, now: Instant) -> bool {
        let Some(answered) = self.liveness.answer() else { return false };
        self.liveness = answered;
        self.checks = self.checks.saturating_add(1);
        self.last_seen = Some(now);
        true
    }

    /// The node did not answer its check: the credit that is left. `None` if there was no check.
    pub(crate) fn on_dead(&mut self) -> Option<u32> {
        self.liveness = self.liveness.fail()?;
        self.checks /= 3;
        Some(self.checks)
    }

    /// A query of the node was answered, or not: how many in a row were not.
    pub(crate) const fn on_query(&mut self, now: Instant, is_answered: bool) -> u32 {
        if is_answered {
            self.failures = 0;
            self.last_seen = Some(now);
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        self.failures
    }

    /// The node is at `endpoint` and nowhere else. That voids a check under way: an answer from the
    /// old endpoint proves nothing about the new one.
    pub(crate) fn move_to(&mut self, endpoint: SocketAddr) {
        self.endpoints = Endpoints::new(endpoint);
        self.liveness = Liveness::Unproved;
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
        self.endpoints.used()
    }

    /// Everywhere it is known to take datagrams.
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
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
        self.liveness.is_live()
    }

    /// Whether a check of it is under way.
    pub(crate) const fn is_checking(&self) -> bool {
        self.liveness.is_checking()
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
