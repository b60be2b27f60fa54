//! Net restriction: a list of the networks that nodes may be in.
//!
//! Only the list; who asks it (accepting, dialing, discovery) is elsewhere.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};

/// Why text is not a list of networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetListError {
    /// Not an address.
    #[error("{entry:?} is not a network; write one as 10.0.0.0/8, fd00::/8 or a single IP address")]
    Address {
        /// The entry as written.
        entry: String,
    },
    /// The number after the slash is not a prefix length of this family.
    #[error("the prefix length in {entry:?} must be a number from 0 to {max}")]
    Prefix {
        /// The entry as written.
        entry: String,
        /// The bits of an address of this family.
        max: u8,
    },
}

/// The networks that nodes may be in. An empty list contains no address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetList(Vec<IpNet>);

impl NetList {
    /// Whether `ip` is in one of the networks. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// Whether there is no network in the list.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for NetList {
    /// The networks in CIDR notation, separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, net) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{net}")?;
        }
        Ok(())
    }
}

impl FromStr for NetList {
    type Err = NetListError;

    /// Parses networks in CIDR notation, or single addresses, separated by commas. Bits beyond the
    /// prefix are dropped; spaces and empty entries are ignored.
    fn from_str(text: &str) -> Result<Self, NetListError> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(parse_entry)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn parse_entry(entry: &str) -> Result<IpNet, NetListError> {
    let (address, prefix) = match entry.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (entry, None),
    };
    let ip: IpAddr =
        address.parse().map_err(|_| NetListError::Address { entry: entry.to_owned() })?;
    let max = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => max,
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|prefix| *prefix <= max && digits.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| NetListError::Prefix { entry: entry.to_owned(), max })?,
    };
    let net = match (ip.to_canonical(), ip, prefix.checked_sub(96)) {
        // A mapped network is one of IPv4; else it would match nothing, as addresses are unwrapped.
        (IpAddr::V4(ip), IpAddr::V6(_), Some(prefix)) => Ipv4Net::new_assert(ip, prefix).into(),
        _ => IpNet::new_assert(ip, prefix),
    };
    Ok(net.trunc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_parse_and_print() {
        for (text, printed) in [
            ("", ""),
            (" , ,", ""),
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("127.0.0.0/16, 23.23.23.23/24,", "127.0.0.0/16,23.23.23.0/24"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("fd00::/8,2001:db8::1", "fd00::/8,2001:db8::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
        ] {
            let list: NetList = text.parse().unwrap();
            assert_eq!(list.to_string(), printed);
            assert_eq!(printed.parse(), Ok(list));
        }
    }

    #[test]
    fn every_mistake_names_the_entry() {
        for (text, error) in [
            (
                "10.0.0.0/8,intranet",
                "\"intranet\" is not a network; write one as 10.0.0.0/8, fd00::/8 or a single IP address",
            ),
            ("127.0.0.0/44", "the prefix length in \"127.0.0.0/44\" must be a number from 0 to 32"),
            ("10.0.0.0/", "the prefix length in \"10.0.0.0/\" must be a number from 0 to 32"),
            ("10.0.0.0/+8", "the prefix length in \"10.0.0.0/+8\" must be a number from 0 to 32"),
            ("fd00::/129", "the prefix length in \"fd00::/129\" must be a number from 0 to 128"),
        ] {
            assert_eq!(text.parse::<NetList>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn only_addresses_in_the_list_are_contained() {
        let list: NetList = "10.0.0.0/8,fd00::/8,192.0.2.7".parse().unwrap();
        for (ip, contained) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("192.0.2.7", true),
            ("fd12::1", true),
            ("11.0.0.1", false),
            ("192.0.2.8", false),
            ("fc00::1", false),
            ("::10.0.0.1", false),
        ] {
            assert_eq!(list.contains(ip.parse().unwrap()), contained, "{ip}");
        }
        assert!(!NetList::default().contains("1.2.3.4".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-f:./, ]{0,40}|\\PC{0,40}") {
            if let Ok(list) = text.parse::<NetList>() {
                prop_assert_eq!(list.to_string().parse(), Ok(list));
            }
        }
    }
}
