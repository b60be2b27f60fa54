//! Our own address, as those see it who answer us.
//!
//! Fed with nothing but answers to packets of ours. What is done with the result (our record) is
//! decided elsewhere, and so is whether an address set by the user comes first.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::{ExpiringMap, Instant, tree_memory};
use peerage_node::{Subnet, is_lan, is_special};

/// How long a statement counts.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// Subnets that have to agree on a public address.
const QUORUM: usize = 10;

/// Subnets that are enough if nobody says otherwise, as small networks have no more. A liar would
/// have to control every node that answers us: one honest answer raises the quorum.
const UNANIMOUS_QUORUM: usize = 3;

/// Hosts that have to agree on an address in a local network, or nodes on one of this machine. Only
/// those on the same network can lie about it, and only the same network can use it.
const LOCAL_QUORUM: usize = 2;

/// Voters remembered of each kind. Those that spoke least recently are dropped first.
const MAX_VOTERS: usize = 256;

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
    pub fn state(&mut self, now: Instant, from: SocketAddr, addr: SocketAddr) -> bool {
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
        tally.state(now, Voter::of(from, reach), addr);
        tally.count(reach);
        self.winner(family) != before
    }

    /// Our address in this family: the one with the most voters, if they are enough. A public one
    /// comes before one in a local network, and that before one that only this machine can use.
    pub fn winner(&self, family: Family) -> Option<SocketAddr> {
        self.tallies
            .range((family, Reach::Public)..=(family, Reach::Machine))
            .find_map(|(_, tally)| tally.winner)
    }

    /// How many voters' statements are held.
    pub fn voters(&self) -> usize {
        self.tallies.values().map(|tally| tally.statements.len()).sum()
    }

    /// The bytes held, estimated from the number of statements.
    pub fn memory(&self) -> usize {
        let of_tally = |tally: &Tally| {
            tally.statements.memory() + tree_memory::<SocketAddr, usize>(tally.votes.len())
        };
        tree_memory::<(Family, Reach), Tally>(self.tallies.len())
            + self.tallies.values().map(of_tally).sum::<usize>()
    }

    /// The most bytes held: all families and reaches, and no two voters of one mind.
    pub(crate) const fn memory_bound() -> usize {
        const TALLIES: usize = 2 * 3;
        let tally = ExpiringMap::<Voter, SocketAddr>::memory_bound(MAX_VOTERS)
            + tree_memory::<SocketAddr, usize>(MAX_VOTERS);
        tree_memory::<(Family, Reach), Tally>(TALLIES) + TALLIES * tally
    }
}

/// Who can use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Public,
    Network,
    Machine,
}

impl Reach {
    fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_loopback() {
            Self::Machine
        } else if is_lan(ip) {
            Self::Network
        } else {
            Self::Public
        }
    }
}

/// What counts as one voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Voter {
    Subnet(Subnet),
    /// Hosts of one local network are different parties.
    Host(IpAddr),
    /// On this machine, so are programs.
    Program(SocketAddr),
}

impl Voter {
    fn of(from: SocketAddr, reach: Reach) -> Self {
        let ip = from.ip().to_canonical();
        match reach {
            Reach::Public => Self::Subnet(Subnet::of(ip)),
            Reach::Network => Self::Host(ip),
            Reach::Machine => Self::Program(SocketAddr::new(ip, from.port())),
        }
    }
}

#[derive(Debug)]
struct Tally {
    statements: ExpiringMap<Voter, SocketAddr>,
    /// How many of `statements` are for each address: no address with none.
    votes: BTreeMap<SocketAddr, usize>,
    winner: Option<SocketAddr>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { statements: ExpiringMap::new(MAX_VOTERS), votes: BTreeMap::new(), winner: None }
    }
}

impl Tally {
    fn state(&mut self, now: Instant, voter: Voter, addr: SocketAddr) {
        while let Some((_, old)) = self.statements.pop_expired(now) {
            self.take_back(old);
        }
        let until = now + WINDOW;
        let renewed =
            self.statements.renew(&voter, now, until, |held| std::mem::replace(held, addr));
        let old =
            renewed.or_else(|| self.statements.insert(voter, addr, until).map(|(_, addr)| addr));
        if let Some(old) = old {
            if old == addr {
                return;
            }
            self.take_back(old);
        }
        *self.votes.entry(addr).or_default() += 1;
    }

    fn take_back(&mut self, addr: SocketAddr) {
        if let Some(count) = self.votes.get_mut(&addr) {
            *count -= 1;
            if *count == 0 {
                self.votes.remove(&addr);
            }
        }
    }

    /// Elects. Of two with as many votes, the one that won before stays.
    fn count(&mut self, reach: Reach) {
        let incumbent = self.winner;
        let best =
            self.votes.iter().max_by_key(|(addr, count)| (**count, incumbent == Some(**addr)));
        let Some((addr, count)) = best else { return };
        let quorum = match reach {
            Reach::Public if self.votes.len() == 1 => UNANIMOUS_QUORUM,
            Reach::Public => QUORUM,
            Reach::Machine | Reach::Network => LOCAL_QUORUM,
        };
        if *count >= quorum {
            self.winner = Some(*addr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::START;
    const OURS: &str = "84.1.2.3:30303";
    const LIE: &str = "66.6.6.6:30303";

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A voter in the `n`th public /24.
    fn public(n: u8) -> SocketAddr {
        SocketAddr::from(([11, n, 1, 7], 30303))
    }

    fn vote(statements: impl IntoIterator<Item = (SocketAddr, &'static str)>) -> Vote {
        let mut vote = Vote::new();
        for (from, ours) in statements {
            vote.state(START, from, addr(ours));
        }
        vote
    }

    #[test]
    fn ten_subnets_decide_and_three_if_nobody_disagrees() {
        for (ours, lies, wins) in [
            // Unanimous.
            (2, 0, None),
            (3, 0, Some(OURS)),
            // Not.
            (9, 1, None),
            (10, 1, Some(OURS)),
            // A majority matters, not only the number.
            (10, 11, Some(LIE)),
        ] {
            // The lie comes first, so that the three are never unanimous.
            let lies = (100..100 + lies).map(|n| (public(n), LIE));
            let vote = vote(lies.chain((0..ours).map(|n| (public(n), OURS))));
            assert_eq!(vote.winner(Family::V4), wins.map(addr), "{ours}");
            assert_eq!(vote.winner(Family::V6), None);
        }
    }

    #[test]
    fn one_subnet_is_one_voter_whatever_it_sends() {
        let vote = vote((0..=255).map(|n| (SocketAddr::from(([11, 1, 1, n], 1)), LIE)));
        assert_eq!((vote.winner(Family::V4), vote.voters()), (None, 1));
        let same_64 = |n: u16| format!("[2a01:4f8::{n:x}]:1").parse().unwrap();
        let vote = self::vote((1..100).map(|n| (same_64(n), "[2a01:1::1]:30303")));
        assert_eq!((vote.winner(Family::V6), vote.voters()), (None, 1));
    }

    #[test]
    fn the_port_is_part_of_the_statement() {
        // A NAT that gives each destination another port: we cannot be reached, and state nothing.
        let mut vote = Vote::new();
        for n in 0..100 {
            vote.state(START, public(n), SocketAddr::from(([84, 1, 2, 3], 1000 + u16::from(n))));
        }
        assert_eq!(vote.winner(Family::V4), None);
    }

    #[test]
    fn a_new_address_replaces_the_old_and_silence_replaces_nothing() {
        let mut vote = vote((0..20).map(|n| (public(n), OURS)));
        let later = START + Duration::from_secs(3600);
        // Every statement has expired; two new ones are too few, three are enough.
        assert!(!vote.state(later, public(0), addr("84.9.9.9:30303")));
        assert!(!vote.state(later, public(1), addr("84.9.9.9:30303")));
        assert_eq!(vote.winner(Family::V4), Some(addr(OURS)));
        assert!(vote.state(later, public(2), addr("84.9.9.9:30303")));
        assert_eq!(vote.winner(Family::V4), Some(addr("84.9.9.9:30303")));
    }

    #[test]
    fn the_latest_statement_of_a_voter_counts_and_a_tie_changes_nothing() {
        for (first, second) in [(OURS, LIE), (LIE, OURS)] {
            let mut vote = vote((0..20).map(|n| (public(n), first)));
            for n in 0..10 {
                assert!(!vote.state(START, public(n), addr(second)));
            }
            assert!(vote.state(START, public(10), addr(second)));
            assert_eq!((vote.winner(Family::V4), vote.voters()), (Some(addr(second)), 20));
        }
    }

    #[test]
    fn nobody_speaks_of_networks_that_are_not_theirs() {
        for (from, ours) in [
            // The world about our own network, or machine.
            (public(1), "192.168.1.5:30303"),
            (public(1), "127.0.0.1:30303"),
            // Neighbours about the world, or machine.
            (addr("192.168.1.6:30303"), OURS),
            (addr("192.168.1.6:30303"), "127.0.0.1:30303"),
            // This machine about anything else.
            (addr("127.0.0.1:1"), OURS),
            (addr("127.0.0.1:1"), "192.168.1.5:30303"),
            // One family about the other.
            (public(1), "[2a01::1]:30303"),
            // No address, or port.
            (public(1), "0.0.0.0:30303"),
            (public(1), "224.0.0.1:30303"),
            (public(1), "203.0.113.1:30303"),
            (public(1), "84.1.2.3:0"),
        ] {
            let vote = vote([(from, ours)]);
            assert_eq!(vote.voters(), 0, "{from} {ours}");
        }
    }

    #[test]
    fn private_networks_agree_among_themselves() {
        // Containers in one /24; nodes on one machine.
        for (voters, ours) in [
            (["172.17.0.2:30303", "172.17.0.3:30303"], "172.17.0.4:30303"),
            (["127.0.0.1:30301", "127.0.0.1:30302"], "127.0.0.1:30303"),
            (["[::1]:30301", "[::1]:30302"], "[::1]:30303"),
        ] {
            let ours = addr(ours);
            let mut vote = Vote::new();
            assert!(!vote.state(START, addr(voters[0]), ours));
            assert!(vote.state(START, addr(voters[1]), ours));
            assert_eq!(vote.winner(Family::of(ours.ip())), Some(ours));
        }
    }

    #[test]
    fn the_public_address_comes_first() {
        let lan = [("192.168.1.6:1", "192.168.1.5:30303"), ("192.168.1.7:1", "192.168.1.5:30303")];
        let mut vote = vote(lan.map(|(from, ours)| (addr(from), ours)));
        assert_eq!(vote.winner(Family::V4), Some(addr("192.168.1.5:30303")));
        for n in 0..3 {
            vote.state(START, public(n), addr(OURS));
        }
        assert_eq!(vote.winner(Family::V4), Some(addr(OURS)));
    }

    #[test]
    fn families_do_not_mix_and_mapped_addresses_are_ipv4() {
        let mapped = |n: u8| format!("[::ffff:11.{n}.1.7]:30303").parse().unwrap();
        let vote = vote((0..3).map(|n| (mapped(n), "[::ffff:84.1.2.3]:30303")));
        assert_eq!(vote.winner(Family::V4), Some(addr(OURS)));
        assert_eq!(vote.winner(Family::V6), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut vote = Vote::new();
        for n in 0..2000u32 {
            let from = SocketAddr::from(((0x0b00_0000 + n * 256).to_be_bytes(), 1));
            vote.state(START, from, addr(&format!("84.1.{}.3:30303", n % 256)));
        }
        assert_eq!(vote.voters(), MAX_VOTERS);
        let tally = &vote.tallies[&(Family::V4, Reach::Public)];
        assert_eq!(tally.votes.values().sum::<usize>(), MAX_VOTERS);
    }
}
