//! The world: hosts, the network between them, and time.

mod happen;
mod places;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use peerage_machine::{Instant, Random, Seed};
use peerage_node::{Node as Named, NodeId, SecretKey};
use peerage_peering::envelope::Input;
use peerage_rlpx::DisconnectReason;
use sha2::{Digest as _, Sha256};

use self::places::Addresses;
pub use self::places::Place;
use crate::{
    HostId,
    alarms::Alarms,
    clock::HostClock,
    event::{Event, HostEvent},
    io::Actor,
    ledger::{Bounds, Ledger, Violation},
    net::{Crash, LinkProfile, Net, NetStats},
    node::{Mail, Node, NodeDb, NodeSpec},
    queue::Queue,
    trace::Trace,
};

/// Datagrams that a host that stands still can keep: a kernel's buffer.
const MAX_DEFERRED: usize = 256;

/// What a world is made of, beside its seed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the ways between hosts behave.
    pub link: LinkProfile,
    /// How long a message between two tasks of a host may take: races between them are found by
    /// that.
    pub task_delay: Duration,
    /// How much the clocks of hosts drift, in parts per million either way.
    pub drift_ppm: u32,
    /// Names that can be resolved.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// What has to hold within what time.
    pub bounds: Bounds,
    /// Whether [`World::key`] makes keys whose cryptography is a cheap stand-in.
    pub stand_in: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            link: LinkProfile::default(),
            task_delay: Duration::from_millis(2),
            drift_ppm: 50,
            names: BTreeMap::new(),
            bounds: Bounds::default(),
            stand_in: false,
        }
    }
}

/// A world. It goes on only in [`run_until`](Self::run_until), and does the same each time.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Instant,
    random: Random,
    addresses: Addresses,
    net: Net,
    queue: Queue<Event>,
    alarms: Alarms,
    hosts: Vec<Host>,
    ledger: Ledger,
    trace: Trace,
    events: u64,
}

#[derive(Debug)]
struct Host {
    clock: HostClock,
    random: Random,
    ip: IpAddr,
    program: Program,
    /// What came while the host stands still; `None` while it does not.
    deferred: Option<Vec<Deferred>>,
    db: NodeDb,
}

#[derive(Debug)]
enum Deferred {
    Event(HostEvent),
    Mail(Mail),
    Stop,
}

/// What a host runs.
#[derive(Debug)]
enum Program {
    Actor(Option<Box<dyn Actor>>),
    Node { spec: Arc<NodeSpec>, node: Option<Box<Node>> },
}

impl World {
    /// An empty world with every default.
    pub fn new(seed: u64) -> Self {
        Self::with_settings(seed, Settings::default())
    }

    /// An empty world.
    pub fn with_settings(seed: u64, settings: Settings) -> Self {
        let mut random = Random::from_seed(expand(seed));
        let net = Net::new(settings.link.clone(), Random::from_seed(random.fork()));
        Self {
            now: Instant::START,
            random,
            addresses: Addresses::default(),
            net,
            queue: Queue::new(),
            alarms: Alarms::default(),
            hosts: Vec::new(),
            ledger: Ledger::new(settings.bounds.clone()),
            trace: Trace::default(),
            events: 0,
            settings,
        }
    }

    /// A key that follows from the seed, of the kind that the settings say.
    pub fn key(&mut self) -> SecretKey {
        if self.settings.stand_in {
            SecretKey::stand_in(&mut self.random)
        } else {
            SecretKey::generate(&mut self.random)
        }
    }

    /// A seed that follows from the world's.
    pub fn fork(&mut self) -> Seed {
        self.random.fork()
    }

    /// Adds a node. It is down until it is started.
    pub fn add_node(&mut self, place: Place, spec: NodeSpec) -> HostId {
        let port = spec.port;
        self.add(place, Program::Node { spec: Arc::new(spec), node: None }, port)
    }

    /// Adds a host that runs something else.
    pub fn add_actor(&mut self, place: Place, actor: Box<dyn Actor>) -> HostId {
        self.add(place, Program::Actor(Some(actor)), 0)
    }

    fn add(&mut self, place: Place, program: Program, port: u16) -> HostId {
        let (host, ip) = self.addresses.place(&mut self.net, place, port);
        let range = u64::from(self.settings.drift_ppm) * 2 + 1;
        let drift = i64::try_from(self.random.below(range)).unwrap_or(0)
            - i64::from(self.settings.drift_ppm);
        self.hosts.push(Host {
            clock: HostClock::new(i32::try_from(drift).unwrap_or(0)),
            random: Random::from_seed(self.random.fork()),
            ip,
            program,
            deferred: None,
            db: NodeDb::default(),
        });
        host
    }

    /// Changes what a node is made of, from its next start on.
    ///
    /// # Panics
    ///
    /// If the host is no node.
    pub fn configure(&mut self, host: HostId, change: impl FnOnce(&mut NodeSpec)) {
        match &mut self.hosts[host.index()].program {
            Program::Node { spec, .. } => change(Arc::make_mut(spec)),
            Program::Actor(_) => panic!("{host} is no node"),
        }
    }

    /// Starts a host, or starts it anew after it went down. Does nothing while it runs.
    pub fn start(&mut self, host: HostId) {
        let at = self.now;
        if self.is_up(host) {
            return;
        }
        self.net.start(host);
        let found = &mut self.hosts[host.index()];
        found.clock.start(at);
        found.deferred = None;
        self.note(host, 1, "starts");
        let mut db = std::mem::take(&mut self.hosts[host.index()].db);
        match &mut self.hosts[host.index()].program {
            Program::Node { spec, .. } => {
                let spec = spec.clone();
                self.ledger.on_start(host, spec.id(), db.seq > 0);
                let node = Node::start(&mut self.io(host), &mut db, spec);
                if let Program::Node { node: place, .. } = &mut self.hosts[host.index()].program {
                    *place = Some(Box::new(node));
                }
            }
            Program::Actor(actor) => {
                if let Some(mut actor) = actor.take() {
                    actor.on_start(&mut self.io(host));
                    self.hosts[host.index()].program = Program::Actor(Some(actor));
                }
            }
        }
        self.hosts[host.index()].db = db;
        self.settle(host);
    }

    /// Asks a node to stop. It goes down when it has; a host that runs something else is down at
    /// once. One that stands still hears of it when it goes on.
    pub fn stop(&mut self, host: HostId) {
        if !self.is_up(host) {
            return;
        }
        self.note(host, 2, "is told to stop");
        if let Some(deferred) = &mut self.hosts[host.index()].deferred {
            return deferred.push(Deferred::Stop);
        }
        let is_node = self.with_node(host, |node, io, _| node.stop(io)).is_some();
        if is_node {
            self.ledger.on_stop(self.now, host);
            self.settle(host);
        } else {
            self.end(host, Crash::Process);
        }
    }

    /// Takes a host down.
    pub fn crash(&mut self, host: HostId, how: Crash) {
        if self.is_up(host) {
            self.note(host, 3, "crashes");
            self.end(host, how);
        }
    }

    /// Loses what a host kept on disk.
    pub fn lose_database(&mut self, host: HostId) {
        self.hosts[host.index()].db = NodeDb::default();
    }

    /// Has a host stand still for a while, as by SIGSTOP or in a sleeping laptop: its clocks go on.
    pub fn suspend(&mut self, host: HostId, span: Duration) {
        if !self.is_up(host) || self.hosts[host.index()].deferred.is_some() {
            return;
        }
        self.note(host, 4, "stands still");
        self.hosts[host.index()].deferred = Some(Vec::new());
        self.ledger.set_away(self.now, host, true);
        let epoch = self.net.epoch(host);
        self.queue.plan(self.now + span, Event::Resume { host, epoch });
    }

    /// Has the wall clock of a host jump.
    pub fn jump_clock(&mut self, host: HostId, seconds: i64) {
        self.note(host, 5, "has its wall clock jump");
        self.hosts[host.index()].clock.jump(seconds);
    }

    /// Puts a host into a part of the network; hosts in different parts cannot reach each other.
    /// All begin in 0.
    pub fn set_part(&mut self, host: HostId, part: u32) {
        self.net.set_group(host, part);
    }

    /// Changes how the network behaves, from now on.
    pub fn set_link(&mut self, link: LinkProfile) {
        self.net.link = link;
    }

    /// Changes which names can be resolved, and to what.
    pub fn set_names(&mut self, names: BTreeMap<String, Vec<IpAddr>>) {
        self.settings.names = names;
    }

    /// The user of a node makes another one static. Nothing happens where no node runs, here and
    /// below.
    pub fn add_static(&mut self, host: HostId, node: Named) {
        self.tell(host, Input::AddStatic { node });
    }

    /// The user of a node makes another one an ordinary node again, and ends the connection to it.
    pub fn remove_static(&mut self, host: HostId, id: NodeId) {
        self.tell(host, Input::RemoveStatic { id });
    }

    /// The user of a node trusts another one.
    pub fn add_trusted(&mut self, host: HostId, id: NodeId) {
        self.tell(host, Input::AddTrusted { id });
    }

    /// The user of a node ends the connection to another one.
    pub fn disconnect(&mut self, host: HostId, id: NodeId) {
        let reason = DisconnectReason::Requested;
        self.tell(host, Input::Disconnect { id, reason });
    }

    fn tell(&mut self, host: HostId, input: Input) {
        self.with_node(host, |node, io, _| node.input(io, input));
        self.settle(host);
    }

    /// Lets everything happen until `until`. An error is the first rule that was broken; the world
    /// stands still there.
    pub fn run_until(&mut self, until: Instant) -> Result<(), Violation> {
        while let Some((at, event)) = self.queue.pop(until) {
            self.now = at;
            if !self.is_news(&event) {
                continue;
            }
            self.events += 1;
            if let Some(host) = self.happen(event) {
                self.settle(host);
            }
            self.ledger.check_time(at);
            if let Some(violation) = self.ledger.take_violation() {
                return Err(violation);
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets everything happen for a while.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        self.run_until(self.now + span)
    }

    /// The time in the world.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How many events have happened.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// How many events are planned.
    pub fn planned(&self) -> usize {
        self.queue.len()
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId)
    }

    /// Whether a host runs.
    pub fn is_up(&self, host: HostId) -> bool {
        match &self.hosts[host.index()].program {
            Program::Node { node, .. } => node.is_some(),
            Program::Actor(_) => self.net.is_running(host),
        }
    }

    /// The node that runs on a host, if one does.
    pub fn node(&self, host: HostId) -> Option<&Node> {
        match &self.hosts[host.index()].program {
            Program::Node { node, .. } => node.as_deref(),
            Program::Actor(_) => None,
        }
    }

    /// The host of an honest node that has been started.
    pub fn host_of(&self, id: &NodeId) -> Option<HostId> {
        self.ledger.host_of(id)
    }

    /// How a node is named to others, running or not: by its key and the address that they reach it
    /// at.
    ///
    /// # Panics
    ///
    /// If the host is no node.
    pub fn named(&self, host: HostId) -> Named {
        let found = &self.hosts[host.index()];
        match &found.program {
            Program::Node { spec, .. } => {
                let tcp = if spec.takes_streams() { spec.port } else { 0 };
                let at = SocketAddr::new(found.ip, tcp);
                Named::from_endpoint(*spec.key.public(), at, Some(spec.port))
            }
            Program::Actor(_) => panic!("{host} is no node"),
        }
    }

    /// The address at which others reach a host, or its translator.
    pub fn ip(&self, host: HostId) -> IpAddr {
        self.hosts[host.index()].ip
    }

    /// Pairs of honest nodes that are each other's peers.
    pub fn connected_pairs(&self) -> usize {
        self.ledger.connected_pairs()
    }

    /// Whether node `a` has node `b` as a peer.
    pub fn is_peer(&self, a: HostId, b: HostId) -> bool {
        self.ledger.sees(a, b)
    }

    /// What has been sent.
    pub const fn net_stats(&self) -> &NetStats {
        &self.net.stats
    }

    /// Everything that happened.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Everything that happened, to be recorded or taken.
    pub const fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }
}

/// 32 bytes that follow from a number.
fn expand(seed: u64) -> Seed {
    Sha256::digest(seed.to_le_bytes()).into()
}
