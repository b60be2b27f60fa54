//! Subnets: what one party can fill with addresses at will, and so counts as one.
//!
//! An IPv4 subnet is a /24, an IPv6 subnet a /64 (what a household or a rented machine gets),
//! unless asked otherwise.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use peerage_machine::tree_memory;

/// The network that an address is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(IpNet);

impl Subnet {
    /// Prefix length of an IPv4 subnet, in bits.
    pub const V4_PREFIX: u8 = 24;
    /// Prefix length of an IPv6 subnet, in bits.
    pub const V6_PREFIX: u8 = 64;

    /// The /24 of an IPv4 address, the /64 of an IPv6 address.
    pub fn of(ip: IpAddr) -> Self {
        Self::with_prefix(ip, Self::V4_PREFIX, Self::V6_PREFIX)
    }

    /// The network of `ip` with a prefix of `v4` or `v6` bits; more than an address has is all of
    /// it.
    ///
    /// # Security
    ///
    /// An IPv4-mapped IPv6 address counts as the IPv4 address: else a dual-stack socket would put
    /// all of IPv4 into one subnet, or the mapped form would be a second identity.
    pub fn with_prefix(ip: IpAddr, v4: u8, v6: u8) -> Self {
        let ip = ip.to_canonical();
        let prefix = if ip.is_ipv4() { v4.min(32) } else { v6.min(128) };
        Self(IpNet::new_assert(ip, prefix).trunc())
    }

    /// The first address of what [`with_prefix`](Self::with_prefix) gives, as IPv6 has it, where
    /// IPv4 is mapped: for maps, in which a number is found sooner than a network.
    pub fn number(ip: IpAddr, v4: u8, v6: u8) -> u128 {
        let (bits, host_bits) = match ip.to_canonical() {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped().to_bits(), 32 - v4.min(32)),
            IpAddr::V6(ip) => (ip.to_bits(), 128 - v6.min(128)),
        };
        // A shift by all bits is none.
        bits & u128::MAX.checked_shl(host_bits.into()).unwrap_or(0)
    }

    /// Whether `ip` is part of this network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl fmt::Display for Subnet {
    /// CIDR notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many addresses of each subnet there are, with a limit on it.
///
/// As large as what it counts: whoever bounds that bounds this.
#[derive(Clone, Debug)]
pub struct SubnetCounts {
    v4_prefix: u8,
    v6_prefix: u8,
    limit: usize,
    /// Subnets with at least one address, by [number](Subnet::number).
    counts: BTreeMap<u128, u32>,
}

impl SubnetCounts {
    /// Counts none yet, and at most `limit` for each /24 or /64.
    pub const fn new(limit: usize) -> Self {
        Self::with_prefix(limit, Subnet::V4_PREFIX, Subnet::V6_PREFIX)
    }

    /// Counts none yet, and at most `limit` for each subnet of `v4` or `v6` bits.
    pub const fn with_prefix(limit: usize, v4: u8, v6: u8) -> Self {
        Self { v4_prefix: v4, v6_prefix: v6, limit, counts: BTreeMap::new() }
    }

    /// Counts `ip`, unless its subnet is full. Whether it was counted.
    #[must_use]
    pub fn add(&mut self, ip: IpAddr) -> bool {
        if self.limit == 0 {
            return false;
        }
        let count = self.counts.entry(self.key(ip)).or_default();
        let has_room = (*count as usize) < self.limit;
        *count += u32::from(has_room);
        has_room
    }

    /// Takes back one [`add`](Self::add) of an address in the subnet of `ip`.
    pub fn remove(&mut self, ip: IpAddr) {
        let key = self.key(ip);
        if let Some(count) = self.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&key);
            }
        }
    }

    /// Whether [`add`](Self::add) would count `ip`.
    pub fn has_room(&self, ip: IpAddr) -> bool {
        self.count(ip) < self.limit
    }

    /// How many addresses in the subnet of `ip` are counted.
    pub fn count(&self, ip: IpAddr) -> usize {
        self.counts.get(&self.key(ip)).map_or(0, |count| *count as usize)
    }

    /// How many addresses are counted in all.
    pub fn len(&self) -> usize {
        self.counts.values().map(|count| *count as usize).sum()
    }

    /// Whether no address is counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The bytes that the counts take, estimated from the number of subnets.
    pub fn memory(&self) -> usize {
        Self::memory_bound(self.counts.len())
    }

    /// The most bytes that the counts of so many addresses take: each alone in its subnet.
    pub const fn memory_bound(addresses: usize) -> usize {
        tree_memory::<u128, u32>(addresses)
    }

    fn key(&self, ip: IpAddr) -> u128 {
        Subnet::number(ip, self.v4_prefix, self.v6_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_is_a_24_or_a_64_and_mapped_addresses_are_ipv4() {
        for (address, subnet) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2a01:4f8:1:2:3:4:5:6", "2a01:4f8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(Subnet::of(ip(address)).to_string(), subnet);
        }
    }

    #[test]
    fn prefixes_are_at_the_callers_choice_and_clamped() {
        for (address, v4, v6, subnet) in [
            ("10.33.1.2", 15, 48, "10.32.0.0/15"),
            ("10.33.1.2", 200, 48, "10.33.1.2/32"),
            ("10.33.1.2", 0, 48, "0.0.0.0/0"),
            ("2a01:4f8:1:2::1", 24, 48, "2a01:4f8:1::/48"),
            ("2a01::1", 24, 255, "2a01::1/128"),
        ] {
            assert_eq!(Subnet::with_prefix(ip(address), v4, v6).to_string(), subnet);
        }
    }

    #[test]
    fn the_number_of_a_subnet_is_its_first_address() {
        for (address, v4, v6, first) in [
            ("10.33.1.2", 15, 48, "10.32.0.0"),
            ("::ffff:10.33.1.2", 200, 48, "10.33.1.2"),
            ("10.33.1.2", 0, 48, "0.0.0.0"),
            ("2a01:4f8:1:2::1", 24, 48, "2a01:4f8:1::"),
            ("2a01::1", 24, 255, "2a01::1"),
            ("2a01::1", 24, 0, "::"),
        ] {
            let mapped = match ip(first) {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            assert_eq!(Subnet::number(ip(address), v4, v6), mapped.to_bits(), "{address}");
        }
    }

    #[test]
    fn a_subnet_contains_its_addresses_in_either_form() {
        let subnet = Subnet::of(ip("10.0.0.1"));
        assert!(subnet.contains(ip("10.0.0.255")) && subnet.contains(ip("::ffff:10.0.0.2")));
        assert!(!subnet.contains(ip("10.0.1.0")) && !subnet.contains(ip("::1")));
    }

    #[test]
    fn a_full_subnet_takes_no_more_until_one_leaves() {
        let mut counts = SubnetCounts::with_prefix(2, 15, 64);
        for (address, counted) in [
            ("127.0.0.1", true),
            ("127.0.0.2", true),
            ("127.0.0.3", false),
            ("127.32.0.1", true),
            ("127.32.0.2", true),
            ("127.32.0.3", false),
            // The same /15 as 127.32.
            ("127.33.0.1", false),
            ("127.34.0.1", true),
            ("2a01::1", true),
            ("2a01::2", true),
            ("2a01::3", false),
            ("2a01:0:0:1::1", true),
        ] {
            assert_eq!(counts.add(ip(address)), counted, "{address}");
        }
        assert_eq!(counts.len(), 8);
        counts.remove(ip("127.0.0.1"));
        assert!(counts.add(ip("127.0.0.3")) && !counts.add(ip("127.0.0.3")));
    }

    #[test]
    fn removing_what_was_never_added_changes_nothing() {
        let mut counts = SubnetCounts::new(1);
        counts.remove(ip("10.0.0.1"));
        assert!(counts.is_empty() && counts.add(ip("10.0.0.1")));
        counts.remove(ip("10.0.0.9"));
        assert!(counts.is_empty());
    }
}
