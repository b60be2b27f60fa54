//! How a server discovers nodes, and what discovery tells those who ask, as plain values.
//!
//! Not here: what asks (`server::discovery`), and what answers (`tasks::discovery`).

use std::{net::SocketAddr, time::Duration};

use peerage_node::{Node, PublicKey};
use tokio::sync::{mpsc, oneshot};

/// How a server discovers nodes. See [`Builder::discovery`](crate::Builder::discovery).
#[derive(Clone, Debug, Default)]
pub struct DiscoveryConfig {
    /// Nodes to ask first, and to come back to. One that cannot be reached, or whose name cannot be
    /// resolved, is tried again later: never an error.
    pub bootnodes: Vec<Node>,
    /// Where to take datagrams. `None` is the address of
    /// [`Builder::listen`](crate::Builder::listen) with the port that it got, and, on a server that
    /// does not listen, any port of every IPv4 address.
    pub listen: Option<SocketAddr>,
}

/// Why discovery did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The node did not answer in time.
    #[error("no answer in time")]
    NoAnswer,
    /// The node has no UDP endpoint, or its name cannot be resolved.
    #[error("the node has no UDP endpoint: name it by an enr: record or an enode:// URL with one")]
    NoEndpoint,
    /// The server runs without discovery.
    #[error("discovery is off: listen, or switch it on")]
    Off,
    /// The server has stopped, or discovery began anew before the answer was there.
    #[error("the server has stopped")]
    Stopped,
}

/// What to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookupTarget {
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
    /// Who was asked.
    pub asked: Node,
    /// How many nodes it told, known or not; `None` if it did not answer.
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
    /// How many datagrams were sent.
    pub packets: usize,
}

/// A lookup under way. Dropping it lets it go on unseen.
#[derive(Debug)]
pub struct Lookup {
    pub(crate) steps: mpsc::UnboundedReceiver<LookupStep>,
    pub(crate) done: oneshot::Receiver<LookupResult>,
}

impl Lookup {
    /// The next answer, or `None` once the lookup has ended.
    ///
    /// Cancel safe.
    pub async fn step(&mut self) -> Option<LookupStep> {
        self.steps.recv().await
    }

    /// Waits for the end.
    pub async fn finish(self) -> Result<LookupResult, DiscoveryError> {
        self.done.await.map_err(|_| DiscoveryError::Stopped)
    }
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
