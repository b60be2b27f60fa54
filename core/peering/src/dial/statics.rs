//! The nodes to stay connected to, and when each is dialed next.
//!
//! ```text
//!             schedule(at)                at is past
//!   held  ------------------>  waiting  -------------->  ready
//!     ^                           |                        |
//!     +---------------------------+------------------------+
//!              hold: it is dialed, or connected
//! ```

use std::collections::{BTreeMap, BTreeSet};

use peerage_machine::{Instant, TimerTable, tree_memory};
use peerage_node::{Node, NodeId};

/// Static nodes. As many as the user named: nothing that a peer does makes it grow.
#[derive(Debug, Default)]
pub(super) struct Statics {
    nodes: BTreeMap<NodeId, Entry>,
    waiting: TimerTable<NodeId>,
    ready: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Entry {
    node: Node,
    /// In a row.
    failures: u32,
}

impl Statics {
    /// Adds a node, held, or replaces what is known of it. Returns the old knowledge.
    pub(super) fn insert(&mut self, node: Node) -> Option<Node> {
        match self.nodes.get_mut(&node.id()) {
            Some(entry) => Some(std::mem::replace(&mut entry.node, node)),
            None => {
                self.nodes.insert(node.id(), Entry { node, failures: 0 });
                None
            }
        }
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        Self::memory_bound(self.nodes.len())
    }

    /// The most bytes that so many nodes take.
    pub(super) const fn memory_bound(nodes: usize) -> usize {
        tree_memory::<NodeId, Entry>(nodes)
            + nodes * Node::MAX_HEAP
            + TimerTable::<NodeId>::memory_of(nodes)
            + tree_memory::<NodeId, ()>(nodes)
    }

    pub(super) fn remove(&mut self, id: &NodeId) {
        self.nodes.remove(id);
        self.hold(id);
    }

    pub(super) fn contains(&self, id: &NodeId) -> bool {
        self.nodes.contains_key(id)
    }

    pub(super) fn get(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.get(id).map(|entry| &entry.node)
    }

    /// Every node, its failures in a row, and when it is dialed next (`None` while it is held).
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Node, u32, Option<Instant>)> {
        self.nodes.iter().map(|(id, entry)| {
            let next =
                if self.ready.contains(id) { Some(Instant::START) } else { self.waiting.get(id) };
            (&entry.node, entry.failures, next)
        })
    }

    /// Has the node dialed at `at`. Nothing for others.
    pub(super) fn schedule(&mut self, id: &NodeId, at: Instant) {
        if self.nodes.contains_key(id) {
            self.ready.remove(id);
            self.waiting.set(*id, at);
        }
    }

    /// Has the node not dialed until it is scheduled again.
    pub(super) fn hold(&mut self, id: &NodeId) {
        self.ready.remove(id);
        self.waiting.cancel(id);
    }

    /// Counts a failure. Returns how many there are in a row now; `None` for other nodes.
    pub(super) fn failed(&mut self, id: &NodeId) -> Option<u32> {
        let entry = self.nodes.get_mut(id)?;
        entry.failures = entry.failures.saturating_add(1);
        Some(entry.failures)
    }

    /// Ends the row of failures.
    pub(super) fn recovered(&mut self, id: &NodeId) {
        if let Some(entry) = self.nodes.get_mut(id) {
            entry.failures = 0;
        }
    }

    /// The nodes whose time has come, all of them, in the order of their ids.
    pub(super) fn ready(&mut self, now: Instant) -> &BTreeSet<NodeId> {
        while let Some(id) = self.waiting.pop_due(now) {
            self.ready.insert(id);
        }
        &self.ready
    }

    /// When the next node becomes ready.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.next()
    }
}
