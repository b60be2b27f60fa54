//! `peerage devnet`: a private network in one process, as a demonstration and as a check of the
//! whole.

mod demo;
mod files;
mod mesh;
mod show;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::MultiProgress;
use peerage::{Event, Limits, Server};
use tokio::{
    runtime::Runtime,
    sync::mpsc,
    task::JoinSet,
    time::{interval, sleep_until},
};

use self::{
    demo::{Exchange, Exchanged, Live},
    mesh::Mesh,
    show::Show,
};
use crate::{
    args::{Versions, VersionsError},
    failure::Failure,
    key_file,
    log::LogArgs,
};

/// How often progress is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(50);

/// How long after a dial the same node is dialed again.
const DIAL_AGAIN: Duration = Duration::from_secs(3);

/// Loopback, on a port of the system's choice.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Lets servers in this process find each other, connect into a full mesh, each with each, and
/// exchange messages in pairs.
///
/// The servers listen on loopback, on ports of the system's choice. Each is told of a boot node,
/// which takes no connections, and of nothing else: all others it finds by discovery over UDP. The
/// exit code is 0 only if every connection came up and every message came through.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  peerage devnet
  peerage devnet --nodes 20 --messages 1000 --size 4096
  peerage devnet --nodes 50 --messages 10
  peerage devnet --discovery v5
  peerage devnet --nodes 3 --json | tail -n 1")]
pub(crate) struct Devnet {
    /// How many servers, beside the boot node.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=100))]
    nodes: u16,
    /// How many messages each server sends to each other one.
    #[arg(long, value_name = "M", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    messages: u64,
    /// The size of a message in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=8_388_608))]
    size: u32,
    /// By which versions of discovery they find each other: v4, v5 or v4,v5.
    #[arg(long, value_name = "VERSIONS", default_value = "v4,v5", value_parser = some_version)]
    discovery: Versions,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print one JSON object per event and line; the last is `summary`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Why the network did not come to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DevnetError {
    /// Time was up.
    #[error(
        "after {seconds} s, {found} of {pairs} pairs had found each other, {connected} of {wanted} connection ends were up and {exchanged} of {wanted} \
         exchanges done; {missing}. Try fewer --nodes or --messages, or a longer --timeout"
    )]
    Deadline {
        /// The time there was.
        seconds: u64,
        /// Pairs of which one had heard of the other.
        found: usize,
        /// How many pairs there are.
        pairs: usize,
        /// Connections that were up, each counted at both of its ends.
        connected: usize,
        /// How many there should have been.
        wanted: usize,
        /// Ends that had got every message.
        exchanged: usize,
        /// An example of what is missing.
        missing: mesh::Missing,
    },
    /// This process may not open enough sockets.
    #[error(
        "{nodes} nodes have up to {needed} files open, and the limit is {limit}: run `ulimit -n {needed}`, \
         or ask for fewer --nodes"
    )]
    OpenFiles {
        /// How many nodes were asked for.
        nodes: u16,
        /// How many open files they need.
        needed: u64,
        /// How many there may be.
        limit: u64,
    },
}

impl Devnet {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let needed = files::needed(self.nodes.into());
        if let Some(limit) = files::limit().filter(|limit| *limit < needed) {
            return Err(DevnetError::OpenFiles { nodes: self.nodes, needed, limit }.into());
        }
        let progress = MultiProgress::new();
        self.log.log.install(&progress);
        Runtime::new().map_err(Failure::Runtime)?.block_on(self.connect(progress))
    }

    async fn connect(self, progress: MultiProgress) -> Result<(), Failure> {
        let began = Instant::now();
        let live = Arc::new(Live::default());
        let (exchanged, mut exchanges) = mpsc::unbounded_channel();
        let filling = demo::filling(self.size as usize);
        let boot = Server::builder(key_file::random_key()?)
            .discovery_only()
            .discovery_versions(self.discovery.0.iter().copied())
            .listen(ANY_PORT)
            .start()
            .await?;
        // Unbounded, as it is always read, and a pair has a few events.
        let (heard, mut events) = mpsc::unbounded_channel();
        let mut servers = Vec::with_capacity(self.nodes.into());
        let finding = Instant::now();
        for node in 0..usize::from(self.nodes) {
            let protocol = demo::protocol(Exchange {
                node,
                messages: self.messages,
                filling: filling.clone(),
                live: Arc::clone(&live),
                done: exchanged.clone(),
            });
            let server = Server::builder(key_file::random_key()?)
                .listen(ANY_PORT)
                .bootnode(boot.local_node())
                .discovery_versions(self.discovery.0.iter().copied())
                .limits(limits(self.nodes.into()))
                .protocol(protocol)
                .start()
                .await?;
            follow(node, &server, &heard);
            servers.push(server);
        }
        let mut mesh = Mesh::new(servers.iter().map(|server| server.local_node().id()).collect());
        let mut show = Show::new(self.json, &progress, &mesh, self.messages);
        show.boot_node(&boot.node_info())?;
        for (node, server) in servers.iter().enumerate() {
            show.node(node, &server.node_info())?;
        }

        let deadline = sleep_until((began + Duration::from_secs(self.timeout)).into());
        tokio::pin!(deadline);
        let mut draw = interval(DRAW_EVERY);
        while !mesh.is_done() {
            tokio::select! {
                Some((node, event)) = events.recv() => {
                    mesh.on_event(node, &event, finding.elapsed());
                    show.event(node, &event, &mesh)?;
                }
                Some(exchanged) = exchanges.recv() => mesh.on_exchanged(exchanged),
                _ = draw.tick() => show.draw(&mesh, &live),
                () = &mut deadline => break,
            }
        }
        let took = finding.elapsed();
        show.clear();
        // The peers are counted by the servers themselves, while they still run.
        let peers: Vec<usize> = servers.iter().map(Server::peer_count).collect();
        servers.push(boot);
        stop_all(servers).await;
        if !mesh.is_done() {
            return Err(mesh.deadline_error(self.timeout).into());
        }
        show.summary(&mesh, &peers, took)?;
        Ok(())
    }
}

/// The versions in `text`, of which there is at least one: else nobody finds anybody.
fn some_version(text: &str) -> Result<Versions, VersionsError> {
    text.parse::<Versions>()
        .and_then(|it| if it.0.is_empty() { Err(VersionsError) } else { Ok(it) })
}

/// Room for every node as a peer, and as many places to dial from: whoever finds the other dials.
fn limits(nodes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.max_peers = 2 * (nodes - 1);
    limits.dial_ratio = 2;
    // All come from one address, at about the same time.
    limits.max_handshakes = limits.max_handshakes.max(limits.max_peers);
    limits.subnet_share = 1;
    // Others are not protected from us here; what failed is tried again while somebody watches.
    limits.dial_history = DIAL_AGAIN;
    limits
}

/// Puts the events of server number `node` into `heard`.
fn follow(node: usize, server: &Server, heard: &mpsc::UnboundedSender<(usize, Event)>) {
    let (mut events, heard) = (server.subscribe(), heard.clone());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if heard.send((node, event)).is_err() {
                return;
            }
        }
    });
}

async fn stop_all(servers: Vec<Server>) {
    let mut stops: JoinSet<()> =
        servers.into_iter().map(|server| async move { server.stop().await }).collect();
    while stops.join_next().await.is_some() {}
}

type Done = mpsc::UnboundedSender<Exchanged>;
