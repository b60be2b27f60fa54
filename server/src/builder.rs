//! The description of a server, and its start.
//!
//! Everything that can be wrong is found here, before anything runs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use peerage_discovery::candidates::Filter;
use peerage_machine::{Now, Random};
use peerage_node::{NetList, Node, NodeId, Policy, Record, SecretKey, SelfDescription};
use peerage_peering::Limits;
use peerage_rlpx::{Capability, CapabilityName, LocalCapability, MAX_HELLO, Timeouts};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::broadcast,
};

use crate::{
    candidates::Unfit,
    dialer::{Dialer, TcpDialer},
    discovery::{DiscoveryConfig, Version},
    error::StartError,
    events::{self, Event, Events},
    protocol::{MAX_PROTOCOL_LENGTH, Protocol},
    server::Server,
    start::{Plan, start},
    store::{DataDir, List, MemoryStore, NodeStore, RedbStore, StoreError, StoreOp},
    talk::{self, TalkHandler, TalkRequest},
    tasks::{
        clock::Clock,
        discovery::{self, Socket},
        listener, peering,
    },
};

impl Server {
    /// Begins the description of a server with this secret key.
    pub fn builder(key: SecretKey) -> Builder {
        Builder::new(key)
    }
}

/// A server that is being described. Ends with [`start`](Self::start).
#[must_use = "a server runs once it is started"]
pub struct Builder {
    key: SecretKey,
    protocols: Vec<Protocol>,
    listen: Option<SocketAddr>,
    static_nodes: Vec<Node>,
    trusted: Vec<NodeId>,
    limits: Limits,
    dialing: bool,
    discovery: DiscoveryConfig,
    discovers: Discovers,
    talk_handlers: Vec<(Vec<u8>, TalkHandler)>,
    net_restrict: Option<NetList>,
    client_name: String,
    data_dir: Option<PathBuf>,
    dialer: Arc<dyn Dialer>,
    filter: Option<Filter>,
    timeouts: Timeouts,
    dial_timeout: Duration,
    stop_timeout: Duration,
    events: broadcast::Sender<Event>,
}

/// Whether a server discovers nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Discovers {
    /// Nobody said, so a server does that others can find.
    IfListening,
    No,
    /// And does nothing else.
    Only,
    Yes,
}

impl Builder {
    fn new(key: SecretKey) -> Self {
        Self {
            key,
            protocols: Vec::new(),
            listen: None,
            static_nodes: Vec::new(),
            trusted: Vec::new(),
            limits: Limits::default(),
            dialing: true,
            discovery: DiscoveryConfig::default(),
            discovers: Discovers::IfListening,
            talk_handlers: Vec::new(),
            net_restrict: None,
            client_name: default_client_name(),
            data_dir: None,
            dialer: Arc::new(TcpDialer),
            filter: None,
            timeouts: Timeouts::default(),
            dial_timeout: peerage_peering::DIAL_TIMEOUT,
            stop_timeout: Duration::from_secs(5),
            events: broadcast::channel(events::BACKLOG).0,
        }
    }

    /// Speaks a protocol. Without any, every peer is welcome that shares none either.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocols.push(protocol);
        self
    }

    /// Listens on this address; port 0 lets the system choose one. Without, nothing listens.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Connects to this node for ever, in a place of its own.
    pub fn static_node(mut self, node: Node) -> Self {
        self.static_nodes.push(node);
        self
    }

    /// Lets this node connect always, in a place of its own.
    pub fn trusted_node(mut self, id: NodeId) -> Self {
        self.trusted.push(id);
        self
    }

    /// How many peers, dials and handshakes there may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether to dial at all; `true` by default.
    pub fn dialing(mut self, dialing: bool) -> Self {
        self.dialing = dialing;
        self
    }

    /// Discovers nodes in this way, also on a server that does not listen. By default, a server
    /// that listens discovers, and takes datagrams at the port that it listens on.
    pub fn discovery(mut self, config: DiscoveryConfig) -> Self {
        self.discovery = config;
        self.discovers = Discovers::Yes;
        self
    }

    /// Begins discovery with this node, and comes back to it: see [`DiscoveryConfig::bootnodes`].
    pub fn bootnode(mut self, node: Node) -> Self {
        self.discovery.bootnodes.push(node);
        self.want_discovery()
    }

    /// Takes datagrams of discovery here: see [`DiscoveryConfig::listen`].
    pub fn discovery_listen(mut self, address: SocketAddr) -> Self {
        self.discovery.listen = Some(address);
        self.want_discovery()
    }

    /// Speaks these versions of discovery only: see [`DiscoveryConfig::versions`].
    pub fn discovery_versions(mut self, versions: impl IntoIterator<Item = Version>) -> Self {
        self.discovery.versions = versions.into_iter().collect();
        self.want_discovery()
    }

    /// Answers TALKREQs of a protocol from the start on: see [`Server::set_talk_handler`].
    pub fn talk_handler<F, A>(mut self, protocol: impl Into<Vec<u8>>, answer: F) -> Self
    where
        F: Fn(TalkRequest) -> A + Send + Sync + 'static,
        A: Future<Output = Vec<u8>> + Send + 'static,
    {
        self.talk_handlers.push((protocol.into(), talk::handler(answer)));
        self
    }

    /// Discovers nobody and cannot be discovered, whatever else is said of discovery before or
    /// after but by [`discovery`](Self::discovery).
    pub fn no_discovery(mut self) -> Self {
        self.discovers = Discovers::No;
        self
    }

    /// Serves discovery and nothing else, as a boot node: takes datagrams at the address to
    /// [`listen`](Self::listen) on, but no connections, and dials nobody.
    pub fn discovery_only(mut self) -> Self {
        self.discovers = Discovers::Only;
        self
    }

    fn want_discovery(mut self) -> Self {
        if self.discovers == Discovers::IfListening {
            self.discovers = Discovers::Yes;
        }
        self
    }

    /// Has nothing to do with addresses outside these networks, in either direction. Can be changed
    /// later: [`Server::set_net_restrict`].
    pub fn net_restrict(mut self, networks: NetList) -> Self {
        self.net_restrict = Some(networks);
        self
    }

    /// The name that Hello gives; by default `peerage/v<version>/<os>-<arch>/rust`.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = name.into();
        self
    }

    /// Keeps here what has to outlive a restart: the sequence number of our record, the nodes that
    /// discovery knows, and the static and trusted nodes that were added while the server ran. Made
    /// if missing; one server at a time. Without, the number is taken from the clock, and the rest
    /// is lost.
    pub fn data_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.data_dir = Some(path.as_ref().into());
        self
    }

    /// Reaches nodes in this way; by TCP by default.
    pub fn dialer(mut self, dialer: impl Dialer) -> Self {
        self.dialer = Arc::new(dialer);
        self
    }

    /// Dials no candidate that this function refuses, whichever source finds it: for nodes of
    /// another network. It is asked about the node's record; a node of which none is known is asked
    /// for it first, by discovery, and not taken if it gives none. What it says of one record it
    /// always has to say, as it is asked once.
    ///
    /// Static nodes are dialed whatever they are, and nodes that dial us are let in.
    pub fn candidate_filter(
        mut self,
        judge: impl Fn(&Record) -> Result<(), Unfit> + Send + Sync + 'static,
    ) -> Self {
        let guarded = move |record: &Record| {
            // It is the user's, and runs in a task that all others need.
            catch_unwind(AssertUnwindSafe(|| judge(record))).unwrap_or_else(|_| {
                tracing::error!("a candidate filter panicked");
                Err(Unfit("the filter panicked"))
            })
        };
        self.filter = Some(Filter::new(guarded));
        self
    }

    /// How long a connection may take over what.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How long a dial may take until somebody answers; 15 s by default.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// How long [`Server::stop`] waits for peers and protocols before it ends them; 5 s by default.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Subscribes to what will happen, from the start on.
    pub fn subscribe(&self) -> Events {
        Events(self.events.subscribe())
    }

    /// Starts the server, within a tokio runtime. When it fails, nothing is left running.
    pub async fn start(self) -> Result<Server, StartError> {
        let (protocols, capabilities) = check_protocols(self.protocols)?;
        check_hello(&self.client_name, &capabilities)?;
        let clock = Clock::start();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(StartError::Randomness)?;

        let data_dir = self.data_dir.as_deref().map(DataDir::open).transpose()?;
        let kept = Kept::open(data_dir.as_ref()).await?;
        let attributes = protocols.iter().flat_map(|protocol| &protocol.attributes);
        let mut about = SelfDescription::new(self.key.clone());
        about.attributes = attributes.cloned().collect();
        // Mistakes in attributes come before those in addresses, which may be nobody's fault.
        let seq = peerage_discovery::store::last_seq(kept.seq, clock.now());
        about.record(seq)?;
        let discovers = match self.discovers {
            // One that serves discovery only needs a version to serve.
            Discovers::IfListening | Discovers::Yes if self.discovery.versions.is_empty() => {
                Discovers::No
            }
            Discovers::Only if self.discovery.versions.is_empty() => {
                return Err(StartError::NoVersion);
            }
            discovers => discovers,
        };
        let Sockets { tcp, udp } = Sockets::bind(self.listen, self.discovery.listen, discovers)?;
        let listen = tcp.as_ref().map(|(_, address)| *address);
        about.tcp = listen.into_iter().collect();
        about.udp = udp.iter().map(|(_, address)| *address).collect();
        let mut record = about.record(seq)?;
        let node = about.node(record.record().clone());
        let (kept_static, kept_trusted) = (kept.static_nodes.clone(), kept.trusted.clone());
        let store = kept.state_seq(clock.now(), record.seq()).await?;
        let policy = Policy::default().with_net_restrict(self.net_restrict);
        let mut config =
            peerage_discovery::Config::default().with_versions(&self.discovery.versions);
        config.bootnodes = self.discovery.bootnodes;
        config.policy = policy.clone();
        // The machine signs the same record again.
        let talk_handlers = self.talk_handlers;
        let discovery = udp.map(|socket| {
            let socket = Socket::new(socket);
            discovery::Plan { socket, config, about, seq, talk_handlers }
        });

        // A server without protocols is there for handshakes: nobody is useless to it.
        let require_shared_capability = !capabilities.is_empty();
        let connection = peerage_rlpx::Config::new(self.key, self.client_name)
            .with_capabilities(capabilities)
            .with_listen_port(listen.map_or(0, |address| address.port()))
            .with_timeouts(self.timeouts);
        let peering = peering::Plan {
            peering: peerage_peering::Config::new(record.id())
                .with_limits(self.limits)
                .with_policy(policy)
                .with_static_nodes(self.static_nodes)
                .with_trusted(self.trusted)
                .with_kept(kept_static, kept_trusted)
                .with_dialing(self.dialing && self.discovers != Discovers::Only)
                .with_dial_timeout(self.dial_timeout)
                .with_require_shared_capability(require_shared_capability),
            connection,
            protocols: protocols.into_iter().map(Arc::new).collect(),
            dialer: self.dialer,
            filter: self.filter,
            stop_timeout: self.stop_timeout,
            data_dir,
        };
        Ok(start(Plan {
            node,
            listener: tcp.map(|(listener, _)| listener),
            listen,
            clock,
            discovery,
            peering,
            events: self.events,
            random: Random::from_seed(seed),
            store,
        }))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("protocols", &self.protocols)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// What an earlier run has left, and where this one leaves its own.
struct Kept {
    store: Box<dyn NodeStore>,
    /// The sequence number of our record.
    seq: Option<u64>,
    static_nodes: Vec<Node>,
    trusted: Vec<NodeId>,
}

impl Kept {
    async fn open(dir: Option<&DataDir>) -> Result<Self, StartError> {
        let Some(dir) = dir else {
            let store = Box::<MemoryStore>::default();
            return Ok(Self { store, seq: None, static_nodes: Vec::new(), trusted: Vec::new() });
        };
        let path = dir.path().to_path_buf();
        blocking(move || {
            let (store, warning) = RedbStore::open(&path)?;
            if let Some(warning) = warning {
                tracing::warn!("{warning}");
            }
            let trusted = store.listed(List::Trusted)?;
            Ok(Self {
                seq: store.local_seq()?,
                static_nodes: store.listed(List::Static)?,
                trusted: trusted.iter().map(Node::id).collect(),
                store: Box::new(store),
            })
        })
        .await
    }

    /// Writes which sequence number is used now.
    async fn state_seq(self, now: Now, seq: u64) -> Result<Box<dyn NodeStore>, StartError> {
        let Self { mut store, .. } = self;
        blocking(move || {
            store.apply(now.unix, &[StoreOp::Seq(seq)])?;
            Ok(store)
        })
        .await
    }
}

/// Does what may wait for a disk.
async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StartError> {
    match tokio::task::spawn_blocking(what).await {
        Ok(done) => Ok(done?),
        // Nobody cancels it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The sockets that a server takes connections and datagrams by, each with its address.
struct Sockets {
    tcp: Option<(TcpListener, SocketAddr)>,
    udp: Option<(UdpSocket, SocketAddr)>,
}

impl Sockets {
    fn bind(
        listen: Option<SocketAddr>,
        datagrams: Option<SocketAddr>,
        discovers: Discovers,
    ) -> Result<Self, StartError> {
        let any = || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (tcp, udp) = match (discovers, listen, datagrams) {
            (Discovers::No, listen, _) => (listen, None),
            (Discovers::IfListening, None, _) => (None, None),
            (Discovers::Only, listen, own) => (None, Some(own.or(listen).unwrap_or_else(any))),
            (_, None, own) => (None, Some(own.unwrap_or_else(any))),
            (_, Some(listen), Some(own)) => (Some(listen), Some(own)),
            (_, Some(listen), None) => {
                let (tcp, udp) = discovery::bind_beside(listen)?;
                return Ok(Self { tcp: Some(tcp), udp: Some(udp) });
            }
        };
        Ok(Self {
            tcp: tcp.map(listener::bind).transpose()?,
            udp: udp.map(discovery::bind_udp).transpose()?,
        })
    }
}

pub(crate) fn default_client_name() -> String {
    use std::env::consts::{ARCH, OS};
    format!("peerage/v{}/{OS}-{ARCH}/rust", env!("CARGO_PKG_VERSION"))
}

/// Sorts the protocols as Hello has them, and gives the capability of each.
fn check_protocols(
    mut protocols: Vec<Protocol>,
) -> Result<(Vec<Protocol>, Vec<LocalCapability>), StartError> {
    protocols.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    let mut capabilities: Vec<LocalCapability> = Vec::with_capacity(protocols.len());
    for protocol in &protocols {
        let name = CapabilityName::new(&protocol.name)
            .map_err(|_| StartError::ProtocolName { name: protocol.name.clone() })?;
        let capability = Capability { name, version: protocol.version };
        if protocol.length == 0 || protocol.length > MAX_PROTOCOL_LENGTH {
            return Err(StartError::ProtocolLength(capability));
        }
        if capabilities.last().is_some_and(|last| last.capability == capability) {
            return Err(StartError::DuplicateProtocol(capability));
        }
        capabilities.push(LocalCapability { capability, length: protocol.length });
    }
    Ok((protocols, capabilities))
}

/// Sees to it that our Hello will be accepted.
fn check_hello(client: &str, capabilities: &[LocalCapability]) -> Result<(), StartError> {
    // Each item at its longest: version 1, list headers 9, client 3, port 3, key 66, capability
    // 1 + 9 + 9. Not exact, as nobody comes near it by accident.
    let size = 82 + client.len() + 19 * capabilities.len();
    if size > MAX_HELLO {
        return Err(StartError::HelloTooLarge { size, limit: MAX_HELLO });
    }
    Ok(())
}
