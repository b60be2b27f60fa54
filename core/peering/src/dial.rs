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
//! Not here: racing the addresses of one node ([`Race`](crate::Race)).

mod attempts;
mod backoff;
mod change;
mod check;
mod statics;

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::{ExpiringMap, Instant, Random};
use peerage_node::{Node, NodeId, Policy, PublicKey};
use peerage_rlpx::{DisconnectReason, Fault};

pub(crate) use self::attempts::Connected;
use self::{attempts::Attempts, check::Target, statics::Statics};
use crate::{
    Config, Limits,
    envelope::{ConnId, DialError, DialFailure, DialId, LocateId, Output, ResolveId, Skip},
    peers::PeerSet,
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
    timeout: Duration,
    random: Random,
    /// At most `max_dialing`.
    attempts: Attempts,
    /// By node: until when it is not dialed again.
    history: ExpiringMap<NodeId, Instant>,
    statics: Statics,
}

/// What the scheduler sees of the rest of the machine, and where its outputs go.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    pub(crate) now: Instant,
    pub(crate) policy: &'a Policy,
    pub(crate) peers: &'a PeerSet,
    pub(crate) out: &'a mut VecDeque<Output>,
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
            timeout: config.dial_timeout,
            random,
            attempts: Attempts::default(),
            history: ExpiringMap::new(MAX_HISTORY),
            statics: Statics::default(),
        };
        for node in &config.static_nodes {
            dialer.insert_static(Instant::START, node.clone());
        }
        dialer
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.attempts.memory() + self.history.memory() + self.statics.memory()
    }

    /// The most bytes held with so many static nodes.
    pub(crate) const fn memory_bound(limits: &Limits, statics: usize) -> usize {
        Attempts::memory_bound(limits.max_dialing)
            + ExpiringMap::<NodeId, Instant>::memory_bound(MAX_HISTORY)
            + Statics::memory_bound(statics)
    }

    /// Ends dials that are too late, and dials static nodes that are due, as many as there is room
    /// for.
    pub(crate) fn pump(&mut self, around: &mut Around<'_>) {
        while let Some((id, dial)) = self.attempts.cancel_late(around.now) {
            around.out.push_back(Output::CancelDial { dial });
            self.fail(around, id, DialFailure::Dial(DialError::TimedOut));
        }
        while self.history.pop_expired(around.now).is_some() {}
        if !self.enabled {
            return;
        }
        let has_room = self.room() > 0;
        let ready = self.statics.ready(around.now);
        if !has_room {
            // Who could be dialed is asked when somebody can: there may be thousands.
            return;
        }
        let ready: Vec<NodeId> = ready.iter().copied().collect();
        let mut due = Vec::new();
        for id in ready {
            let Some(node) = self.statics.get(&id) else { continue };
            match self.check(around, node) {
                Ok(target) => due.push((id, *node.public_key(), target)),
                Err(Skip::Forbidden(why)) => self.fail(around, id, DialFailure::Forbidden(why)),
                // Stays ready until the other attempt or the handshake has ended.
                Err(_) => {}
            }
        }
        while self.room() > 0 && !due.is_empty() {
            let chosen = self.random.below(u64::try_from(due.len()).unwrap_or(u64::MAX));
            let (id, key, target) = due.swap_remove(usize::try_from(chosen).unwrap_or(0));
            self.statics.hold(&id);
            match target {
                Target::Addresses(addresses) => self.dial(around, id, key, addresses),
                Target::Name { host, port } => {
                    let resolve = self.attempts.resolve(id, key, port);
                    around.out.push_back(Output::Resolve { resolve, host });
                }
                Target::Unknown => {
                    let locate = self.attempts.locate(id, key);
                    around.out.push_back(Output::Locate { locate, key });
                }
            }
        }
    }

    /// Dials a candidate, unless something speaks against it.
    pub(crate) fn on_candidate(
        &mut self,
        around: &mut Around<'_>,
        node: &Node,
    ) -> Result<(), Skip> {
        if !self.enabled {
            return Err(Skip::NotDialing);
        }
        let target = self.check(around, node)?;
        if self.history.get(&node.id(), around.now).is_some() {
            return Err(Skip::Recent);
        }
        if self.statics.contains(&node.id()) {
            return Err(Skip::Static);
        }
        if self.wanted(around.peers) == 0 {
            return Err(Skip::NoSlot);
        }
        // Discovery finds addresses; names are for what a user wrote.
        let Target::Addresses(addresses) = target else { return Err(Skip::NoEndpoint) };
        self.dial(around, node.id(), *node.public_key(), addresses);
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
        let in_flight = self.attempts.nodes().filter(|id| !self.statics.contains(id)).count();
        missing.saturating_mul(2).saturating_sub(in_flight).min(self.room())
    }

    /// A dial connected; `None` if it is none.
    pub(crate) fn on_connected(&mut self, dial: DialId, conn: ConnId) -> Option<Connected> {
        self.attempts.connected(dial, conn)
    }

    /// A dial reached nobody.
    pub(crate) fn on_failed(&mut self, around: &mut Around<'_>, dial: DialId, why: DialError) {
        if let Some(id) = self.attempts.failed(dial) {
            self.fail(around, id, DialFailure::Dial(why));
        }
    }

    /// A name was resolved, or not.
    pub(crate) fn on_resolved(
        &mut self,
        around: &mut Around<'_>,
        resolve: ResolveId,
        addresses: Vec<IpAddr>,
    ) {
        let Some((key, port)) = self.attempts.resolved(resolve) else { return };
        let found = addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
        self.dial_found(around, key, found);
    }

    /// A static node was found, or not.
    pub(crate) fn on_located(
        &mut self,
        around: &mut Around<'_>,
        locate: LocateId,
        node: Option<&Node>,
    ) {
        let Some(key) = self.attempts.located(locate) else { return };
        let found = node.filter(|node| node.public_key() == &key).map(Node::tcp_endpoints);
        self.dial_found(around, key, found.unwrap_or_default());
    }

    /// Dials a static node where it is said to be.
    fn dial_found(
        &mut self,
        around: &mut Around<'_>,
        key: PublicKey,
        found: impl IntoIterator<Item = SocketAddr>,
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
            return self.fail(around, id, DialFailure::NoAddress);
        }
        if let Err(why) = around.retain_allowed(&id, &mut known) {
            return self.fail(around, id, DialFailure::Forbidden(why));
        }
        if around.peers.is_coming(&id, known.iter().map(SocketAddr::ip)) {
            // The node came to us while it was looked for. Should it not become a peer, it is
            // looked for again, after a while: it may be elsewhere by then.
            self.statics.schedule(&id, around.now + self.limits.static_backoff.base);
            return;
        }
        self.dial(around, id, key, known);
    }

    /// The handshake on a dialed connection ended before the second checkpoint. `crossed` tells
    /// whether the node's own connection to us, from where we dialed, goes on.
    pub(crate) fn on_handshake_failed(
        &mut self,
        around: &mut Around<'_>,
        id: NodeId,
        (conn, fault): (ConnId, Fault),
        crossed: bool,
    ) {
        let was_attempt = self.attempts.end_handshake(&id, conn);
        if !was_attempt || !self.enabled || around.peers.get(&id).is_some() {
            return;
        }
        if crossed {
            // The other of two simultaneous dials goes on, so nobody needs to hear of this one.
            self.retry_at(around.now, &id);
        } else {
            self.fail(around, id, DialFailure::Handshake(fault));
        }
    }

    /// A node became a peer by the connection `conn`.
    pub(crate) fn on_peer_added(&mut self, around: &mut Around<'_>, id: NodeId, conn: ConnId) {
        self.statics.hold(&id);
        if !self.attempts.end_handshake(&id, conn) {
            // The handshake of another connection ends by the tie rule.
            self.cancel(around, &id, DisconnectReason::AlreadyConnected);
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

    /// Dials no more, and ends every dial.
    pub(crate) fn stop(&mut self, around: &mut Around<'_>) {
        self.enabled = false;
        let dialed: Vec<NodeId> = self.attempts.nodes().copied().collect();
        for id in dialed {
            self.cancel(around, &id, DisconnectReason::ClientQuitting);
        }
    }

    /// When [`pump`](Self::pump) has something to do, unless something happens before.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let due = self.enabled.then(|| self.statics.next()).flatten();
        due.into_iter().chain(self.attempts.next_deadline()).min()
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
        self.attempts.len()
    }

    fn room(&self) -> usize {
        self.limits.max_dialing.saturating_sub(self.in_flight())
    }

    fn dial(
        &mut self,
        around: &mut Around<'_>,
        id: NodeId,
        key: PublicKey,
        addresses: Vec<SocketAddr>,
    ) {
        let until = around.now + self.limits.dial_history;
        self.history.insert(id, until, until);
        let dial = self.attempts.dial(id, key, &addresses, around.now + self.timeout);
        around.out.push_back(Output::Dial { dial, key, addresses });
    }

    /// Ends an attempt that has not connected; others end with their connection.
    fn cancel(&mut self, around: &mut Around<'_>, id: &NodeId, reason: DisconnectReason) {
        if let Some(dial) = self.attempts.cancel(id, reason) {
            around.out.push_back(Output::CancelDial { dial });
        }
    }

    fn fail(&mut self, around: &mut Around<'_>, id: NodeId, why: DialFailure) {
        let retry_at = self.retry_at(around.now, &id);
        around.out.push_back(Output::DialFailed { id, why, retry_at });
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
}
