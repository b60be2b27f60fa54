//! How many of everything, how often, and how long to wait: what a user may set.
//!
//! The fields can be set one by one after [`Limits::default`], too.

use std::time::Duration;

/// How many of everything. The defaults are those of go-ethereum where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

    /// The same settings with this [`max_peers`](Self::max_peers).
    #[must_use]
    pub const fn with_max_peers(mut self, max_peers: usize) -> Self {
        self.max_peers = max_peers;
        self
    }

    /// The same settings with this [`dial_ratio`](Self::dial_ratio).
    #[must_use]
    pub const fn with_dial_ratio(mut self, dial_ratio: usize) -> Self {
        self.dial_ratio = dial_ratio;
        self
    }

    /// The same settings with this [`max_dialing`](Self::max_dialing).
    #[must_use]
    pub const fn with_max_dialing(mut self, max_dialing: usize) -> Self {
        self.max_dialing = max_dialing;
        self
    }

    /// The same settings with this [`max_handshakes`](Self::max_handshakes).
    #[must_use]
    pub const fn with_max_handshakes(mut self, max_handshakes: usize) -> Self {
        self.max_handshakes = max_handshakes;
        self
    }

    /// The same settings with this [`subnet_share`](Self::subnet_share).
    #[must_use]
    pub const fn with_subnet_share(mut self, subnet_share: usize) -> Self {
        self.subnet_share = subnet_share;
        self
    }

    /// The same settings with this [`inbound_throttle`](Self::inbound_throttle).
    #[must_use]
    pub const fn with_inbound_throttle(mut self, inbound_throttle: Throttle) -> Self {
        self.inbound_throttle = inbound_throttle;
        self
    }

    /// The same settings with this [`dial_history`](Self::dial_history).
    #[must_use]
    pub const fn with_dial_history(mut self, dial_history: Duration) -> Self {
        self.dial_history = dial_history;
        self
    }

    /// The same settings with this [`static_backoff`](Self::static_backoff).
    #[must_use]
    pub const fn with_static_backoff(mut self, static_backoff: Backoff) -> Self {
        self.static_backoff = static_backoff;
        self
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
#[non_exhaustive]
pub struct Throttle {
    /// How long tries are counted for, from the first.
    pub window: Duration,
    /// How many connections are let through within it. Refused ones neither count nor extend it.
    pub attempts: u32,
}

impl Throttle {
    /// So many connections within a window.
    pub const fn new(attempts: u32, window: Duration) -> Self {
        Self { window, attempts }
    }
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
#[non_exhaustive]
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

impl Backoff {
    /// Always the same wait, however many failures there were.
    pub fn constant(wait: Duration) -> Self {
        Self { base: wait, factor: 1, max: wait, jitter_percent: 0, ..Self::default() }
    }

    /// The same settings with this much [jitter](Self::jitter_percent).
    #[must_use]
    pub const fn with_jitter_percent(mut self, percent: u8) -> Self {
        self.jitter_percent = percent;
        self
    }
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
