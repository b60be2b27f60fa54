//! Our own address, as those see it who answer us.
//!
//! Fed with nothing but answers to packets of ours. What is done with the result (our record) is
//! decided elsewhere, and so is whether an address set by the user comes first.

mod tally;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{Instant, tree_memory};
use peerage_node::is_special;

use self::tally::{Reach, Tally, Voter};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address. A mapped one is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Counts what others say that our address and port is.
///
/// # Security
///
/// A wrong address in our record keeps others away from us, and sends them elsewhere. So only
/// answers to our own packets count; all voters in one /24 (IPv6: /64) are one; and whoever is far
/// away has no say in what our address is in a local network, nor the other way round.
///
/// A result stays until another wins: silence, as when the network is down, is no reason to doubt
/// it.
#[derive(Debug, Default)]
pub struct Vote {
    /// One for each family and reach, the most global first.
    tallies: BTreeMap<(Family, Reach), Tally>,
}

impl Vote {
    /// No statements yet.
    pub const fn new() -> Self {
        Self { tallies: BTreeMap::new() }
    }

    /// The node at `from`, in answer to a packet of ours, says that we are at `addr`. Its latest
    /// statement counts, for five minutes. Whether a [`winner`](Self::winner) changed.
    pub fn cast(&mut self, now: Instant, from: SocketAddr, addr: SocketAddr) -> bool {
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let family = Family::of(addr.ip());
        let reach = Reach::of(addr.ip());
        let is_sane = family == Family::of(from.ip())
            && reach == Reach::of(from.ip())
            && addr.port() != 0
            && !is_special(addr.ip());
        if !is_sane {
            return false;
        }
        let before = self.winner(family);
        let tally = self.tallies.entry((family, reach)).or_default();
        tally.cast(now, Voter::of(from, reach), addr);
        tally.elect(reach);
        self.winner(family) != before
    }

    /// Our address in this family: the one with the most voters, if they are enough. A public one
    /// comes before one in a local network, and that before one that only this machine can use.
    pub fn winner(&self, family: Family) -> Option<SocketAddr> {
        self.tallies
            .range((family, Reach::Public)..=(family, Reach::Machine))
            .find_map(|(_, tally)| tally.winner())
    }

    /// How many voters' statements are held.
    pub fn voters(&self) -> usize {
        self.tallies.values().map(Tally::voters).sum()
    }

    /// The bytes held, estimated from the number of statements.
    pub(crate) fn memory(&self) -> usize {
        tree_memory::<(Family, Reach), Tally>(self.tallies.len())
            + self.tallies.values().map(Tally::memory).sum::<usize>()
    }

    /// The most bytes held: all families and reaches, and no two voters of one mind.
    pub(crate) const fn memory_bound() -> usize {
        const TALLIES: usize = 2 * 3;
        tree_memory::<(Family, Reach), Tally>(TALLIES) + TALLIES * Tally::memory_bound()
    }
}

#[cfg(test)]
mod tests;
