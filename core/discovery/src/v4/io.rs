//! What [`V4`](crate::v4::V4) is told, and what it asks for.

use std::{net::SocketAddr, time::Duration};

use peerage_machine::vec_memory;
use peerage_node::{Node, NodeId, Policy, Record};

use super::packet::Target;
use crate::{LocalChange, StoreOp};

/// Names a command of the driver in the outputs that answer it. The driver chooses it, and does not
/// use one again before the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A node to be considered for the table.
    AddNode(Node),
    /// A datagram came in.
    Datagram {
        /// Where it came from, as the socket tells; an IPv4-mapped address is IPv4.
        from: SocketAddr,
        /// All of it. What is not a packet of discovery v4 is counted and ignored.
        bytes: &'a [u8],
    },
    /// Something about us changed.
    Local(LocalChange),
    /// Find the nodes closest to a target: [`Output::LookupStep`]s, then [`Output::LookupDone`].
    Lookup {
        /// Names the outputs.
        id: QueryId,
        /// What to look for.
        target: Target,
    },
    /// Ping a node: [`Output::Pong`] or [`Output::PingFailed`].
    Ping {
        /// Names the outputs.
        id: QueryId,
        /// Whom; where, is its UDP endpoint.
        node: Node,
    },
    /// Ask a node for its current record: [`Output::Record`].
    RequestRecord {
        /// Names the output.
        id: QueryId,
        /// Whom; where, is its UDP endpoint.
        node: Node,
    },
    /// Find out where a node is now, by asking it, and by a lookup if that fails:
    /// [`Output::Resolved`].
    Resolve {
        /// Names the output.
        id: QueryId,
        /// Whom. Its key suffices.
        node: Node,
    },
    /// Who may be talked to from now on. Nodes in the table that may not be are dropped.
    SetPolicy(Policy),
    /// Somebody would take this many more candidates; the latest number counts. Random walks go on
    /// while it is not 0, and each [`Output::Candidate`] takes one.
    Want {
        /// How many.
        count: usize,
    },
}

/// What the machine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A node that a random walk found: a candidate to be connected to. It has a TCP endpoint.
    Candidate(Node),
    /// Our record changed: this is the new one, signed.
    LocalRecord(Record),
    /// A lookup ended.
    LookupDone {
        /// Of which [`Input::Lookup`].
        id: QueryId,
        /// The closest nodes that it found, at most 16, closest first.
        closest: Vec<Node>,
        /// How many nodes were asked.
        queries: usize,
        /// How many datagrams were sent for it: requests, and the pings before them.
        packets: usize,
    },
    /// A node that a lookup asked has answered or failed to.
    LookupStep {
        /// Of which [`Input::Lookup`].
        id: QueryId,
        /// The node that was asked.
        asked: Node,
        /// How many usable nodes it told, new or not; `None` if it did not answer.
        found: Option<usize>,
    },
    /// A node came into the table.
    NodeAdded(Node),
    /// A node left the table.
    NodeDropped(NodeId),
    /// A pinged node did not answer in time, or has no UDP endpoint that we can send to.
    PingFailed {
        /// Of which [`Input::Ping`].
        id: QueryId,
    },
    /// A pinged node answered.
    Pong {
        /// Of which [`Input::Ping`].
        id: QueryId,
        /// Where it answered from.
        from: SocketAddr,
        /// From sending to receiving.
        round_trip: Duration,
        /// The sequence number of its record, if it tells.
        seq: Option<u64>,
        /// Where it sees us.
        our_endpoint: Option<SocketAddr>,
    },
    /// The answer to [`Input::RequestRecord`].
    Record {
        /// Of which request.
        id: QueryId,
        /// The record, verified to be that node's; `None` if the node did not answer with one.
        record: Option<Record>,
    },
    /// The answer to [`Input::Resolve`].
    Resolved {
        /// Of which request.
        id: QueryId,
        /// The node as it is now, or as others tell of it; `None` if nobody knows it.
        node: Option<Node>,
    },
    /// A datagram is to be sent.
    Send {
        /// Where to.
        to: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Something is to be kept for the next run.
    Store(StoreOp),
}

impl Output {
    /// The bytes held besides the output itself.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Candidate(_)
            | Self::LocalRecord(_)
            | Self::LookupStep { .. }
            | Self::NodeAdded(_)
            | Self::Record { .. }
            | Self::Resolved { .. }
            | Self::Store(_) => Node::MAX_HEAP,
            Self::LookupDone { closest, .. } => {
                vec_memory(closest) + closest.len() * Node::MAX_HEAP
            }
            Self::NodeDropped(_) | Self::PingFailed { .. } | Self::Pong { .. } => 0,
            Self::Send { bytes, .. } => vec_memory(bytes),
        }
    }
}
