//! Address translators and firewalls: who may send what to the hosts behind them
//! ([RFC 4787](https://www.rfc-editor.org/rfc/rfc4787)).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::Instant;

use crate::world::HostId;

/// How long a translator remembers a flow of datagrams after the last one out; RFC 4787 asks for
/// two minutes.
const UDP_LIFETIME: Duration = Duration::from_secs(120);

/// The first port that is given away where the host's own one is taken.
const FIRST_PORT: u16 = 20_000;

/// The kinds of translator, by the names people use; and the firewall, which translates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatKind {
    /// Public address; whoever was not spoken to first is not let in.
    Firewall,
    /// One port outside per port inside, and anybody may send to it.
    FullCone,
    /// One port outside per port inside, open to the addresses that were sent to.
    RestrictedCone,
    /// One port outside per port inside, open to the addresses and ports that were sent to.
    PortRestricted,
    /// A port outside for each address and port that is sent to, open to that one only.
    Symmetric,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// What a mapping is found by: for a symmetric translator also whom it is for.
type Key = (Transport, SocketAddr, Option<SocketAddr>);

/// A translator or firewall, and the hosts behind it.
#[derive(Debug)]
pub(crate) struct Gateway {
    kind: NatKind,
    ip: IpAddr,
    inside: BTreeMap<IpAddr, HostId>,
    mappings: BTreeMap<Key, Mapping>,
    by_port: BTreeMap<(Transport, u16), Key>,
    /// Ports that are let through to a host whatever comes, as a user or UPnP set them up.
    forwards: BTreeMap<(Transport, u16), SocketAddr>,
    next_port: u16,
}

#[derive(Debug)]
struct Mapping {
    port: u16,
    /// To whom was sent, and until when an answer is let in.
    open: BTreeMap<SocketAddr, Instant>,
}

impl Gateway {
    pub(crate) fn new(kind: NatKind, ip: IpAddr) -> Self {
        Self {
            kind,
            ip,
            inside: BTreeMap::new(),
            mappings: BTreeMap::new(),
            by_port: BTreeMap::new(),
            forwards: BTreeMap::new(),
            next_port: FIRST_PORT,
        }
    }

    pub(crate) fn insert(&mut self, ip: IpAddr, host: HostId) {
        self.inside.insert(ip, host);
    }

    /// Lets everything through that comes to the port of `inner`.
    pub(crate) fn forward(&mut self, inner: SocketAddr) {
        for transport in [Transport::Tcp, Transport::Udp] {
            self.forwards.insert((transport, inner.port()), inner);
        }
    }

    /// The host with an address of its own here.
    pub(crate) fn local(&self, ip: IpAddr) -> Option<HostId> {
        self.inside.get(&ip).copied()
    }

    /// Any of the hosts here: all are as far away.
    pub(crate) fn any(&self) -> Option<HostId> {
        self.inside.values().next().copied()
    }

    /// What the world sees as the source of a packet from `inner` to `to`; the way back is open for
    /// a while.
    pub(crate) fn outbound(
        &mut self,
        now: Instant,
        transport: Transport,
        inner: SocketAddr,
        to: SocketAddr,
    ) -> SocketAddr {
        if self.forwards.get(&(transport, inner.port())) == Some(&inner) {
            return SocketAddr::new(self.ip, inner.port());
        }
        let key = (transport, inner, (self.kind == NatKind::Symmetric).then_some(to));
        let expires = now + UDP_LIFETIME;
        // A flow that is forgotten gets a new port, as far as the kind has a choice.
        if self.mappings.get(&key).is_some_and(|mapping| mapping.is_over(now)) {
            self.remove(key);
        }
        let port = match self.mappings.get_mut(&key) {
            Some(mapping) => {
                mapping.open.retain(|_, until| *until > now);
                mapping.open.insert(to, expires);
                mapping.port
            }
            None => {
                let port = self.free_port(now, transport, inner.port());
                let open = BTreeMap::from([(to, expires)]);
                self.mappings.insert(key, Mapping { port, open });
                self.by_port.insert((transport, port), key);
                port
            }
        };
        SocketAddr::new(self.ip, port)
    }

    /// Where inside a packet from `from` to `port` goes, if it is let in.
    pub(crate) fn inbound(
        &self,
        now: Instant,
        transport: Transport,
        port: u16,
        from: SocketAddr,
    ) -> Option<SocketAddr> {
        if let Some(inner) = self.forwards.get(&(transport, port)) {
            return Some(*inner);
        }
        let key = self.by_port.get(&(transport, port))?;
        let mapping = self.mappings.get(key)?;
        let is_open = |ip_only: bool| {
            mapping.open.iter().any(|(to, until)| {
                *until > now && if ip_only { to.ip() == from.ip() } else { *to == from }
            })
        };
        let passes = match (transport, self.kind) {
            // Streams are begun from inside only.
            (Transport::Tcp, _) => false,
            (Transport::Udp, NatKind::FullCone) => !mapping.is_over(now),
            (Transport::Udp, NatKind::RestrictedCone) => is_open(true),
            (Transport::Udp, NatKind::Firewall | NatKind::PortRestricted | NatKind::Symmetric) => {
                is_open(false)
            }
        };
        passes.then_some(key.1)
    }

    /// The port of the host itself if it is free, as most translators do; else the next one that
    /// is.
    fn free_port(&mut self, now: Instant, transport: Transport, wanted: u16) -> u16 {
        let mut port = wanted;
        loop {
            let is_forward = self.forwards.contains_key(&(transport, port));
            match self.by_port.get(&(transport, port)).copied() {
                None if !is_forward => return port,
                Some(key) if self.mappings.get(&key).is_none_or(|it| it.is_over(now)) => {
                    self.remove(key);
                    return port;
                }
                _ => {
                    port = self.next_port;
                    self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
                }
            }
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(mapping) = self.mappings.remove(&key) {
            self.by_port.remove(&(key.0, mapping.port));
        }
    }
}

impl Mapping {
    fn is_over(&self, now: Instant) -> bool {
        self.open.values().all(|until| *until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &str = "192.168.0.2:30303";

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Who of those may answer a host that has sent to 11.0.0.1:1 only.
    fn answers(kind: NatKind) -> [bool; 3] {
        let mut nat = Gateway::new(kind, "12.0.0.1".parse().unwrap());
        let now = Instant::START;
        let seen = nat.outbound(now, Transport::Udp, addr(INNER), addr("11.0.0.1:1"));
        ["11.0.0.1:1", "11.0.0.1:2", "11.0.0.2:1"].map(|from| {
            nat.inbound(now, Transport::Udp, seen.port(), addr(from)) == Some(addr(INNER))
        })
    }

    #[test]
    fn each_kind_lets_in_whom_its_name_says() {
        assert_eq!(answers(NatKind::FullCone), [true, true, true]);
        assert_eq!(answers(NatKind::RestrictedCone), [true, true, false]);
        assert_eq!(answers(NatKind::PortRestricted), [true, false, false]);
        assert_eq!(answers(NatKind::Symmetric), [true, false, false]);
        assert_eq!(answers(NatKind::Firewall), [true, false, false]);
    }

    #[test]
    fn only_a_symmetric_translator_shows_each_its_own_port() {
        for (kind, same) in [(NatKind::PortRestricted, true), (NatKind::Symmetric, false)] {
            let mut nat = Gateway::new(kind, "12.0.0.1".parse().unwrap());
            let mut seen =
                |to| nat.outbound(Instant::START, Transport::Udp, addr(INNER), addr(to)).port();
            assert_eq!(seen("11.0.0.1:1") == seen("11.0.0.2:1"), same);
        }
    }

    #[test]
    fn a_flow_is_forgotten_and_a_forward_is_not() {
        let mut nat = Gateway::new(NatKind::FullCone, "12.0.0.1".parse().unwrap());
        let (now, to) = (Instant::START, addr("11.0.0.1:1"));
        let seen = nat.outbound(now, Transport::Udp, addr(INNER), to);
        let later = now + UDP_LIFETIME;
        assert_eq!(nat.inbound(later, Transport::Udp, seen.port(), to), None);
        assert_eq!(nat.inbound(later, Transport::Tcp, 30303, to), None);
        nat.forward(addr(INNER));
        assert_eq!(nat.inbound(later, Transport::Tcp, 30303, to), Some(addr(INNER)));
    }
}
