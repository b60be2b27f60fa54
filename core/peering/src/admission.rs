//! Who is let in: slots, and the one function that both checkpoints call.
//!
//! Not here: when the checkpoints are reached (`server`), and why of two connections with one node
//! the same one is kept at both ends ([`tie`](crate::tie)).

use std::net::IpAddr;

use peerage_machine::Instant;
use peerage_node::{NodeId, Policy};
use peerage_rlpx::DisconnectReason;

use crate::{Limits, peers::PeerSet, tie};

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

/// What the user has granted a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privileges {
    /// Nothing: it is an ordinary node.
    #[default]
    None,
    /// We are to stay connected to it.
    Static,
    /// Both.
    StaticAndTrusted,
    /// It is let in when no ordinary slot is free.
    Trusted,
}

impl Privileges {
    /// What a node has that is static, or trusted, or both, or neither.
    pub const fn of(is_static: bool, is_trusted: bool) -> Self {
        match (is_static, is_trusted) {
            (false, false) => Self::None,
            (false, true) => Self::Trusted,
            (true, false) => Self::Static,
            (true, true) => Self::StaticAndTrusted,
        }
    }

    /// The place that a connection of this origin takes.
    pub const fn slot(self, origin: Origin) -> Slot {
        match (self, origin) {
            (Self::StaticAndTrusted | Self::Trusted, _) => Slot::Trusted,
            (Self::Static, _) => Slot::Static,
            (Self::None, Origin::Dialed) => Slot::Dialed,
            (Self::None, Origin::Inbound) => Slot::Inbound,
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
pub struct Applicant {
    /// The node at the other end, or what claims to be it.
    pub id: NodeId,
    /// Who began the connection.
    pub origin: Origin,
    /// Where the other end is, if it came over the network.
    pub remote: Option<IpAddr>,
    /// What the user has granted the node.
    pub privileges: Privileges,
    /// Where the connection stands.
    pub checkpoint: Checkpoint,
}

/// Whether `applicant` passes, and the place it takes or would take; else why not.
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
    applicant: &Applicant,
    limits: &Limits,
) -> Result<Slot, DisconnectReason> {
    if policy.check(now, Some(&applicant.id), applicant.remote).is_err() {
        return Err(DisconnectReason::Requested);
    }
    if applicant.checkpoint == (Checkpoint::Ready { useless: true }) {
        return Err(DisconnectReason::UselessPeer);
    }
    let wanted = applicant.privileges.slot(applicant.origin);
    let present = peers.get(&applicant.id);
    let prefers = tie::prefers(peers.own(), applicant.origin, &applicant.id);
    if let Some(peer) = present
        && peer.origin != applicant.origin
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
    if wanted == Slot::Inbound && peers.inbound() >= limits.max_inbound() {
        return Err(DisconnectReason::TooManyPeers);
    }
    // What the user brought may use any ordinary slot: nobody else asked for it.
    let is_dial = applicant.remote.is_some();
    if wanted == Slot::Dialed && is_dial && peers.dialed() >= limits.max_dialed() {
        return Err(DisconnectReason::TooManyPeers);
    }
    let crossed = applicant.checkpoint == Checkpoint::Identified
        && !prefers
        && peers.is_crossed(&applicant.id, applicant.origin, applicant.remote);
    if present.is_some() || crossed {
        return Err(DisconnectReason::AlreadyConnected);
    }
    if &applicant.id == peers.own() {
        return Err(DisconnectReason::ConnectedToSelf);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;
