//! The attempts to connect to nodes, each with a number by which the driver answers.
//!
//! ```text
//!   Locating  ----Located-----> gone
//!   Resolving ----Resolved----> gone
//!   Dialing -+--DialSucceeded-> Handshaking --peer, or closed--> gone
//!            +--DialFailed----> gone
//!            +--nobody waits--> Cancelled --DialSucceeded, DialFailed--> gone
//! ```
//!
//! Not here: when an attempt begins, and what follows from its end.

use std::{collections::BTreeMap, net::SocketAddr};

use peerage_machine::tree_memory;
use peerage_node::{NodeId, PublicKey};
use peerage_rlpx::DisconnectReason;

use super::MAX_ADDRESSES;
use crate::envelope::{ConnId, DialId, LocateId, ResolveId};

/// Numbers what the driver is asked for: never used twice, whatever is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AttemptId(u64);

/// The attempts under way, one for each node at most; and dials that nobody waits for.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// At most as many as may be in flight.
    by_id: BTreeMap<AttemptId, Attempt>,
    /// Of those that are not cancelled.
    by_node: BTreeMap<NodeId, AttemptId>,
    next: u64,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) node: NodeId,
    pub(super) key: PublicKey,
    pub(super) stage: Stage,
}

/// How far an attempt is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nobody waits for the dial, but the driver has yet to end it.
    Cancelled {
        reason: DisconnectReason,
    },
    Dialing {
        addresses: Box<[SocketAddr]>,
    },
    Handshaking {
        conn: ConnId,
    },
    Locating,
    Resolving {
        port: u16,
    },
}

/// What a dial turned out to be when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    /// The connection to this node that was asked for.
    Wanted(NodeId, PublicKey),
    /// Too late: it is to be ended with this reason.
    Unwanted(PublicKey, DisconnectReason),
}

impl Attempts {
    pub(super) fn locate(&mut self, node: NodeId, key: PublicKey) -> LocateId {
        LocateId(self.begin(node, key, Stage::Locating))
    }

    pub(super) fn resolve(&mut self, node: NodeId, key: PublicKey, port: u16) -> ResolveId {
        ResolveId(self.begin(node, key, Stage::Resolving { port }))
    }

    pub(super) fn dial(
        &mut self,
        node: NodeId,
        key: PublicKey,
        addresses: &[SocketAddr],
    ) -> DialId {
        DialId(self.begin(node, key, Stage::Dialing { addresses: addresses.into() }))
    }

    /// Ends the question where a node is. Whose it was; `None` if nobody asks it any longer.
    pub(super) fn located(&mut self, locate: LocateId) -> Option<PublicKey> {
        match self.by_id.get(&AttemptId(locate.0))?.stage {
            Stage::Locating => self.end(AttemptId(locate.0)).map(|it| it.key),
            _ => None,
        }
    }

    /// Ends a question for a name. Whose it was, and the port that goes with the name; `None` if
    /// nobody asks it any longer.
    pub(super) fn resolved(&mut self, resolve: ResolveId) -> Option<(PublicKey, u16)> {
        match self.by_id.get(&AttemptId(resolve.0))?.stage {
            Stage::Resolving { port } => self.end(AttemptId(resolve.0)).map(|it| (it.key, port)),
            _ => None,
        }
    }

    /// A dial connected; `None` if it is none.
    pub(super) fn connected(&mut self, dial: DialId, conn: ConnId) -> Option<Connected> {
        let id = AttemptId(dial.0);
        let attempt = self.by_id.get_mut(&id)?;
        let key = attempt.key;
        match attempt.stage {
            Stage::Dialing { .. } => {
                attempt.stage = Stage::Handshaking { conn };
                Some(Connected::Wanted(attempt.node, key))
            }
            Stage::Cancelled { reason } => {
                self.by_id.remove(&id);
                Some(Connected::Unwanted(key, reason))
            }
            Stage::Handshaking { .. } | Stage::Locating | Stage::Resolving { .. } => None,
        }
    }

    /// A dial reached nobody. Whose it was; `None` if nobody waited for it.
    pub(super) fn failed(&mut self, dial: DialId) -> Option<NodeId> {
        let id = AttemptId(dial.0);
        match self.by_id.get(&id)?.stage {
            Stage::Dialing { .. } => self.end(id).map(|it| it.node),
            Stage::Cancelled { .. } => {
                self.by_id.remove(&id);
                None
            }
            Stage::Handshaking { .. } | Stage::Locating | Stage::Resolving { .. } => None,
        }
    }

    /// The handshake on this connection has ended, well or not, or nobody waits for it any longer.
    /// Whether it was the one of an attempt.
    pub(super) fn end_handshake(&mut self, node: &NodeId, conn: ConnId) -> bool {
        let is_its = self.handshake(node) == Some(conn);
        if is_its && let Some(id) = self.by_node.get(node) {
            self.end(*id);
        }
        is_its
    }

    /// Ends an attempt that has not connected; others end with their connection. The dial that the
    /// driver is to cancel, if it is one.
    pub(super) fn cancel(&mut self, node: &NodeId, reason: DisconnectReason) -> Option<DialId> {
        let id = *self.by_node.get(node)?;
        let attempt = self.by_id.get_mut(&id)?;
        match attempt.stage {
            Stage::Dialing { .. } => {
                attempt.stage = Stage::Cancelled { reason };
                self.by_node.remove(node);
                Some(DialId(id.0))
            }
            // An answer that comes nevertheless is not known any longer.
            Stage::Locating | Stage::Resolving { .. } => {
                self.end(id);
                None
            }
            Stage::Cancelled { .. } | Stage::Handshaking { .. } => None,
        }
    }

    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.by_node.contains_key(node)
    }

    /// The connection of the attempt, where its handshake is under way.
    pub(super) fn handshake(&self, node: &NodeId) -> Option<ConnId> {
        match self.by_id.get(self.by_node.get(node)?)?.stage {
            Stage::Handshaking { conn } => Some(conn),
            _ => None,
        }
    }

    /// The nodes that there are attempts for, in the order of their ids.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.by_node.keys()
    }

    /// Every attempt that is not cancelled, in the order of the nodes' ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.by_node.values().filter_map(|id| self.by_id.get(id))
    }

    /// How many there are, with those that are cancelled.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn memory(&self) -> usize {
        Self::memory_bound(self.by_id.len())
    }

    /// The most bytes that so many attempts take.
    pub(super) const fn memory_bound(attempts: usize) -> usize {
        tree_memory::<AttemptId, Attempt>(attempts)
            + tree_memory::<NodeId, AttemptId>(attempts)
            + attempts * MAX_ADDRESSES * size_of::<SocketAddr>()
    }

    fn begin(&mut self, node: NodeId, key: PublicKey, stage: Stage) -> u64 {
        self.next += 1;
        let id = AttemptId(self.next);
        self.by_id.insert(id, Attempt { node, key, stage });
        self.by_node.insert(node, id);
        id.0
    }

    fn end(&mut self, id: AttemptId) -> Option<Attempt> {
        let attempt = self.by_id.remove(&id)?;
        self.by_node.remove(&attempt.node);
        Some(attempt)
    }
}
