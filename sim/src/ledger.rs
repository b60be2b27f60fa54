//! The rules that hold in every world, and the first breach of one.
//!
//! The ledger sees what honest nodes do from outside: it does not ask the machines whether they
//! keep the rules, but for what only they know (slots, memory). Adversaries are under no rule.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_discovery::SeedNode;
use peerage_machine::{Instant, TimerTable};
use peerage_node::NodeId;
use peerage_peering::envelope::ConnId;
use peerage_rlpx::Connection;

use crate::{HostId, node::Node};

/// Where the type of a packet of discovery v4 stands: behind hash and signature.
const TYPE_AT: usize = 97;
const PING: u8 = 0x01;
const PONG: u8 = 0x02;

/// Pings that a host may be waiting for, as far as the ledger remembers.
const MAX_PINGS: usize = 4_096;

/// Within what time what has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Two honest nodes that can reach each other may see a connection differently for this long: a
    /// half-open end is found out after 30 s of silence, and its goodbye may take a while.
    pub agreement: Duration,
    /// From a stop to its end: the close deadline, the server's own five seconds, and slow mail.
    pub stop: Duration,
    /// Bytes that a connection may hold once it is open, beside one message that is arriving: what
    /// simulated nodes have to say is small. The bounds of everything else follow from the settings
    /// of its machines.
    pub per_peer: usize,
}

impl Bounds {
    /// [`agreement`](Self::agreement) if nothing else is said.
    pub const AGREEMENT: Duration = Duration::from_secs(45);
}

impl Default for Bounds {
    fn default() -> Self {
        Self { agreement: Self::AGREEMENT, stop: Duration::from_secs(10), per_peer: 256 << 10 }
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {at} host {host} broke a rule: {what}")]
pub struct Violation {
    /// When, in the world.
    pub at: Instant,
    /// Which host.
    pub host: HostId,
    /// What it did.
    pub what: String,
}

/// What honest nodes have done, as far as the rules need it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    bounds: Bounds,
    honest: BTreeMap<NodeId, HostId>,
    /// Who sees whom as its peer, and by which connection that is.
    views: BTreeSet<(HostId, HostId)>,
    /// Pairs that disagree, the lower host first, and when that has lasted too long.
    disputes: TimerTable<(HostId, HostId)>,
    stops: TimerTable<HostId>,
    /// Hosts that stand still or are down: they cannot be asked to agree.
    away: BTreeSet<HostId>,
    /// By number of the host.
    proofs: Vec<Proofs>,
    violation: Option<Violation>,
}

/// As much of a ping's hash as tells it from the others of a host.
type Token = [u8; 8];

/// To whom a host may send more than PING and PONG.
#[derive(Debug, Default)]
struct Proofs {
    /// The first bytes of the hashes of pings that were sent, and where to.
    pings: BTreeMap<Token, IpAddr>,
    order: VecDeque<Token>,
    proved: BTreeSet<IpAddr>,
}

impl Ledger {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    pub(crate) fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    /// A host is an honest node.
    pub(crate) fn on_start(&mut self, host: HostId, id: NodeId, keeps_database: bool) {
        self.honest.insert(id, host);
        self.away.remove(&host);
        if self.proofs.len() <= host.index() {
            self.proofs.resize_with(host.index() + 1, Proofs::default);
        }
        let proofs = &mut self.proofs[host.index()];
        if !keeps_database {
            proofs.proved.clear();
        }
        proofs.pings.clear();
        proofs.order.clear();
    }

    pub(crate) fn is_honest(&self, id: &NodeId) -> bool {
        self.honest.contains_key(id)
    }

    pub(crate) fn host_of(&self, id: &NodeId) -> Option<HostId> {
        self.honest.get(id).copied()
    }

    /// A host is down, or stopped: it is nobody's peer as far as it knows.
    pub(crate) fn on_down(&mut self, at: Instant, host: HostId) {
        self.stops.cancel(&host);
        let seen: Vec<_> = self
            .views
            .range((host, HostId(0))..=(host, HostId(u32::MAX)))
            .map(|(_, other)| *other)
            .collect();
        for other in seen {
            self.views.remove(&(host, other));
            self.compare(at, host, other);
        }
    }

    /// A host stands still, or goes on.
    pub(crate) fn set_away(&mut self, at: Instant, host: HostId, is_away: bool) {
        if is_away {
            self.away.insert(host);
            return;
        }
        self.away.remove(&host);
        let others: BTreeSet<HostId> = self
            .views
            .iter()
            .filter(|(a, b)| *a == host || *b == host)
            .map(|(a, b)| if *a == host { *b } else { *a })
            .collect();
        for other in others {
            self.disputes.cancel(&pair(host, other));
            self.compare(at, host, other);
        }
    }

    /// A peer was added, in the place of another connection to the same node if `before` is one.
    pub(crate) fn on_added(
        &mut self,
        at: Instant,
        host: HostId,
        id: NodeId,
        before: Option<ConnId>,
    ) {
        if let Some(before) = before {
            self.break_rule(at, host, || {
                format!("{id:?} became a peer while it was one by connection {}", before.0)
            });
        }
        let Some(other) = self.honest.get(&id).copied() else { return };
        if other == host {
            return self.break_rule(at, host, || "it is connected to itself".into());
        }
        self.views.insert((host, other));
        self.compare(at, host, other);
    }

    pub(crate) fn on_dropped(&mut self, at: Instant, host: HostId, id: NodeId) {
        let Some(other) = self.honest.get(&id).copied() else { return };
        self.views.remove(&(host, other));
        self.compare(at, host, other);
    }

    /// A host was told to stop.
    pub(crate) fn on_stop(&mut self, at: Instant, host: HostId) {
        self.stops.set(host, at + self.bounds.stop);
    }

    /// Peering says that everything has ended.
    pub(crate) fn on_stopped(&mut self, at: Instant, host: HostId, conns: usize, dials: usize) {
        // The connection whose end was told last is still there.
        if conns > 1 || dials > 0 {
            self.break_rule(at, host, || {
                format!("it stopped with {conns} connections and {dials} dials under way")
            });
        }
    }

    /// A host starts with a node that it knew to be where it is.
    pub(crate) fn on_seed(&mut self, host: HostId, seed: &SeedNode) {
        let proofs = &mut self.proofs[host.index()];
        proofs.proved.extend(seed.node.udp_endpoints().iter().map(SocketAddr::ip));
    }

    /// A host's discovery sends a datagram.
    pub(crate) fn on_sent(&mut self, at: Instant, host: HostId, to: SocketAddr, bytes: &[u8]) {
        let proofs = &mut self.proofs[host.index()];
        match bytes.get(TYPE_AT) {
            Some(&PING) => {
                if let Some(hash) = bytes.first_chunk() {
                    proofs.pings.insert(*hash, to.ip());
                    proofs.order.push_back(*hash);
                    if proofs.order.len() > MAX_PINGS
                        && let Some(old) = proofs.order.pop_front()
                    {
                        proofs.pings.remove(&old);
                    }
                }
            }
            Some(&PONG) => {}
            kind => {
                if !proofs.proved.contains(&to.ip()) {
                    let kind = kind.copied();
                    self.break_rule(at, host, || {
                        format!(
                            "it sent a packet of type {kind:?} to {to}, which has proved nothing"
                        )
                    });
                }
            }
        }
    }

    /// A host's discovery gets a datagram.
    pub(crate) fn on_received(&mut self, host: HostId, from: SocketAddr, bytes: &[u8]) {
        let Some(token) = pong_token(bytes) else { return };
        let proofs = &mut self.proofs[host.index()];
        if proofs.pings.remove(&token) == Some(from.ip().to_canonical()) {
            proofs.proved.insert(from.ip().to_canonical());
        }
    }

    /// Notes a breach; the first one counts.
    pub(crate) fn break_rule(&mut self, at: Instant, host: HostId, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { at, host, what: what() });
        }
    }

    /// What has to hold of a node after each event that it took part in.
    pub(crate) fn check_node(&mut self, at: Instant, host: HostId, node: &Node) {
        let (counts, limits) = (node.counts(), &node.spec().limits);
        let is_over = counts.dialed + counts.inbound > limits.max_peers
            || counts.dialed > limits.max_dialed()
            || counts.inbound > limits.max_inbound()
            || counts.handshakes > limits.max_handshakes
            || counts.dialing > limits.max_dialing;
        if is_over {
            self.break_rule(at, host, || format!("more than {limits:?} allow: {counts:?}"));
        }
        if let Some((held, bound)) = node.is_over_budget() {
            self.break_rule(at, host, || format!("its machines hold {held} bytes of {bound}"));
        }
        if counts.peers < node.peer_count() {
            self.break_rule(at, host, || {
                format!("{} peers, of which peering has {}", node.peer_count(), counts.peers)
            });
        }
    }

    /// What has to hold of a connection whenever it was touched.
    pub(crate) fn check_connection(&mut self, at: Instant, host: HostId, connection: &Connection) {
        let held = connection.memory();
        let bound =
            if connection.is_open() { self.bounds.per_peer } else { Connection::MAX_UNADMITTED };
        if held > bound && connection.fault().is_none() {
            self.break_rule(at, host, || format!("a connection holds {held} bytes of {bound}"));
        }
    }

    /// What has to hold by now.
    pub(crate) fn check_time(&mut self, now: Instant) {
        while let Some(host) = self.stops.pop_due(now) {
            let bound = self.bounds.stop;
            if self.away.contains(&host) {
                self.stops.set(host, now + bound);
                continue;
            }
            self.break_rule(now, host, || format!("it was told to stop, and did not in {bound:?}"));
        }
        while let Some((a, b)) = self.disputes.pop_due(now) {
            if self.away.contains(&a) || self.away.contains(&b) {
                // Asked again when it is back.
                continue;
            }
            let (seer, seen) = if self.views.contains(&(a, b)) { (a, b) } else { (b, a) };
            let bound = self.bounds.agreement;
            self.break_rule(now, seer, || {
                format!("it has had host {seen} as a peer for {bound:?}, which does not have it")
            });
        }
    }

    /// How many pairs of honest nodes are each other's peers.
    pub(crate) fn connected_pairs(&self) -> usize {
        self.views.iter().filter(|(a, b)| a < b && self.views.contains(&(*b, *a))).count()
    }

    /// Whether one node has another as a peer.
    pub(crate) fn sees(&self, a: HostId, b: HostId) -> bool {
        self.views.contains(&(a, b))
    }

    fn compare(&mut self, at: Instant, a: HostId, b: HostId) {
        let pair = pair(a, b);
        if self.sees(a, b) == self.sees(b, a) {
            self.disputes.cancel(&pair);
        } else if self.disputes.get(&pair).is_none() {
            self.disputes.set(pair, at + self.bounds.agreement);
        }
    }
}

fn pair(a: HostId, b: HostId) -> (HostId, HostId) {
    (a.min(b), a.max(b))
}

/// The hash in a PONG: the second item of its list.
fn pong_token(bytes: &[u8]) -> Option<Token> {
    if bytes.get(TYPE_AT) != Some(&PONG) {
        return None;
    }
    let list = skip_header(&bytes[TYPE_AT + 1..])?.0;
    let (inside, length) = skip_header(list)?;
    let token = inside.get(length..)?;
    (token.first() == Some(&0xa0)).then(|| token.get(1..)?.first_chunk().copied()).flatten()
}

/// What follows the header of an RLP list, and how long the list is.
fn skip_header(rlp: &[u8]) -> Option<(&[u8], usize)> {
    match *rlp.first()? {
        short @ 0xc0..=0xf7 => Some((&rlp[1..], usize::from(short - 0xc0))),
        0xf8 => Some((rlp.get(2..)?, usize::from(*rlp.get(1)?))),
        0xf9 => {
            Some((rlp.get(3..)?, usize::from(u16::from_be_bytes([*rlp.get(1)?, *rlp.get(2)?]))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use peerage_discovery::v4::packet::{Endpoint, Packet, Ping, Pong};
    use peerage_node::SecretKey;

    use super::*;

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);

    fn key(n: u8) -> SecretKey {
        SecretKey::from_bytes(&[n; 32]).unwrap()
    }

    fn id(n: u8) -> NodeId {
        key(n).public().id()
    }

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn two() -> Ledger {
        let mut ledger = Ledger::new(Bounds::default());
        ledger.on_start(A, id(1), false);
        ledger.on_start(B, id(2), false);
        ledger
    }

    #[test]
    fn nodes_that_disagree_for_too_long_are_found_and_others_are_not() {
        let mut ledger = two();
        ledger.on_added(at(0), A, id(2), None);
        ledger.check_time(at(44));
        assert_eq!(ledger.take_violation(), None);
        ledger.on_added(at(44), B, id(1), None);
        ledger.check_time(at(100));
        assert_eq!(ledger.take_violation(), None);
        ledger.on_dropped(at(100), B, id(1));
        ledger.check_time(at(145));
        assert_eq!(ledger.take_violation().unwrap().host, A);
    }

    #[test]
    fn a_node_that_stands_still_has_its_time_anew() {
        let mut ledger = two();
        ledger.on_added(at(0), A, id(2), None);
        ledger.set_away(at(10), B, true);
        ledger.check_time(at(100));
        assert_eq!(ledger.take_violation(), None);
        ledger.set_away(at(100), B, false);
        ledger.check_time(at(146));
        assert!(ledger.take_violation().is_some());
    }

    #[test]
    fn a_second_connection_itself_and_a_stop_that_does_not_end_are_found() {
        let mut ledger = two();
        ledger.on_added(at(0), A, id(2), Some(ConnId(3)));
        assert!(ledger.take_violation().is_some());
        ledger.on_added(at(0), A, id(1), None);
        assert!(ledger.take_violation().is_some());
        ledger.on_stop(at(0), B);
        ledger.check_time(at(10));
        assert_eq!(ledger.take_violation().unwrap().host, B);
        ledger.on_stopped(at(11), B, 0, 1);
        assert!(ledger.take_violation().is_some());
    }

    #[test]
    fn only_who_answered_a_ping_may_be_told_more() {
        let mut ledger = two();
        let to: SocketAddr = "11.0.0.1:30303".parse().unwrap();
        let elsewhere: SocketAddr = "11.0.0.2:30303".parse().unwrap();
        let (from, expiration, seq) = (Endpoint::new(to, 0), 0, None);
        let ping = Packet::Ping(Ping { from, to: from, expiration, seq });
        let (ping, token) = ping.encode(&key(1));
        let pong = |token| {
            Packet::Pong(Pong { to: from, token, expiration, seq: Some(7) }).encode(&key(2)).0
        };
        let (find, _) =
            Packet::EnrRequest(peerage_discovery::v4::packet::EnrRequest { expiration })
                .encode(&key(1));
        ledger.on_sent(at(0), A, to, &ping);
        // Answers to something else, or from elsewhere.
        ledger.on_received(A, to, &pong([3; 32]));
        ledger.on_received(A, elsewhere, &pong(token));
        ledger.on_sent(at(0), A, to, &find);
        assert!(ledger.take_violation().is_some());
        ledger.on_sent(at(0), A, to, &ping);
        ledger.on_received(A, to, &pong(token));
        ledger.on_sent(at(0), A, to, &find);
        assert_eq!(ledger.take_violation(), None);
        ledger.on_sent(at(0), A, elsewhere, &find);
        assert!(ledger.take_violation().is_some());
    }
}
