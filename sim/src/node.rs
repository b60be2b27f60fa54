//! A node: the shipping machines of one host, and what carries messages between them.
//!
//! A driver of the same machines as the `peerage` server, and like it one that decides nothing.
//! Where the server has tasks and channels, this has mail that takes a random while, so that
//! messages which can cross do.
//!
//! ```text
//!    datagrams <--> discovery --Found, Located, Record--> candidates <--Identified-- Connection
//!                             <--Want, Resolve, AskRecord-- and peering ---Admit------------->
//! ```

mod carry;
mod chat;
mod conn;
mod db;
mod discovery;
mod fact;
mod host;
mod lane;
mod ledger;
mod protocol;
mod question;
mod speak;
mod spec;
mod world;

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use peerage_discovery::{
    Candidates, Endpoint,
    candidates::Input as Mixed,
    store::{Input as Keep, Keeping},
    v4::V4,
};
use peerage_machine::{Instant, Machine as _, Random};
use peerage_node::{List, Node as Named, NodeId, Policy, PublicKey, Record, Source};
use peerage_peering::{
    Counts, Names, Server as Peering, Slot,
    envelope::{ConnId, DialId, Input, LocateId, ResolveId, Skip},
};
use peerage_rlpx::{DisconnectReason, Linger};

pub use chat::Chat;
pub use fact::NodeFact;
pub(crate) use host::describe;
pub use lane::OfferError;
pub use ledger::Bounds;
pub use protocol::{Peer, Protocol, ProtocolIo, ProtocolSpec};
pub use spec::NodeSpec;

use self::{
    carry::Dialing, conn::Conn, db::NodeDb, discovery::Discovery, lane::Lanes, protocol::Speaker,
    question::Asker,
};
use crate::world::{HostEvent, Io, Kind, Socket, Way};

/// A node that was found is not dialed.
const CANDIDATE: Kind = Kind::new(10, "candidate");

/// A peer was added or dropped.
const PEER: Kind = Kind::new(5, "peer");

/// What one task of a node tells another one.
#[derive(Debug)]
enum Mail {
    /// To the connection's task.
    Conn { conn: ConnId, order: Order },
    /// To peering's task, where the sources are mixed.
    Candidates(Mixed<Skip>),
    /// To discovery's task.
    Discovery(Question),
    /// To peering's task.
    Peering(Input),
}

/// What peering's task tells a connection's.
#[derive(Debug)]
enum Order {
    Admit,
    Disconnect(DisconnectReason),
}

/// What discovery's task is asked, and answered.
#[derive(Debug)]
enum Question {
    Record(Box<Named>),
    Resolve { locate: LocateId, key: PublicKey },
    SetPolicy(Policy),
    Want { source: Source, count: usize },
}

/// The tasks of a node, as the numbers of their wake-ups; connections follow.
mod token {
    pub(super) const PEERING: u64 = 0;
    pub(super) const DISCOVERY: u64 = 1;
    /// Dials with further addresses, streams that nobody hangs up, and protocols that speak.
    pub(super) const HOUSE: u64 = 2;
    pub(super) const FIRST_CONN: u64 = 3;
}

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    spec: Rc<NodeSpec>,
    config: Arc<peerage_rlpx::Config>,
    random: Random,
    discovery: Option<Discovery>,
    peering: Peering,
    candidates: Candidates<Skip>,
    accepting: bool,
    unjudged: usize,
    /// Nothing is accepted before then.
    accept_again: Instant,
    names: Names<ResolveId>,
    /// Of mail to peering from the listener and the dialer, and of mail to discovery.
    to_peering: Way,
    to_discovery: Way,
    conns: BTreeMap<ConnId, Conn>,
    /// What has arrived by connections that have ended, for protocols that were busy.
    left: BTreeMap<ConnId, Lanes>,
    sockets: BTreeMap<Socket, ConnId>,
    dials: BTreeMap<DialId, Dialing>,
    dialed: BTreeMap<Socket, DialId>,
    /// Streams whose goodbye is written, until the other end hangs up.
    leaving: BTreeMap<Socket, Linger>,
    /// The connection of each peer, as the tasks were told.
    peers: BTreeMap<NodeId, (ConnId, Slot)>,
    next_conn: u64,
    protocols: Vec<Speaker>,
    /// Connections that a protocol has given something to do.
    touched: Vec<ConnId>,
    record: Option<Record>,
    /// What peering wants kept, for the disk.
    to_keep: Vec<Keep>,
    has_stopped: bool,
    seen: Seen,
    budget: Budget,
}

/// The bytes that the machines of a node may hold: what they promise for these settings.
#[derive(Clone, Copy, Debug)]
struct Budget {
    candidates: usize,
    discovery: usize,
    peering: usize,
}

impl Budget {
    fn of(spec: &NodeSpec) -> Self {
        let sources = spec.sources().count();
        // Peering asks for no more static nodes at a time than it may dial.
        let commands = spec.limits.max_dialing + sources * Candidates::<Skip>::ASKS;
        let discovery = spec
            .discovery
            .as_ref()
            .map_or(0, |config| Endpoint::memory_bound(config, commands, Keeping::SEEDS));
        Self {
            candidates: Candidates::<Skip>::memory_bound(sources),
            discovery,
            peering: Peering::memory_bound(&spec.peering(), 0),
        }
    }
}

/// What a node has gone through since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// Peers that were added.
    pub added: u64,
    /// Peers that were dropped.
    pub dropped: u64,
    /// Connections begun, either way.
    pub connections: u64,
    /// Connections that closed, each with its reason.
    pub closed: u64,
    /// Dials that reached nobody, or whose handshake came to nothing.
    pub dials_failed: u64,
    /// Candidates that were not dialed, whatever the cause.
    pub not_taken: u64,
    /// Connections that were refused before their handshake.
    pub refused: u64,
    /// Messages of protocols that arrived.
    pub messages: u64,
}

impl Node {
    /// Starts a node. What it knew is in `db`.
    fn start(io: &mut Io<'_>, db: &mut NodeDb, spec: Rc<NodeSpec>) -> Self {
        let mut random = Random::from_seed(io.random().fork());
        io.listen(Some(spec.port), spec.takes_streams().then_some(spec.port));
        let config = Arc::new(spec.connection());
        let budget = Budget::of(&spec);
        let trusted = db.listed(List::Trusted).iter().map(Named::id).collect();
        let peering = spec.peering().with_kept(db.listed(List::Static), trusted);
        let peering = Peering::new(peering, random.fork());
        let candidates = Candidates::new(spec.limits.dial_history);
        let discovery =
            spec.discovery.as_ref().map(|_| Discovery::new(io, db, &spec, random.fork()));
        if discovery.is_none() {
            // Its user's lists are kept nevertheless.
            db.open(io.now(), random.fork());
        }
        let protocols = spec.protocols.iter().map(ProtocolSpec::start).collect();
        let mut node = Self {
            spec,
            config,
            random,
            discovery,
            peering,
            candidates,
            accepting: false,
            unjudged: 0,
            accept_again: Instant::START,
            names: Names::default(),
            to_peering: Way::default(),
            to_discovery: Way::default(),
            conns: BTreeMap::new(),
            left: BTreeMap::new(),
            sockets: BTreeMap::new(),
            dials: BTreeMap::new(),
            dialed: BTreeMap::new(),
            leaving: BTreeMap::new(),
            peers: BTreeMap::new(),
            next_conn: 0,
            protocols,
            touched: Vec::new(),
            record: None,
            to_keep: Vec::new(),
            has_stopped: false,
            seen: Seen::default(),
            budget,
        };
        node.record = node.discovery.as_ref().map(|it| it.endpoint.local_record().clone());
        node.start_protocols(io);
        node.drain_discovery(io, db);
        let now = io.now();
        for source in node.spec.sources() {
            node.candidates.handle_input(now, Mixed::AddSource(source));
        }
        node.peering.handle_timeout(now);
        node.drain_peering(io);
        node.keep_house(io);
        node
    }

    /// Something happened to the host.
    fn on_event(&mut self, io: &mut Io<'_>, db: &mut NodeDb, event: HostEvent) {
        match event {
            HostEvent::Acceptable => self.accept(io),
            HostEvent::ConnectFailed { socket, why } => self.on_connect_failed(io, socket, why),
            HostEvent::Connected { socket, remote } => self.on_connected(io, socket, remote),
            HostEvent::Datagram { from, bytes } => self.on_datagram(io, db, from, &bytes),
            HostEvent::Resolved { question, answer } => {
                let addresses = answer.unwrap_or_default();
                match question::whose(question) {
                    Asker::Discovery(id) => self.on_discovery_name(io, db, id, addresses),
                    Asker::Peering(resolve) => self.on_name(io, resolve, addresses),
                }
            }
            HostEvent::Stream(socket) => self.on_stream(io, socket),
            HostEvent::Wake(task) => self.on_wake(io, db, task),
        }
    }

    /// One task has told another one something.
    fn on_mail(&mut self, io: &mut Io<'_>, db: &mut NodeDb, mail: Mail) {
        match mail {
            Mail::Candidates(input) => self.mix(io, input),
            Mail::Conn { conn, order } => self.on_order(io, conn, order),
            Mail::Discovery(question) => self.on_question(io, db, question),
            Mail::Peering(input) => self.on_input(io, input),
        }
    }

    /// The user stops the node.
    fn stop(&mut self, io: &mut Io<'_>) {
        self.discovery = None;
        io.set_alarm(token::DISCOVERY, None);
        self.protocols.iter_mut().for_each(|it| it.wake = None);
        self.input(io, Input::Stop);
    }

    /// The user says something to peering.
    fn input(&mut self, io: &mut Io<'_>, input: Input) {
        let now = io.now();
        self.peering.handle_input(now, input);
        self.drain_peering(io);
    }

    /// A source or discovery says something to the candidates machine.
    fn mix(&mut self, io: &mut Io<'_>, input: Mixed<Skip>) {
        let now = io.now();
        self.candidates.handle_input(now, input);
        self.drain_peering(io);
    }

    /// Whether everything has ended after [`stop`](Self::stop).
    fn is_over(&self) -> bool {
        self.has_stopped && self.leaving.is_empty()
    }

    /// What the node was made of.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// The machine that decides whom to be connected to.
    pub const fn peering(&self) -> &Peering {
        &self.peering
    }

    /// The machine that mixes what the sources find.
    pub const fn candidates(&self) -> &Candidates<Skip> {
        &self.candidates
    }

    /// The discovery machine, where there is one.
    pub fn v4(&self) -> Option<&V4> {
        self.discovery.as_ref()?.endpoint.v4()
    }

    /// The peers: by id, with the slots they hold.
    pub fn peers(&self) -> impl Iterator<Item = (NodeId, Slot)> {
        self.peers.iter().map(|(id, (_, slot))| (*id, *slot))
    }

    /// How many peers there are.
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// How many there are of what.
    pub fn counts(&self) -> Counts {
        self.peering.counts()
    }

    /// What the node has gone through.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// What a machine of the node holds and may hold, in bytes, if it is more.
    pub(crate) fn is_over_budget(&self) -> Option<(usize, usize)> {
        let discovery = self.discovery.as_ref().map_or(0, |it| it.endpoint.memory());
        let all = [
            (self.candidates.memory(), self.budget.candidates),
            (discovery, self.budget.discovery),
            (self.peering.memory(), self.budget.peering),
        ];
        all.into_iter().find(|(held, bound)| held > bound)
    }

    /// Whether the node takes part in more than discovery.
    pub fn has_peers(&self) -> bool {
        self.spec.limits.max_handshakes > 0 || self.spec.dialing
    }

    /// The node's record as it is announced now.
    pub const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    fn on_wake(&mut self, io: &mut Io<'_>, db: &mut NodeDb, task: u64) {
        let now = io.now();
        match task {
            token::PEERING => {
                self.peering.handle_timeout(now);
                self.candidates.handle_timeout(now);
                self.drain_peering(io);
            }
            token::DISCOVERY => {
                if let Some(discovery) = &mut self.discovery {
                    discovery.on_timeout(now);
                    self.drain_discovery(io, db);
                }
            }
            token::HOUSE => self.keep_house(io),
            task => self.on_conn_wake(io, ConnId(task - token::FIRST_CONN)),
        }
    }

    /// Further addresses are dialed, streams that nobody hangs up are let go, and protocols speak.
    fn keep_house(&mut self, io: &mut Io<'_>) {
        let now = io.now().mono;
        let is_over = |linger: &Linger| linger.deadline() <= now;
        let gone: Vec<Socket> =
            self.leaving.iter().filter(|(_, it)| is_over(it)).map(|(it, _)| *it).collect();
        for socket in gone {
            self.on_leaving(io, socket);
        }
        self.race_dials(io);
        self.names.handle_timeout(io.now());
        self.drain_names(io);
        self.accept(io);
        self.wake_protocols(io, now);
        let dials = self.dials.values().filter_map(|it| it.race.poll_timeout());
        let leaving = self.leaving.values().map(Linger::deadline);
        let accepting = Some(self.accept_again).filter(|at| *at > now);
        let others = accepting.into_iter().chain(self.next_protocol_wake());
        if let Some(due) = dials.chain(leaving).chain(others).min() {
            io.wake_by(token::HOUSE, due);
        }
    }
}
