//! Nodes: what a user, a peer or a record names, with all the ways to get there.
//!
//! A [`Node`] is a claim. Only its record, if it has one, is signed by the node itself; names are
//! resolved elsewhere.

mod text;

use std::{
    cmp::Reverse,
    fmt,
    net::{IpAddr, SocketAddr},
};

pub use text::ParseNodeError;

use crate::{NodeId, PublicKey, Record, reach::Scope};

/// A node: its key, and where it is said to be.
///
/// Parses from and prints as text: see the [`FromStr`](#impl-FromStr-for-Node) implementation for
/// the forms.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    public_key: PublicKey,
    /// Derived once, as it is what everything keeps nodes under.
    id: NodeId,
    source: Source,
    /// Overrides where `source` says that TCP is.
    tcp: Option<SocketAddr>,
    /// Overrides where `source` says that UDP is.
    udp: Option<SocketAddr>,
}

/// Where knowledge of the node comes from.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    /// Only the key is known.
    Key,
    Record(Record),
    /// An enode URL or its parts. A port of 0 is none.
    Url {
        host: Host,
        tcp: u16,
        udp: u16,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Canonical: never an IPv4-mapped address.
    Ip(IpAddr),
    /// A DNS name in lower case.
    Name(Box<str>),
}

impl Node {
    /// The most bytes that a node takes besides its own size: those of a record, which may be
    /// shared. No name is as long.
    pub const MAX_HEAP: usize = Record::MAX_HEAP;

    /// A node of which only the key is known.
    pub fn new(public_key: PublicKey) -> Self {
        Self { public_key, id: public_key.id(), source: Source::Key, tcp: None, udp: None }
    }

    /// The node that signed `record`.
    pub fn from_record(record: Record) -> Self {
        Self {
            public_key: *record.public_key(),
            id: record.id(),
            source: Source::Record(record),
            tcp: None,
            udp: None,
        }
    }

    /// The node with this key at `tcp`. Without `udp`, its UDP port is that of TCP, as in enode
    /// URLs; with 0 it has none.
    pub fn from_endpoint(public_key: PublicKey, tcp: SocketAddr, udp: Option<u16>) -> Self {
        let host = Host::Ip(tcp.ip().to_canonical());
        Self::from_url(public_key, host, tcp.port(), udp.unwrap_or(tcp.port()))
    }

    fn from_url(public_key: PublicKey, host: Host, tcp: u16, udp: u16) -> Self {
        Self { source: Source::Url { host, tcp, udp }, ..Self::new(public_key) }
    }

    /// The same node, with TCP at `endpoint` and nowhere else: its name was resolved, or it was
    /// seen there.
    #[must_use]
    pub fn with_tcp_endpoint(self, endpoint: SocketAddr) -> Self {
        Self { tcp: Some(canonical(endpoint)), ..self }
    }

    /// The same node, with UDP at `endpoint` and nowhere else: it was heard there. What it signed
    /// stays what it signed.
    #[must_use]
    pub fn with_udp_endpoint(self, endpoint: SocketAddr) -> Self {
        Self { udp: Some(canonical(endpoint)), ..self }
    }

    /// The same node at the first of the addresses that its name was resolved to; as it was, if it
    /// has no name or there is no address.
    ///
    /// IPv4 comes first: nearly every node of Ethereum has it.
    #[must_use]
    pub fn resolved_to(self, addresses: &[IpAddr]) -> Self {
        let first = addresses.iter().find(|ip| ip.is_ipv4()).or(addresses.first()).copied();
        let Some(ip) = first.filter(|_| self.hostname().is_some()) else { return self };
        let (tcp, udp) = (self.tcp_port(), self.udp_port());
        let node = match tcp {
            Some(port) => self.with_tcp_endpoint(SocketAddr::new(ip, port)),
            None => self,
        };
        match udp {
            Some(port) => node.with_udp_endpoint(SocketAddr::new(ip, port)),
            None => node,
        }
    }

    /// The node's id.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// The node's key.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The node's record, if that is how it is known.
    pub const fn record(&self) -> Option<&Record> {
        match &self.source {
            Source::Record(record) => Some(record),
            Source::Key | Source::Url { .. } => None,
        }
    }

    /// The DNS name that stands for the node's address, in lower case.
    pub fn hostname(&self) -> Option<&str> {
        match &self.source {
            Source::Url { host: Host::Name(name), .. } => Some(name),
            _ => None,
        }
    }

    /// The TCP port, also when no address is known; that of the preferred address, if there are
    /// two.
    pub fn tcp_port(&self) -> Option<u16> {
        match (self.tcp, &self.source) {
            (Some(endpoint), _) => Some(endpoint.port()),
            (None, Source::Key) => None,
            (None, Source::Record(record)) => {
                first_port(&self.tcp_endpoints(), [record.tcp4(), record.tcp6()])
            }
            (None, Source::Url { tcp, .. }) => Some(*tcp),
        }
        .filter(|port| *port != 0)
    }

    /// The UDP port, also when no address is known; that of the preferred address, if there are
    /// two.
    pub fn udp_port(&self) -> Option<u16> {
        match (self.udp, &self.source) {
            (Some(endpoint), _) => Some(endpoint.port()),
            (None, Source::Key) => None,
            (None, Source::Record(record)) => {
                first_port(&self.udp_endpoints(), [record.udp4(), record.udp6()])
            }
            (None, Source::Url { udp, .. }) => Some(*udp),
        }
        .filter(|port| *port != 0)
    }

    /// Where the node accepts TCP connections, preferred first: the most global address, and IPv4
    /// of two that are equally so. At most one of each family; empty while a name is not resolved.
    pub fn tcp_endpoints(&self) -> Vec<SocketAddr> {
        match (self.tcp, &self.source) {
            (Some(endpoint), _) => with_port([endpoint]),
            (None, Source::Record(record)) => {
                let v4 = record.tcp4();
                of_record(record, v4, record.tcp6().or(v4))
            }
            (None, Source::Url { host: Host::Ip(ip), tcp, .. }) => {
                with_port([SocketAddr::new(*ip, *tcp)])
            }
            (None, Source::Key | Source::Url { .. }) => Vec::new(),
        }
    }

    /// Where the node takes UDP datagrams, in the order of [`tcp_endpoints`](Self::tcp_endpoints).
    pub fn udp_endpoints(&self) -> Vec<SocketAddr> {
        if let Some(endpoint) = self.udp {
            return with_port([endpoint]);
        }
        match (&self.source, self.tcp) {
            (Source::Record(record), _) => {
                let v4 = record.udp4();
                of_record(record, v4, record.udp6().or(v4))
            }
            (Source::Url { host: Host::Ip(ip), udp, .. }, _) => {
                with_port([SocketAddr::new(*ip, *udp)])
            }
            // The name stood for the address that TCP was found at.
            (Source::Url { host: Host::Name(_), udp, .. }, Some(tcp)) => {
                with_port([SocketAddr::new(tcp.ip(), *udp)])
            }
            (Source::Key | Source::Url { .. }, _) => Vec::new(),
        }
    }
}

impl From<Record> for Node {
    fn from(record: Record) -> Self {
        Self::from_record(record)
    }
}

impl From<PublicKey> for Node {
    fn from(public_key: PublicKey) -> Self {
        Self::new(public_key)
    }
}

impl fmt::Debug for Node {
    /// The beginning of the id, and an address: what a log needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}", hex::encode(&self.id.0[..4]))?;
        if let Some(place) = self.place() { write!(f, "..@{place})") } else { f.write_str("..)") }
    }
}

/// The addresses of a record with the ports of their families, most global first. Without those
/// that no node should state: unspecified, and IPv4-mapped in the place of IPv6.
fn of_record(record: &Record, v4_port: Option<u16>, v6_port: Option<u16>) -> Vec<SocketAddr> {
    let v4 = record.ip4().map(IpAddr::V4).zip(v4_port);
    let v6 = record.ip6().map(IpAddr::V6).zip(v6_port);
    let mut endpoints: Vec<SocketAddr> = [v4, v6]
        .into_iter()
        .flatten()
        .filter(|(ip, _)| *ip == ip.to_canonical() && !ip.is_unspecified())
        .map(SocketAddr::from)
        .collect();
    // Stable: of two that are equally global, IPv4 stays first.
    endpoints.sort_by_key(|endpoint| Reverse(Scope::of(endpoint.ip())));
    endpoints
}

fn with_port(endpoints: [SocketAddr; 1]) -> Vec<SocketAddr> {
    endpoints.into_iter().filter(|endpoint| endpoint.port() != 0).collect()
}

/// The port of the preferred endpoint; without one, of IPv4, and then of IPv6.
fn first_port(endpoints: &[SocketAddr], ports: [Option<u16>; 2]) -> Option<u16> {
    endpoints.first().map(SocketAddr::port).or_else(|| ports.into_iter().flatten().next())
}

/// An IPv4-mapped IPv6 address becomes IPv4; others keep their scope id.
fn canonical(endpoint: SocketAddr) -> SocketAddr {
    match endpoint.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, endpoint.port()),
        IpAddr::V6(_) => endpoint,
    }
}

#[cfg(test)]
mod tests;
