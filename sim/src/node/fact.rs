//! What a node says of itself to those who look at the world from outside.

use std::net::SocketAddr;

use peerage_node::NodeId;
use peerage_peering::{Slot, envelope::ConnId};

/// What a node says of itself: [`Fact::reported`](crate::Fact::reported) gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeFact {
    /// A peer was added.
    Added {
        /// The connection to it.
        conn: ConnId,
        /// The peer.
        id: NodeId,
        /// What it holds.
        slot: Slot,
        /// Another connection by which it was a peer already, which must not be.
        before: Option<ConnId>,
    },
    /// A peer was dropped.
    Dropped {
        /// The connection to it.
        conn: ConnId,
        /// The peer.
        id: NodeId,
    },
    /// A message arrived that this peer cannot have sent.
    Garbled {
        /// The peer.
        id: NodeId,
    },
    /// What a connection holds in memory.
    Holds {
        /// The connection.
        conn: ConnId,
        /// So many bytes.
        bytes: usize,
        /// Whether it has been admitted at both checkpoints, and messages flow.
        is_open: bool,
    },
    /// It begins with a node that it knew to be at these addresses.
    Seed {
        /// Where that node takes datagrams.
        udp: Vec<SocketAddr>,
    },
    /// It starts, or starts anew.
    Starts {
        /// Its id.
        id: NodeId,
        /// Whether its database is there from an earlier run.
        has_database: bool,
    },
    /// Everything has ended, as far as peering knows.
    Stopped {
        /// Connections that are still there.
        conns: usize,
        /// Dials that are still under way.
        dials: usize,
    },
    /// It was told to stop.
    Stopping,
}
