//! Random walks: lookups of random targets, for the sake of the nodes met on the way.
//!
//! A walk goes only as far as somebody takes what it finds. Not here: whom to dial, or whether a
//! node was dialed before; the dial scheduler knows.

use std::{collections::VecDeque, time::Duration};

use peerage_machine::{Instant, deque_memory, list_bound};
use peerage_node::{Node, NodeId};

use crate::{
    ALPHA, Lookup,
    lookup::{MAX_ANSWER, MAX_CANDIDATES},
};

/// Lookups start at least this far apart: in a network so small that it is walked at once, more
/// would find the same nodes again and again.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// A source of nodes to dial.
///
/// Each lookup yields first the nodes it starts with, then each node when it is told of for the
/// first time. While nobody [wants](Self::want) nodes, nobody is asked; so what waits to be taken
/// is at most what a lookup starts with and a few answers.
///
/// The caller drives it: [`next_start`](Self::next_start) says when to [`start`](Self::start) a
/// lookup, [`poll_query`](Self::poll_query) whom to ask.
#[derive(Debug)]
pub struct Walk {
    own: NodeId,
    wanted: usize,
    lookup: Option<Lookup>,
    /// When the last lookup started.
    started: Option<Instant>,
    /// Found, and not taken.
    found: VecDeque<Node>,
    lookups: u64,
}

impl Walk {
    /// A walk of the node `own` that stands still until nodes are wanted.
    pub const fn new(own: NodeId) -> Self {
        Self { own, wanted: 0, lookup: None, started: None, found: VecDeque::new(), lookups: 0 }
    }

    /// Up to `count` more nodes are wanted, whatever was said before; 0 pauses the walk.
    pub const fn want(&mut self, count: usize) {
        self.wanted = count;
    }

    /// Starts the next lookup. `target` is random, `seeds` are the nodes closest to it in the
    /// table. Without any, the walk is over at once, and can be started again a second later.
    pub fn start(&mut self, now: Instant, target: NodeId, seeds: Vec<Node>) {
        self.started = Some(now);
        self.lookups += 1;
        let lookup = Lookup::new(self.own, target, seeds);
        // The walk takes what the lookup took: bounded, and without ourselves.
        self.found.extend(lookup.candidates().iter().cloned());
        self.lookup = Some(lookup).filter(|lookup| !lookup.is_done());
    }

    /// The next node to be asked for the nodes closest to [`target`](Self::target). Each is to be
    /// followed by [`on_nodes`](Self::on_nodes) or [`on_failure`](Self::on_failure).
    pub fn poll_query(&mut self) -> Option<Node> {
        if !self.is_hungry() {
            return None;
        }
        self.lookup.as_mut()?.poll_query()
    }

    /// `from` has answered a query of the walk: its whole answer. Returns how many of the nodes it
    /// told of are new to this lookup.
    pub fn on_nodes(&mut self, from: &NodeId, nodes: Vec<Node>) -> usize {
        let Some(lookup) = &mut self.lookup else { return 0 };
        let new = lookup.on_nodes(from, nodes);
        let count = new.len();
        self.found.extend(new);
        self.end();
        count
    }

    /// `from` did not answer a query of the walk.
    pub fn on_failure(&mut self, from: &NodeId) {
        if let Some(lookup) = &mut self.lookup {
            lookup.on_failure(from);
        }
        self.end();
    }

    /// The next node found, if one is wanted.
    pub fn poll_candidate(&mut self) -> Option<Node> {
        if self.wanted == 0 {
            return None;
        }
        let node = self.found.pop_front()?;
        self.wanted -= 1;
        Some(node)
    }

    /// When to start the next lookup; `None` while one is under way, or nobody wants more than was
    /// found.
    pub fn next_start(&self) -> Option<Instant> {
        let may_start = self.lookup.is_none() && self.is_hungry();
        may_start.then(|| self.started.map_or(Instant::START, |at| at + MIN_INTERVAL))
    }

    /// What the present lookup looks for, if there is one.
    pub fn target(&self) -> Option<NodeId> {
        self.lookup.as_ref().map(Lookup::target)
    }

    /// How many lookups were started.
    pub const fn lookups(&self) -> u64 {
        self.lookups
    }

    /// How many nodes are still wanted.
    pub const fn wanted(&self) -> usize {
        self.wanted
    }

    /// How many nodes wait to be taken.
    pub fn waiting(&self) -> usize {
        self.found.len()
    }

    /// The bytes held, estimated as if each node had the largest record.
    pub(crate) fn memory(&self) -> usize {
        deque_memory(&self.found)
            + self.found.len() * Node::MAX_HEAP
            + self.lookup.as_ref().map_or(0, Lookup::memory)
    }

    /// The most bytes held: what a lookup starts with twice, as one may start when the last one has
    /// told almost enough, and the answers to all that it has asked.
    pub(crate) const fn memory_bound() -> usize {
        const NODES: usize = 2 * MAX_CANDIDATES + ALPHA * MAX_ANSWER;
        list_bound::<Node>(NODES) + NODES * Node::MAX_HEAP + Lookup::memory_bound()
    }

    /// Whether asking further makes sense: more is wanted than was found.
    fn is_hungry(&self) -> bool {
        self.wanted > self.found.len()
    }

    fn end(&mut self) {
        if self.lookup.as_ref().is_some_and(Lookup::is_done) {
            self.lookup = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::nodes;

    const START: Instant = Instant::START;

    fn walk() -> (Walk, Vec<Node>) {
        (Walk::new(NodeId([0; 32])), nodes(40))
    }

    fn taken(walk: &mut Walk) -> Vec<NodeId> {
        std::iter::from_fn(|| walk.poll_candidate()).map(|node| node.id()).collect()
    }

    fn ids(nodes: &[Node]) -> Vec<NodeId> {
        nodes.iter().map(Node::id).collect()
    }

    #[test]
    fn nobody_is_asked_until_somebody_wants_nodes() {
        let (mut walk, nodes) = walk();
        assert_eq!(walk.next_start(), None);
        walk.want(1);
        assert_eq!(walk.next_start(), Some(START));
        walk.start(START, NodeId([1; 32]), nodes[..5].to_vec());
        // What the table has is enough for now.
        assert!(walk.poll_query().is_none());
        assert_eq!(walk.poll_candidate().map(|node| node.id()).into_iter().count(), 1);
        assert!(walk.poll_candidate().is_none() && walk.poll_query().is_none());
        walk.want(4);
        assert_eq!(taken(&mut walk).len(), 4);
        assert!(walk.poll_query().is_none());
        walk.want(1);
        assert!(walk.poll_query().is_some());
        walk.want(0);
        assert!(walk.poll_query().is_none());
    }

    #[test]
    fn a_lookup_yields_each_node_once_and_starts_with_the_table() {
        let (mut walk, nodes) = walk();
        walk.want(1000);
        walk.start(START, NodeId([1; 32]), nodes[..3].to_vec());
        let mut expected = ids(&nodes[..3]);
        let mut first = taken(&mut walk);
        first.sort();
        expected.sort();
        assert_eq!(first, expected);
        let a = walk.poll_query().unwrap();
        let b = walk.poll_query().unwrap();
        assert_eq!(walk.on_nodes(&a.id(), nodes[2..6].to_vec()), 3);
        assert_eq!(walk.on_nodes(&b.id(), nodes[3..8].to_vec()), 2);
        assert_eq!(taken(&mut walk), ids(&nodes[3..8]));
        // A late answer is nobody's.
        assert_eq!(walk.on_nodes(&a.id(), nodes[8..].to_vec()), 0);
    }

    #[test]
    fn lookups_start_a_second_apart_also_with_an_empty_table() {
        let (mut walk, nodes) = walk();
        walk.want(1000);
        walk.start(START, NodeId([1; 32]), vec![]);
        let second = START + Duration::from_secs(1);
        assert_eq!(walk.next_start(), Some(second));
        walk.start(second, NodeId([2; 32]), nodes[..1].to_vec());
        assert_eq!((walk.next_start(), walk.target()), (None, Some(NodeId([2; 32]))));
        taken(&mut walk);
        let only = walk.poll_query().unwrap();
        walk.on_failure(&only.id());
        assert_eq!(walk.next_start(), Some(second + Duration::from_secs(1)));
        assert_eq!(walk.lookups(), 2);
    }

    #[test]
    fn what_waits_is_bounded_when_nobody_takes() {
        let (mut walk, nodes) = walk();
        walk.want(4);
        walk.start(START, NodeId([1; 32]), nodes[..3].to_vec());
        let mut told = 3;
        while let Some(node) = walk.poll_query() {
            walk.on_nodes(&node.id(), nodes[told..told + 10].to_vec());
            told += 10;
        }
        // One answer was enough.
        assert_eq!(walk.waiting(), 13);
    }
}
