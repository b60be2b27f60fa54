//! The textual forms of nodes, and a sentence for each mistake in one.
//!
//! Spec: [enode URL format](https://geth.ethereum.org/docs/fundamentals/peer-to-peer), whose host
//! may also be a DNS name.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use super::{Host, Node, Source};
use crate::{KeyError, PublicKey, Record, RecordError};

const URL_PREFIX: &str = "enode://";
const KEY_DIGITS: usize = 128;

/// Why text does not name a node: each says what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNodeError {
    /// After `?discport=` stands no port.
    #[error("write the UDP port after ?discport= as a number from 0 to 65535")]
    Discport,
    /// There is nothing.
    #[error("a node is named by an enr: record or an enode:// URL; this is empty")]
    Empty,
    /// None of the forms.
    #[error(
        "a node is named by an enr: record, an enode:// URL or its {KEY_DIGITS} digit key; this is none of them"
    )]
    Form,
    /// Neither an address nor a name.
    #[error("the host must be an IPv4 address, an IPv6 address in brackets, or a DNS name")]
    Host,
    /// Between brackets stands no IPv6 address.
    #[error("what stands in the brackets is not an IPv6 address")]
    Ipv6,
    /// An IPv6 address without brackets.
    #[error("put the IPv6 address in brackets, as in [2001:db8::1]:30303")]
    Ipv6Brackets,
    /// The public key has something other than hexadecimal digits.
    #[error("the public key contains {found:?}, which is not a hexadecimal digit")]
    KeyDigit {
        /// The first offender.
        found: char,
    },
    /// The public key is too short or too long.
    #[error("the public key has {digits} hexadecimal digits; it must have {KEY_DIGITS}")]
    KeyLength {
        /// How many digits there are.
        digits: usize,
    },
    /// The public key is not a point on the curve.
    #[error("the public key is not a point on the curve secp256k1; check it for mistyped digits")]
    KeyNotOnCurve,
    /// Nothing stands after the `@`.
    #[error("after the @ must follow HOST:PORT")]
    NoHost,
    /// The host has no port.
    #[error("add the TCP port after the host, as in :30303")]
    NoPort,
    /// The TCP port is not a number up to 65535.
    #[error("the TCP port must be a number from 0 to 65535")]
    Port,
    /// A query other than one `discport`.
    #[error("the only thing that may follow ? is discport=UDP-PORT")]
    Query,
    /// After `enr:` stands no valid record.
    #[error("the enr: text is not a valid record: {0}")]
    Record(#[source] RecordError),
    /// A path or fragment.
    #[error("remove the / or # and what follows it: an enode URL ends with the port or ?discport=")]
    Trailing,
    /// An IPv6 address with a zone, which means something on one machine only.
    #[error("remove the zone (% and what follows it) from the IPv6 address")]
    Zone,
}

impl FromStr for Node {
    type Err = ParseNodeError;

    /// Parses any of:
    /// - `enr:BASE64`, a signed record;
    /// - `enode://KEY@HOST:TCP?discport=UDP` with a key of 128 hexadecimal digits and an IPv4
    ///   address, an IPv6 address in brackets or a DNS name; the UDP port is that of TCP unless
    ///   given, and 0 is none;
    /// - `enode://KEY` or `KEY`, a node whose address is to be found.
    ///
    /// Names are only checked for their form. Space around the text is ignored.
    fn from_str(text: &str) -> Result<Self, ParseNodeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ParseNodeError::Empty);
        }
        if text.starts_with("enr:") {
            let record: Record = text.parse().map_err(ParseNodeError::Record)?;
            return Ok(Self::from_record(record));
        }
        if let Some(rest) = text.strip_prefix(URL_PREFIX) {
            return match rest.split_once('@') {
                None => parse_key(rest).map(Self::new),
                Some((key, place)) => parse_place(parse_key(key)?, place),
            };
        }
        // Something else altogether deserves another sentence than a key with a wrong digit.
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseNodeError::Form);
        }
        parse_key(text).map(Self::new)
    }
}

impl fmt::Display for Node {
    /// The record if the node is known by one, else the enode URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record() {
            Some(record) => record.fmt(f),
            None => f.write_str(&self.enode_url()),
        }
    }
}

impl Node {
    /// The enode URL, whatever else the node is known by: with its name or preferred address, or
    /// with the key alone.
    pub fn enode_url(&self) -> String {
        match self.place() {
            Some(place) => format!("{URL_PREFIX}{}@{place}", self.public_key),
            None => format!("{URL_PREFIX}{}", self.public_key),
        }
    }

    /// What follows the `@` in the enode URL.
    pub(super) fn place(&self) -> Option<String> {
        let tcp = self.tcp_port().unwrap_or(0);
        let udp = self.udp_port().unwrap_or(0);
        let place = match (&self.source, self.tcp) {
            (Source::Url { host: Host::Name(name), .. }, _) => format!("{name}:{tcp}"),
            // No zone, which would mean something on this machine only.
            (_, Some(endpoint)) => SocketAddr::new(endpoint.ip(), tcp).to_string(),
            (Source::Url { host: Host::Ip(ip), .. }, None) => SocketAddr::new(*ip, tcp).to_string(),
            (Source::Record(_), None) => {
                let endpoint =
                    [self.tcp_endpoints(), self.udp_endpoints()].into_iter().flatten().next()?;
                SocketAddr::new(endpoint.ip(), tcp).to_string()
            }
            (Source::Key, None) => return None,
        };
        Some(if udp == tcp { place } else { format!("{place}?discport={udp}") })
    }
}

fn parse_key(text: &str) -> Result<PublicKey, ParseNodeError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if let Some(found) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return Err(ParseNodeError::KeyDigit { found });
    }
    digits.parse().map_err(|error| match error {
        KeyError::Hex { .. } => ParseNodeError::KeyLength { digits: digits.len() },
        _ => ParseNodeError::KeyNotOnCurve,
    })
}

/// Parses what follows the `@`.
fn parse_place(public_key: PublicKey, place: &str) -> Result<Node, ParseNodeError> {
    if place.contains(['/', '#']) {
        return Err(ParseNodeError::Trailing);
    }
    let (authority, query) = match place.split_once('?') {
        Some((authority, query)) => (authority, Some(query)),
        None => (place, None),
    };
    let (host, port) = parse_authority(authority)?;
    let tcp = parse_port(port).ok_or(ParseNodeError::Port)?;
    let udp = match query {
        None => tcp,
        Some(query) => {
            let value = query.strip_prefix("discport=").ok_or(ParseNodeError::Query)?;
            if value.contains('&') {
                return Err(ParseNodeError::Query);
            }
            parse_port(value).ok_or(ParseNodeError::Discport)?
        }
    };
    Ok(Node::from_url(public_key, host, tcp, udp))
}

/// Splits `HOST:PORT`.
fn parse_authority(text: &str) -> Result<(Host, &str), ParseNodeError> {
    if text.is_empty() || text.starts_with(':') && !text[1..].contains(':') {
        return Err(ParseNodeError::NoHost);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(ParseNodeError::Ipv6)?;
        if address.contains('%') {
            return Err(ParseNodeError::Zone);
        }
        let ip: Ipv6Addr = address.parse().map_err(|_| ParseNodeError::Ipv6)?;
        let port = rest.strip_prefix(':').filter(|port| !port.is_empty());
        return Ok((Host::Ip(IpAddr::V6(ip).to_canonical()), port.ok_or(ParseNodeError::NoPort)?));
    }
    let (host, port) = match text.split_once(':') {
        None => (text, ""),
        Some((_, port)) if port.contains(':') => return Err(ParseNodeError::Ipv6Brackets),
        Some(parts) => parts,
    };
    let host = parse_host(host)?;
    if port.is_empty() { Err(ParseNodeError::NoPort) } else { Ok((host, port)) }
}

/// An IPv4 address, or a name that could stand in the DNS (RFC 1123, and `_`, which container names
/// use).
fn parse_host(text: &str) -> Result<Host, ParseNodeError> {
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    // A dot at the end says that the name is complete.
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // No top-level domain is a number, so this is a mistyped IPv4 address, or one in a form that
    // some resolvers take (127.1, 0x7f000001).
    let is_number = |label: &str| {
        let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
        hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            || label.bytes().all(|b| b.is_ascii_digit())
    };
    let is_address = name.rsplit('.').next().is_some_and(is_number);
    if name.len() > 253 || is_address || !name.split('.').all(is_label) {
        return Err(ParseNodeError::Host);
    }
    Ok(Host::Name(text.to_ascii_lowercase().into()))
}

/// A number without sign: `u16::from_str` would take `+1`.
fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
