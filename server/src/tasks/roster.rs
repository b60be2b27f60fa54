//! Who is connected, for handles to read while the peering task goes on.
//!
//! A copy of what peering decided, for people: nothing is decided by it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use peerage_node::NodeId;
use peerage_peering::envelope::ConnId;

use crate::peer::Peer;

/// Every peer, by id. Bounded as peering bounds its peers.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<BTreeMap<NodeId, (ConnId, Peer)>>);

impl Roster {
    /// Adds a peer.
    pub(crate) fn add(&self, conn: ConnId, peer: Peer) {
        self.lock().insert(peer.id(), (conn, peer));
    }

    /// Removes the peer that `conn` led to, unless another connection has taken its place.
    pub(crate) fn remove(&self, conn: ConnId, id: NodeId) {
        let mut peers = self.lock();
        if peers.get(&id).is_some_and(|(current, _)| *current == conn) {
            peers.remove(&id);
        }
    }

    /// Forgets everybody.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// All peers, in the order of their ids.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        self.lock().values().map(|(_, peer)| peer.clone()).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, (ConnId, Peer)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
