//! Who is let in: slots, and the one function that both checkpoints call.
//!
//! Not here: when the checkpoints are reached (`server`), and why of two connections with one node
//! the same one is kept at both ends ([`tie`](crate::tie)).

use std::{collections::BTreeMap, net::IpAddr};

use peerage_machine::{Instant, tree_memory};
use peerage_node::{NodeId, Policy, PublicKey};
use peerage_rlpx::DisconnectReason;

use crate::{Limits, envelope::ConnId, tie};

/// The kind of place that a peer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// An ordinary place for a node that we dialed.
    Dialed,
    /// An ordinary place for a node that dialed us.
    Inbound,
    /// The place of its own that a static node has, whoever dialed.
    Static,
    /// The place of its own that a trusted node has, whoever dialed.
    Trusted,
}

impl Slot {
    /// Whether the place is one of the [`max_peers`](Limits::max_peers).
    pub const fn is_ordinary(self) -> bool {
        matches!(self, Self::Dialed | Self::Inbound)
    }
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// We did.
    Dialed,
    /// The other end did.
    Inbound,
}

/// What a node is to the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// We are to stay connected to it.
    pub is_static: bool,
    /// It is let in when no ordinary slot is free.
    pub is_trusted: bool,
}

impl Standing {
    /// The place that a connection of this origin takes.
    pub const fn slot(self, origin: Origin) -> Slot {
        match (self.is_trusted, self.is_static, origin) {
            (true, _, _) => Slot::Trusted,
            (false, true, _) => Slot::Static,
            (false, false, Origin::Dialed) => Slot::Dialed,
            (false, false, Origin::Inbound) => Slot::Inbound,
        }
    }
}

/// Where a connection stands that wants to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// The other end claims to be a node, unproven; our Hello is not yet sent.
    Identified,
    /// Both Hellos are there, and the other end's proves its claim.
    Ready {
        /// No capability is shared, and one has to be.
        useless: bool,
    },
}

/// A connection that wants to pass a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node at the other end, or what claims to be it.
    pub id: NodeId,
    /// Who began the connection.
    pub origin: Origin,
    /// Where the other end is, if it came over the network.
    pub remote: Option<IpAddr>,
    /// What the node is to the user.
    pub standing: Standing,
    /// Where the connection stands.
    pub checkpoint: Checkpoint,
}

/// Whether `candidate` passes, and the place it takes or would take; else why not.
///
/// The order of the checks is that of go-ethereum, as other implementations see its reasons:
///
/// | # | check | reason | exempt |
/// |---|---|---|---|
/// | | the policy allows the node where it is | `Requested` | |
/// | 0 | something is shared (second checkpoint only) | `UselessPeer` | |
/// | 1 | an ordinary slot is free | `TooManyPeers` | static, trusted, heirs |
/// | 2 | inbound: an inbound slot is free | `TooManyPeers` | static, trusted, heirs |
/// | 2 | dialed: a slot for dialed peers is free | `TooManyPeers` | static, trusted, heirs, pipes |
/// | 3 | it is no peer, nor (first checkpoint only) crossed by one | `AlreadyConnected` | heirs |
/// | 4 | it is not ourselves | `ConnectedToSelf` | |
///
/// The policy, which has no number, has been asked for the address before, by the gate or before
/// the dial. It is asked here for the id, and since it may have changed.
///
/// The second line of check 2 is ours: twice as many nodes are dialed as slots are free, since
/// about half of all dials fail, and those that are too many would otherwise take the slots that
/// are kept for newcomers.
///
/// An heir is the connection that [`tie`](crate::tie) prefers to the peer's present one. It takes
/// over that peer's place, so it needs none that is free: the counts stay what they are.
///
/// # Security
///
/// A connection between the checkpoints has proven nothing, so it stands in the way of no other one
/// unless both have the same address at their far ends: [`tie`](crate::tie) says why.
pub fn admit(
    now: Instant,
    policy: &Policy,
    peers: &PeerSet,
    candidate: &Candidate,
    limits: &Limits,
) -> Result<Slot, DisconnectReason> {
    if policy.check(now, Some(&candidate.id), candidate.remote).is_err() {
        return Err(DisconnectReason::Requested);
    }
    if candidate.checkpoint == (Checkpoint::Ready { useless: true }) {
        return Err(DisconnectReason::UselessPeer);
    }
    let wanted = candidate.standing.slot(candidate.origin);
    let present = peers.get(&candidate.id);
    let prefers = tie::prefers(&peers.own, candidate.origin, &candidate.id);
    if let Some(peer) = present
        && peer.origin != candidate.origin
        && prefers
    {
        return Ok(if peer.slot.is_ordinary() && wanted.is_ordinary() {
            peer.slot
        } else {
            wanted
        });
    }
    if wanted.is_ordinary() && peers.ordinary() >= limits.max_peers {
        return Err(DisconnectReason::TooManyPeers);
    }
    if wanted == Slot::Inbound && peers.inbound >= limits.max_inbound() {
        return Err(DisconnectReason::TooManyPeers);
    }
    // What the user brought may use any ordinary slot: nobody else asked for it.
    let is_dial = candidate.remote.is_some();
    if wanted == Slot::Dialed && is_dial && peers.dialed >= limits.max_dialed() {
        return Err(DisconnectReason::TooManyPeers);
    }
    let crossed = candidate.checkpoint == Checkpoint::Identified
        && !prefers
        && peers.is_crossed(&candidate.id, candidate.origin, candidate.remote);
    if present.is_some() || crossed {
        return Err(DisconnectReason::AlreadyConnected);
    }
    if candidate.id == peers.own {
        return Err(DisconnectReason::ConnectedToSelf);
    }
    Ok(wanted)
}

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

    /// The bytes held, estimated from the number of peers and of those that may become one.
    pub fn memory(&self) -> usize {
        Self::memory_bound(self.peers.len(), self.pending.len())
    }

    /// The most bytes that so many peers, and so many others, take.
    pub(crate) const fn memory_bound(peers: usize, pending: usize) -> usize {
        tree_memory::<NodeId, Peer>(peers) + tree_memory::<(NodeId, ConnId), Pending>(pending)
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
mod tests;
