//! Our own record, and the address in it: what the user states, or else what others agree on.
//!
//! Not here: what the first record of a run says, and where its sequence number is kept.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use peerage_machine::Instant;
use peerage_node::{LocalRecord, LocalRecordError, Record, check_relay};

use crate::{Family, Vote};

/// What changed about us. The record is signed anew if it really did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalChange {
    /// An attribute of a protocol, as one item of RLP; `None` removes it. One that does not fit
    /// into the record is ignored: check it with
    /// [`LocalRecord::set_attribute`](peerage_node::LocalRecord::set_attribute).
    Attribute {
        /// Its key.
        key: String,
        /// Its value.
        rlp: Option<Vec<u8>>,
    },
    /// Our IPv4 address as a user or a port mapping states it, which ends the vote on it; `None`
    /// goes back to the vote.
    Ip4(Option<Ipv4Addr>),
    /// Our IPv6 address as a user or a port mapping states it, which ends the vote on it; `None`
    /// goes back to the vote.
    Ip6(Option<Ipv6Addr>),
    /// Our TCP port.
    Tcp4(Option<u16>),
    /// Our TCP port of IPv6, where it differs.
    Tcp6(Option<u16>),
    /// Our UDP port.
    Udp4(Option<u16>),
    /// Our UDP port of IPv6, where it differs.
    Udp6(Option<u16>),
}

/// Our record as it is announced, and what may change it.
#[derive(Debug)]
pub(crate) struct OwnRecord {
    record: LocalRecord,
    /// The record that was signed last.
    current: Record,
    ip4: DecidedBy,
    ip6: DecidedBy,
    vote: Vote,
    /// When a vote changed an address last.
    elected: Option<Instant>,
    /// The shortest time between two changes by vote.
    vote_interval: Duration,
}

/// Who decides on our address of one family.
///
/// ```text
///          an address is stated
///   Vote <----------------------> Statement
///            the statement ends
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecidedBy {
    /// The user, or a port mapping.
    Statement,
    /// The nodes that answer us.
    Vote,
}

impl DecidedBy {
    const fn of<T>(stated: Option<&T>) -> Self {
        match stated {
            Some(_) => Self::Statement,
            None => Self::Vote,
        }
    }
}

impl LocalChange {
    /// Whether `other` changes the same, so that the later of both counts.
    pub(crate) fn is_of_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Attribute { key, .. }, Self::Attribute { key: other, .. }) => key == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    fn apply(&self, record: &mut LocalRecord) -> Result<(), LocalRecordError> {
        match self {
            Self::Attribute { key, rlp: Some(rlp) } => record.set_attribute(key, rlp.clone()),
            Self::Attribute { key, rlp: None } => {
                record.remove_attribute(key);
                Ok(())
            }
            // Without a statement, the last one stands until others agree on another.
            Self::Ip4(None) | Self::Ip6(None) => Ok(()),
            Self::Ip4(ip) => record.set_ip4(*ip),
            Self::Ip6(ip) => record.set_ip6(*ip),
            Self::Tcp4(port) => record.set_tcp4(*port),
            Self::Tcp6(port) => record.set_tcp6(*port),
            Self::Udp4(port) => record.set_udp4(*port),
            Self::Udp6(port) => record.set_udp6(*port),
        }
    }
}

impl OwnRecord {
    /// A record that states the addresses of ours that are `certain`, and what the driver told in
    /// `changes` before. On an address of another family others decide until somebody states it.
    pub(crate) fn new(
        mut record: LocalRecord,
        certain: impl Iterator<Item = IpAddr>,
        changes: &[LocalChange],
        vote_interval: Duration,
    ) -> Self {
        for change in changes {
            // All together they may not fit where each did alone; then it is left out.
            let _ = change.apply(&mut record);
        }
        let current = record.record().clone();
        let (ip4, ip6) = (DecidedBy::Vote, DecidedBy::Vote);
        let vote = Vote::new();
        let mut own = Self { record, current, ip4, ip6, vote, elected: None, vote_interval };
        for ip in certain {
            match ip {
                IpAddr::V4(_) => own.ip4 = DecidedBy::Statement,
                IpAddr::V6(_) => own.ip6 = DecidedBy::Statement,
            }
        }
        changes.iter().for_each(|change| own.decide(change));
        own
    }

    /// Applies what the driver tells. The new record, if it is one.
    pub(crate) fn change(
        &mut self,
        change: &LocalChange,
    ) -> Result<Option<Record>, LocalRecordError> {
        self.decide(change);
        change.apply(&mut self.record)?;
        Ok(self.sign())
    }

    /// The node at `from`, in answer to a packet of ours, says that we are at `ours`. The new
    /// record, if that elects another address.
    pub(crate) fn on_statement(
        &mut self,
        now: Instant,
        from: SocketAddr,
        ours: SocketAddr,
    ) -> Option<Record> {
        self.vote.cast(now, from, ours);
        let is_early = self.elected.is_some_and(|at| now.saturating_since(at) < self.vote_interval);
        if is_early || self.decided_by(ours.ip()) == DecidedBy::Statement {
            return None;
        }
        let winner = self.vote.winner(Family::of(ours.ip()))?;
        self.elect(now, winner)
    }

    /// Our record.
    pub(crate) const fn current(&self) -> &Record {
        &self.current
    }

    /// Where we say we take datagrams, to a node at `to`, and our TCP port: unspecified and 0 where
    /// we do not know, or it could not use it.
    pub(crate) fn stated_to(&self, to: IpAddr) -> (SocketAddr, u16) {
        let (ip, udp, tcp) = match to {
            IpAddr::V4(_) => {
                (self.current.ip4().map(IpAddr::V4), self.current.udp4(), self.current.tcp4())
            }
            IpAddr::V6(_) => (
                self.current.ip6().map(IpAddr::V6),
                self.current.udp6().or(self.current.udp4()),
                self.current.tcp6().or(self.current.tcp4()),
            ),
        };
        let unspecified = match to {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        // The node at `to` may use what a node there could have told it.
        let ip = ip.filter(|ip| check_relay(to, *ip).is_ok()).unwrap_or(unspecified);
        (SocketAddr::new(ip, udp.unwrap_or(0)), tcp.unwrap_or(0))
    }

    /// The bytes held for others.
    pub(crate) fn memory(&self) -> usize {
        self.vote.memory()
    }

    /// The most bytes held for others.
    pub(crate) const fn memory_bound() -> usize {
        Vote::memory_bound()
    }

    const fn decided_by(&self, ip: IpAddr) -> DecidedBy {
        match ip {
            IpAddr::V4(_) => self.ip4,
            IpAddr::V6(_) => self.ip6,
        }
    }

    /// Who decides on an address from now on.
    const fn decide(&mut self, change: &LocalChange) {
        match change {
            LocalChange::Ip4(ip) => self.ip4 = DecidedBy::of(ip.as_ref()),
            LocalChange::Ip6(ip) => self.ip6 = DecidedBy::of(ip.as_ref()),
            LocalChange::Attribute { .. }
            | LocalChange::Tcp4(_)
            | LocalChange::Tcp6(_)
            | LocalChange::Udp4(_)
            | LocalChange::Udp6(_) => {}
        }
    }

    /// Takes the endpoint that others agree on. The new record, if it is one.
    fn elect(&mut self, now: Instant, winner: SocketAddr) -> Option<Record> {
        let port = Some(winner.port());
        let fits = match winner.ip() {
            IpAddr::V4(ip) => {
                self.record.set_ip4(Some(ip)).and_then(|()| self.record.set_udp4(port))
            }
            IpAddr::V6(ip) => self.record.set_ip6(Some(ip)).and_then(|()| {
                // A port of its own only where it has to be: that of IPv4 stands for both.
                let is_same = self.current.ip4().is_some() && self.current.udp4() == port;
                self.record.set_udp6(port.filter(|_| !is_same))
            }),
        };
        // A record that is full already keeps the address it has.
        let changed = fits.ok().and_then(|()| self.sign());
        if changed.is_some() {
            self.elected = Some(now);
        }
        changed
    }

    fn sign(&mut self) -> Option<Record> {
        let record = self.record.record();
        if record.seq() == self.current.seq() {
            return None;
        }
        self.current = record.clone();
        Some(self.current.clone())
    }
}
