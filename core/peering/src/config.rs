//! What a user may set: the bounds of everything here, and the nodes named beforehand.
//!
//! Not here: deadlines of dials and handshakes, which are the driver's.

use std::time::Duration;

use peerage_node::{Node, NodeId, Policy};

/// Everything that a [`Server`](crate::Server) is made of, beside its seed.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our own id: never dialed, never admitted.
    pub own: NodeId,
    /// How many of everything.
    pub limits: Limits,
    /// Who may be talked to, until [`Input::SetPolicy`](crate::envelope::Input::SetPolicy) says
    /// otherwise. Holds for accepted connections, at both checkpoints, and for every address that
    /// is dialed, also after a name was resolved.
    pub policy: Policy,
    /// Nodes to stay connected to, whatever happens.
    pub static_nodes: Vec<Node>,
    /// Nodes that are let in when no ordinary slot is free.
    pub trusted: Vec<NodeId>,
    /// Whether to dial at all, static nodes included. Without, the slots for dialed peers go to
    /// inbound ones.
    pub dialing: bool,
    /// Whether a peer without any shared capability is useless. False for a server that has no
    /// protocols of its own, such as a crawler.
    pub require_shared_capability: bool,
}

impl Config {
    /// The defaults, for the node `own`.
    pub fn new(own: NodeId) -> Self {
        Self {
            own,
            limits: Limits::default(),
            policy: Policy::default(),
            static_nodes: Vec::new(),
            trusted: Vec::new(),
            dialing: true,
            require_shared_capability: true,
        }
    }
}

/// How many of everything. The defaults are those of go-ethereum where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Ordinary peers, dialed and inbound together. Static and trusted nodes have slots of their
    /// own: as many as the user named.
    pub max_peers: usize,
    /// One in this many ordinary slots is for dialed peers, and at least one; the others are for
    /// inbound ones, so that a network of full nodes stays open to newcomers. Zero leaves none for
    /// dialed peers; static nodes are dialed nevertheless.
    pub dial_ratio: usize,
    /// Dials in flight, resolving names and the handshakes on dialed connections included.
    pub max_dialing: usize,
    /// Accepted connections whose handshake is under way. Each costs a socket, a buffer and some
    /// curve arithmetic on behalf of a stranger.
    pub max_handshakes: usize,
    /// One subnet (/24, /64) may hold one in this many of `max_handshakes`, and at least two, so
    /// that one party does not lock everybody else out. Zero is one: no share.
    pub subnet_share: usize,
    /// How often one address may come.
    pub inbound_throttle: Throttle,
    /// How long a node is not dialed again, from the start of a dial. Longer than the throttle's
    /// window of other nodes (30 s in go-ethereum), or we would be refused there.
    pub dial_history: Duration,
    /// How long a static node waits after a failure.
    pub static_backoff: Backoff,
}

impl Limits {
    /// How many ordinary peers that we dialed.
    pub const fn max_dialed(&self) -> usize {
        match self.max_peers.checked_div(self.dial_ratio) {
            None => 0,
            Some(0) if self.max_peers > 0 => 1,
            Some(share) => share,
        }
    }

    /// How many ordinary peers that dialed us.
    pub const fn max_inbound(&self) -> usize {
        self.max_peers - self.max_dialed()
    }

    /// How many handshakes may be under way with one subnet.
    pub const fn max_handshakes_per_subnet(&self) -> usize {
        match self.max_handshakes.checked_div(self.subnet_share) {
            None => self.max_handshakes,
            Some(0 | 1) => 2,
            Some(share) => share,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_peers: 50,
            dial_ratio: 3,
            max_dialing: 50,
            max_handshakes: 50,
            subnet_share: 4,
            inbound_throttle: Throttle::default(),
            dial_history: Duration::from_secs(35),
            static_backoff: Backoff::default(),
        }
    }
}

/// How often one address (one /64 of IPv6) may connect. Addresses of local networks are exempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// How long tries are counted for, from the first.
    pub window: Duration,
    /// How many connections are let through within it. Refused ones neither count nor extend it.
    pub attempts: u32,
}

impl Default for Throttle {
    /// Four tries in 30 s. Go-ethereum allows one, which shuts out whoever shares an address behind
    /// carrier NAT; four handshakes cost below a millisecond.
    fn default() -> Self {
        Self { window: Duration::from_secs(30), attempts: 4 }
    }
}

/// How long a static node waits to be dialed again, after so many failures in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub base: Duration,
    /// What each further failure multiplies it by.
    pub factor: u32,
    /// The longest wait, before jitter.
    pub max: Duration,
    /// Up to this many percent are added at random, so that nodes that lost one peer together do
    /// not come back together.
    pub jitter_percent: u8,
    /// A connection that lasted this long ends the row of failures.
    pub lasted: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            // Sooner would fall into the dial history.
            base: Duration::from_secs(35),
            factor: 2,
            // Static nodes were asked for by name: never give up on one for longer than this.
            max: Duration::from_secs(300),
            jitter_percent: 20,
            lasted: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_shared_by_the_ratio_with_at_least_one_to_dial() {
        // max_peers, dial_ratio, dialed, inbound
        for (max_peers, dial_ratio, dialed, inbound) in [
            (50, 3, 16, 34),
            (50, 1, 50, 0),
            // Never none, or a node whose port is closed would have no peer.
            (2, 3, 1, 1),
            (1, 3, 1, 0),
            (0, 3, 0, 0),
            // No dialing.
            (50, 0, 0, 50),
            (0, 0, 0, 0),
        ] {
            let limits = Limits { max_peers, dial_ratio, ..Limits::default() };
            assert_eq!((limits.max_dialed(), limits.max_inbound()), (dialed, inbound));
        }
    }

    #[test]
    fn a_subnet_has_at_least_two_handshakes() {
        for (max_handshakes, subnet_share, share) in
            [(50, 4, 12), (8, 4, 2), (4, 4, 2), (1, 4, 2), (50, 0, 50), (50, 1, 50)]
        {
            let limits = Limits { max_handshakes, subnet_share, ..Limits::default() };
            assert_eq!(limits.max_handshakes_per_subnet(), share);
        }
    }
}
