//! The kinds of words that flags and settings are made of, each parsed into a valid value at once.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use peerage::{Capability, CapabilityName, NetList, NetListError, Node, NodeId, Version};
use serde::{Deserialize, Deserializer, de::Error as _};

/// The port of devp2p nodes, where nothing else is said.
const DEFAULT_PORT: u16 = 30303;

/// Where to listen: nowhere, or at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenAt {
    /// Only dial.
    Nowhere,
    /// At this address; port 0 takes any free one.
    Address(SocketAddr),
}

impl ListenAt {
    /// The address, if any.
    pub(crate) const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Nowhere => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl Default for ListenAt {
    /// Every IPv4 address: what a host without IPv6 can do too.
    fn default() -> Self {
        Self::Address((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into())
    }
}

/// The text is nowhere to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "say where to listen as IP:PORT, such as 0.0.0.0:30303 or [::]:30303, as :PORT, or as none"
)]
pub(crate) struct ListenError;

impl FromStr for ListenAt {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        let address = match text.strip_prefix(':') {
            Some(port) => port
                .parse()
                .map(|port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
                .map_err(|_| ListenError)?,
            None => text.parse().map_err(|_| ListenError)?,
        };
        Ok(Self::Address(address))
    }
}

/// Where discovery listens: a UDP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpAt(pub(crate) SocketAddr);

/// The text is no UDP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "say where discovery listens as IP:PORT, such as 0.0.0.0:30303 or [::]:30303, or as :PORT; \
     leave it out with discovery none"
)]
pub(crate) struct UdpError;

impl FromStr for UdpAt {
    type Err = UdpError;

    fn from_str(text: &str) -> Result<Self, UdpError> {
        text.parse::<ListenAt>().ok().and_then(ListenAt::address).map(Self).ok_or(UdpError)
    }
}

/// Which versions of discovery to speak: `v4`, `v5`, both with a comma, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versions(pub(crate) Vec<Version>);

/// The text is no list of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("say which versions of discovery to speak as v4, v5, v4,v5 or none")]
pub(crate) struct VersionsError;

impl FromStr for Versions {
    type Err = VersionsError;

    fn from_str(text: &str) -> Result<Self, VersionsError> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let version = |word: &str| match word {
            "v4" => Ok(Version::V4),
            "v5" => Ok(Version::V5),
            _ => Err(VersionsError),
        };
        let mut versions: Vec<Version> = text.split(',').map(version).collect::<Result<_, _>>()?;
        versions.sort();
        versions.dedup();
        Ok(Self(versions))
    }
}

/// A word that belongs to no flag, where there should be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {}

/// There was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it belongs to no flag: boot nodes are named with --bootnodes NODE (--bootnode makes this node one), \
     nodes to stay connected to with --static NODE"
)]
pub(crate) struct StrayError;

impl FromStr for Stray {
    type Err = StrayError;

    fn from_str(_: &str) -> Result<Self, StrayError> {
        Err(StrayError)
    }
}

/// What a lookup is for: a node, an id alone, or nothing in particular.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupFor {
    /// A node, by its key.
    Node(Box<Node>),
    /// An id of which the key is not known.
    Id(NodeId),
    /// Any place.
    Random,
}

/// The text is nothing to look for.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "look for an enode URL, a node record, a key of 128 digits, an id of 64 digits, or random; \
     {text:?} is none of them"
)]
pub(crate) struct LookupForError {
    text: String,
}

impl FromStr for LookupFor {
    type Err = LookupForError;

    fn from_str(text: &str) -> Result<Self, LookupForError> {
        if text == "random" {
            return Ok(Self::Random);
        }
        let node = text.parse::<Node>().map(|node| Self::Node(Box::new(node)));
        node.or_else(|_| text.parse().map(Self::Id))
            .map_err(|_| LookupForError { text: text.chars().take(80).collect() })
    }
}

/// The networks to keep within: at least one, as a node that keeps within none reaches nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Networks(pub(crate) NetList);

/// The text is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetworksError {
    /// There is none in it.
    #[error("name at least one network, such as 10.0.0.0/8, or leave net-restrict out")]
    Empty,
    /// One of them is wrong.
    #[error(transparent)]
    List(#[from] NetListError),
}

impl FromStr for Networks {
    type Err = NetworksError;

    fn from_str(text: &str) -> Result<Self, NetworksError> {
        let list: NetList = text.parse()?;
        if list.is_empty() { Err(NetworksError::Empty) } else { Ok(Self(list)) }
    }
}

/// A node to trust: all that matters of it is its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrustedId(pub(crate) NodeId);

/// The text names no node.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "a trusted node is an enode URL, a node record or an id of 64 digits; {text:?} is none of them"
)]
pub(crate) struct TrustedError {
    text: String,
}

impl FromStr for TrustedId {
    type Err = TrustedError;

    fn from_str(text: &str) -> Result<Self, TrustedError> {
        let node = text.parse::<Node>().map(|node| node.id());
        node.or_else(|_| text.parse())
            .map(Self)
            .map_err(|_| TrustedError { text: text.chars().take(80).collect() })
    }
}

/// A capability that answers every message with itself: `NAME/VERSION/LENGTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EchoSpec {
    /// The name in Hello.
    pub(crate) name: CapabilityName,
    /// The version in Hello.
    pub(crate) version: u64,
    /// How many message ids it has; at least 1.
    pub(crate) length: u64,
}

/// The text is no echo capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an echo capability is NAME/VERSION/LENGTH, such as demo/1/4: a name of 1 to 8 ASCII characters, \
     a version, and how many message ids it has, at least 1"
)]
pub(crate) struct EchoError;

impl FromStr for EchoSpec {
    type Err = EchoError;

    fn from_str(text: &str) -> Result<Self, EchoError> {
        let mut parts = text.split('/');
        let (Some(name), Some(version), Some(length), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(EchoError);
        };
        Ok(Self {
            name: name.parse().map_err(|_| EchoError)?,
            version: version.parse().map_err(|_| EchoError)?,
            length: length.parse().ok().filter(|length| *length > 0).ok_or(EchoError)?,
        })
    }
}

impl fmt::Display for EchoSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A capability to announce: `NAME/VERSION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CapabilitySpec(pub(crate) Capability);

/// The text is no capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a capability is NAME/VERSION, such as eth/68: a name of 1 to 8 ASCII characters, a number"
)]
pub(crate) struct CapabilityError;

impl FromStr for CapabilitySpec {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        let (name, version) = text.split_once('/').ok_or(CapabilityError)?;
        Ok(Self(Capability {
            name: name.parse().map_err(|_| CapabilityError)?,
            version: version.parse().map_err(|_| CapabilityError)?,
        }))
    }
}

/// A value written as a string in the file of settings, for `#[serde(deserialize_with)]`.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

/// Values written as an array of strings in the file of settings, for `#[serde(deserialize_with)]`.
pub(crate) fn from_texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom))
        .collect()
}

/// Values written as an array of strings, each of which may name several with commas between them,
/// as the flag does; for `#[serde(deserialize_with)]`.
pub(crate) fn from_lists<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .flat_map(|texts| texts.split(','))
        .map(|text| text.parse().map_err(D::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_come_in_four_forms() {
        let address = |text: &str| text.parse::<ListenAt>().map(ListenAt::address);
        assert_eq!(address("127.0.0.1:0"), Ok(Some("127.0.0.1:0".parse().unwrap())));
        assert_eq!(address("[::]:30303"), Ok(Some("[::]:30303".parse().unwrap())));
        assert_eq!(address(":1"), Ok(Some("0.0.0.0:1".parse().unwrap())));
        assert_eq!(address("none"), Ok(None));
        for wrong in ["", "30303", "localhost:30303", ":65536", "::1"] {
            assert_eq!(address(wrong), Err(ListenError), "{wrong}");
        }
    }

    #[test]
    fn discovery_listens_at_an_address_or_a_port_of_any() {
        let address = |text: &str| text.parse::<UdpAt>().map(|at| at.0);
        assert_eq!(address("127.0.0.1:0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(address(":1"), Ok("0.0.0.0:1".parse().unwrap()));
        for wrong in ["none", "", "30303", "localhost:1"] {
            assert_eq!(address(wrong), Err(UdpError), "{wrong}");
        }
    }

    #[test]
    fn versions_are_named_with_commas_between_them_or_not_at_all() {
        let versions = |text: &str| text.parse::<Versions>().map(|it| it.0);
        assert_eq!(versions("v5"), Ok(vec![Version::V5]));
        for both in ["v4,v5", "v5,v4", "v4,v5,v4"] {
            assert_eq!(versions(both), Ok(vec![Version::V4, Version::V5]));
        }
        assert_eq!(versions("none"), Ok(Vec::new()));
        for wrong in ["", "v6", "v4 v5", "v4,", "none,v4", "V4"] {
            assert_eq!(versions(wrong), Err(VersionsError), "{wrong}");
        }
    }

    #[test]
    fn a_lookup_is_for_a_node_an_id_or_anything() {
        let id = "aa".repeat(32);
        let key = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138\
                   7574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";
        assert!(matches!(id.parse(), Ok(LookupFor::Id(found)) if found.to_string() == id));
        for text in [key.to_owned(), format!("enode://{key}@10.0.0.1:1")] {
            assert!(matches!(text.parse(), Ok(LookupFor::Node(_))), "{text}");
        }
        assert!(matches!("random".parse(), Ok(LookupFor::Random)));
        let error = "peer".parse::<LookupFor>().unwrap_err().to_string();
        assert!(error.contains("\"peer\" is none of them"), "{error}");
    }

    #[test]
    fn echo_capabilities_have_exactly_three_valid_parts() {
        let spec: EchoSpec = "demo/1/4".parse().unwrap();
        assert_eq!((spec.to_string().as_str(), spec.length), ("demo/1", 4));
        for wrong in
            ["demo", "demo/1", "demo/1/0", "demo/x/4", "demo/1/4/5", "/1/4", "muchtoolong/1/4"]
        {
            assert_eq!(wrong.parse::<EchoSpec>(), Err(EchoError), "{wrong}");
        }
    }

    #[test]
    fn trusted_nodes_may_be_named_by_id_alone() {
        let id = "aa".repeat(32);
        assert_eq!(id.parse::<TrustedId>().unwrap().0.to_string(), id);
        assert!("peer".parse::<TrustedId>().unwrap_err().to_string().contains("\"peer\""));
    }
}
