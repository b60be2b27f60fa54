//! Simultaneous dials: when two nodes dial each other at once, both keep the same connection.
//!
//! **The rule.** Of two connections with one node in opposite directions, the one whose *initiator*
//! has the smaller node id is preferred. Below, A has the smaller id, *x* is the connection that A
//! began and *y* the one that B began: both ends prefer *x*, and neither needs to ask the other.
//!
//! 1. At its first checkpoint *y* is refused where *x* is a peer; also where *x* is past its own
//!    first checkpoint and, at that end, *crosses* *y*: both have the same address at the far end.
//! 2. At its first checkpoint *x* is let through beside *y*, whatever *y* is.
//! 3. At its second checkpoint *x* ends *y* and takes its place, whatever *y* is.
//! 4. At its second checkpoint *y* is refused where *x* is a peer, and only there.
//!
//! **Why both ends keep the same one.** An end sends its Hello when it lets a connection through
//! its first checkpoint, and reaches the second only with the other end's Hello. So whoever adds
//! *x* as a peer knows that the other end has let *x* through as well, and will, with the Hello
//! already sent to it, add *x* too (3), ending *y*: once one end has *x*, both end with *x*. And
//! whoever ends or refuses *y* does so because it has let *x* through. If *x* then comes to
//! nothing, it does at both ends, as a connection has two; what remains is *y* at both, or nothing
//! at both, never one at each. Without a third party in the way (a full server, a lost connection)
//! *x* is refused nowhere (2, 3), so it is *x*.
//!
//! **Why it holds whether or not they cross.** Nothing above relies on rule 1 refusing *y*, only on
//! its refusing *y* for no reason but *x*: that *y* ends where *x* is ready comes from rules 3 and
//! 4, which ask for no address. An end at which the two do not cross keeps *y* until then instead
//! of refusing it early, and each end may judge for itself: A may be called from where it dials B,
//! while B sees A behind an address translator. Likewise a dial that is put off because the other
//! end's connection comes from where it would lead leaves that connection alone, which is then
//! refused nowhere; and a dial that is not put off is one of *x* and *y*.
//! `tests/peering/simultaneous.rs` goes through every order of events, with the addresses known at
//! both ends, at either, and at neither, and with strangers in between.
//!
//! **Two of one direction.** The first one to be a peer stays: one end has not noticed yet that the
//! other is gone, or the other end is at fault, or one is a stranger's, which never gets so far.
//!
//! **Dials in flight.** A dial that has not yet connected is cancelled when its node becomes a
//! peer, even where it would become the preferred connection: it is none yet, the other end knows
//! nothing of it, and has shown with its Hello that it agrees to the connection there is.
//!
//! # Security
//!
//! Until its second checkpoint, the far end of a connection only claims to be the node: an auth
//! message names a key, and the first frame proves it. If any such claim put off our dial to a
//! node, or had our connection to it refused, a stranger who repeats the claim could cut us off
//! from chosen nodes, static and trusted ones included. Hence the condition of rule 1, and of the
//! dial scheduler ([`PeerSet::is_coming`](crate::PeerSet::is_coming)): the claim has to complete
//! TCP from the address where we reach the node, which takes a host that shares that address or
//! sits on the path, where it could stop our dial anyway. Everything else about a node (slots,
//! backoff, cancelled dials, who replaces whom) moves by connections past their second checkpoint
//! alone.

use std::net::IpAddr;

use peerage_node::NodeId;

use crate::admission::Origin;

/// Whether a connection of this origin between `own` and `other` is preferred to one in the
/// opposite direction.
pub fn prefers(own: &NodeId, origin: Origin, other: &NodeId) -> bool {
    match origin {
        Origin::Dialed => own < other,
        Origin::Inbound => other < own,
    }
}

/// Whether two connections have one address at their far ends, whatever the ports: the one that
/// began a connection has a port of its own for it. An IPv4 address in IPv6 form is that IPv4
/// address; streams without an address are nowhere.
pub fn is_same_address(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    a.is_some() && a.map(|ip| ip.to_canonical()) == b.map(|ip| ip.to_canonical())
}
