//! A store that forgets: for tests, and for servers without a data directory.

use std::{collections::BTreeMap, time::Duration};

use peerage_discovery::store::Shelf;
use peerage_machine::Random;
use peerage_node::{Node, NodeId};

use super::{Bounds, Known, List, NodeStore, SeedNode, StoreError, StoreOp};

/// Keeps nodes in memory. Answers as [`RedbStore`](super::RedbStore) does.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shelf: Shelf,
    lists: BTreeMap<(List, NodeId), Node>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(bounds: Bounds) -> Self {
        Self { shelf: Shelf::new(bounds), lists: BTreeMap::new() }
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
        let range = (list, NodeId([0; 32]))..=(list, NodeId([0xff; 32]));
        Ok(self.lists.range(range).map(|(_, node)| node.clone()).collect())
    }

    fn add_listed(&mut self, list: List, node: &Node) -> Result<bool, StoreError> {
        let key = (list, node.id());
        let is_new = !self.lists.contains_key(&key);
        if is_new && self.listed(list)?.len() >= List::MAX {
            return Err(StoreError::ListFull);
        }
        // Through its text, as a node comes back from a file.
        let node = node.to_string().parse().expect("because a node parses as it prints");
        self.lists.insert(key, node);
        Ok(is_new)
    }

    fn remove_listed(&mut self, list: List, id: &NodeId) -> Result<bool, StoreError> {
        Ok(self.lists.remove(&(list, *id)).is_some())
    }
}
