//! What happens in a server, for those who want to know.

use std::{fmt, net::SocketAddr, time::Duration};

use peerage_node::{Node, NodeId, Source};
use peerage_peering::{
    Slot,
    envelope::{DialFailure, Refusal, Skip},
};
use peerage_rlpx::{DisconnectReason, Fault};
use tokio::sync::broadcast;

use crate::{candidates::Cause, discovery::Version, info::PeerInfo};

/// How many events wait for a slow subscriber before it loses the oldest. A few hundred bytes each;
/// a full mesh of 100 nodes that connects at once fits.
pub(crate) const BACKLOG: usize = 256;

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A candidate that the embedding program named is not taken. Those that discovery found are
    /// only in the log, at level debug; why one of them is not can be asked:
    /// [`Server::why_not_taken`](crate::Server::why_not_taken).
    CandidateSkipped {
        /// The node.
        id: NodeId,
        /// Who named it.
        source: Source,
        /// Why.
        cause: Cause<Skip>,
    },
    /// A node that should have been dialed did not become a peer.
    DialFailed {
        /// The node.
        id: NodeId,
        /// Why.
        why: DialFailure,
        /// When it is tried again at the soonest; `None` for nodes that are not static.
        retry_in: Option<Duration>,
    },
    /// This subscriber was too slow, and `missed` events passed it by.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// Our own record changed: others see us at another address, or an attribute was set.
    LocalNodeChanged {
        /// What [`Server::local_node`](crate::Server::local_node) is from now on.
        node: Node,
    },
    /// Discovery took a node into the table of a version.
    NodeAdded {
        /// The node.
        node: Node,
        /// The version.
        version: Version,
    },
    /// Discovery dropped a node from the table of a version.
    NodeDropped {
        /// The node.
        id: NodeId,
        /// The version.
        version: Version,
    },
    /// A node became a peer, and its protocols started.
    PeerAdded {
        /// The peer.
        peer: Box<PeerInfo>,
    },
    /// A peer is one no longer.
    PeerDropped {
        /// The node.
        id: NodeId,
        /// Why, and whose doing it was.
        fault: Fault,
        /// The reason that was sent or received, or would have been.
        reason: DisconnectReason,
        /// Whether the end came from us.
        by_us: bool,
        /// How long it was a peer.
        duration: Duration,
    },
    /// An accepted connection was closed before a byte was read.
    Refused {
        /// Where it came from.
        remote: SocketAddr,
        /// Why.
        why: Refusal,
    },
    /// The slot of a connected peer changed: its node became static or trusted, or no longer is.
    SlotChanged {
        /// The node.
        id: NodeId,
        /// The slot it holds now.
        slot: Slot,
    },
}

/// A subscription to a server's events, from the moment of subscribing on.
///
/// A slow subscriber never stalls the server: it is told how much it lost ([`Event::Lagged`]).
pub struct Events(pub(crate) broadcast::Receiver<Event>);

impl Events {
    /// The next event, or `None` once the server has stopped.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.0.len()).finish()
    }
}
