//! Discovery as the handle of a server offers it.

use std::net::SocketAddr;

use peerage_node::{Node, Record};
use tokio::sync::{mpsc, oneshot};

use super::Server;
use crate::{
    discovery::{DiscoveryError, Lookup, LookupTarget, PongInfo, TableEntry},
    tasks::{discovery::Command, names},
};

impl Server {
    /// Where discovery takes datagrams; `None` if it is off.
    pub fn discovery_addr(&self) -> Option<SocketAddr> {
        self.0.discovery.as_ref().map(|discovery| discovery.addr)
    }

    /// Tells discovery of a node, which is asked to prove that it is there. Without discovery, this
    /// does nothing.
    pub fn add_node(&self, node: Node) {
        // An error says that there is no discovery.
        let _ = self.command(Command::AddNode(node));
    }

    /// Looks through the network for the nodes closest to a target.
    pub fn lookup(&self, target: LookupTarget) -> Result<Lookup, DiscoveryError> {
        let (sender, steps) = mpsc::unbounded_channel();
        let (done, finished) = oneshot::channel();
        self.command(Command::Lookup { target, steps: sender, done })?;
        Ok(Lookup { steps, done: finished })
    }

    /// Pings a node by discovery v4.
    pub async fn ping_v4(&self, node: Node) -> Result<PongInfo, DiscoveryError> {
        let node = self.with_endpoint(node).await?;
        self.ask(|done| Command::Ping { node, done }).await?.ok_or(DiscoveryError::NoAnswer)
    }

    /// Asks a node for its current record.
    pub async fn request_record(&self, node: Node) -> Result<Record, DiscoveryError> {
        let node = self.with_endpoint(node).await?;
        self.ask(|done| Command::Record { node, done }).await?.ok_or(DiscoveryError::NoAnswer)
    }

    /// Finds out where a node is now, by asking it, and by a lookup if that fails. `None` if nobody
    /// knows.
    pub async fn resolve(&self, node: Node) -> Result<Option<Node>, DiscoveryError> {
        self.ask(|done| Command::Resolve { node, done }).await
    }

    /// The node table, closest nodes first; empty without discovery.
    pub async fn table(&self) -> Vec<TableEntry> {
        self.ask(|done| Command::Table { done }).await.unwrap_or_default()
    }

    /// The node with its name resolved, if it has one.
    async fn with_endpoint(&self, node: Node) -> Result<Node, DiscoveryError> {
        if self.0.discovery.is_none() {
            return Err(DiscoveryError::Off);
        }
        let node = names::with_address(node).await;
        match node.udp_endpoints().is_empty() {
            true => Err(DiscoveryError::NoEndpoint),
            false => Ok(node),
        }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, DiscoveryError> {
        let (done, answer) = oneshot::channel();
        self.command(command(done))?;
        answer.await.map_err(|_| DiscoveryError::Stopped)
    }

    fn command(&self, command: Command) -> Result<(), DiscoveryError> {
        let discovery = self.0.discovery.as_ref().ok_or(DiscoveryError::Off)?;
        discovery.commands.send(command).map_err(|_| DiscoveryError::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use peerage_node::SecretKey;

    use super::*;
    use crate::DiscoveryConfig;

    #[tokio::test]
    async fn discovery_begins_again_after_a_panic_with_a_newer_record() {
        let key = |n| SecretKey::from_bytes(&[n; 32]).unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::builder(key(1)).discovery_only().listen(listen).start().await.unwrap();
        let before = server.local_node();
        let reach = server.0.discovery.as_ref().unwrap();
        reach.commands.send(Command::Crash).unwrap();
        // Answered by the machine that was made anew.
        assert!(server.table().await.is_empty());
        let asking = Server::builder(key(2)).discovery(DiscoveryConfig::default());
        let asking = asking.start().await.unwrap();
        assert_eq!(asking.ping_v4(before).await.unwrap().from.port(), reach.addr.port());
        server.stop().await;
    }
}
