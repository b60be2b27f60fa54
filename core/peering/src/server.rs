//! The machine: composes the gate, admission and the dial scheduler over the connections there are.
//!
//! Not here: any rule of theirs. This file knows which of them is asked when.

mod commands;
mod conns;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
};

use peerage_machine::{Instant, Machine, Now, Random, Seed, deque_memory, list_bound, tree_memory};
use peerage_node::{NodeId, Policy, PublicKey};

use self::conns::Conn;
use crate::{
    Config,
    admission::Privileges,
    dial::{Around, Dialer, StaticNode},
    envelope::{ConnId, Input, Output},
    inbound::Gate,
    peers::PeerSet,
};

/// Whom to be connected to. See the [crate documentation](crate).
#[derive(Debug)]
pub struct Server {
    config: Config,
    life: Life,
    /// At most: the handshakes and dials in flight, the peers, and what the embedding program
    /// brought.
    conns: BTreeMap<ConnId, Conn>,
    /// The keys of connections that are [`Pending`](conns::Phase::Pending): not in `conns`, where
    /// every idle peer would pay for the room.
    claims: BTreeMap<ConnId, PublicKey>,
    peers: PeerSet,
    trusted: BTreeSet<NodeId>,
    gate: Gate,
    dialer: Dialer,
    /// What the driver was told last.
    accepting: bool,
    wanted: Option<usize>,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
    Stopped,
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
            wanted: None,
            outputs: VecDeque::new(),
            config,
        };
        server.outputs.push_back(Output::Accepting(server.accepting));
        server.want_candidates(false);
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

    /// What the user has granted a node.
    pub fn privileges(&self, id: &NodeId) -> Privileges {
        Privileges::of(self.dialer.is_static(id), self.trusted.contains(id))
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

    /// Does whatever has become possible, and tells the driver what has changed.
    fn advance(&mut self, now: Instant, is_owed: bool) {
        if self.life == Life::Running {
            let (dialer, mut around) = self.dialing(now);
            dialer.pump(&mut around);
        }
        let accepting = self.life == Life::Running && self.gate.has_room();
        if accepting != self.accepting {
            self.accepting = accepting;
            self.outputs.push_back(Output::Accepting(accepting));
        }
        self.want_candidates(is_owed);
        let idle = self.conns.is_empty() && self.dialer.in_flight() == 0;
        if self.life == Life::Stopping && idle {
            self.life = Life::Stopped;
            self.outputs.push_back(Output::Stopped);
        }
    }

    /// Tells how many candidates are wanted, if that has changed or is owed in any case.
    fn want_candidates(&mut self, is_owed: bool) {
        let count = self.dialer.wanted(&self.peers);
        let has_changed = self.wanted.replace(count) != Some(count);
        if has_changed || is_owed {
            self.outputs.push_back(Output::WantCandidates { count });
        }
    }

    /// The dial scheduler, and what it sees of the rest.
    fn dialing(&mut self, now: Instant) -> (&mut Dialer, Around<'_>) {
        let (policy, peers, out) = (&self.config.policy, &self.peers, &mut self.outputs);
        (&mut self.dialer, Around { now, policy, peers, out })
    }
}

impl Machine for Server {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, now: Now, input: Input) {
        let now = now.mono;
        let is_owed = matches!(input, Input::Candidate { .. });
        let running = self.life == Life::Running;
        match input {
            Input::Accepted { conn, remote } => self.on_accepted(now, conn, remote),
            Input::Stream { conn, role } => self.on_stream(conn, role),
            Input::Identified { conn, key } => self.on_identified(now, conn, key),
            Input::Ready { conn, shared } => self.on_ready(now, conn, shared),
            Input::Closed { conn, fault } => self.on_closed(now, conn, fault),
            Input::DialSucceeded { dial, conn, remote } => {
                self.on_dial_succeeded(dial, conn, remote);
            }
            Input::DialFailed { dial, why } => {
                let (dialer, mut around) = self.dialing(now);
                dialer.on_failed(&mut around, dial, why);
            }
            Input::Resolved { resolve, addresses } => {
                let (dialer, mut around) = self.dialing(now);
                dialer.on_resolved(&mut around, resolve, addresses);
            }
            Input::Located { locate, node } => {
                let (dialer, mut around) = self.dialing(now);
                dialer.on_located(&mut around, locate, node.as_ref());
            }
            Input::Candidate { node, source } => {
                let (dialer, mut around) = self.dialing(now);
                if let Err(why) = dialer.on_candidate(&mut around, &node) {
                    let id = node.id();
                    self.outputs.push_back(Output::CandidateSkipped { id, source, why });
                }
            }
            Input::AddStatic { node } if running => self.on_add_static(now, node),
            Input::AddTrusted { node } if running => self.on_add_trusted(node),
            Input::RemoveTrusted { id } if running => self.on_remove_trusted(id),
            Input::RemoveStatic { id } if running => self.on_remove_static(now, id),
            Input::SetPolicy { policy } if running => self.on_policy(now, policy),
            Input::Disconnect { id, reason } => self.end_node(&id, reason),
            Input::Stop => self.on_stop(now),
            Input::AddStatic { .. }
            | Input::AddTrusted { .. }
            | Input::RemoveStatic { .. }
            | Input::RemoveTrusted { .. }
            | Input::SetPolicy { .. } => {}
        }
        self.advance(now, is_owed);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.advance(now.mono, false);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.dialer.next_timeout()
    }
}
