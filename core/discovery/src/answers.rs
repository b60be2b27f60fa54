//! What discovery is asked and what it answers, as plain values.

use std::{fmt, net::SocketAddr, time::Duration};

use peerage_machine::Instant;
use peerage_node::{Node, NodeId, PublicKey, Source};

use crate::{Entry, Table};

/// Names a command of the driver in the outputs that answer it. The driver chooses it, and does not
/// use one again before the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A version of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Discovery v4.
    V4,
    /// Discovery v5, that is v5.1.
    V5,
}

impl Version {
    /// What it is called as a source of candidates.
    pub const fn source(self) -> Source {
        match self {
            Self::V4 => Source::DISCOVERY_V4,
            Self::V5 => Source::DISCOVERY_V5,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "v4",
            Self::V5 => "v5",
        })
    }
}

/// What to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookupTarget {
    /// The nodes closest to this id. Only discovery v5 can look for one: v4 finds nobody.
    Id(NodeId),
    /// The nodes closest to this key, its own included.
    Key(PublicKey),
    /// The nodes closest to a random place: a walk through the network.
    #[default]
    Random,
}

/// One answer in the course of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupStep {
    /// The node that was asked.
    pub asked: Node,
    /// How many usable nodes it told, known or not; `None` if it did not answer.
    pub found: Option<usize>,
}

/// What a lookup found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupResult {
    /// The closest nodes, closest first, at most 16.
    pub closest: Vec<Node>,
    /// How many nodes were asked.
    pub queries: usize,
    /// How many datagrams were sent: requests, and the pings before them.
    pub packets: usize,
}

/// A node's answer to a ping of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PongInfo {
    /// Where it answered from.
    pub from: SocketAddr,
    /// From sending to receiving.
    pub round_trip: Duration,
    /// The sequence number of its record, if it tells.
    pub seq: Option<u64>,
    /// Where it sees us.
    pub our_endpoint: Option<SocketAddr>,
}

/// A node in the table at the moment of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableEntry {
    /// Of which version's table.
    pub version: Version,
    /// The node.
    pub node: Node,
    /// Where it is asked.
    pub endpoint: SocketAddr,
    /// Its logarithmic distance from us, 1 to 256.
    pub distance: u16,
    /// Whether it has answered a check where it is: only then others are told of it.
    pub is_live: bool,
    /// Its credit: checks answered, divided by three for each that was not.
    pub checks: u32,
    /// Questions in a row that it left without an answer.
    pub failures: u32,
    /// For how long it has been in the table.
    pub known_for: Duration,
    /// How long ago it was heard from, if it was.
    pub last_seen: Option<Duration>,
}

impl TableEntry {
    /// All nodes in the `table` of a version, the closest to us first.
    pub(crate) fn all_of(version: Version, table: &Table, now: Instant) -> Vec<Self> {
        let entry = |entry: &Entry| Self {
            version,
            node: entry.node().clone(),
            endpoint: entry.endpoint(),
            distance: table.own().log_distance(&entry.id()),
            is_live: entry.is_live(),
            checks: entry.checks(),
            failures: entry.failures(),
            known_for: now.saturating_since(entry.added()),
            last_seen: entry.last_seen().map(|at| now.saturating_since(at)),
        };
        let mut entries: Vec<Self> = table.entries().map(entry).collect();
        entries.sort_by_key(|entry| (entry.distance, entry.node.id()));
        entries
    }
}
