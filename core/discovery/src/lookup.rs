//! A lookup: asking ever closer nodes for the nodes closest to a target.
//!
//! It says whom to ask next, and is told what they answered. Not here: how one asks (FINDNODE),
//! timeouts, or proofs.
//!
//! Spec: [discv4, "Recursive
//! lookup"](https://github.com/ethereum/devp2p/blob/master/discv4.md#recursive-lookup).

use std::collections::BTreeSet;

use peerage_machine::{list_bound, tree_memory, vec_memory};
use peerage_node::{Node, NodeId, SubnetCounts, is_lan};

/// Queries under way at once: Kademlia's alpha.
pub const ALPHA: usize = 3;

/// How many closest nodes are sought: Kademlia's k.
pub const CLOSEST: usize = 16;

/// Nodes taken from one answer: a node tells its 16 closest, and has no reason to tell more.
pub(crate) const MAX_ANSWER: usize = 16;

/// Candidates kept: enough to go on if three quarters of the closest are dead.
pub(crate) const MAX_CANDIDATES: usize = 64;

/// Queries of one lookup. An honest network of any size needs a few dozen; a hostile one could
/// answer each with nodes that are closer still.
const MAX_QUERIES: usize = 96;

/// Candidates of one /24 (IPv6: /64), local networks excepted.
const MAX_SUBNET: usize = 10;

/// One lookup.
///
/// Nodes that do not answer drop out, so that what is found at the end has answered.
///
/// # Security
///
/// Bounded whatever is answered: in candidates, in queries, and so in what it remembers. An answer
/// full of one subnet's addresses gets only a part of the candidates.
#[derive(Debug)]
pub struct Lookup {
    target: NodeId,
    /// Candidates, the closest first; `states` has the same order.
    nodes: Vec<Node>,
    states: Vec<State>,
    subnets: SubnetCounts,
    /// Everybody told of, ourselves included: at most `MAX_ANSWER` for each query.
    seen: BTreeSet<NodeId>,
    asked: BTreeSet<NodeId>,
    queried: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Asked,
    Answered,
}

impl Lookup {
    /// A lookup by the node `own` of the nodes closest to `target`, starting with `seeds`: those
    /// closest in the table. Of very many seeds, the closest are taken.
    pub fn new(own: NodeId, target: NodeId, mut seeds: Vec<Node>) -> Self {
        seeds.sort_by(|a, b| target.cmp_distance(&a.id(), &b.id()));
        seeds.truncate(MAX_CANDIDATES);
        let mut lookup = Self {
            target,
            nodes: Vec::new(),
            states: Vec::new(),
            subnets: SubnetCounts::new(MAX_SUBNET),
            seen: BTreeSet::from([own]),
            asked: BTreeSet::new(),
            queried: 0,
        };
        for seed in seeds {
            lookup.offer(seed);
        }
        lookup
    }

    /// The next node to be asked for the nodes closest to [`target`](Self::target); `None` while
    /// enough are being asked, and in the end. Each is to be followed by
    /// [`on_nodes`](Self::on_nodes) or [`on_failure`](Self::on_failure).
    pub fn poll_query(&mut self) -> Option<Node> {
        if self.asked.len() >= ALPHA {
            return None;
        }
        let at = self.next()?;
        self.states[at] = State::Asked;
        self.queried += 1;
        let node = self.nodes[at].clone();
        self.asked.insert(node.id());
        Some(node)
    }

    /// `from` has answered: its whole answer, in as many packets as it came. Returns those that
    /// nobody told of before, in the order of the answer. Means nothing from a node that is not
    /// being asked.
    pub fn on_nodes(&mut self, from: &NodeId, mut nodes: Vec<Node>) -> Vec<Node> {
        if !self.asked.remove(from) {
            return Vec::new();
        }
        if let Some(at) = self.position(from) {
            self.states[at] = State::Answered;
        }
        nodes.truncate(MAX_ANSWER);
        nodes.retain(|node| self.offer(node.clone()));
        nodes
    }

    /// `from` did not answer.
    pub fn on_failure(&mut self, from: &NodeId) {
        if self.asked.remove(from)
            && let Some(at) = self.position(from)
        {
            self.drop_candidate(at);
        }
    }

    /// Whether there is nobody left to ask, or to wait for.
    pub fn is_done(&self) -> bool {
        self.asked.is_empty() && self.next().is_none()
    }

    /// The closest nodes found so far, the closest first, at most [`CLOSEST`]. Once the lookup is
    /// [done](Self::is_done), these have all answered, unless it ran into its limit of queries.
    pub fn closest(&self) -> &[Node] {
        &self.nodes[..self.nodes.len().min(CLOSEST)]
    }

    /// All candidates, the closest first: those of [`closest`](Self::closest), and those to fall
    /// back on.
    pub fn candidates(&self) -> &[Node] {
        &self.nodes
    }

    /// What is looked for.
    pub const fn target(&self) -> NodeId {
        self.target
    }

    /// How many nodes were asked.
    pub const fn queried(&self) -> usize {
        self.queried
    }

    /// How many nodes were told of, by the table or by others.
    pub fn seen(&self) -> usize {
        self.seen.len() - 1
    }

    /// The bytes held, estimated as if each node had the largest record.
    pub(crate) fn memory(&self) -> usize {
        vec_memory(&self.nodes)
            + self.nodes.len() * Node::MAX_HEAP
            + vec_memory(&self.states)
            + self.subnets.memory()
            + tree_memory::<NodeId, ()>(self.seen.len())
            + tree_memory::<NodeId, ()>(self.asked.len())
    }

    /// The most bytes held.
    pub(crate) const fn memory_bound() -> usize {
        // One is put in its place before the farthest goes.
        const NODES: usize = MAX_CANDIDATES + 1;
        list_bound::<Node>(NODES)
            + NODES * Node::MAX_HEAP
            + list_bound::<State>(NODES)
            + SubnetCounts::memory_bound(NODES)
            + tree_memory::<NodeId, ()>(1 + MAX_CANDIDATES + MAX_QUERIES * MAX_ANSWER)
            + tree_memory::<NodeId, ()>(ALPHA)
    }

    /// The closest candidate that was not asked, of those that matter.
    fn next(&self) -> Option<usize> {
        if self.queried >= MAX_QUERIES {
            return None;
        }
        self.states.iter().take(CLOSEST).position(|state| *state == State::New)
    }

    /// Takes `node` as a candidate if it is close enough. Whether it is told of for the first time.
    fn offer(&mut self, node: Node) -> bool {
        if !self.seen.insert(node.id()) {
            return false;
        }
        let at = self.place(&node.id());
        if at < MAX_CANDIDATES && self.count(&node) {
            self.nodes.insert(at, node);
            self.states.insert(at, State::New);
            if self.nodes.len() > MAX_CANDIDATES {
                self.drop_candidate(MAX_CANDIDATES);
            }
        }
        true
    }

    fn position(&self, id: &NodeId) -> Option<usize> {
        let at = self.place(id);
        (self.nodes.get(at)?.id() == *id).then_some(at)
    }

    /// Where `id` is among the candidates, or would be.
    fn place(&self, id: &NodeId) -> usize {
        self.nodes.partition_point(|other| self.target.cmp_distance(&other.id(), id).is_lt())
    }

    fn drop_candidate(&mut self, at: usize) {
        let node = self.nodes.remove(at);
        self.states.remove(at);
        if let Some(endpoint) = node.udp_endpoints().first()
            && !is_lan(endpoint.ip())
        {
            self.subnets.remove(endpoint.ip());
        }
    }

    /// Counts a candidate's subnet. A node without an address cannot be asked.
    fn count(&mut self, node: &Node) -> bool {
        node.udp_endpoints()
            .first()
            .is_some_and(|endpoint| is_lan(endpoint.ip()) || self.subnets.add(endpoint.ip()))
    }
}

#[cfg(test)]
mod tests;
