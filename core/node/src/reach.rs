//! How far an address reaches: this machine, the local network, nowhere, or all of the Internet.
//!
//! Pure tables over addresses; who may be dialed at all is a [`NetList`](crate::NetList)'s matter.
//!
//! Spec: the IANA special-purpose address registries for
//! [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and
//! [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks where no node is: address, prefix length in bits. From the registry, without those
/// of [`is_lan`].
const SPECIAL_V4: [([u8; 4], u8); 13] = [
    // "This network"; a source, never a destination.
    ([0, 0, 0, 0], 8),
    // IETF protocol assignments.
    ([192, 0, 0, 0], 24),
    // Documentation: TEST-NET-1.
    ([192, 0, 2, 0], 24),
    // AS112: answers for private reverse lookups.
    ([192, 31, 196, 0], 24),
    // Automatic multicast tunneling.
    ([192, 52, 193, 0], 24),
    // 6to4 relays, withdrawn.
    ([192, 88, 99, 0], 24),
    // AS112 again.
    ([192, 175, 48, 0], 24),
    // Benchmarks of devices.
    ([198, 18, 0, 0], 15),
    // Documentation: TEST-NET-2.
    ([198, 51, 100, 0], 24),
    // Documentation: TEST-NET-3.
    ([203, 0, 113, 0], 24),
    // Multicast.
    ([224, 0, 0, 0], 4),
    // Reserved.
    ([240, 0, 0, 0], 4),
    // Broadcast: part of the reserved block, named on its own in the registry.
    ([255, 255, 255, 255], 32),
];

/// IPv6 networks where no node is: first segments, prefix length in bits.
const SPECIAL_V6: [([u16; 4], u8); 12] = [
    // Translation to IPv4 (NAT64), global and local: they would reach IPv4 hosts behind every check
    // here.
    ([0x64, 0xff9b, 0, 0], 96),
    ([0x64, 0xff9b, 1, 0], 48),
    // Discard-only, and its neighbour the dummy prefix.
    ([0x100, 0, 0, 0], 64),
    ([0x100, 0, 0, 1], 64),
    // IETF protocol assignments: Teredo, benchmarks, ORCHID and others.
    ([0x2001, 0, 0, 0], 23),
    // Documentation, old and new.
    ([0x2001, 0xdb8, 0, 0], 32),
    ([0x3fff, 0, 0, 0], 20),
    // 6to4, which embeds IPv4 addresses as NAT64 does.
    ([0x2002, 0, 0, 0], 16),
    // AS112.
    ([0x2620, 0x4f, 0x8000, 0], 48),
    // Segment routing identifiers.
    ([0x5f00, 0, 0, 0], 16),
    // Multicast.
    ([0xff00, 0, 0, 0], 8),
    // Unspecified.
    ([0, 0, 0, 0], 128),
];

/// Why an address that one node told us of another is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A local address, told by a node outside of the local network.
    #[error("a local-network address from a node that is not in the local network")]
    Lan,
    /// An address of the own machine, told by another machine.
    #[error("a loopback address from a node on another machine")]
    Loopback,
    /// Multicast, documentation or another network without nodes.
    #[error("an address in a special-purpose network")]
    Special,
    /// `0.0.0.0` or `::`.
    #[error("the unspecified address")]
    Unspecified,
}

/// Whether `ip` is on this machine or in a local network: loopback, private (RFC 1918, `fc00::/7`),
/// link-local, or behind the same carrier-grade NAT (`100.64.0.0/10`).
pub fn is_lan(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared(ip)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether no node can be at `ip`, because it is unspecified, multicast, broadcast, reserved, or
/// set aside for documentation, benchmarks or translation.
pub fn is_special(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => SPECIAL_V4.iter().any(|&(net, bits)| {
            matches_prefix(
                u128::from(ip.to_bits()),
                u128::from(Ipv4Addr::from(net).to_bits()),
                32 - bits,
            )
        }),
        IpAddr::V6(ip) => SPECIAL_V6.iter().any(|&([a, b, c, d], bits)| {
            let net = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            matches_prefix(ip.to_bits(), net.to_bits(), 128 - bits)
        }),
    }
}

/// Whether `addr` may be used when the node at `sender` says that another node is there.
///
/// # Security
///
/// Keeps strangers from making us send packets into our own network or to ourselves.
pub fn check_relay(sender: IpAddr, addr: IpAddr) -> Result<(), RelayError> {
    let (sender, addr) = (sender.to_canonical(), addr.to_canonical());
    if addr.is_unspecified() {
        Err(RelayError::Unspecified)
    } else if is_special(addr) {
        Err(RelayError::Special)
    } else if addr.is_loopback() && !sender.is_loopback() {
        Err(RelayError::Loopback)
    } else if is_lan(addr) && !is_lan(sender) {
        Err(RelayError::Lan)
    } else {
        Ok(())
    }
}

/// How global an address is: of two addresses of one node, the one with the higher scope is more
/// likely to be reachable from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Unspecified,
    Loopback,
    LinkLocal,
    Lan,
    Global,
}

impl Scope {
    pub(crate) fn of(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let is_link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        if ip.is_unspecified() {
            Self::Unspecified
        } else if ip.is_loopback() {
            Self::Loopback
        } else if is_link_local {
            Self::LinkLocal
        } else if is_lan(ip) {
            Self::Lan
        } else {
            Self::Global
        }
    }
}

/// `100.64.0.0/10`, shared by the customers of a provider (RFC 6598). Go-ethereum takes it for
/// global.
const fn is_shared(ip: Ipv4Addr) -> bool {
    matches!(ip.octets(), [100, 64..=127, ..])
}

/// Whether two addresses agree in all but the lowest `free` bits.
fn matches_prefix(a: u128, b: u128, free: u8) -> bool {
    (a ^ b).checked_shr(free.into()).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn local_networks_are_lan_and_their_neighbours_are_not() {
        for lan in [
            "127.0.0.1",
            "127.255.255.255",
            "10.0.1.1",
            "10.22.0.3",
            "172.16.0.0",
            "172.31.252.251",
            "192.168.1.4",
            "169.254.0.1",
            "100.64.0.0",
            "100.127.255.255",
            "::1",
            "fe80::f4a1:8eff:fec5:9d9d",
            "febf::ab32:2233",
            "fc00::4",
            "fdff::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_lan(ip(lan)), "{lan}");
            assert!(!is_special(ip(lan)), "{lan}");
        }
        for other in [
            "192.0.2.1",
            "1.0.0.0",
            "172.15.255.255",
            "172.32.0.1",
            "192.169.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.255.0.0",
            "fec0::2233",
            "fbff::1",
            "fe00::1",
            "::2",
            "::ffff:1.1.1.1",
        ] {
            assert!(!is_lan(ip(other)), "{other}");
        }
    }

    #[test]
    fn special_networks_are_special_and_their_neighbours_are_not() {
        for special in [
            "0.0.0.0",
            "0.2.0.8",
            "192.0.0.9",
            "192.0.2.1",
            "192.0.2.44",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.175.48.1",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.22",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:2::1",
            "2001:1ff::1",
            "2001:db8:85a3:8d3:1319:8a2e:370:7348",
            "2002:a00:1::1",
            "2620:4f:8000::1",
            "3fff:fff::1",
            "5f00::1",
            "ff05::1:3",
            "::ffff:192.0.2.1",
        ] {
            assert!(is_special(ip(special)), "{special}");
        }
        for other in [
            "1.0.0.0",
            "192.0.1.1",
            "192.0.3.1",
            "172.32.0.1",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "127.0.0.1",
            "::1",
            "fec0::2233",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "3ffe::1",
            "3fff:1000::1",
            "2606:4700::1111",
            "100:0:0:2::1",
            "64:ff9b:2::1",
            "64:ff9b::1:0:0",
        ] {
            assert!(!is_special(ip(other)), "{other}");
        }
    }

    #[test]
    fn what_a_sender_may_say_of_others_depends_on_where_it_is() {
        use RelayError::*;
        for (sender, addr, verdict) in [
            ("127.0.0.1", "0.0.0.0", Err(Unspecified)),
            ("192.168.0.1", "0.0.0.0", Err(Unspecified)),
            ("23.55.1.242", "0.0.0.0", Err(Unspecified)),
            ("::1", "::", Err(Unspecified)),
            ("::1", "::ffff:0.0.0.0", Err(Unspecified)),
            ("127.0.0.1", "255.255.255.255", Err(Special)),
            ("192.168.0.1", "255.255.255.255", Err(Special)),
            ("23.55.1.242", "255.255.255.255", Err(Special)),
            ("2606:4700::1111", "2001:db8::1", Err(Special)),
            ("192.168.0.1", "127.0.2.19", Err(Loopback)),
            ("fe80::1", "::1", Err(Loopback)),
            ("23.55.1.242", "::ffff:127.0.0.1", Err(Loopback)),
            ("23.55.1.242", "192.168.0.1", Err(Lan)),
            ("23.55.1.242", "100.64.0.1", Err(Lan)),
            ("2606:4700::1111", "fc00::1", Err(Lan)),
            ("2606:4700::1111", "fe80::1", Err(Lan)),
            ("127.0.0.1", "127.0.2.19", Ok(())),
            ("127.0.0.1", "192.168.0.1", Ok(())),
            ("127.0.0.1", "23.55.1.242", Ok(())),
            ("192.168.0.1", "192.168.0.1", Ok(())),
            ("::ffff:192.168.0.1", "192.168.0.1", Ok(())),
            ("192.168.0.1", "fc00::1", Ok(())),
            ("192.168.0.1", "23.55.1.242", Ok(())),
            ("23.55.1.242", "23.55.1.242", Ok(())),
            ("23.55.1.242", "2606:4700::1111", Ok(())),
            ("::1", "::1", Ok(())),
        ] {
            assert_eq!(check_relay(ip(sender), ip(addr)), verdict, "{addr} from {sender}");
        }
    }

    #[test]
    fn scopes_are_ordered_from_nowhere_to_everywhere() {
        let addresses = ["0.0.0.0", "127.0.0.1", "169.254.1.1", "100.64.0.1", "1.1.1.1"];
        assert!(addresses.map(|text| Scope::of(ip(text))).is_sorted_by(|a, b| a < b));
        let addresses = ["::", "::1", "fe80::1", "fc00::1", "2606:4700::1111"];
        assert!(addresses.map(|text| Scope::of(ip(text))).is_sorted_by(|a, b| a < b));
    }
}
