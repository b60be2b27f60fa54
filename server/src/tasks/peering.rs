//! The peering task: carries messages between `peerage-peering` and everything that touches the
//! world.
//!
//! It decides nothing. What it is told goes into the machine, what the machine wants is done here,
//! by one method per output. No message of a protocol ever passes through it.

mod candidates;
mod carry;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use peerage_discovery::{
    Candidates,
    candidates::{Filter, Input as Mixed},
};
use peerage_machine::{Instant, Machine as _, Random};
use peerage_node::{NodeId, Policy, Source};
use peerage_peering::{
    Server as Peering,
    envelope::{ConnId, DialId, Input, ResolveId, Skip},
};
use peerage_rlpx::{Hello, Shared};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
};

use super::{
    clock::Clock,
    connection::{self, Places},
    discovery,
    keeper::Keeper,
    listener::Incoming,
    mailbox::Mailbox,
    names::Resolver,
    notice::Notice,
    roster::Roster,
};
use crate::{
    dialer::{BoxedStream, Dialer},
    error::ConnectError,
    events::Event,
    peer::Peer,
    protocol::Protocol,
    store::DataDir,
};

/// Peering, as it was described.
pub(crate) struct Plan {
    pub(crate) peering: peerage_peering::Config,
    pub(crate) connection: peerage_rlpx::Config,
    /// In the order of the connection's capabilities.
    pub(crate) protocols: Arc<[Arc<Protocol>]>,
    pub(crate) dialer: Arc<dyn Dialer>,
    /// Which nodes are dialed that a source finds.
    pub(crate) filter: Option<Filter>,
    pub(crate) stop_timeout: Duration,
    /// Ours while the task runs.
    pub(crate) data_dir: Option<DataDir>,
}

/// What the task shares with the rest of the server.
pub(crate) struct Links {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// For the tasks that this one starts.
    pub(crate) tell: mpsc::UnboundedSender<Notice>,
    pub(crate) notices: mpsc::UnboundedReceiver<Notice>,
    pub(crate) accepted: mpsc::Receiver<Incoming>,
    pub(crate) accepting: watch::Sender<bool>,
    /// The task that accepts.
    pub(crate) listening: Option<AbortHandle>,
    pub(crate) keeper: Keeper,
    /// `None` without discovery.
    pub(crate) discovery: Option<mpsc::UnboundedSender<discovery::Command>>,
    /// Whether discovery is to end.
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) stopped: watch::Sender<bool>,
    /// Tells each version of discovery how many candidates it is to find.
    pub(crate) wanted_of_discovery: BTreeMap<Source, watch::Sender<usize>>,
    /// The same for handles of the server.
    pub(crate) wanted_of_user: watch::Sender<usize>,
    pub(crate) policy: watch::Sender<Policy>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) roster: Arc<Roster>,
    /// Every task of the server but this one.
    pub(crate) tasks: JoinSet<()>,
}

/// The state of the peering task.
pub(crate) struct Task {
    clock: Clock,
    peering: Peering,
    candidates: Candidates<Skip>,
    random: Random,
    protocols: Arc<[Arc<Protocol>]>,
    dialer: Arc<dyn Dialer>,
    stop_timeout: Duration,
    names: Resolver<ResolveId>,
    /// `None` without discovery.
    discovery: Option<mpsc::UnboundedSender<discovery::Command>>,
    listening: Option<AbortHandle>,
    tell: mpsc::UnboundedSender<Notice>,
    /// For every connection.
    connecting: Arc<connection::Links>,
    notices: mpsc::UnboundedReceiver<Notice>,
    accepted: mpsc::Receiver<Incoming>,
    accepting: watch::Sender<bool>,
    /// Until the server stops.
    keeper: Option<Keeper>,
    stopping: watch::Sender<bool>,
    stopped: watch::Sender<bool>,
    /// Who finds candidates.
    sources: BTreeMap<Source, candidates::Asked>,
    policy: watch::Sender<Policy>,
    events: broadcast::Sender<Event>,
    roster: Arc<Roster>,
    /// Bounded as peering bounds connections.
    conns: BTreeMap<ConnId, Conn>,
    /// Bounded as peering bounds dials.
    dials: BTreeMap<DialId, AbortHandle>,
    /// The streams of connections whose handshake has not begun: until peering has answered.
    streams: BTreeMap<ConnId, BoxedStream>,
    /// Of connections at the second checkpoint: until peering has answered.
    hellos: BTreeMap<ConnId, Hellos>,
    next_conn: u64,
    tasks: JoinSet<()>,
    progress: Progress,
    /// Held to the end, and let go after everything else.
    _data_dir: Option<DataDir>,
}

/// What there is of a connection. Small, as there is one for every peer.
enum Conn {
    /// Of one that is not a peer yet.
    Entering(Box<Entering>),
    /// Of a peer, or of what was one until the connection has closed.
    Peer(Peer),
}

/// What there is of a connection that is not a peer yet.
struct Entering {
    /// Our end of the transport.
    local: Option<SocketAddr>,
    mailbox: Arc<Mailbox>,
    /// Who brought the stream, and waits for a peer.
    done: Option<oneshot::Sender<Result<NodeId, ConnectError>>>,
}

/// What two ends have said of themselves.
struct Hellos {
    theirs: Box<Hello>,
    shared: Box<[Shared]>,
}

/// How far the server has come.
enum Progress {
    Running,
    /// Everybody was told to go, and has until then.
    Stopping(Instant),
    /// Everybody has gone.
    Stopped(Instant),
}

impl Task {
    pub(crate) fn new(plan: Plan, mut links: Links) -> Self {
        let connecting = connection::Links {
            config: Arc::new(plan.connection),
            clock: links.clock,
            tell: links.tell.clone(),
            places: Places::default(),
        };
        let candidates = Candidates::new(plan.peering.limits.dial_history);
        let mut task = Self {
            clock: links.clock,
            peering: Peering::new(plan.peering, links.random.fork()),
            candidates,
            random: links.random,
            protocols: plan.protocols,
            dialer: plan.dialer,
            stop_timeout: plan.stop_timeout,
            names: Resolver::new(links.clock),
            discovery: links.discovery,
            listening: links.listening,
            tell: links.tell,
            connecting: Arc::new(connecting),
            notices: links.notices,
            accepted: links.accepted,
            accepting: links.accepting,
            keeper: Some(links.keeper),
            stopping: links.stopping,
            stopped: links.stopped,
            sources: BTreeMap::new(),
            policy: links.policy,
            events: links.events,
            roster: links.roster,
            conns: BTreeMap::new(),
            dials: BTreeMap::new(),
            streams: BTreeMap::new(),
            hellos: BTreeMap::new(),
            next_conn: 0,
            tasks: links.tasks,
            progress: Progress::Running,
            _data_dir: plan.data_dir,
        };
        task.on_source(Source::USER, links.wanted_of_user);
        for (version, wants) in links.wanted_of_discovery {
            task.on_version(version, wants);
        }
        task.mix(Mixed::SetFilter(plan.filter));
        task
    }

    /// Serves until the server stops.
    pub(crate) async fn run(mut self) {
        loop {
            self.carry_outputs();
            let deadline = match self.progress {
                Progress::Running => None,
                Progress::Stopping(deadline) => Some(deadline),
                Progress::Stopped(_) => break,
            };
            let wakes = [self.peering.poll_timeout(), self.candidates.poll_timeout()];
            let wake = wakes.into_iter().flatten().min();
            tokio::select! {
                Some(notice) = self.notices.recv() => self.on_notice(notice),
                Some(incoming) = self.accepted.recv() => self.on_accepted(incoming),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a task of the server panicked");
                    }
                }
                (resolve, addresses) = self.names.next() => {
                    self.input(Input::Resolved { resolve, addresses });
                }
                () = self.clock.until(wake) => {
                    let now = self.clock.now();
                    self.peering.handle_timeout(now);
                    self.candidates.handle_timeout(now);
                }
                () = self.clock.until(deadline) => break,
            }
        }
        self.finish().await;
        let stopped = self.stopped.clone();
        // Released before anybody is told, so that a restart finds everything free.
        drop(self);
        stopped.send_replace(true);
    }

    /// Lets protocols end by themselves until the deadline, then ends what is left.
    async fn finish(&mut self) {
        self.notices.close();
        self.conns.clear();
        self.streams.clear();
        self.roster.clear();
        if let Progress::Stopping(deadline) | Progress::Stopped(deadline) = self.progress {
            let all = async { while self.tasks.join_next().await.is_some() {} };
            if self.clock.timeout_at(deadline, all).await.is_err() {
                tracing::warn!(tasks = self.tasks.len(), "stopping tasks that do not end");
            }
        }
        self.tasks.shutdown().await;
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Closed { conn, fault } => {
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
            Notice::AddSource { source, wants } => self.on_source(source, wants),
            Notice::Candidate { node, source } => {
                self.mix(Mixed::Found { node: *node, source });
            }
            Notice::Command(input) => self.input(*input),
            Notice::Dialed { dial, result } => self.on_dialed(dial, result),
            Notice::Identified { conn, key } => self.input(Input::Identified { conn, key }),
            Notice::Ready { conn, hello, shared } => {
                let count = shared.len();
                self.hellos.insert(conn, Hellos { theirs: hello, shared });
                self.input(Input::Ready { conn, shared: count });
                self.carry_outputs();
                self.hellos.remove(&conn);
            }
            Notice::Located { locate, node } => {
                self.input(Input::Located { locate, node: node.map(|node| *node) });
            }
            Notice::Record { id, record } => self.mix(Mixed::Record { id, record }),
            Notice::RemoveSource(source) => self.on_source_dropped(source),
            Notice::Restrict(networks) => {
                let policy = self.peering.policy().clone().with_net_restrict(networks);
                self.input(Input::SetPolicy { policy });
            }
            Notice::Stop => self.on_stop(),
            Notice::Stream { stream, direction, done } => self.on_stream(stream, direction, done),
            Notice::WhyNotTaken { id, done } => {
                // Fails if the user no longer waits.
                let _ = done.send(self.why_not_taken(id));
            }
        }
    }

    fn on_stop(&mut self) {
        if !matches!(self.progress, Progress::Running) {
            return;
        }
        self.progress = Progress::Stopping(self.clock.after(self.stop_timeout));
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

    fn mix(&mut self, input: Mixed<Skip>) {
        self.candidates.handle_input(self.clock.now(), input);
    }
}
