//! Where hosts are put, and which addresses they get.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    host::HostId,
    net::{NatKind, Net},
};

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Reached directly by IPv4, alone in its /24.
    Public,
    /// Reached directly by IPv4 and IPv6.
    DualStack,
    /// Reached directly by IPv4, in the same /24 as every other host with this number.
    Subnet(u16),
    /// Alone behind a translator or firewall of this kind.
    Behind(NatKind),
    /// Alone behind a translator that lets its port through.
    Forwarded(NatKind),
}

/// Gives addresses away: 11.0.0.0/8 and 12.0.0.0/8 for hosts alone in their subnets, 13.0.0.0/8 for
/// shared ones, 14.0.0.0/8 for translators. None of them means anything outside of the simulation.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    alone: u32,
    shared: std::collections::BTreeMap<u16, u32>,
    translators: u32,
}

impl Addresses {
    /// Puts a host there: with the address at which others reach it.
    pub(super) fn place(&mut self, net: &mut Net, place: Place, port: u16) -> (HostId, IpAddr) {
        match place {
            Place::Public => {
                let ip = self.next_alone();
                (net.add_host(vec![ip]), ip)
            }
            Place::DualStack => {
                let ip = self.next_alone();
                let ip6 = Ipv6Addr::new(
                    0x2a00,
                    0,
                    (self.alone >> 16) as u16,
                    self.alone as u16,
                    0,
                    0,
                    0,
                    1,
                );
                (net.add_host(vec![ip, ip6.into()]), ip)
            }
            Place::Subnet(number) => {
                let next = self.shared.entry(number).or_default();
                *next += 1;
                let ip = 0x0d00_0000 + (u32::from(number) << 8) + *next;
                let ip = IpAddr::V4(Ipv4Addr::from(ip));
                (net.add_host(vec![ip]), ip)
            }
            Place::Behind(NatKind::Firewall) | Place::Forwarded(NatKind::Firewall) => {
                let ip = self.next_alone();
                let host = net.add_behind(NatKind::Firewall, ip, ip);
                if matches!(place, Place::Forwarded(_)) {
                    net.forward(host, port);
                }
                (host, ip)
            }
            Place::Behind(kind) | Place::Forwarded(kind) => {
                self.translators += 1;
                let outside = IpAddr::V4(Ipv4Addr::from(0x0e00_0001 + (self.translators << 8)));
                let inside = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 2));
                let host = net.add_behind(kind, outside, inside);
                if matches!(place, Place::Forwarded(_)) {
                    net.forward(host, port);
                }
                (host, outside)
            }
        }
    }

    fn next_alone(&mut self) -> IpAddr {
        self.alone += 1;
        IpAddr::V4(Ipv4Addr::from(0x0b00_0001 + (self.alone << 8)))
    }
}
