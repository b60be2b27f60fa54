//! The votes on one address: of one family, and within one reach.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::{ExpiringMap, Instant, tree_memory};
use peerage_node::{Subnet, is_lan};

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
pub(super) const MAX_VOTERS: usize = 256;

/// Who can use an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Public,
    Network,
    Machine,
}

impl Reach {
    pub(super) fn of(ip: IpAddr) -> Self {
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
pub(super) enum Voter {
    Subnet(Subnet),
    /// Hosts of one local network are different parties.
    Host(IpAddr),
    /// On this machine, so are programs.
    Program(SocketAddr),
}

impl Voter {
    pub(super) fn of(from: SocketAddr, reach: Reach) -> Self {
        let ip = from.ip().to_canonical();
        match reach {
            Reach::Public => Self::Subnet(Subnet::of(ip)),
            Reach::Network => Self::Host(ip),
            Reach::Machine => Self::Program(SocketAddr::new(ip, from.port())),
        }
    }
}

/// What each voter says, and which address that elects.
#[derive(Debug)]
pub(super) struct Tally {
    statements: ExpiringMap<Voter, SocketAddr>,
    /// How many of `statements` are for each address: no address with none.
    pub(super) votes: BTreeMap<SocketAddr, usize>,
    winner: Option<SocketAddr>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { statements: ExpiringMap::new(MAX_VOTERS), votes: BTreeMap::new(), winner: None }
    }
}

impl Tally {
    /// `voter` says that we are at `addr`; that is its only vote.
    pub(super) fn cast(&mut self, now: Instant, voter: Voter, addr: SocketAddr) {
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

    /// Elects the address with the most votes, if they are enough. Of two with as many, the one
    /// that won before stays.
    pub(super) fn elect(&mut self, reach: Reach) {
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

    /// The address that won last, if one did.
    pub(super) const fn winner(&self) -> Option<SocketAddr> {
        self.winner
    }

    /// How many voters' statements are held.
    pub(super) fn voters(&self) -> usize {
        self.statements.len()
    }

    /// The bytes held, estimated from the number of statements.
    pub(super) fn memory(&self) -> usize {
        self.statements.memory() + tree_memory::<SocketAddr, usize>(self.votes.len())
    }

    /// The most bytes held: no two voters are of one mind.
    pub(super) const fn memory_bound() -> usize {
        ExpiringMap::<Voter, SocketAddr>::memory_bound(MAX_VOTERS)
            + tree_memory::<SocketAddr, usize>(MAX_VOTERS)
    }

    fn take_back(&mut self, addr: SocketAddr) {
        if let Some(count) = self.votes.get_mut(&addr) {
            *count -= 1;
            if *count == 0 {
                self.votes.remove(&addr);
            }
        }
    }
}
