//! What discovery wants kept between runs, as data: a driver writes it wherever it likes.
//!
//! Not here: files, formats, ages and bounds of what is kept. Those are the driver's.

use std::{net::IpAddr, time::Duration};

use peerage_node::{Node, NodeId};

/// One thing to be written down. Operations are idempotent and independent: losing one loses that
/// fact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few exist at a time, and each is used up at once")]
pub enum StoreOp {
    /// How many queries in a row the node at this address has left without an answer; 0 forgets the
    /// count.
    Failures {
        /// The node.
        id: NodeId,
        /// Where it was asked.
        ip: IpAddr,
        /// Unanswered queries in a row.
        count: u32,
    },
    /// Everything known of the node is worth nothing any more.
    Forget(NodeId),
    /// The node at this address asked for our endpoint proof.
    Ping {
        /// The node.
        id: NodeId,
        /// Where it asked from.
        ip: IpAddr,
        /// When, since the UNIX epoch.
        unix: Duration,
    },
    /// The node at this address proved to us that it is there: it may be a seed of the next run.
    Pong {
        /// The node.
        id: NodeId,
        /// Where it answered.
        ip: IpAddr,
        /// When, since the UNIX epoch.
        unix: Duration,
    },
    /// A node with its record, if it has one, and where it is.
    Record(Node),
    /// The sequence number of our own record: the next run begins above it.
    Seq(u64),
}

/// A node from an earlier run, to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedNode {
    /// The node as it was stored.
    pub node: Node,
    /// When it answered last, since the UNIX epoch.
    pub last_pong: Duration,
}
