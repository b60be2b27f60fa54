//! The body that all adversaries share: it is believed in discovery and speaks RLPx, where its plot
//! lets it.
//!
//! Not here: what harm is done, which each [`Plot`] knows for itself.

use std::{
    collections::BTreeMap,
    fmt, mem,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use peerage_discovery::v4::packet::Neighbor;
use peerage_machine::Instant;
use peerage_node::{Node, NodeId, SecretKey};
use peerage_peering::DIAL_TIMEOUT;
use peerage_rlpx::{Config, Connection, Role};

use super::{
    Accomplices,
    face::{Asked, Face},
    line::{Line, Pace, Tape},
};
use crate::{
    node::{self, Chat, NodeSpec},
    world::{HostEvent, Io, Program, Read, Socket},
};

/// Where adversaries listen.
const PORT: u16 = 30_303;

/// From one round of housekeeping to the next.
const ROUND: Duration = Duration::from_secs(1);

/// How often it pings each target to stay known: often enough to come back to a table that dropped
/// it.
const PING_EVERY: u32 = 20;

/// How often it dials one target: as often as four in 30 s allow.
const DIAL_EVERY: Duration = Duration::from_secs(8);

/// Streams that it has open or dials, at most.
pub(super) const MAX_STREAMS: usize = 256;

/// Longer than any world.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const WAKE_BODY: u64 = 0;
const WAKE_PLOT: u64 = 1;

/// What harm an adversary does, on top of what its [`Body`] does by itself. As it is, it behaves
/// well.
pub(super) trait Plot: fmt::Debug {
    /// From one [`on_tick`](Self::on_tick) to the next.
    fn every(&self) -> Duration {
        ROUND
    }

    /// Some time has passed.
    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        body.court(io);
    }

    /// A datagram came in, before it is answered.
    fn on_datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        let _ = (from, bytes);
    }

    /// Which neighbors to tell.
    fn neighbors(&mut self, body: &mut Body, io: &mut Io<'_>, asked: &Asked) -> Vec<Neighbor> {
        let _ = io;
        Face::closest(body.face().known(), &asked.target)
    }

    /// A stream is there: to a node that was dialed, or accepted.
    fn on_stream_begun(
        &mut self,
        body: &mut Body,
        io: &mut Io<'_>,
        socket: Socket,
        dialed: Option<&Node>,
    ) {
        body.converse(io, socket, dialed, Pace::FREE, Pace::FREE);
    }

    /// A connection is open: both ends are peers.
    fn on_open(&mut self, body: &mut Body, io: &mut Io<'_>, socket: Socket) {
        let _ = (body, io, socket);
    }

    /// Bytes arrived on a stream that is [held](Body::hold).
    fn on_bytes(&mut self, body: &mut Body, io: &mut Io<'_>, socket: Socket, bytes: &[u8]) {
        let _ = (body, io, socket, bytes);
    }

    /// A stream that was [held](Body::hold) is gone.
    fn on_gone(&mut self, socket: Socket) {
        let _ = socket;
    }
}

/// An adversary: a body and what it is up to.
#[derive(Debug)]
pub(super) struct Mimic<P> {
    body: Body,
    plot: P,
}

/// What all adversaries have.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) knows: Accomplices,
    /// What it says of itself in Hello.
    config: Arc<Config>,
    chat: Chat,
    key: SecretKey,
    /// `None` until the host starts.
    face: Option<Face>,
    started: Instant,
    rounds: u32,
    dialing: BTreeMap<Socket, (Node, Instant)>,
    /// When each target was dialed last.
    dialed: BTreeMap<NodeId, Instant>,
    /// Connections.
    lines: BTreeMap<Socket, Line>,
    /// Streams that are no connections.
    held: BTreeMap<Socket, Instant>,
    /// Connections that have become open and nobody was told.
    opened: Vec<Socket>,
    /// Whether connections are recorded.
    pub(super) records: bool,
    /// Recordings of connections that are over.
    tapes: Vec<Tape>,
}

impl<P: Plot> Mimic<P> {
    pub(super) fn new(key: SecretKey, knows: Accomplices, plot: P) -> Self {
        Self::with(key, Chat::default(), knows, plot)
    }

    /// An adversary that says of itself what `chat` says.
    pub(super) fn with(key: SecretKey, chat: Chat, knows: Accomplices, plot: P) -> Self {
        let mut spec = NodeSpec::new(key);
        spec.protocols = vec![chat.clone().into()];
        let timeouts = spec.timeouts.with_handshake(NEVER).with_idle(NEVER).with_write(NEVER);
        let config = spec.connection().with_timeouts(timeouts);
        let body = Body {
            knows,
            config: Arc::new(config),
            chat,
            key: spec.key,
            face: None,
            started: Instant::START,
            rounds: 0,
            dialing: BTreeMap::new(),
            dialed: BTreeMap::new(),
            lines: BTreeMap::new(),
            held: BTreeMap::new(),
            opened: Vec::new(),
            records: false,
            tapes: Vec::new(),
        };
        Self { body, plot }
    }

    fn begin(&mut self, io: &mut Io<'_>, socket: Socket, dialed: Option<&Node>) {
        if self.body.streams() >= MAX_STREAMS {
            return io.close(socket);
        }
        self.plot.on_stream_begun(&mut self.body, io, socket, dialed);
    }

    fn on_held(&mut self, io: &mut Io<'_>, socket: Socket) {
        loop {
            match io.read(socket, usize::MAX) {
                Read::Bytes(bytes) => self.plot.on_bytes(&mut self.body, io, socket, &bytes),
                Read::Nothing => return,
                Read::End => {
                    self.body.held.remove(&socket);
                    self.plot.on_gone(socket);
                    return io.close(socket);
                }
            }
        }
    }

    fn on_datagram(&mut self, io: &mut Io<'_>, from: SocketAddr, bytes: &[u8]) {
        self.plot.on_datagram(from, bytes);
        let Some(asked) = self.body.face_mut().on_datagram(io, from, bytes) else { return };
        let nodes = self.plot.neighbors(&mut self.body, io, &asked);
        self.body.face().tell(io, asked.from, &nodes);
    }
}

impl<P: Plot + 'static> Program for Mimic<P> {
    fn on_start(&mut self, io: &mut Io<'_>) {
        self.body.start(io);
        let now = io.now().mono;
        // Not all of them at once.
        let first = io.random().below(1_000);
        io.wake(now + Duration::from_millis(first), WAKE_BODY);
        io.wake(now + Duration::from_millis(first), WAKE_PLOT);
    }

    fn on_event(&mut self, io: &mut Io<'_>, event: HostEvent) {
        match event {
            HostEvent::Acceptable => {
                while let Ok((socket, _)) = io.accept() {
                    self.begin(io, socket, None);
                }
            }
            HostEvent::Connected { socket, .. } => {
                if let Some((node, _)) = self.body.dialing.remove(&socket) {
                    self.begin(io, socket, Some(&node));
                }
            }
            HostEvent::ConnectFailed { socket, .. } => {
                self.body.dialing.remove(&socket);
            }
            HostEvent::Datagram { from, bytes } => self.on_datagram(io, from, &bytes),
            HostEvent::Resolved { .. } => {}
            HostEvent::Stream(socket) => {
                if self.body.held.contains_key(&socket) {
                    self.on_held(io, socket);
                } else {
                    self.body.pump(io, socket);
                }
            }
            HostEvent::Wake(WAKE_PLOT) => {
                self.plot.on_tick(&mut self.body, io);
                io.wake(io.now().mono + self.plot.every(), WAKE_PLOT);
            }
            HostEvent::Wake(_) => {
                self.body.on_round(io);
                io.wake(io.now().mono + ROUND, WAKE_BODY);
            }
        }
        for socket in mem::take(&mut self.body.opened) {
            self.plot.on_open(&mut self.body, io, socket);
        }
    }

    fn describe(&self, datagram: &[u8]) -> String {
        node::describe(datagram)
    }
}

impl Body {
    /// Dials the next target that it is not connected to, as often as a node lets one address come.
    pub(super) fn court(&mut self, io: &mut Io<'_>) {
        let now = io.now().mono;
        let connected: Vec<NodeId> = self.lines.values().filter_map(Line::remote).collect();
        let next = self.knows.targets.iter().find(|node| {
            let is_due = self.dialed.get(&node.id()).is_none_or(|at| *at + DIAL_EVERY <= now);
            is_due && !connected.contains(&node.id())
        });
        if let Some(node) = next.cloned() {
            self.dialed.insert(node.id(), now);
            self.dial(io, &node);
        }
    }

    /// Opens a stream to a node.
    pub(super) fn dial(&mut self, io: &mut Io<'_>, node: &Node) {
        let Some(to) = node.tcp_endpoints().first().copied() else { return };
        if self.streams() >= MAX_STREAMS {
            self.let_go_of_oldest(io);
        }
        let until = io.now().mono + DIAL_TIMEOUT;
        let socket = io.connect(to);
        self.dialing.insert(socket, (node.clone(), until));
    }

    /// Begins a connection on a stream, at this pace.
    pub(super) fn converse(
        &mut self,
        io: &mut Io<'_>,
        socket: Socket,
        dialed: Option<&Node>,
        reads: Pace,
        writes: Pace,
    ) {
        let role = match dialed {
            Some(node) => Role::Initiator { remote: *node.public_key() },
            None => Role::Recipient,
        };
        let seed = io.random().fork();
        let machine = Connection::new(self.config.clone(), role, io.now(), seed);
        self.lines.insert(socket, Line::new(machine, reads, writes, self.records));
        self.pump(io, socket);
    }

    /// Holds a stream on which nothing is said by itself.
    pub(super) fn hold(&mut self, io: &Io<'_>, socket: Socket) {
        self.held.insert(socket, io.now().mono);
    }

    /// A connection.
    pub(super) fn line(&mut self, socket: Socket) -> Option<&mut Line> {
        self.lines.get_mut(&socket)
    }

    /// Ends a connection with a reason.
    pub(super) fn say_goodbye(&mut self, io: &mut Io<'_>, socket: Socket) {
        if let Some(line) = self.lines.get_mut(&socket) {
            line.disconnect(io);
            self.pump(io, socket);
        }
    }

    /// What was recorded since it was asked last.
    pub(super) fn take_tapes(&mut self) -> Vec<Tape> {
        let full = self.lines.values_mut().flat_map(Line::take_tapes);
        self.tapes.extend(full);
        mem::take(&mut self.tapes)
    }

    /// One of the targets, the first one as often as all others together.
    pub(super) fn any_target(&self, io: &mut Io<'_>) -> Option<Node> {
        let targets = &self.knows.targets;
        let at = match io.random().below(2) {
            0 => 0,
            _ => usize::try_from(io.random().below(targets.len() as u64)).unwrap_or(0),
        };
        targets.get(at).cloned()
    }

    /// Lets go of a stream, whatever it is.
    pub(super) fn hang_up(&mut self, io: &mut Io<'_>, socket: Socket) {
        self.dialing.remove(&socket);
        if let Some(mut line) = self.lines.remove(&socket) {
            let room = MAX_STREAMS.saturating_sub(self.tapes.len());
            self.tapes.extend(line.take_tapes().into_iter().take(room));
        }
        self.held.remove(&socket);
        io.close(socket);
    }

    /// Streams that it has open or dials.
    pub(super) fn streams(&self) -> usize {
        self.dialing.len() + self.lines.len() + self.held.len()
    }

    /// What it shows in discovery.
    ///
    /// # Panics
    ///
    /// If the host has not started.
    pub(super) fn face(&self) -> &Face {
        self.face.as_ref().expect("because only a host that has started does anything")
    }

    /// What it shows in discovery.
    pub(super) fn face_mut(&mut self) -> &mut Face {
        self.face.as_mut().expect("because only a host that has started does anything")
    }

    /// How long the host has run.
    pub(super) fn age(&self, io: &Io<'_>) -> Duration {
        io.now().mono.saturating_since(self.started)
    }

    fn start(&mut self, io: &mut Io<'_>) {
        let ip = io.ips().iter().copied().find(IpAddr::is_ipv4);
        let at = SocketAddr::new(ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), PORT);
        io.listen(Some(PORT), Some(PORT));
        self.face = Some(Face::new(&self.key, at));
        self.knows.all.join(Node::from_endpoint(*self.key.public(), at, None));
        self.started = io.now().mono;
        self.dialing.clear();
        self.dialed.clear();
        self.lines.clear();
        self.held.clear();
    }

    fn on_round(&mut self, io: &mut Io<'_>) {
        if self.rounds.is_multiple_of(PING_EVERY) && self.face().answers {
            for at in 0..self.knows.targets.len() {
                if let Some(to) = self.knows.targets[at].udp_endpoints().first().copied() {
                    self.face_mut().ping(io, to);
                }
            }
        }
        self.rounds = self.rounds.wrapping_add(1);
        let now = io.now().mono;
        let late = self.dialing.iter().filter(|(_, (_, until))| *until <= now);
        for socket in late.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            self.hang_up(io, socket);
        }
        for socket in self.lines.keys().copied().collect::<Vec<_>>() {
            if let Some(line) = self.lines.get_mut(&socket) {
                line.on_round(io);
            }
            self.pump(io, socket);
        }
    }

    fn pump(&mut self, io: &mut Io<'_>, socket: Socket) {
        let Some(line) = self.lines.get_mut(&socket) else { return };
        let was_open = line.is_open();
        let is_over = !line.pump(io, socket, &self.chat);
        let is_open = line.is_open();
        if is_over {
            self.hang_up(io, socket);
        } else if is_open && !was_open {
            self.opened.push(socket);
        }
    }

    fn let_go_of_oldest(&mut self, io: &mut Io<'_>) {
        let oldest =
            [self.dialing.keys().next(), self.lines.keys().next(), self.held.keys().next()];
        if let Some(socket) = oldest.into_iter().flatten().min().copied() {
            self.hang_up(io, socket);
        }
    }
}
