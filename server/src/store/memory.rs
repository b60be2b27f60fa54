//! A store that forgets: for tests, and for servers without a data directory.

use std::time::Duration;

use peerage_discovery::store::{ListFull, Shelf};
use peerage_machine::Random;
use peerage_node::{Node, NodeId};

use super::{Bounds, Known, List, NodeStore, SeedNode, StoreError, StoreOp};

/// Keeps nodes in memory. Answers as [`RedbStore`](super::RedbStore) does.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shelf: Shelf,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(bounds: Bounds) -> Self {
        Self { shelf: Shelf::new(bounds) }
    }
}

impl NodeStore for MemoryStore {
    fn apply(&mut self, now: Duration, ops: &[StoreOp]) -> Result<(), StoreError> {
        self.shelf.apply(now, ops);
        Ok(())
    }

    fn seeds(
        &self,
        now: Duration,
        max_age: Duration,
        count: usize,
        random: &mut Random,
    ) -> Result<Vec<SeedNode>, StoreError> {
        Ok(self.shelf.seeds(now, max_age, count, random))
    }

    fn local_seq(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.shelf.local_seq())
    }

    fn known(&self, id: &NodeId) -> Result<Option<Known>, StoreError> {
        Ok(self.shelf.known(id))
    }

    fn len(&self) -> Result<usize, StoreError> {
        Ok(self.shelf.len())
    }

    fn prune(&mut self, now: Duration) -> Result<usize, StoreError> {
        Ok(self.shelf.prune(now))
    }

    fn listed(&self, list: List) -> Result<Vec<Node>, StoreError> {
        Ok(self.shelf.listed(list).cloned().collect())
    }

    fn add_listed(&mut self, list: List, node: &Node) -> Result<bool, StoreError> {
        // Through its text, as a node comes back from a file.
        let node = node.to_string().parse().expect("because a node parses as it prints");
        self.shelf.add_listed(list, node).map_err(|ListFull| StoreError::ListFull)
    }

    fn remove_listed(&mut self, list: List, id: &NodeId) -> Result<bool, StoreError> {
        Ok(self.shelf.remove_listed(list, id))
    }
}
