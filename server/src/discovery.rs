//! How a server discovers nodes, and what discovery tells those who ask, as plain values.
//!
//! Not here: what asks (`server::discovery`), and what answers (`tasks::discovery`).

use std::net::SocketAddr;

pub use peerage_discovery::{
    LookupResult, LookupStep, LookupTarget, PongInfo, TableEntry, Version,
};
use peerage_node::Node;
use tokio::sync::{mpsc, oneshot};

use crate::talk::MAX_TALK_REQUEST;

/// How a server discovers nodes. See [`Builder::discovery`](crate::Builder::discovery).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiscoveryConfig {
    /// Nodes to ask first, and to come back to. One that cannot be reached, or whose name cannot be
    /// resolved, is tried again later: never an error.
    pub bootnodes: Vec<Node>,
    /// Where to take datagrams. `None` is the address of
    /// [`Builder::listen`](crate::Builder::listen) with the port that it got, and, on a server that
    /// does not listen, any port of every IPv4 address.
    pub listen: Option<SocketAddr>,
    /// The versions to speak, all of them at one port; all by default. None is as without
    /// discovery.
    pub versions: Vec<Version>,
}

impl DiscoveryConfig {
    /// Begins with these nodes.
    pub fn new(bootnodes: Vec<Node>) -> Self {
        Self { bootnodes, ..Self::default() }
    }
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self { bootnodes: Vec::new(), listen: None, versions: vec![Version::V4, Version::V5] }
    }
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
    /// The server runs without discovery, or without the version that was asked for.
    #[error("discovery is off: listen, or switch it on")]
    Off,
    /// What is asked by TALKREQ is longer than a packet.
    #[error(
        "a request and the name of its protocol have at most {MAX_TALK_REQUEST} bytes together"
    )]
    RequestTooLong,
    /// The server has stopped, or discovery began anew before the answer was there.
    #[error("the server has stopped")]
    Stopped,
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
