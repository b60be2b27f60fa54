//! Our own record, and the address in it: what the user states, or else what others agree on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use peerage_machine::Instant;
use peerage_node::{LocalRecord, LocalRecordError, Record, check_relay};

use super::io::LocalChange;
use crate::packet::Endpoint;

/// Our record as it is announced, and what may change it.
#[derive(Debug)]
pub(super) struct Local {
    record: LocalRecord,
    /// The record that was signed last.
    current: Record,
    /// Whether the address of each family is stated, which ends the vote on it.
    is_ip4_stated: bool,
    is_ip6_stated: bool,
    /// When a vote changed the address last.
    voted: Option<Instant>,
}

impl Local {
    pub(super) fn new(mut record: LocalRecord) -> Self {
        let current = record.record().clone();
        Self { record, current, is_ip4_stated: false, is_ip6_stated: false, voted: None }
    }

    /// Our record.
    pub(super) const fn current(&self) -> &Record {
        &self.current
    }

    /// Applies what the driver tells. The new record, if it is one.
    pub(super) fn change(
        &mut self,
        change: LocalChange,
    ) -> Result<Option<Record>, LocalRecordError> {
        match change {
            LocalChange::Attribute { key, rlp: Some(rlp) } => {
                self.record.set_attribute(&key, rlp)?;
            }
            LocalChange::Attribute { key, rlp: None } => {
                self.record.remove_attribute(&key);
            }
            LocalChange::Ip4(ip) => {
                self.is_ip4_stated = ip.is_some();
                // Without a statement, the last one stands until others agree on another.
                if ip.is_some() {
                    self.record.set_ip4(ip)?;
                }
            }
            LocalChange::Ip6(ip) => {
                self.is_ip6_stated = ip.is_some();
                if ip.is_some() {
                    self.record.set_ip6(ip)?;
                }
            }
            LocalChange::Tcp4(port) => self.record.set_tcp4(port)?,
            LocalChange::Tcp6(port) => self.record.set_tcp6(port)?,
            LocalChange::Udp4(port) => self.record.set_udp4(port)?,
            LocalChange::Udp6(port) => self.record.set_udp6(port)?,
        }
        Ok(self.sign())
    }

    /// Whether others decide on our address of this family.
    pub(super) const fn is_voted(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => !self.is_ip4_stated,
            IpAddr::V6(_) => !self.is_ip6_stated,
        }
    }

    /// When a vote changed the address last, if one did.
    pub(super) const fn voted(&self) -> Option<Instant> {
        self.voted
    }

    /// Takes the endpoint that others agree on. The new record, if it is one.
    pub(super) fn elect(&mut self, now: Instant, winner: SocketAddr) -> Option<Record> {
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
            self.voted = Some(now);
        }
        changed
    }

    /// Where we say we are, to a node at `to`: unspecified if we do not know, or it could not use
    /// it.
    pub(super) fn endpoint(&self, to: IpAddr) -> Endpoint {
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
        Endpoint { ip: Some(ip), udp: udp.unwrap_or(0), tcp: tcp.unwrap_or(0) }
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
