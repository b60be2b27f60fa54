//! The dial scheduler: whom to dial, and when.
//!
//! Static nodes come first, chosen at random among those whose time has come; then candidates, for
//! which [`Output::WantCandidates`] asks no faster than slots are free, so that a source of nodes
//! pauses by itself. Each node has one attempt at most:
//!
//! ```text
//!   (static by name) Resolving --addresses--> Dialing --connected--> Handshaking --> peer
//!   (static by key)  Locating                    |                        |
//!                        |                       |                        |
//!                        +-----------------------+------------------------+--> failed: backoff
//! ```
//!
//! A static node without an address is looked for before each dial, as a name is resolved before
//! each: what was found once may be wrong by then. The backoff holds for the search as for the dial
//! (row T6).
//!
//! Not here: racing the addresses of one node, and deadlines, which are the driver's.

mod backoff;
mod check;
mod statics;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{ExpiringMap, Instant, Random, tree_memory};
use peerage_node::{Node, NodeId, Policy, PublicKey};
use peerage_rlpx::{DisconnectReason, Fault};

use self::{
    check::{Skip, Target},
    statics::Statics,
};
use crate::{
    Config, Limits,
    admission::PeerSet,
    envelope::{ConnId, DialError, DialFailure, DialId, LocateId, Output, ResolveId},
};

/// Dials remembered. A dial ends no faster than a handshake with a host that refuses, so this is
/// minutes of the busiest crawl; forgetting one early costs one dial too many.
const MAX_HISTORY: usize = 8_192;

/// Addresses of one name, or of a node that was found, that are dialed. A name may have hundreds,
/// of which each is a connection made on behalf of whoever answers for the name.
const MAX_ADDRESSES: usize = 8;

/// Dials under way, dials of the past, and static nodes.
#[derive(Debug)]
pub(crate) struct Dialer {
    own: NodeId,
    enabled: bool,
    limits: Limits,
    policy: Policy,
    random: Random,
    /// At most `max_dialing`, with `cancelled`.
    attempts: BTreeMap<NodeId, Attempt>,
    dials: BTreeMap<DialId, NodeId>,
    resolves: BTreeMap<ResolveId, NodeId>,
    locates: BTreeMap<LocateId, NodeId>,
    /// Dials that nobody waits for, but which the driver has yet to end; with the reason for that.
    cancelled: BTreeMap<DialId, DisconnectReason>,
    /// By node: until when it is not dialed again.
    history: ExpiringMap<NodeId, Instant>,
    statics: Statics,
    /// Numbers dials and questions.
    next: u64,
}

/// How far the attempt to connect to a node is.
#[derive(Clone, Debug)]
enum Attempt {
    Locating { locate: LocateId, key: PublicKey },
    Resolving { resolve: ResolveId, key: PublicKey, port: u16 },
    Dialing { dial: DialId, addresses: Box<[SocketAddr]> },
    Handshaking(ConnId),
}

/// What a dial turned out to be when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    /// The connection to this node that was asked for.
    Wanted(NodeId),
    /// Too late: it is to be ended with this reason.
    Unwanted(DisconnectReason),
}

/// A static node, as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaticNode<'a> {
    /// The node, as it was added last.
    pub node: &'a Node,
    /// How often in a row it could not be reached or kept.
    pub failures: u32,
    /// When it is dialed next: a moment in the past where it only waits for a place; `None` while
    /// it is connected, or dialed.
    pub next_dial: Option<Instant>,
}

impl Dialer {
    /// A scheduler without dials; the static nodes of `config` are due at once.
    pub(crate) fn new(config: &Config, random: Random) -> Self {
        let mut dialer = Self {
            own: config.own,
            enabled: config.dialing,
            limits: config.limits.clone(),
            policy: config.policy.clone(),
            random,
            attempts: BTreeMap::new(),
            dials: BTreeMap::new(),
            resolves: BTreeMap::new(),
            locates: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            history: ExpiringMap::new(MAX_HISTORY),
            statics: Statics::default(),
            next: 0,
        };
        for node in &config.static_nodes {
            dialer.insert_static(Instant::START, node.clone());
        }
        dialer
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        tree_memory::<NodeId, Attempt>(self.attempts.len())
            + self.dials.len() * MAX_ADDRESSES * size_of::<SocketAddr>()
            + tree_memory::<DialId, NodeId>(self.dials.len())
            + tree_memory::<ResolveId, NodeId>(self.resolves.len())
            + tree_memory::<LocateId, NodeId>(self.locates.len())
            + tree_memory::<DialId, DisconnectReason>(self.cancelled.len())
            + self.history.memory()
            + self.statics.memory()
    }

    /// The most bytes held with so many static nodes.
    pub(crate) const fn memory_bound(limits: &Limits, statics: usize) -> usize {
        let dials = limits.max_dialing;
        tree_memory::<NodeId, Attempt>(dials)
            + dials * MAX_ADDRESSES * size_of::<SocketAddr>()
            + tree_memory::<DialId, NodeId>(dials)
            + tree_memory::<ResolveId, NodeId>(dials)
            + tree_memory::<LocateId, NodeId>(dials)
            + tree_memory::<DialId, DisconnectReason>(dials)
            + ExpiringMap::<NodeId, Instant>::memory_bound(MAX_HISTORY)
            + Statics::memory_bound(statics)
    }

    /// Dials static nodes that are due, as many as there is room for.
    pub(crate) fn pump(&mut self, now: Instant, peers: &PeerSet, out: &mut VecDeque<Output>) {
        while self.history.pop_expired(now).is_some() {}
        if !self.enabled {
            return;
        }
        let ready: Vec<NodeId> = self.statics.ready(now).iter().copied().collect();
        let mut due = Vec::new();
        for id in ready {
            let Some(node) = self.statics.get(&id) else { continue };
            match self.check(now, node, peers) {
                Ok(target) => due.push((id, *node.public_key(), target)),
                Err(Skip::Forbidden(why)) => self.fail(now, id, DialFailure::Forbidden(why), out),
                // Stays ready until the other attempt or the handshake has ended.
                Err(_) => {}
            }
        }
        while self.room() > 0 && !due.is_empty() {
            let chosen = self.random.below(u64::try_from(due.len()).unwrap_or(u64::MAX));
            let (id, key, target) = due.swap_remove(usize::try_from(chosen).unwrap_or(0));
            self.statics.hold(&id);
            match target {
                Target::Addresses(addresses) => self.dial(now, id, key, addresses, out),
                Target::Name { host, port } => {
                    let resolve = ResolveId(self.number());
                    self.resolves.insert(resolve, id);
                    self.attempts.insert(id, Attempt::Resolving { resolve, key, port });
                    out.push_back(Output::Resolve { resolve, host });
                }
                Target::Unknown => {
                    let locate = LocateId(self.number());
                    self.locates.insert(locate, id);
                    self.attempts.insert(id, Attempt::Locating { locate, key });
                    out.push_back(Output::Locate { locate, key });
                }
            }
        }
    }

    /// Dials a candidate, unless something speaks against it.
    pub(crate) fn on_candidate(
        &mut self,
        now: Instant,
        node: &Node,
        peers: &PeerSet,
        out: &mut VecDeque<Output>,
    ) -> Result<(), Skip> {
        let target = self.check(now, node, peers)?;
        if self.history.get(&node.id(), now).is_some() {
            return Err(Skip::Recent);
        }
        if self.statics.contains(&node.id()) {
            return Err(Skip::Static);
        }
        if self.wanted(peers) == 0 {
            return Err(Skip::NoSlot);
        }
        // Discovery finds addresses; names are for what a user wrote.
        let Target::Addresses(addresses) = target else { return Err(Skip::NoEndpoint) };
        self.dial(now, node.id(), *node.public_key(), addresses, out);
        Ok(())
    }

    /// How many candidates would be dialed now (row D1): twice the dialed peers that are missing,
    /// as about half of all dials fail, less what is in flight; and never more than there is room
    /// for.
    pub(crate) fn wanted(&self, peers: &PeerSet) -> usize {
        if !self.enabled || peers.ordinary() >= self.limits.max_peers {
            return 0;
        }
        let missing = self.limits.max_dialed().saturating_sub(peers.dialed());
        let in_flight = self.attempts.keys().filter(|id| !self.statics.contains(id)).count();
        missing.saturating_mul(2).saturating_sub(in_flight).min(self.room())
    }

    /// A dial connected.
    pub(crate) fn on_connected(&mut self, dial: DialId, conn: ConnId) -> Connected {
        if let Some(reason) = self.cancelled.remove(&dial) {
            return Connected::Unwanted(reason);
        }
        match self.dials.remove(&dial) {
            Some(id) => {
                self.attempts.insert(id, Attempt::Handshaking(conn));
                Connected::Wanted(id)
            }
            None => Connected::Unwanted(DisconnectReason::Requested),
        }
    }

    /// A dial reached nobody.
    pub(crate) fn on_failed(
        &mut self,
        now: Instant,
        dial: DialId,
        why: DialError,
        out: &mut VecDeque<Output>,
    ) {
        if self.cancelled.remove(&dial).is_some() {
            return;
        }
        if let Some(id) = self.dials.remove(&dial) {
            self.attempts.remove(&id);
            self.fail(now, id, DialFailure::Dial(why), out);
        }
    }

    /// A name was resolved, or not.
    pub(crate) fn on_resolved(
        &mut self,
        now: Instant,
        resolve: ResolveId,
        addresses: Vec<IpAddr>,
        peers: &PeerSet,
        out: &mut VecDeque<Output>,
    ) {
        let Some(id) = self.resolves.remove(&resolve) else { return };
        let Some(Attempt::Resolving { key, port, .. }) = self.attempts.remove(&id) else { return };
        let found = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
        self.dial_found(now, key, found, peers, out);
    }

    /// A static node was found, or not.
    pub(crate) fn on_located(
        &mut self,
        now: Instant,
        locate: LocateId,
        node: Option<&Node>,
        peers: &PeerSet,
        out: &mut VecDeque<Output>,
    ) {
        let Some(id) = self.locates.remove(&locate) else { return };
        let Some(Attempt::Locating { key, .. }) = self.attempts.remove(&id) else { return };
        let found = node.filter(|node| node.id() == id).map(Node::tcp_endpoints);
        self.dial_found(now, key, found.unwrap_or_default(), peers, out);
    }

    /// Dials a static node where it is said to be.
    fn dial_found(
        &mut self,
        now: Instant,
        key: PublicKey,
        found: impl IntoIterator<Item = SocketAddr>,
        peers: &PeerSet,
        out: &mut VecDeque<Output>,
    ) {
        let id = key.id();
        let mut known = Vec::new();
        for address in found {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let is_usable = !address.ip().is_unspecified() && address.port() != 0;
            if is_usable && !known.contains(&address) && known.len() < MAX_ADDRESSES {
                known.push(address);
            }
        }
        if known.is_empty() {
            return self.fail(now, id, DialFailure::NoAddress, out);
        }
        if let Err(why) = self.retain_allowed(now, &id, &mut known) {
            return self.fail(now, id, DialFailure::Forbidden(why), out);
        }
        if peers.is_coming(&id, known.iter().map(SocketAddr::ip)) {
            // The node came to us while it was looked for. Should it not become a peer, it is
            // looked for again, after a while: it may be elsewhere by then.
            self.statics.schedule(&id, now + self.limits.static_backoff.base);
            return;
        }
        self.dial(now, id, key, known, out);
    }

    /// The handshake on a dialed connection ended before the second checkpoint. `crossed` tells
    /// whether the node's own connection to us, from where we dialed, goes on.
    pub(crate) fn on_handshake_failed(
        &mut self,
        now: Instant,
        id: NodeId,
        (conn, fault): (ConnId, Fault),
        crossed: bool,
        peers: &PeerSet,
        out: &mut VecDeque<Output>,
    ) {
        if !matches!(self.attempts.get(&id), Some(Attempt::Handshaking(of)) if *of == conn) {
            return;
        }
        self.attempts.remove(&id);
        if !self.enabled || peers.get(&id).is_some() {
            return;
        }
        if crossed {
            // The other of two simultaneous dials goes on, so nobody needs to hear of this one.
            self.retry_at(now, &id);
        } else {
            self.fail(now, id, DialFailure::Handshake(fault), out);
        }
    }

    /// A node became a peer by the connection `conn`.
    pub(crate) fn on_peer_added(&mut self, id: NodeId, conn: ConnId, out: &mut VecDeque<Output>) {
        self.statics.hold(&id);
        match self.attempts.get(&id) {
            Some(Attempt::Handshaking(of)) if *of == conn => {
                self.attempts.remove(&id);
            }
            // Ends by the tie rule.
            Some(Attempt::Handshaking(_)) => {}
            _ => self.cancel(&id, DisconnectReason::AlreadyConnected, out),
        }
    }

    /// A node that had been a peer from `since` on is none any longer.
    pub(crate) fn on_peer_dropped(&mut self, now: Instant, id: &NodeId, since: Instant) {
        if now.saturating_since(since) >= self.limits.static_backoff.lasted {
            self.statics.recovered(id);
            let at = self.after_history(now, id);
            self.statics.schedule(id, at);
        } else {
            self.retry_at(now, id);
        }
    }

    /// Makes a node static, or gives a static node its new endpoint. Returns the connection to the
    /// old endpoint whose handshake is now in the way, if there is one.
    pub(crate) fn add_static(
        &mut self,
        now: Instant,
        node: Node,
        peers: &PeerSet,
        out: &mut VecDeque<Output>,
    ) -> Option<ConnId> {
        let id = node.id();
        let moved = self.insert_static(now, node);
        if peers.get(&id).is_some() {
            self.statics.hold(&id);
            return None;
        }
        if !moved {
            if self.attempts.contains_key(&id) {
                // Its failure schedules the node.
                self.statics.hold(&id);
            }
            return None;
        }
        self.statics.recovered(&id);
        self.statics.schedule(&id, now);
        if let Some(Attempt::Handshaking(conn)) = self.attempts.get(&id) {
            let conn = *conn;
            self.attempts.remove(&id);
            return Some(conn);
        }
        self.cancel(&id, DisconnectReason::Requested, out);
        None
    }

    /// Makes a node an ordinary one again, and ends a dial to it.
    pub(crate) fn remove_static(&mut self, id: &NodeId, out: &mut VecDeque<Output>) {
        self.statics.remove(id);
        if !matches!(self.attempts.get(id), Some(Attempt::Handshaking(_))) {
            self.cancel(id, DisconnectReason::Requested, out);
        }
    }

    /// Ends the dials that the policy now forbids, to anywhere that they lead. A static node is
    /// dialed again at once where it may be reached at all, and also where only the policy before
    /// stood in the way.
    pub(crate) fn set_policy(&mut self, now: Instant, policy: Policy, out: &mut VecDeque<Output>) {
        let before = std::mem::replace(&mut self.policy, policy);
        let check = |policy: &Policy, id: &NodeId, address: Option<&SocketAddr>| {
            policy.check(now, Some(id), address.map(SocketAddr::ip))
        };
        let forbidden = |(id, attempt): (&NodeId, &Attempt)| {
            let why = match attempt {
                Attempt::Dialing { addresses, .. } => {
                    addresses.iter().find_map(|it| check(&self.policy, id, Some(it)).err())
                }
                Attempt::Locating { .. } | Attempt::Resolving { .. } => {
                    check(&self.policy, id, None).err()
                }
                // Ends with its connection.
                Attempt::Handshaking(_) => None,
            };
            Some((*id, why?))
        };
        let forbidden: Vec<_> = self.attempts.iter().filter_map(forbidden).collect();
        let is_allowed = |policy: &Policy, node: &Node| {
            let addresses = node.tcp_endpoints();
            addresses.iter().any(|it| check(policy, &node.id(), Some(it)).is_ok())
        };
        let waiting = self.statics.iter().filter(|(_, _, next_dial)| next_dial.is_some());
        let freed: Vec<_> = waiting
            .filter(|(node, _, _)| is_allowed(&self.policy, node) && !is_allowed(&before, node))
            .map(|(node, _, _)| node.id())
            .collect();
        for (id, why) in forbidden {
            self.cancel(&id, DisconnectReason::Requested, out);
            if self.statics.contains(&id) {
                self.statics.schedule(&id, now);
            } else {
                self.fail(now, id, DialFailure::Forbidden(why), out);
            }
        }
        for id in freed {
            self.statics.schedule(&id, self.after_history(now, &id));
        }
    }

    /// Dials no more, and ends every dial.
    pub(crate) fn stop(&mut self, out: &mut VecDeque<Output>) {
        self.enabled = false;
        let dialed: Vec<NodeId> = self.attempts.keys().copied().collect();
        for id in dialed {
            self.cancel(&id, DisconnectReason::ClientQuitting, out);
        }
    }

    /// When [`pump`](Self::pump) has something to do, unless something happens before.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        if self.enabled { self.statics.next() } else { None }
    }

    /// Whether the node is static.
    pub(crate) fn is_static(&self, id: &NodeId) -> bool {
        self.statics.contains(id)
    }

    /// Every static node, by id.
    pub(crate) fn statics(&self) -> impl Iterator<Item = StaticNode<'_>> {
        self.statics.iter().map(|(node, failures, next_dial)| StaticNode {
            node,
            failures,
            next_dial,
        })
    }

    /// Dials in flight: names being resolved, nodes being looked for, handshakes on dialed
    /// connections, and cancelled dials that have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.attempts.len() + self.cancelled.len()
    }

    fn room(&self) -> usize {
        self.limits.max_dialing.saturating_sub(self.in_flight())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn dial(
        &mut self,
        now: Instant,
        id: NodeId,
        key: PublicKey,
        addresses: Vec<SocketAddr>,
        out: &mut VecDeque<Output>,
    ) {
        let dial = DialId(self.number());
        let until = now + self.limits.dial_history;
        self.history.insert(id, until, until);
        let tried = addresses.clone().into();
        self.attempts.insert(id, Attempt::Dialing { dial, addresses: tried });
        self.dials.insert(dial, id);
        out.push_back(Output::Dial { dial, key, addresses });
    }

    /// Ends an attempt that has not connected; others end with their connection.
    fn cancel(&mut self, id: &NodeId, reason: DisconnectReason, out: &mut VecDeque<Output>) {
        match self.attempts.get(id) {
            Some(&Attempt::Dialing { dial, .. }) => {
                self.attempts.remove(id);
                self.dials.remove(&dial);
                self.cancelled.insert(dial, reason);
                out.push_back(Output::CancelDial { dial });
            }
            Some(&Attempt::Resolving { resolve, .. }) => {
                // An answer that comes nevertheless is not known any longer.
                self.attempts.remove(id);
                self.resolves.remove(&resolve);
            }
            Some(&Attempt::Locating { locate, .. }) => {
                // Likewise.
                self.attempts.remove(id);
                self.locates.remove(&locate);
            }
            Some(Attempt::Handshaking(_)) | None => {}
        }
    }

    fn fail(&mut self, now: Instant, id: NodeId, why: DialFailure, out: &mut VecDeque<Output>) {
        let retry_at = self.retry_at(now, &id);
        out.push_back(Output::DialFailed { id, why, retry_at });
    }

    /// Counts a failure, and schedules the next dial. `None` for nodes that are not static.
    fn retry_at(&mut self, now: Instant, id: &NodeId) -> Option<Instant> {
        let failures = self.statics.failed(id)?;
        let wait = self.limits.static_backoff.wait(failures, &mut self.random);
        let at = self.after_history(now + wait, id);
        self.statics.schedule(id, at);
        Some(at)
    }

    /// `at`, or the end of the node's history if that is later.
    fn after_history(&self, at: Instant, id: &NodeId) -> Instant {
        self.history.get(id, at).copied().unwrap_or(at)
    }

    /// Whether the node was known with other endpoints. A new one is scheduled.
    fn insert_static(&mut self, now: Instant, node: Node) -> bool {
        let id = node.id();
        if id == self.own {
            return false;
        }
        let endpoint = |node: &Node| {
            (node.tcp_endpoints(), node.hostname().map(str::to_owned), node.tcp_port())
        };
        let new = endpoint(&node);
        match self.statics.insert(node) {
            Some(old) => endpoint(&old) != new,
            None => {
                let at = self.after_history(now, &id);
                self.statics.schedule(&id, at);
                false
            }
        }
    }
}
