//! Nodes met on random walks through the network, one after the other.

use std::{fmt, sync::Arc, time::Duration};

use peerage_node::{Node, NodeId};
use tokio::{sync::mpsc, task::AbortHandle};

use crate::{
    discovery::{DiscoveryError, Lookup, LookupTarget, Version},
    server::Server,
};

/// Lookups begin at least this far apart.
const APART: Duration = Duration::from_secs(1);

/// Nodes that were met lately and are not told again at once: those of a few lookups.
const LATELY: usize = 64;

/// How to walk for nodes. See [`Server::random_nodes`](crate::Server::random_nodes).
///
/// ```no_run
/// # async fn find(server: peerage::Server) -> Result<(), peerage::DiscoveryError> {
/// let mut nodes = server.random_nodes().filter(|node| node.tcp_port().is_some()).start()?;
/// while let Some(node) = nodes.next().await {
///     println!("{}", node.enode_url());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing walks before it is started"]
pub struct RandomNodes {
    server: Server,
    version: Option<Version>,
    filter: Option<Filter>,
    buffer: usize,
}

type Filter = Arc<dyn Fn(&Node) -> bool + Send + Sync>;

impl RandomNodes {
    pub(crate) const fn new(server: Server) -> Self {
        Self { server, version: None, filter: None, buffer: 16 }
    }

    /// Walks by this version of discovery; by the newest that is on by default.
    pub const fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Tells only of nodes that `filter` lets through.
    pub fn filter(mut self, filter: impl Fn(&Node) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(filter));
        self
    }

    /// Walks ahead until this many nodes wait to be taken, and then pauses; 16 by default, at least
    /// 1.
    pub const fn buffer(mut self, buffer: usize) -> Self {
        self.buffer = buffer;
        self
    }

    /// Begins to walk, within a tokio runtime.
    pub fn start(self) -> Result<Nodes, DiscoveryError> {
        // It shows whether there is discovery at all.
        let first = self.look_up()?;
        let (sender, receiver) = mpsc::channel(self.buffer.max(1));
        let walking = tokio::spawn(self.walk(first, sender)).abort_handle();
        Ok(Nodes { receiver, walking })
    }

    fn look_up(&self) -> Result<Lookup, DiscoveryError> {
        match self.version {
            Some(version) => self.server.lookup_by(version, LookupTarget::Random),
            None => self.server.lookup(LookupTarget::Random),
        }
    }

    async fn walk(self, mut lookup: Lookup, sender: mpsc::Sender<Node>) {
        let clock = self.server.0.clock;
        let mut lately: Vec<NodeId> = Vec::new();
        loop {
            let again = clock.after(APART);
            let Ok(result) = lookup.finish().await else { return };
            for node in result.closest {
                let is_wanted = self.filter.as_ref().is_none_or(|filter| filter(&node));
                if !is_wanted || lately.contains(&node.id()) {
                    continue;
                }
                lately.push(node.id());
                if sender.send(node).await.is_err() {
                    return;
                }
            }
            let excess = lately.len().saturating_sub(LATELY);
            lately.drain(..excess);
            clock.until(Some(again)).await;
            let Ok(next) = self.look_up() else { return };
            lookup = next;
        }
    }
}

impl fmt::Debug for RandomNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomNodes")
            .field("version", &self.version)
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}

/// Nodes as they are met. Dropping it ends the walk; until then it is a handle of the server.
#[derive(Debug)]
pub struct Nodes {
    receiver: mpsc::Receiver<Node>,
    walking: AbortHandle,
}

impl Nodes {
    /// The next node that the walk meets; none of the last 64 twice. `None` once the server has
    /// stopped.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Node> {
        self.receiver.recv().await
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.walking.abort();
    }
}
