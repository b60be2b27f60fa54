//! Simultaneous dials: when two nodes dial each other at once, both keep the same connection.
//!
//! **The rule.** Of two connections with one node in opposite directions, the one whose *initiator* has
//! the smaller node id is preferred. Below, A has the smaller id, *x* is the connection that A began and
//! *y* the one that B began: both ends prefer *x*, and neither needs to ask the other.
//!
//! 1. At its first checkpoint *y* is refused where *x* is past its own first checkpoint, or is a peer.
//! 2. At its first checkpoint *x* is let through beside *y*, whatever *y* is.
//! 3. At its second checkpoint *x* ends *y* and takes its place, whatever *y* is.
//! 4. At its second checkpoint *y* is refused where *x* is a peer, and only there.
//!
//! **Why both ends keep the same one.** An end sends its Hello when it lets a connection through its
//! first checkpoint, and reaches the second only with the other end's Hello. So whoever adds *x* as a
//! peer knows that the other end has let *x* through as well, and will, with the Hello already sent to
//! it, add *x* too (3), ending *y*: once one end has *x*, both end with *x*. And whoever ends or refuses *y*
//! does so because it has let *x* through. If *x* then comes to nothing, it does at both ends, as a
//! connection has two; what remains is *y* at both, or nothing at both, never one at each. Without a third
//! party in the way (a full server, a lost connection) *x* is refused nowhere (2, 3), so it is *x*.
//! `tests/peering/simultaneous.rs` goes through every order of events.
//!
//! **Two of one direction.** The first one stays: one end has not noticed yet that the other is gone, or
//! the other end is at fault.
//!
//! **Dials in flight.** A dial that has not yet connected is cancelled when its node becomes a peer, even
//! where it would become the preferred connection: it is none yet, the other end knows nothing of it, and has
//! shown with its Hello that it agrees to the connection there is.

use peerage_node::NodeId;

use crate::admission::Origin;

/// Whether a connection of this origin between `own` and `other` is preferred to one in the opposite
/// direction.
pub fn prefers(own: &NodeId, origin: Origin, other: &NodeId) -> bool {
    match origin {
        Origin::Dialed => own < other,
        Origin::Inbound => other < own,
    }
}
