//! What we say of ourselves: the first record of a run, and the node that we show to our user.
//!
//! Not here: what discovery learns of our address later (`peerage-discovery`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use peerage_discovery::LocalChange;
use peerage_node::{LocalRecord, LocalRecordError, Node, Record, SecretKey, is_lan};

/// Everything that our record says at the start of a run.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) key: SecretKey,
    /// Attributes of protocols, each one item of RLP.
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
    /// Where we listen.
    pub(crate) tcp: Option<SocketAddr>,
    /// Where discovery takes datagrams.
    pub(crate) udp: Option<SocketAddr>,
}

impl Local {
    /// The record, to follow the one with the sequence number `seq`.
    ///
    /// Behind a wildcard address we do not know where we are. Discovery will find out; without it,
    /// the record is for this machine only.
    pub(crate) fn record(&self, seq: u64) -> Result<LocalRecord, LocalRecordError> {
        let mut record = LocalRecord::new(self.key.clone(), seq);
        for (key, rlp) in &self.attributes {
            record.add_attribute(key, rlp.clone())?;
        }
        if let Some(tcp) = self.tcp {
            match tcp.ip() {
                IpAddr::V6(ip) if !ip.is_unspecified() => {
                    record.set_ip6(Some(ip))?;
                    record.set_tcp6(Some(tcp.port()))?;
                }
                ip => {
                    record.set_ip4(self.ip4(ip))?;
                    record.set_tcp4(Some(tcp.port()))?;
                }
            }
        }
        if let Some(udp) = self.udp {
            match udp.ip() {
                IpAddr::V6(ip) if !ip.is_unspecified() => {
                    record.set_ip6(Some(ip))?;
                    record.set_udp6(Some(udp.port()))?;
                }
                ip => {
                    if self.tcp.is_none() {
                        record.set_ip4(self.ip4(ip))?;
                    }
                    record.set_udp4(Some(udp.port()))?;
                }
            }
        }
        Ok(record)
    }

    /// Ourselves with this record. While nobody has told us our address, the endpoints are for this
    /// machine: better than none for whoever copies them.
    pub(crate) fn node(&self, record: Record) -> Node {
        let mut node = Node::from_record(record);
        let here = |address: SocketAddr| SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        if let Some(tcp) = self.tcp
            && node.tcp_endpoints().is_empty()
        {
            node = node.with_tcp_endpoint(here(tcp));
        }
        if let Some(udp) = self.udp
            && node.udp_endpoints().is_empty()
        {
            node = node.with_udp_endpoint(here(udp));
        }
        node
    }

    /// The address that is ours without any doubt, so that nobody has to be asked: one that we were
    /// told to listen on, and that means the same elsewhere. What is seen of an address in a local
    /// network depends on who looks.
    pub(crate) fn stated(&self) -> Option<LocalChange> {
        let ip = self.udp?.ip().to_canonical();
        let is_certain = !ip.is_unspecified() && (ip.is_loopback() || !is_lan(ip));
        is_certain.then_some(match ip {
            IpAddr::V4(ip) => LocalChange::Ip4(Some(ip)),
            IpAddr::V6(ip) => LocalChange::Ip6(Some(ip)),
        })
    }

    fn ip4(&self, ip: IpAddr) -> Option<Ipv4Addr> {
        match ip {
            IpAddr::V4(ip) if !ip.is_unspecified() => Some(ip),
            _ if self.udp.is_some() => None,
            _ => Some(Ipv4Addr::LOCALHOST),
        }
    }
}
