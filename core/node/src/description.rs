//! What we say of ourselves at the start of a run: the first record, and the node that we show to
//! our user.
//!
//! Not here: what discovery learns of our address later, and where the sequence number of the
//! record is kept between runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{LocalRecord, LocalRecordError, Node, Record, SecretKey, is_lan};

/// Everything that our record says at the start of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SelfDescription {
    /// Our key.
    pub key: SecretKey,
    /// Attributes of protocols: the key of each, and its value as one item of RLP.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Where we take connections: at most one address of each family. The IPv6 wildcard stands for
    /// both families.
    pub tcp: Vec<SocketAddr>,
    /// Where discovery takes datagrams, in the same way; empty without discovery.
    pub udp: Vec<SocketAddr>,
}

impl SelfDescription {
    /// A node with this key that takes neither connections nor datagrams.
    pub const fn new(key: SecretKey) -> Self {
        Self { key, attributes: Vec::new(), tcp: Vec::new(), udp: Vec::new() }
    }

    /// The record, to follow the one with the sequence number `seq`.
    ///
    /// Behind a wildcard address we do not know where we are. Discovery will find out; without it,
    /// the record is for this machine only.
    pub fn record(&self, seq: u64) -> Result<LocalRecord, LocalRecordError> {
        let mut record = LocalRecord::new(self.key.clone(), seq);
        for (key, rlp) in &self.attributes {
            record.add_attribute(key, rlp.clone())?;
        }
        record.set_ip4(self.ip4())?;
        record.set_ip6(self.ip6())?;
        let (tcp4, udp4) = (port4(&self.tcp), port4(&self.udp));
        record.set_tcp4(tcp4)?;
        record.set_udp4(udp4)?;
        // A port of its own only where it has to be: that of IPv4 stands for both.
        record.set_tcp6(port6(&self.tcp).filter(|port| tcp4 != Some(*port)))?;
        record.set_udp6(port6(&self.udp).filter(|port| udp4 != Some(*port)))?;
        Ok(record)
    }

    /// Ourselves with this record. While nobody has told us our address, the endpoints are for this
    /// machine: better than none for whoever copies them.
    pub fn node(&self, record: Record) -> Node {
        let mut node = Node::from_record(record);
        let here = |at: &SocketAddr| SocketAddr::from((Ipv4Addr::LOCALHOST, at.port()));
        if let Some(tcp) = self.tcp.first()
            && node.tcp_endpoints().is_empty()
        {
            node = node.with_tcp_endpoint(here(tcp));
        }
        if let Some(udp) = self.udp.first()
            && node.udp_endpoints().is_empty()
        {
            node = node.with_udp_endpoint(here(udp));
        }
        node
    }

    /// The addresses that are ours without any doubt, so that nobody has to be asked: those that we
    /// were told to take datagrams at, and that mean the same elsewhere. What is seen of an address
    /// in a local network depends on who looks.
    pub fn certain_ips(&self) -> impl Iterator<Item = IpAddr> {
        let ips = self.udp.iter().map(|at| at.ip().to_canonical());
        ips.filter(|ip| !ip.is_unspecified() && (ip.is_loopback() || !is_lan(*ip)))
    }

    /// Whether datagrams reach IPv4 addresses. From the IPv6 wildcard they do.
    pub fn sends_to_ip4(&self) -> bool {
        self.udp.iter().any(takes_ip4)
    }

    /// Whether datagrams reach IPv6 addresses.
    pub fn sends_to_ip6(&self) -> bool {
        self.udp.iter().any(SocketAddr::is_ipv6)
    }

    fn ip4(&self) -> Option<Ipv4Addr> {
        let of = |ip: IpAddr| if let IpAddr::V4(ip) = ip { Some(ip) } else { None };
        let here =
            (self.udp.is_empty() && self.tcp.iter().any(takes_ip4)).then_some(Ipv4Addr::LOCALHOST);
        self.ip(of, takes_ip4).or(here)
    }

    fn ip6(&self) -> Option<Ipv6Addr> {
        let of = |ip: IpAddr| if let IpAddr::V6(ip) = ip { Some(ip) } else { None };
        self.ip(of, SocketAddr::is_ipv6)
    }

    /// Our address of one family: one without doubt, or else where we take connections, or if we
    /// take none, datagrams.
    fn ip<T>(
        &self,
        of: impl Fn(IpAddr) -> Option<T>,
        takes: impl Fn(&SocketAddr) -> bool,
    ) -> Option<T> {
        let stated = |at: &SocketAddr| Some(at.ip()).filter(|ip| !ip.is_unspecified());
        let places = if self.tcp.iter().any(takes) { &self.tcp } else { &self.udp };
        let ip = self.certain_ips().find_map(&of);
        ip.or_else(|| places.iter().filter_map(stated).find_map(&of))
    }
}

/// Whether IPv4 arrives at `at`: at the IPv6 wildcard it does, too.
fn takes_ip4(at: &SocketAddr) -> bool {
    at.is_ipv4() || at.ip().is_unspecified()
}

/// The port that IPv4 arrives at.
fn port4(places: &[SocketAddr]) -> Option<u16> {
    places.iter().find(|at| takes_ip4(at)).map(SocketAddr::port)
}

/// The port that IPv6 arrives at and IPv4 does not.
fn port6(places: &[SocketAddr]) -> Option<u16> {
    places.iter().find(|at| !takes_ip4(at)).map(SocketAddr::port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(tcp: &[&str], udp: &[&str]) -> SelfDescription {
        let places = |of: &[&str]| of.iter().map(|at| at.parse().unwrap()).collect();
        let key = SecretKey::from_bytes(&[7; 32]).unwrap();
        SelfDescription { tcp: places(tcp), udp: places(udp), ..SelfDescription::new(key) }
    }

    #[test]
    fn a_record_states_where_we_listen_and_no_address_behind_a_wildcard() {
        // Connections, datagrams; addresses, and ports of IPv4 and IPv6, TCP and UDP.
        type Row = (
            &'static [&'static str],
            &'static [&'static str],
            [Option<&'static str>; 2],
            [Option<u16>; 4],
        );
        let rows: [Row; 13] = [
            (&[], &[], [None, None], [None; 4]),
            // Discovery finds out where we are. Without it, the record is for this machine.
            (&["0.0.0.0:1"], &["0.0.0.0:2"], [None, None], [Some(1), Some(2), None, None]),
            (&["[::]:1"], &["[::]:1"], [None, None], [Some(1), Some(1), None, None]),
            (&["0.0.0.0:1"], &[], [Some("127.0.0.1"), None], [Some(1), None, None, None]),
            (&["[::]:1"], &[], [Some("127.0.0.1"), None], [Some(1), None, None, None]),
            (
                &["8.8.8.8:1"],
                &["8.8.8.8:2"],
                [Some("8.8.8.8"), None],
                [Some(1), Some(2), None, None],
            ),
            (&[], &["8.8.8.8:2"], [Some("8.8.8.8"), None], [None, Some(2), None, None]),
            (
                &["[2a00::1]:1"],
                &["[2a00::1]:2"],
                [None, Some("2a00::1")],
                [None, None, Some(1), Some(2)],
            ),
            (
                &["8.8.8.8:1"],
                &["[2a00::1]:1"],
                [Some("8.8.8.8"), Some("2a00::1")],
                [Some(1), None, None, Some(1)],
            ),
            // Both families: one port stands for both, and two do not.
            (
                &["8.8.8.8:1", "[2a00::1]:1"],
                &["8.8.8.8:1", "[2a00::1]:2"],
                [Some("8.8.8.8"), Some("2a00::1")],
                [Some(1), Some(1), None, Some(2)],
            ),
            // Where connections and datagrams differ, certainty comes first, and then connections.
            (
                &["8.8.8.8:1"],
                &["9.9.9.9:1"],
                [Some("9.9.9.9"), None],
                [Some(1), Some(1), None, None],
            ),
            (
                &["8.8.8.8:1"],
                &["10.0.0.1:1"],
                [Some("8.8.8.8"), None],
                [Some(1), Some(1), None, None],
            ),
            (&["0.0.0.0:1"], &["10.0.0.1:1"], [None, None], [Some(1), Some(1), None, None]),
        ];
        for (tcp, udp, ips, ports) in rows {
            let mut record = description(tcp, udp).record(4).unwrap();
            let record = record.record();
            let ip = [record.ip4().map(IpAddr::V4), record.ip6().map(IpAddr::V6)];
            assert_eq!(ip, ips.map(|ip| ip.map(|ip| ip.parse().unwrap())), "{tcp:?} {udp:?}");
            let stated = [record.tcp4(), record.udp4(), record.tcp6(), record.udp6()];
            assert_eq!(stated, ports, "{tcp:?} {udp:?}");
            assert_eq!(record.seq(), 5);
        }
    }

    #[test]
    fn an_address_of_ours_is_certain_unless_it_is_of_a_local_network_or_none() {
        for (udp, certain) in [
            (&["8.8.8.8:1"][..], &["8.8.8.8"][..]),
            (&["8.8.8.8:1", "[2a00::1]:1"], &["8.8.8.8", "2a00::1"]),
            (&["127.0.0.1:1"], &["127.0.0.1"]),
            (&["[::1]:1"], &["::1"]),
            (&["[::ffff:8.8.8.8]:1"], &["8.8.8.8"]),
            (&["192.168.1.5:1"], &[]),
            (&["[fd00::1]:1"], &[]),
            (&["0.0.0.0:1"], &[]),
            (&["[::]:1"], &[]),
            (&[], &[]),
        ] {
            let certain: Vec<IpAddr> = certain.iter().map(|ip| ip.parse().unwrap()).collect();
            assert_eq!(description(&[], udp).certain_ips().collect::<Vec<_>>(), certain, "{udp:?}");
        }
    }

    #[test]
    fn the_families_are_those_of_the_datagrams() {
        for (udp, ip4, ip6) in [
            (&["0.0.0.0:1"][..], true, false),
            (&["8.8.8.8:1"], true, false),
            (&["[::]:1"], true, true),
            (&["[2a00::1]:1"], false, true),
            (&["8.8.8.8:1", "[2a00::1]:1"], true, true),
            (&[], false, false),
        ] {
            let about = description(&["8.8.8.8:1"], udp);
            assert_eq!((about.sends_to_ip4(), about.sends_to_ip6()), (ip4, ip6), "{udp:?}");
        }
    }

    #[test]
    fn we_are_shown_with_endpoints_of_this_machine_until_others_are_known() {
        let about = description(&["0.0.0.0:1"], &["0.0.0.0:2"]);
        let node = about.node(about.record(0).unwrap().record().clone());
        assert_eq!(node.tcp_endpoints(), ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(node.udp_endpoints(), ["127.0.0.1:2".parse().unwrap()]);
        let known = description(&["8.8.8.8:1"], &["8.8.8.8:2"]);
        let node = about.node(known.record(0).unwrap().record().clone());
        assert_eq!(node.udp_endpoints(), ["8.8.8.8:2".parse().unwrap()]);
    }
}
