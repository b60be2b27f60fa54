//! The peering task: carries messages between `peerage-peering` and everything that touches the
//! world.
//!
//! It decides nothing. What it is told goes into the machine, what the machine wants is done here,
//! by one method per output. No message of a protocol ever passes through it.

mod carry;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use peerage_machine::{Machine as _, Random};
use peerage_node::{NetList, Node, NodeId, Policy, PublicKey, SecretKey};
use peerage_peering::{
    Server as Peering,
    envelope::{ConnId, DialError, DialId, Input, LocateId, ResolveId},
};
use peerage_rlpx::{Fault, Hello, LocalCapability, Shared, Timeouts};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, broadcast, mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    channel::Channel,
    clock::Clock,
    data_dir::DataDir,
    dialer::{BoxedStream, Dialed, Dialer},
    discovery::{self, Reach},
    error::ConnectError,
    events::Event,
    keep::{self, Keeper},
    link::Link,
    listener::{self, Incoming},
    peer::Peer,
    protocol::Protocol,
    roster::Roster,
    server::{Direction, Handle, Server},
    store::{List, NodeStore},
};

/// How many names are resolved at once: each takes a thread of the blocking pool.
const MAX_RESOLVING: usize = 8;

/// What the peering task is told.
pub(crate) enum Told {
    /// A connection ended.
    Closed { conn: ConnId, fault: Fault },
    /// The user commands.
    Command(Box<Input>),
    /// A dial reached somebody, or nobody.
    Dialed { dial: DialId, result: Result<Dialed, DialError> },
    /// A connection knows who is at its other end.
    Identified { conn: ConnId, key: PublicKey },
    /// A connection has exchanged Hellos.
    Ready { conn: ConnId, hello: Box<Hello>, shared: Box<[Shared]> },
    /// A node was looked for.
    Located { locate: LocateId, node: Option<Box<Node>> },
    /// A name was resolved.
    Resolved { resolve: ResolveId, addresses: Vec<std::net::IpAddr> },
    /// The user changes which networks nodes may be in.
    Restrict(Option<NetList>),
    /// End everything.
    Stop,
    /// The user brings a stream.
    Stream {
        stream: BoxedStream,
        direction: Direction,
        done: oneshot::Sender<Result<NodeId, ConnectError>>,
    },
    /// The user trusts a node.
    Trust(Box<Node>),
}

/// A server that was described without a mistake.
pub(crate) struct Plan {
    pub(crate) key: SecretKey,
    pub(crate) node: Node,
    pub(crate) client_name: String,
    /// In the order of `capabilities`.
    pub(crate) protocols: Arc<[Arc<Protocol>]>,
    pub(crate) capabilities: Vec<LocalCapability>,
    pub(crate) listener: Option<TcpListener>,
    pub(crate) listen: Option<SocketAddr>,
    /// `None` for no discovery.
    pub(crate) discovery: Option<discovery::Plan>,
    pub(crate) peering: peerage_peering::Config,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) timeouts: Timeouts,
    pub(crate) dial_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) random: Random,
    pub(crate) data_dir: Option<DataDir>,
    pub(crate) store: Box<dyn NodeStore>,
}

/// Starts every task of a server.
pub(crate) fn start(mut plan: Plan) -> Server {
    // Unbounded, as its senders are bounded: a connection says at most three things, a dial and a
    // name one each, and the rest is the user's own.
    let (tell, told) = mpsc::unbounded_channel();
    let (accepted_sender, accepted) = mpsc::channel(listener::UNJUDGED);
    let (accepting, may_accept) = watch::channel(false);
    let events = plan.events;
    let (stopped_sender, stopped) = watch::channel(false);
    let (wanted_sender, wanted) = watch::channel(0);
    let (policy_sender, policy) = watch::channel(plan.peering.policy.clone());
    let (shown, local) = watch::channel(plan.node);
    let (commands, commanded) = mpsc::unbounded_channel();
    let (stopping, may_stop) = watch::channel(false);
    let reach = |plan: &discovery::Plan| Reach { addr: plan.socket.address(), commands };
    let discovery = plan.discovery.as_ref().map(reach);
    let locating = discovery.as_ref().map(|reach| reach.commands.clone());
    let roster = Arc::new(Roster::default());
    let handle = Handle {
        local,
        discovery,
        name: plan.client_name.clone(),
        listen: plan.listen,
        protocols: plan.protocols.clone(),
        roster: roster.clone(),
        events: events.downgrade(),
        tell: tell.clone(),
        stopped,
        wanted: wanted.clone(),
    };

    let clock = Clock::start();
    let mut tasks = JoinSet::new();
    let random = Random::from_seed(plan.random.fork());
    let (keeping, keeper) = keep::Task::new(plan.store, clock, random);
    tasks.spawn(keeping.run());
    if let Some(discovery) = plan.discovery {
        let links = discovery::Links {
            clock,
            random: Random::from_seed(plan.random.fork()),
            commands: commanded,
            keeper: keeper.clone(),
            wanted,
            policy,
            tell: tell.clone(),
            shown,
            events: events.clone(),
            stopping: may_stop,
        };
        tasks.spawn(discovery::Task::new(discovery, links).run());
    }
    let listening = plan
        .listener
        .map(|listener| tasks.spawn(listener::accept(listener, may_accept, accepted_sender)));
    let config = Arc::new(peerage_rlpx::Config {
        key: plan.key,
        client: plan.client_name,
        capabilities: plan.capabilities,
        listen_port: plan.listen.map_or(0, |address| address.port()),
        timeouts: plan.timeouts,
    });
    let run = Run {
        clock,
        peering: Peering::new(plan.peering, plan.random.fork()),
        random: plan.random,
        config,
        protocols: plan.protocols,
        dialer: plan.dialer,
        dial_timeout: plan.dial_timeout,
        stop_timeout: plan.stop_timeout,
        resolving: Arc::new(Semaphore::new(MAX_RESOLVING)),
        locating,
        listening,
        tell,
        accepting,
        keeper: Some(keeper),
        stopping,
        wanted: wanted_sender,
        policy: policy_sender,
        events,
        roster,
        conns: BTreeMap::new(),
        dials: BTreeMap::new(),
        next_conn: 0,
        tasks,
        progress: Progress::Running,
    };
    tokio::spawn(run.run(told, accepted, stopped_sender, plan.data_dir));
    Server(Arc::new(handle))
}

/// The state of the peering task.
struct Run {
    clock: Clock,
    peering: Peering,
    random: Random,
    config: Arc<peerage_rlpx::Config>,
    protocols: Arc<[Arc<Protocol>]>,
    dialer: Arc<dyn Dialer>,
    dial_timeout: Duration,
    stop_timeout: Duration,
    resolving: Arc<Semaphore>,
    /// `None` without discovery.
    locating: Option<mpsc::UnboundedSender<discovery::Command>>,
    listening: Option<AbortHandle>,
    tell: mpsc::UnboundedSender<Told>,
    accepting: watch::Sender<bool>,
    /// Until the server stops.
    keeper: Option<Keeper>,
    /// Whether discovery is to end.
    stopping: watch::Sender<bool>,
    wanted: watch::Sender<usize>,
    policy: watch::Sender<Policy>,
    events: broadcast::Sender<Event>,
    roster: Arc<Roster>,
    /// Bounded as peering bounds connections.
    conns: BTreeMap<ConnId, Conn>,
    /// Bounded as peering bounds dials.
    dials: BTreeMap<DialId, Dialing>,
    next_conn: u64,
    /// Every task of the server but this one.
    tasks: JoinSet<()>,
    progress: Progress,
}

/// A connection, as far as it concerns the peering task. Small, as there is one for every peer.
///
/// ```text
/// Accepted -> Shaking -> Identified -> Ready -> Admitted -> Peer
/// (inbound)              checkpoint 1  checkpoint 2
/// ```
enum Conn {
    /// Not a peer yet.
    Entering(Box<Entering>),
    /// A peer, or what was one until the connection has closed.
    Peer(Peer),
}

/// A connection that is not a peer yet.
struct Entering {
    inbound: bool,
    remote: Option<SocketAddr>,
    local: Option<SocketAddr>,
    link: Arc<Link>,
    stage: Stage,
    /// Who brought the stream, and waits for a peer.
    done: Option<oneshot::Sender<Result<NodeId, ConnectError>>>,
}

/// A dial that is under way.
struct Dialing {
    key: PublicKey,
    task: AbortHandle,
}

/// How far a connection has come that is not a peer yet.
enum Stage {
    /// Waits for peering to let its handshake begin.
    Accepted(BoxedStream),
    /// In the encryption handshake.
    Shaking,
    /// At the first checkpoint, or past it.
    Identified(PublicKey),
    /// At the second checkpoint.
    Ready { key: PublicKey, hello: Box<Hello>, shared: Box<[Shared]> },
    /// Past the second checkpoint; its protocols are about to start.
    Admitted { key: PublicKey, hello: Box<Hello>, channels: Vec<(usize, Channel)> },
}

/// How far the server has come.
enum Progress {
    Running,
    /// Everybody was told to go, and has until then.
    Stopping(Instant),
    /// Everybody has gone.
    Stopped(Instant),
}

impl Run {
    async fn run(
        mut self,
        mut told: mpsc::UnboundedReceiver<Told>,
        mut accepted: mpsc::Receiver<Incoming>,
        stopped: watch::Sender<bool>,
        data_dir: Option<DataDir>,
    ) {
        loop {
            self.carry_outputs();
            let deadline = match self.progress {
                Progress::Running => None,
                Progress::Stopping(deadline) => Some(deadline),
                Progress::Stopped(_) => break,
            };
            let wake = self.peering.poll_timeout().map(|at| self.clock.tokio(at));
            tokio::select! {
                Some(told) = told.recv() => self.on_told(told),
                Some(incoming) = accepted.recv() => self.on_accepted(incoming),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a task of the server panicked");
                    }
                }
                () = until(wake) => self.peering.handle_timeout(self.clock.now()),
                () = until(deadline) => break,
            }
        }
        self.finish(&mut told).await;
        // Released before anybody is told, so that a restart finds everything free.
        drop((self, told, accepted, data_dir));
        stopped.send_replace(true);
    }

    /// Lets protocols end by themselves until the deadline, then ends what is left.
    async fn finish(&mut self, told: &mut mpsc::UnboundedReceiver<Told>) {
        told.close();
        self.conns.clear();
        self.roster.clear();
        if let Progress::Stopping(deadline) | Progress::Stopped(deadline) = self.progress {
            let all = async { while self.tasks.join_next().await.is_some() {} };
            if tokio::time::timeout_at(deadline, all).await.is_err() {
                tracing::warn!(tasks = self.tasks.len(), "stopping tasks that do not end");
            }
        }
        self.tasks.shutdown().await;
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Closed { conn, fault } => {
                self.input(Input::Closed { conn, fault });
                self.carry_outputs();
                match self.conns.remove(&conn) {
                    Some(Conn::Entering(entering)) => {
                        if let Some(done) = entering.done {
                            // Fails if whoever brought the stream no longer waits.
                            let _ = done.send(Err(ConnectError::Failed(fault)));
                        }
                    }
                    // It may have closed before it heard that it had become a peer.
                    Some(Conn::Peer(peer)) => peer.on_closed(),
                    None => {}
                }
            }
            Told::Command(input) => {
                self.remember(&input);
                self.input(*input);
            }
            Told::Dialed { dial, result } => self.on_dialed(dial, result),
            Told::Identified { conn, key } => {
                if let Some(Conn::Entering(entering)) = self.conns.get_mut(&conn) {
                    entering.stage = Stage::Identified(key);
                    self.input(Input::Identified { conn, key });
                }
            }
            Told::Ready { conn, hello, shared } => {
                let count = shared.len();
                if let Some(Conn::Entering(entering)) = self.conns.get_mut(&conn)
                    && let Stage::Identified(key) = entering.stage
                {
                    entering.stage = Stage::Ready { key, hello, shared };
                    self.input(Input::Ready { conn, shared: count });
                }
            }
            Told::Located { locate, node } => {
                self.input(Input::Located { locate, node: node.map(|node| *node) });
            }
            Told::Resolved { resolve, addresses } => {
                self.input(Input::Resolved { resolve, addresses });
            }
            Told::Restrict(networks) => {
                let policy = self.peering.policy().clone().with_net_restrict(networks);
                self.input(Input::SetPolicy { policy });
            }
            Told::Trust(node) => {
                let id = node.id();
                if let Some(keeper) = &self.keeper {
                    keeper.list(List::Trusted, *node);
                }
                self.input(Input::AddTrusted { id });
            }
            Told::Stop => self.on_stop(),
            Told::Stream { stream, direction, done } => self.on_stream(stream, direction, done),
        }
    }

    /// Keeps what a user changes at run time.
    fn remember(&self, input: &Input) {
        let Some(keeper) = &self.keeper else { return };
        match input {
            Input::AddStatic { node } => keeper.list(List::Static, node.clone()),
            Input::RemoveStatic { id } => keeper.unlist(List::Static, *id),
            Input::RemoveTrusted { id } => keeper.unlist(List::Trusted, *id),
            _ => {}
        }
    }

    fn on_stop(&mut self) {
        if !matches!(self.progress, Progress::Running) {
            return;
        }
        self.progress = Progress::Stopping(Instant::now() + self.stop_timeout);
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        self.stopping.send_replace(true);
        self.keeper = None;
        self.input(Input::Stop);
    }

    fn input(&mut self, input: Input) {
        self.peering.handle_input(self.clock.now(), input);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
