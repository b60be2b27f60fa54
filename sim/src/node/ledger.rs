//! The rules that hold for nodes in every world, as an observer of them.
//!
//! The ledger sees what honest nodes do from outside: it does not ask the machines whether they
//! keep the rules, but for what only they know (slots, memory). Adversaries are under no rule.

mod proofs;

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use peerage_machine::{Instant, TimerTable};
use peerage_node::NodeId;
use peerage_peering::envelope::ConnId;
use peerage_rlpx::Connection;

use self::proofs::Proofs;
use super::{Node, NodeFact, host::NodeHost};
use crate::world::{Fact, HostEvent, HostId, Observer, Program, Verdict};

/// Within what time what has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// By number of the host; `None` where no honest node is.
    proofs: Vec<Option<Proofs>>,
}

impl Observer for Ledger {
    fn on_fact(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, fact: &Fact<'_>) {
        match fact {
            Fact::Down => self.on_down(at, host),
            Fact::GoesOn => self.on_goes_on(at, host),
            Fact::Sent { to, bytes } => {
                if let Some(Err(what)) = self.proofs(host).map(|it| it.on_sent(*to, bytes)) {
                    verdict.break_rule(at, host, || what);
                }
            }
            Fact::StandsStill => {
                self.away.insert(host);
            }
            Fact::Told(HostEvent::Datagram { from, bytes }) => {
                if let Some(proofs) = self.proofs(host) {
                    proofs.on_received(*from, bytes);
                }
            }
            fact => {
                if let Some(fact) = fact.reported() {
                    self.on_node_fact(verdict, at, host, fact);
                }
            }
        }
    }

    fn on_rest(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, program: &dyn Program) {
        let found = (program as &dyn Any).downcast_ref::<NodeHost>();
        if let Some(node) = found.and_then(|it| it.running.as_deref()) {
            check_node(verdict, at, host, node);
        }
    }

    fn on_time(&mut self, verdict: &mut Verdict, now: Instant) {
        while let Some(host) = self.stops.pop_due(now) {
            let bound = self.bounds.stop;
            if self.away.contains(&host) {
                self.stops.set(host, now + bound);
                continue;
            }
            let what = || format!("it was told to stop, and did not in {bound:?}");
            verdict.break_rule(now, host, what);
        }
        while let Some((a, b)) = self.disputes.pop_due(now) {
            if self.away.contains(&a) || self.away.contains(&b) {
                // Asked again when it is back.
                continue;
            }
            let (seer, seen) = if self.views.contains(&(a, b)) { (a, b) } else { (b, a) };
            let bound = self.bounds.agreement;
            verdict.break_rule(now, seer, || {
                format!("it has had host {seen} as a peer for {bound:?}, which does not have it")
            });
        }
    }
}

impl Ledger {
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    pub(super) fn host_of(&self, id: &NodeId) -> Option<HostId> {
        self.honest.get(id).copied()
    }

    /// How many pairs of honest nodes are each other's peers.
    pub(super) fn connected_pairs(&self) -> usize {
        self.views.iter().filter(|(a, b)| a < b && self.views.contains(&(*b, *a))).count()
    }

    /// Whether one node has another as a peer.
    pub(super) fn sees(&self, a: HostId, b: HostId) -> bool {
        self.views.contains(&(a, b))
    }

    fn on_node_fact(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, fact: &NodeFact) {
        match fact {
            NodeFact::Added { id, before, .. } => self.on_added(verdict, at, host, *id, *before),
            NodeFact::Dropped { id, .. } => self.on_dropped(at, host, *id),
            NodeFact::Garbled { id } => {
                if self.honest.contains_key(id) {
                    let what = || "a message arrived that was not sent like this".into();
                    verdict.break_rule(at, host, what);
                }
            }
            NodeFact::Holds { bytes, is_open, .. } => {
                let bound =
                    if *is_open { self.bounds.per_peer } else { Connection::MAX_UNADMITTED };
                if *bytes > bound {
                    let what = || format!("a connection holds {bytes} bytes of {bound}");
                    verdict.break_rule(at, host, what);
                }
            }
            NodeFact::Seed { udp } => {
                if let Some(proofs) = self.proofs(host) {
                    proofs.on_seed(udp);
                }
            }
            NodeFact::Starts { id, has_database } => self.on_start(host, *id, *has_database),
            NodeFact::Stopped { conns, dials } => {
                // The connection whose end was told last is still there.
                if *conns > 1 || *dials > 0 {
                    verdict.break_rule(at, host, || {
                        format!("it stopped with {conns} connections and {dials} dials under way")
                    });
                }
            }
            NodeFact::Stopping => self.stops.set(host, at + self.bounds.stop),
        }
    }

    /// A host is an honest node.
    fn on_start(&mut self, host: HostId, id: NodeId, has_database: bool) {
        self.honest.insert(id, host);
        self.away.remove(&host);
        if self.proofs.len() <= host.index() {
            self.proofs.resize_with(host.index() + 1, || None);
        }
        self.proofs[host.index()].get_or_insert_default().on_start(has_database);
    }

    /// A host is down: it is nobody's peer as far as it knows.
    fn on_down(&mut self, at: Instant, host: HostId) {
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

    /// A host goes on after it stood still: whoever disagrees with it has its time anew.
    fn on_goes_on(&mut self, at: Instant, host: HostId) {
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
    fn on_added(
        &mut self,
        verdict: &mut Verdict,
        at: Instant,
        host: HostId,
        id: NodeId,
        before: Option<ConnId>,
    ) {
        if let Some(before) = before {
            verdict.break_rule(at, host, || {
                format!("{id:?} became a peer while it was one by connection {}", before.0)
            });
        }
        let Some(other) = self.honest.get(&id).copied() else { return };
        if other == host {
            return verdict.break_rule(at, host, || "it is connected to itself".into());
        }
        self.views.insert((host, other));
        self.compare(at, host, other);
    }

    fn on_dropped(&mut self, at: Instant, host: HostId, id: NodeId) {
        let Some(other) = self.honest.get(&id).copied() else { return };
        self.views.remove(&(host, other));
        self.compare(at, host, other);
    }

    fn compare(&mut self, at: Instant, a: HostId, b: HostId) {
        let pair = pair(a, b);
        if self.sees(a, b) == self.sees(b, a) {
            self.disputes.cancel(&pair);
        } else if self.disputes.get(&pair).is_none() {
            self.disputes.set(pair, at + self.bounds.agreement);
        }
    }

    fn proofs(&mut self, host: HostId) -> Option<&mut Proofs> {
        self.proofs.get_mut(host.index())?.as_mut()
    }
}

/// What has to hold of a node after each event that it took part in.
fn check_node(verdict: &mut Verdict, at: Instant, host: HostId, node: &Node) {
    let (counts, limits) = (node.counts(), &node.spec().limits);
    let is_over = counts.dialed + counts.inbound > limits.max_peers
        || counts.dialed > limits.max_dialed()
        || counts.inbound > limits.max_inbound()
        || counts.handshakes > limits.max_handshakes
        || counts.dialing > limits.max_dialing;
    if is_over {
        verdict.break_rule(at, host, || format!("more than {limits:?} allow: {counts:?}"));
    }
    if let Some((held, bound)) = node.is_over_budget() {
        verdict.break_rule(at, host, || format!("its machines hold {held} bytes of {bound}"));
    }
    if counts.peers < node.peer_count() {
        verdict.break_rule(at, host, || {
            format!("{} peers, of which peering has {}", node.peer_count(), counts.peers)
        });
    }
}

fn pair(a: HostId, b: HostId) -> (HostId, HostId) {
    (a.min(b), a.max(b))
}

#[cfg(test)]
mod tests {
    use peerage_node::SecretKey;
    use peerage_peering::Slot;

    use super::*;

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);

    fn id(n: u8) -> NodeId {
        SecretKey::from_bytes(&[n; 32]).unwrap().public().id()
    }

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    /// A ledger that has seen two nodes start, and what it says.
    #[derive(Default)]
    struct Two {
        ledger: Ledger,
        verdict: Verdict,
    }

    impl Two {
        fn new() -> Self {
            let mut two = Self::default();
            two.say(0, A, &NodeFact::Starts { id: id(1), has_database: false });
            two.say(0, B, &NodeFact::Starts { id: id(2), has_database: false });
            two
        }

        fn see(&mut self, seconds: u64, host: HostId, fact: &Fact<'_>) {
            self.ledger.on_fact(&mut self.verdict, at(seconds), host, fact);
        }

        fn say(&mut self, seconds: u64, host: HostId, fact: &NodeFact) {
            self.see(seconds, host, &Fact::Reported(fact));
        }

        fn add(&mut self, seconds: u64, host: HostId, n: u8, before: Option<ConnId>) {
            let (conn, id, slot) = (ConnId(0), id(n), Slot::Dialed);
            self.say(seconds, host, &NodeFact::Added { conn, id, slot, before });
        }

        /// Which host has broken a rule by then.
        fn guilty(&mut self, seconds: u64) -> Option<HostId> {
            self.ledger.on_time(&mut self.verdict, at(seconds));
            self.verdict.take().map(|it| it.host)
        }
    }

    #[test]
    fn nodes_that_disagree_for_too_long_are_found_and_others_are_not() {
        let mut two = Two::new();
        two.add(0, A, 2, None);
        assert_eq!(two.guilty(44), None);
        two.add(44, B, 1, None);
        assert_eq!(two.guilty(100), None);
        two.say(100, B, &NodeFact::Dropped { conn: ConnId(0), id: id(1) });
        assert_eq!(two.guilty(145), Some(A));
    }

    #[test]
    fn a_node_that_stands_still_has_its_time_anew() {
        let mut two = Two::new();
        two.add(0, A, 2, None);
        two.see(10, B, &Fact::StandsStill);
        assert_eq!(two.guilty(100), None);
        two.see(100, B, &Fact::GoesOn);
        assert!(two.guilty(146).is_some());
    }

    #[test]
    fn a_second_connection_itself_and_a_stop_that_does_not_end_are_found() {
        let mut two = Two::new();
        two.add(0, A, 2, Some(ConnId(3)));
        assert!(two.guilty(0).is_some());
        two.add(0, A, 1, None);
        assert!(two.guilty(0).is_some());
        two.say(0, B, &NodeFact::Stopping);
        assert_eq!(two.guilty(10), Some(B));
        two.say(11, B, &NodeFact::Stopped { conns: 0, dials: 1 });
        assert!(two.guilty(11).is_some());
    }

    #[test]
    fn a_message_that_nobody_sent_counts_against_honest_nodes_only() {
        let mut two = Two::new();
        two.say(0, A, &NodeFact::Garbled { id: id(3) });
        assert_eq!(two.guilty(0), None);
        two.say(0, A, &NodeFact::Garbled { id: id(2) });
        assert_eq!(two.guilty(0), Some(A));
    }
}
