//! Discovery as the handle of a server offers it.

use std::net::SocketAddr;

use peerage_node::{Node, Record};
use tokio::sync::{mpsc, oneshot};

use super::Server;
use crate::{
    discovery::{DiscoveryError, Lookup, LookupTarget, PongInfo, TableEntry, Version},
    random_nodes::RandomNodes,
    talk::{self, MAX_TALK_REQUEST, TalkRequest},
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

    /// Looks through the network for the nodes closest to a target, by the newest version of
    /// discovery that is on.
    pub fn lookup(&self, target: LookupTarget) -> Result<Lookup, DiscoveryError> {
        self.look_up(target, None)
    }

    /// Looks through the network for the nodes closest to a target, by this version.
    pub fn lookup_by(
        &self,
        version: Version,
        target: LookupTarget,
    ) -> Result<Lookup, DiscoveryError> {
        self.expect(version)?;
        self.look_up(target, Some(version))
    }

    fn look_up(
        &self,
        target: LookupTarget,
        version: Option<Version>,
    ) -> Result<Lookup, DiscoveryError> {
        let (sender, steps) = mpsc::unbounded_channel();
        let (done, finished) = oneshot::channel();
        self.command(Command::Lookup { target, version, steps: sender, done })?;
        Ok(Lookup { steps, done: finished })
    }

    /// Nodes met on random walks through the network: see [`RandomNodes`].
    pub fn random_nodes(&self) -> RandomNodes {
        RandomNodes::new(self.clone())
    }

    /// Pings a node by discovery v4.
    pub async fn ping_v4(&self, node: Node) -> Result<PongInfo, DiscoveryError> {
        self.ping_by(Version::V4, node).await
    }

    /// Pings a node by discovery v5.
    pub async fn ping_v5(&self, node: Node) -> Result<PongInfo, DiscoveryError> {
        self.ping_by(Version::V5, node).await
    }

    /// Pings a node by this version of discovery.
    pub async fn ping_by(&self, version: Version, node: Node) -> Result<PongInfo, DiscoveryError> {
        self.expect(version)?;
        let node = self.with_endpoint(node).await?;
        let version = Some(version);
        let answer = self.ask(|done| Command::Ping { node, version, done }).await?;
        answer.ok_or(DiscoveryError::NoAnswer)
    }

    /// Asks a node in another protocol, by TALKREQ of discovery v5. The answer is empty if the node
    /// does not speak the protocol.
    ///
    /// A session takes as many requests at a time as the node answers; without an answer, each is
    /// repeated once after a second.
    pub async fn talk(
        &self,
        node: Node,
        protocol: impl Into<Vec<u8>>,
        request: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, DiscoveryError> {
        self.expect(Version::V5)?;
        let (protocol, request) = (protocol.into(), request.into());
        if protocol.len() + request.len() > MAX_TALK_REQUEST {
            return Err(DiscoveryError::RequestTooLong);
        }
        let node = self.with_endpoint(node).await?;
        let answer = self.ask(|done| Command::Talk { node, protocol, request, done }).await?;
        answer.ok_or(DiscoveryError::NoAnswer)
    }

    /// Answers TALKREQs of a protocol from now on with what `answer` gives, in the place of a
    /// handler before it. At most 64 protocols have one.
    ///
    /// An answer that takes longer than a second is lost, and one longer than
    /// [`MAX_TALK_RESPONSE`](crate::MAX_TALK_RESPONSE) goes as an empty one. Of one address, 16
    /// requests are answered at a time, and 256 in all; those beyond are not.
    pub fn set_talk_handler<F, A>(
        &self,
        protocol: impl Into<Vec<u8>>,
        answer: F,
    ) -> Result<(), DiscoveryError>
    where
        F: Fn(TalkRequest) -> A + Send + Sync + 'static,
        A: Future<Output = Vec<u8>> + Send + 'static,
    {
        self.expect(Version::V5)?;
        let (protocol, handler) = (protocol.into(), Some(talk::handler(answer)));
        self.command(Command::SetTalkHandler { protocol, handler })
    }

    /// Answers TALKREQs of a protocol no longer but with nothing.
    pub fn remove_talk_handler(&self, protocol: impl Into<Vec<u8>>) {
        let protocol = protocol.into();
        // An error says that there is no discovery.
        let _ = self.command(Command::SetTalkHandler { protocol, handler: None });
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

    /// The node tables, closest nodes first, that of v4 before that of v5; empty without discovery.
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

    /// Whether a version of discovery is on.
    fn expect(&self, version: Version) -> Result<(), DiscoveryError> {
        let discovery = self.0.discovery.as_ref().ok_or(DiscoveryError::Off)?;
        if discovery.versions.contains(&version) { Ok(()) } else { Err(DiscoveryError::Off) }
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
