//! The peers, and the connections that are about to become one.
//!
//! Not here: whether a connection may become one ([`admit`](crate::admit)).

use std::{collections::BTreeMap, net::IpAddr};

use peerage_machine::{Instant, tree_memory};
use peerage_node::{NodeId, PublicKey};

use crate::{
    admission::{Origin, Slot},
    envelope::ConnId,
    tie,
};

/// A node that is connected, past both checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its connection.
    pub conn: ConnId,
    /// Its key.
    pub key: PublicKey,
    /// Who began the connection.
    pub origin: Origin,
    /// The place it holds.
    pub slot: Slot,
    /// When it passed the second checkpoint.
    pub since: Instant,
}

/// A connection between the two checkpoints.
///
/// # Security
///
/// The node that it is filed under is only claimed: whoever knows a node's public key can get this
/// far in its name, as often as the throttles allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Who began it.
    pub origin: Origin,
    /// Where the other end is, if it came over the network. Completing TCP has proven that much.
    pub remote: Option<IpAddr>,
}

/// The peers, one for each node at most, and the connections between the two checkpoints.
///
/// Bounded by the slots, and by the handshakes that may be under way.
#[derive(Clone, Debug)]
pub struct PeerSet {
    own: NodeId,
    peers: BTreeMap<NodeId, Peer>,
    pending: BTreeMap<(NodeId, ConnId), Pending>,
    dialed: usize,
    inbound: usize,
}

impl PeerSet {
    /// No peers yet, for the node `own`.
    pub const fn new(own: NodeId) -> Self {
        Self { own, peers: BTreeMap::new(), pending: BTreeMap::new(), dialed: 0, inbound: 0 }
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        Self::memory_bound(self.peers.len(), self.pending.len())
    }

    /// The most bytes that so many peers, and so many others, take.
    pub(crate) const fn memory_bound(peers: usize, pending: usize) -> usize {
        tree_memory::<NodeId, Peer>(peers) + tree_memory::<(NodeId, ConnId), Pending>(pending)
    }

    /// Our own id.
    pub const fn own(&self) -> &NodeId {
        &self.own
    }

    /// Adds a peer. Returns the one it replaces.
    pub fn insert(&mut self, id: NodeId, peer: Peer) -> Option<Peer> {
        let replaced = self.remove(&id);
        self.count(peer.slot, 1);
        self.peers.insert(id, peer);
        replaced
    }

    /// Removes a peer.
    pub fn remove(&mut self, id: &NodeId) -> Option<Peer> {
        let peer = self.peers.remove(id)?;
        self.count(peer.slot, -1);
        Some(peer)
    }

    /// Moves a peer to another place, free or not. Whether that changes anything.
    pub fn set_slot(&mut self, id: &NodeId, slot: Slot) -> bool {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.slot != slot) else {
            return false;
        };
        let before = std::mem::replace(&mut peer.slot, slot);
        self.count(before, -1);
        self.count(slot, 1);
        true
    }

    /// Notes that a connection has passed the first checkpoint.
    pub fn insert_pending(&mut self, id: NodeId, conn: ConnId, pending: Pending) {
        self.pending.insert((id, conn), pending);
    }

    /// Notes that a connection is no longer between the checkpoints.
    pub fn remove_pending(&mut self, id: NodeId, conn: ConnId) {
        self.pending.remove(&(id, conn));
    }

    /// The connections that are between the checkpoints and claim to lead to a node.
    pub fn pending(&self, id: &NodeId) -> impl Iterator<Item = (ConnId, Pending)> {
        let of_node = (*id, ConnId(0))..=(*id, ConnId(u64::MAX));
        self.pending.range(of_node).map(|((_, conn), pending)| (*conn, *pending))
    }

    /// Whether a connection of this origin, with `remote` at its far end, is crossed by one between
    /// the checkpoints: one in the opposite direction, with the same address at its far end.
    pub fn is_crossed(&self, id: &NodeId, origin: Origin, remote: Option<IpAddr>) -> bool {
        self.pending(id)
            .any(|(_, of)| of.origin != origin && tie::is_same_address(of.remote, remote))
    }

    /// Whether a connection between the checkpoints makes it needless to dial a node at
    /// `addresses`: one that we began, or one that comes from there.
    pub fn is_coming(&self, id: &NodeId, addresses: impl IntoIterator<Item = IpAddr>) -> bool {
        let ours = self.pending(id).any(|(_, of)| of.origin == Origin::Dialed);
        ours || addresses.into_iter().any(|ip| self.is_crossed(id, Origin::Dialed, Some(ip)))
    }

    /// The peer with this id.
    pub fn get(&self, id: &NodeId) -> Option<&Peer> {
        self.peers.get(id)
    }

    /// Every peer, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.peers.iter()
    }

    /// How many peers there are, whatever their slots.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there are no peers.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// How many ordinary slots are held by dialed peers.
    pub const fn dialed(&self) -> usize {
        self.dialed
    }

    /// How many ordinary slots are held by inbound peers.
    pub const fn inbound(&self) -> usize {
        self.inbound
    }

    /// How many ordinary slots are held.
    pub const fn ordinary(&self) -> usize {
        self.dialed + self.inbound
    }

    fn count(&mut self, slot: Slot, by: isize) {
        match slot {
            Slot::Dialed => self.dialed = self.dialed.saturating_add_signed(by),
            Slot::Inbound => self.inbound = self.inbound.saturating_add_signed(by),
            Slot::Static | Slot::Trusted => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use peerage_node::SecretKey;

    use super::*;

    const OWN: NodeId = NodeId([0x80; 32]);
    const LOW: NodeId = NodeId([0x01; 32]);
    const HIGH: NodeId = NodeId([0xff; 32]);

    fn peer(slot: Slot) -> Peer {
        let key = *SecretKey::from_bytes(&[1; 32]).unwrap().public();
        Peer { conn: ConnId(0), key, origin: Origin::Inbound, slot, since: Instant::START }
    }

    #[test]
    fn ordinary_slots_are_counted_through_every_change() {
        let mut peers = PeerSet::new(OWN);
        type Step = (&'static str, fn(&mut PeerSet), (usize, usize));
        let steps: [Step; 7] = [
            ("add", |p| assert!(p.insert(LOW, peer(Slot::Inbound)).is_none()), (0, 1)),
            ("replace", |p| assert!(p.insert(LOW, peer(Slot::Dialed)).is_some()), (1, 0)),
            ("trust", |p| assert!(p.set_slot(&LOW, Slot::Trusted)), (0, 0)),
            ("again", |p| assert!(!p.set_slot(&LOW, Slot::Trusted)), (0, 0)),
            ("untrust", |p| assert!(p.set_slot(&LOW, Slot::Inbound)), (0, 1)),
            ("unknown", |p| assert!(!p.set_slot(&HIGH, Slot::Inbound)), (0, 1)),
            ("remove", |p| assert!(p.remove(&LOW).is_some() && p.is_empty()), (0, 0)),
        ];
        for (name, step, counts) in steps {
            step(&mut peers);
            assert_eq!((peers.dialed(), peers.inbound()), counts, "{name}");
        }
    }
}
