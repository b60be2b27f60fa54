//! The machine: composes the gate, admission and the dial scheduler over the connections there are.
//!
//! Not here: any rule of theirs. This file knows which of them is asked when, and keeps the life of
//! each connection:
//!
//! ```text
//!  Accepted, Stream,               Identified           Ready
//!  DialSucceeded --> Handshaking ------------> Pending ------> Peer
//!                         |                       |              | Disconnect
//!                         | Reject, Disconnect    |              v
//!                         +---------> Ended <-----+           Leaving
//!                                       |                        |
//!   every state --Closed--> gone     <--+------------------------+
//! ```
//!
//! A peer is dropped when its connection has closed, not when it is asked to leave: until then its
//! protocols run and its slot is taken. Only the loser of two simultaneous dials is dropped at
//! once, as its winner takes over the slot.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{Instant, Machine, Now, Random, Seed, deque_memory, list_bound, tree_memory};
use peerage_node::{NodeId, Policy, PublicKey};
use peerage_rlpx::{DisconnectReason, Fault, LocalFault};

use crate::{
    Config,
    admission::{Candidate, Checkpoint, Origin, Peer, PeerSet, Pending, Slot, Standing, admit},
    dial::{Connected, Dialer, StaticNode},
    envelope::{ConnId, Input, Output, Refusal},
    inbound::Gate,
    tie,
};

/// Whom to be connected to. See the [crate documentation](crate).
#[derive(Debug)]
pub struct Server {
    config: Config,
    life: Life,
    /// At most: the handshakes and dials in flight, the peers, and what the embedding program
    /// brought.
    conns: BTreeMap<ConnId, Conn>,
    /// The keys of connections that are [`Phase::Pending`]: not in `conns`, where every idle peer
    /// would pay for the room.
    claims: BTreeMap<ConnId, PublicKey>,
    peers: PeerSet,
    trusted: BTreeSet<NodeId>,
    gate: Gate,
    dialer: Dialer,
    /// What the driver was told last.
    accepting: bool,
    wanted: usize,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
    Stopped,
}

#[derive(Clone, Copy, Debug)]
struct Conn {
    origin: Origin,
    remote: Option<SocketAddr>,
    /// Who should be there, where we are the initiator.
    expected: Option<NodeId>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody knows yet who is there.
    Handshaking,
    /// Past the first checkpoint. The key is claimed, not proven.
    Pending { id: NodeId },
    /// Past the second checkpoint.
    Peer { id: NodeId },
    /// A peer that was asked to leave.
    Leaving { id: NodeId },
    /// Rejected or ended, and no peer (any longer).
    Ended,
}

impl Conn {
    /// The node that should be at the other end, or claims to be, or is.
    const fn id(&self) -> Option<&NodeId> {
        match &self.phase {
            Phase::Handshaking | Phase::Ended => self.expected.as_ref(),
            Phase::Pending { id } | Phase::Peer { id } | Phase::Leaving { id } => Some(id),
        }
    }

    fn ip(&self) -> Option<IpAddr> {
        self.remote.map(|remote| remote.ip())
    }
}

/// How many there are of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers, whatever their slots.
    pub peers: usize,
    /// Ordinary slots held by dialed peers.
    pub dialed: usize,
    /// Ordinary slots held by inbound peers.
    pub inbound: usize,
    /// Accepted connections whose handshake is under way.
    pub handshakes: usize,
    /// Dials in flight, the handshakes on dialed connections included.
    pub dialing: usize,
}

impl Server {
    /// A server without connections. Its first outputs open the listener and ask for candidates;
    /// its first timeout, due at once, dials the static nodes.
    pub fn new(mut config: Config, seed: Seed) -> Self {
        if !config.dialing {
            // Nobody can be dialed, so no slot is kept for it.
            config.limits.dial_ratio = 0;
        }
        let mut server = Self {
            life: Life::Running,
            conns: BTreeMap::new(),
            claims: BTreeMap::new(),
            peers: PeerSet::new(config.own),
            trusted: config.trusted.iter().copied().collect(),
            gate: Gate::new(&config.limits),
            dialer: Dialer::new(&config, Random::from_seed(seed)),
            accepting: config.limits.max_handshakes > 0,
            wanted: 0,
            outputs: VecDeque::new(),
            config,
        };
        server.outputs.push_back(Output::Accepting(server.accepting));
        server.want_candidates(true);
        server
    }

    /// The bytes held, estimated from counts and capacities; without the size of the value itself,
    /// and without what its settings hold.
    ///
    /// Cheap enough to be asked for after each event, once the outputs are drained.
    pub fn memory(&self) -> usize {
        tree_memory::<ConnId, Conn>(self.conns.len())
            + tree_memory::<ConnId, PublicKey>(self.claims.len())
            + self.peers.memory()
            + tree_memory::<NodeId, ()>(self.trusted.len())
            + self.gate.memory()
            + self.dialer.memory()
            + deque_memory(&self.outputs)
    }

    /// The most that [`memory`](Self::memory) is with these settings whatever peers do, once the
    /// outputs are drained, while the embedding program has brought at most `brought` connections,
    /// static nodes and trusted nodes of its own.
    pub fn memory_bound(config: &Config, brought: usize) -> usize {
        let limits = &config.limits;
        let named = config.static_nodes.len() + config.trusted.len() + brought;
        // A peer that lost to another connection with its node has no slot, but is not yet gone.
        let conns = limits.max_handshakes + limits.max_dialing + 2 * (limits.max_peers + named);
        tree_memory::<ConnId, Conn>(conns)
            + tree_memory::<ConnId, PublicKey>(conns)
            + PeerSet::memory_bound(conns, conns)
            + tree_memory::<NodeId, ()>(named)
            + Gate::memory_bound(limits)
            + Dialer::memory_bound(limits, named)
            // One call says at most a few things of each: that it ends, and what comes in its
            // place. The room is kept.
            + list_bound::<Output>(4 * (conns + named))
    }

    /// Who may be talked to.
    pub const fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// The peers.
    pub const fn peers(&self) -> &PeerSet {
        &self.peers
    }

    /// Every static node, by id.
    pub fn statics(&self) -> impl Iterator<Item = StaticNode<'_>> {
        self.dialer.statics()
    }

    /// Every trusted node.
    pub const fn trusted(&self) -> &BTreeSet<NodeId> {
        &self.trusted
    }

    /// What a node is to the user.
    pub fn standing(&self, id: &NodeId) -> Standing {
        Standing { is_static: self.dialer.is_static(id), is_trusted: self.trusted.contains(id) }
    }

    /// Where the other end of a connection is, if it came over the network.
    pub fn remote(&self, conn: ConnId) -> Option<SocketAddr> {
        self.conns.get(&conn)?.remote
    }

    /// How many there are of what.
    pub fn counts(&self) -> Counts {
        Counts {
            peers: self.peers.len(),
            dialed: self.peers.dialed(),
            inbound: self.peers.inbound(),
            handshakes: self.gate.len(),
            dialing: self.dialer.in_flight(),
        }
    }

    fn on_accepted(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) {
        let entered = match self.life {
            Life::Running => self.gate.enter(now, &self.config.policy, conn, remote),
            Life::Stopping | Life::Stopped => Err(Refusal::Stopping),
        };
        match entered {
            Ok(()) => {
                self.insert_conn(conn, Origin::Inbound, Some(remote), None);
                self.outputs.push_back(Output::Proceed { conn });
            }
            Err(why) => self.outputs.push_back(Output::Refuse { conn, why }),
        }
    }

    fn on_stream(&mut self, conn: ConnId, dialed: Option<NodeId>) {
        if self.life == Life::Running {
            let origin = if dialed.is_some() { Origin::Dialed } else { Origin::Inbound };
            self.insert_conn(conn, origin, None, dialed);
        } else {
            self.outputs.push_back(Output::Refuse { conn, why: Refusal::Stopping });
        }
    }

    fn on_identified(&mut self, now: Instant, conn: ConnId, key: PublicKey) {
        let Some(found) = self.conns.get(&conn).copied() else { return };
        if found.phase != Phase::Handshaking {
            return;
        }
        let id = key.id();
        if found.expected.is_some_and(|expected| expected != id) {
            return self.reject(conn, DisconnectReason::UnexpectedIdentity);
        }
        match self.admit(now, id, &found, Checkpoint::Identified) {
            Ok(_) => {
                self.set_phase(conn, Phase::Pending { id });
                self.claims.insert(conn, key);
                let pending = Pending { origin: found.origin, remote: found.ip() };
                self.peers.insert_pending(id, conn, pending);
                self.outputs.push_back(Output::Admit { conn });
            }
            Err(reason) => self.reject(conn, reason),
        }
    }

    fn on_ready(&mut self, now: Instant, conn: ConnId, shared: usize) {
        let Some(found) = self.conns.get(&conn).copied() else { return };
        let Phase::Pending { id } = found.phase else { return };
        let Some(key) = self.claims.get(&conn).copied() else { return };
        self.peers.remove_pending(id, conn);
        let useless = shared == 0 && self.config.require_shared_capability;
        match self.admit(now, id, &found, Checkpoint::Ready { useless }) {
            Ok(slot) => {
                self.end_losers(id, found.origin);
                self.gate.leave(conn);
                self.set_phase(conn, Phase::Peer { id });
                let peer = Peer { conn, key, origin: found.origin, slot, since: now };
                self.peers.insert(id, peer);
                self.outputs.push_back(Output::Admit { conn });
                self.outputs.push_back(Output::PeerAdded { conn, id, slot });
                self.dialer.on_peer_added(id, conn, &mut self.outputs);
            }
            Err(reason) => self.reject(conn, reason),
        }
    }

    /// Ends the connections that lose to one of this origin, which has just been admitted.
    fn end_losers(&mut self, id: NodeId, origin: Origin) {
        if !tie::prefers(&self.config.own, origin, &id) {
            return;
        }
        let reason = DisconnectReason::AlreadyConnected;
        let rivals: Vec<ConnId> = self
            .peers
            .pending(&id)
            .filter(|(_, of)| of.origin != origin)
            .map(|(conn, _)| conn)
            .collect();
        for conn in rivals {
            self.end(conn, reason);
        }
        if let Some(peer) = self.peers.get(&id).copied() {
            self.end(peer.conn, reason);
            self.set_phase(peer.conn, Phase::Ended);
            self.peers.remove(&id);
            let fault = Fault::Local(LocalFault::Disconnected(reason));
            self.outputs.push_back(Output::PeerDropped { conn: peer.conn, id, fault });
        }
    }

    fn on_closed(&mut self, now: Instant, conn: ConnId, fault: Fault) {
        let Some(found) = self.conns.remove(&conn) else { return };
        self.claims.remove(&conn);
        self.gate.leave(conn);
        match found.phase {
            Phase::Handshaking | Phase::Ended => {}
            Phase::Pending { id } => self.peers.remove_pending(id, conn),
            Phase::Peer { id } | Phase::Leaving { id } => {
                let since = self.peers.remove(&id).map_or(now, |peer| peer.since);
                self.outputs.push_back(Output::PeerDropped { conn, id, fault });
                self.dialer.on_peer_dropped(now, &id, since);
            }
        }
        if let Some(id) = found.expected {
            let crossed = self.peers.is_crossed(&id, found.origin, found.ip());
            let (peers, out) = (&self.peers, &mut self.outputs);
            self.dialer.on_handshake_failed(now, id, (conn, fault), crossed, peers, out);
        }
    }

    fn on_dial_succeeded(&mut self, conn: ConnId, connected: Connected, remote: SocketAddr) {
        match connected {
            Connected::Wanted(id) => {
                self.insert_conn(conn, Origin::Dialed, Some(remote), Some(id));
            }
            Connected::Unwanted(reason) => {
                self.insert_conn(conn, Origin::Dialed, Some(remote), None);
                self.end(conn, reason);
            }
        }
    }

    fn on_remove_static(&mut self, id: NodeId) {
        self.dialer.remove_static(&id, &mut self.outputs);
        self.end_node(&id, DisconnectReason::Requested);
    }

    fn on_policy(&mut self, now: Instant, policy: Policy) {
        self.dialer.set_policy(now, policy.clone(), &mut self.outputs);
        let is_forbidden = |conn: &Conn| policy.check(now, conn.id(), conn.ip()).is_err();
        let forbidden: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| is_forbidden(conn))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in forbidden {
            self.end(conn, DisconnectReason::Requested);
        }
        self.config.policy = policy.clone();
        self.outputs.push_back(Output::PolicyChanged { policy });
    }

    fn on_stop(&mut self) {
        if self.life != Life::Running {
            return;
        }
        self.life = Life::Stopping;
        self.dialer.stop(&mut self.outputs);
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.end(conn, DisconnectReason::ClientQuitting);
        }
    }

    /// Does whatever has become possible, and tells the driver what has changed.
    fn settle(&mut self, now: Instant, answer_candidate: bool) {
        if self.life == Life::Running {
            self.dialer.pump(now, &self.peers, &mut self.outputs);
        }
        let accepting = self.life == Life::Running && self.gate.has_room();
        if accepting != self.accepting {
            self.accepting = accepting;
            self.outputs.push_back(Output::Accepting(accepting));
        }
        self.want_candidates(answer_candidate);
        let idle = self.conns.is_empty() && self.dialer.in_flight() == 0;
        if self.life == Life::Stopping && idle {
            self.life = Life::Stopped;
            self.outputs.push_back(Output::Stopped);
        }
    }

    fn want_candidates(&mut self, always: bool) {
        let count = self.dialer.wanted(&self.peers);
        if always || count != self.wanted {
            self.wanted = count;
            self.outputs.push_back(Output::WantCandidates { count });
        }
    }

    fn admit(
        &self,
        now: Instant,
        id: NodeId,
        of: &Conn,
        checkpoint: Checkpoint,
    ) -> Result<Slot, DisconnectReason> {
        let (origin, remote) = (of.origin, of.ip());
        let candidate = Candidate { id, origin, remote, standing: self.standing(&id), checkpoint };
        let Config { policy, limits, .. } = &self.config;
        admit(now, policy, &self.peers, &candidate, limits)
    }

    /// Gives a peer the slot that its node has a right to, after that right has changed.
    fn refresh_slot(&mut self, id: NodeId) {
        let Some(peer) = self.peers.get(&id).copied() else { return };
        let slot = self.standing(&id).slot(peer.origin);
        let stays = self.conns.get(&peer.conn).is_some_and(|of| of.phase == Phase::Peer { id });
        // An heir keeps the ordinary place that it took over.
        let same_kind = slot.is_ordinary() && peer.slot.is_ordinary();
        if stays && !same_kind && self.peers.set_slot(&id, slot) {
            self.outputs.push_back(Output::SlotChanged { conn: peer.conn, id, slot });
        }
    }

    /// Ends every connection to a node that is known to be one.
    fn end_node(&mut self, id: &NodeId, reason: DisconnectReason) {
        let conns: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| match &conn.phase {
                Phase::Handshaking => conn.expected.as_ref() == Some(id),
                Phase::Pending { id: of } | Phase::Peer { id: of } => of == id,
                Phase::Leaving { .. } | Phase::Ended => false,
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in conns {
            self.end(conn, reason);
        }
    }

    /// Ends a connection, unless it is ending already.
    fn end(&mut self, conn: ConnId, reason: DisconnectReason) {
        let Some(found) = self.conns.get(&conn).copied() else { return };
        let next = match found.phase {
            Phase::Handshaking => Phase::Ended,
            Phase::Pending { id } => {
                self.peers.remove_pending(id, conn);
                Phase::Ended
            }
            Phase::Peer { id } => Phase::Leaving { id },
            Phase::Leaving { .. } | Phase::Ended => return,
        };
        self.set_phase(conn, next);
        self.outputs.push_back(Output::Disconnect { conn, reason });
    }

    fn reject(&mut self, conn: ConnId, reason: DisconnectReason) {
        self.set_phase(conn, Phase::Ended);
        self.outputs.push_back(Output::Reject { conn, reason });
    }

    fn insert_conn(
        &mut self,
        conn: ConnId,
        origin: Origin,
        remote: Option<SocketAddr>,
        expected: Option<NodeId>,
    ) {
        self.conns.insert(conn, Conn { origin, remote, expected, phase: Phase::Handshaking });
    }

    fn set_phase(&mut self, conn: ConnId, phase: Phase) {
        if let Some(found) = self.conns.get_mut(&conn) {
            found.phase = phase;
        }
        if !matches!(phase, Phase::Pending { .. }) {
            self.claims.remove(&conn);
        }
    }
}

impl Machine for Server {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, now: Now, input: Input) {
        let now = now.mono;
        let answer_candidate = matches!(input, Input::Candidate { .. });
        let running = self.life == Life::Running;
        match input {
            Input::Accepted { conn, remote } => self.on_accepted(now, conn, remote),
            Input::Stream { conn, dialed } => self.on_stream(conn, dialed),
            Input::Identified { conn, key } => self.on_identified(now, conn, key),
            Input::Ready { conn, shared } => self.on_ready(now, conn, shared),
            Input::Closed { conn, fault } => self.on_closed(now, conn, fault),
            Input::DialSucceeded { dial, conn, remote } => {
                let connected = self.dialer.on_connected(dial, conn);
                self.on_dial_succeeded(conn, connected, remote);
            }
            Input::DialFailed { dial, why } => {
                self.dialer.on_failed(now, dial, why, &mut self.outputs);
            }
            Input::Resolved { resolve, addresses } => {
                let (peers, out) = (&self.peers, &mut self.outputs);
                self.dialer.on_resolved(now, resolve, addresses, peers, out);
            }
            Input::Located { locate, node } => {
                let (peers, out) = (&self.peers, &mut self.outputs);
                self.dialer.on_located(now, locate, node.as_ref(), peers, out);
            }
            Input::Candidate { node } if running => {
                // Why it is not dialed concerns nobody yet.
                let _ = self.dialer.on_candidate(now, &node, &self.peers, &mut self.outputs);
            }
            Input::AddStatic { node } if running => {
                let id = node.id();
                let stale = self.dialer.add_static(now, node, &self.peers, &mut self.outputs);
                if let Some(conn) = stale {
                    self.end(conn, DisconnectReason::Requested);
                }
                self.refresh_slot(id);
            }
            Input::AddTrusted { id } if running => {
                self.trusted.insert(id);
                self.refresh_slot(id);
            }
            Input::RemoveTrusted { id } if running => {
                self.trusted.remove(&id);
                self.refresh_slot(id);
            }
            Input::RemoveStatic { id } if running => self.on_remove_static(id),
            Input::SetPolicy { policy } if running => self.on_policy(now, policy),
            Input::Disconnect { id, reason } => self.end_node(&id, reason),
            Input::Stop => self.on_stop(),
            Input::AddStatic { .. }
            | Input::AddTrusted { .. }
            | Input::Candidate { .. }
            | Input::RemoveStatic { .. }
            | Input::RemoveTrusted { .. }
            | Input::SetPolicy { .. } => {}
        }
        self.settle(now, answer_candidate && running);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.settle(now.mono, false);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.dialer.next_timeout()
    }
}
