//! A store that forgets: for tests, and for servers without a data directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    ops::Range,
    time::Duration,
};

use peerage_machine::Random;
use peerage_node::{Node, NodeId};

use super::{
    Bounds, Known, List, NodeStore, SeedNode, StoreError, StoreOp,
    row::{Rank, Row},
    rows::{self, Rows, RowsMut},
};

/// Keeps nodes in memory. Answers as [`RedbStore`](super::RedbStore) does.
#[derive(Debug, Default)]
pub struct MemoryStore {
    bounds: Bounds,
    shelf: Shelf,
    lists: BTreeMap<(List, NodeId), Node>,
}

/// Bounded by [`Bounds::nodes`].
#[derive(Debug, Default)]
struct Shelf {
    rows: BTreeMap<NodeId, Row>,
    /// One for each row.
    ranks: BTreeSet<Rank>,
    seq: Option<u64>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }
}

impl NodeStore for MemoryStore {
    fn apply(&mut self, now: Duration, ops: &[StoreOp]) -> Result<(), StoreError> {
        sure(rows::apply(&mut self.shelf, &self.bounds, now, ops))
    }

    fn seeds(
        &self,
        now: Duration,
        max_age: Duration,
        count: usize,
        random: &mut Random,
    ) -> Result<Vec<SeedNode>, StoreError> {
        sure(rows::seeds(&self.shelf, now, max_age, count, random))
    }

    fn local_seq(&self) -> Result<Option<u64>, StoreError> {
        sure(self.shelf.seq())
    }

    fn known(&self, id: &NodeId) -> Result<Option<Known>, StoreError> {
        sure(self.shelf.row(id).map(|row| row.map(|row| row.known())))
    }

    fn len(&self) -> Result<usize, StoreError> {
        sure(self.shelf.count())
    }

    fn prune(&mut self, now: Duration) -> Result<usize, StoreError> {
        sure(rows::prune(&mut self.shelf, &self.bounds, now))
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

impl Rows for Shelf {
    type Error = Infallible;

    fn row(&self, id: &NodeId) -> Result<Option<Row>, Infallible> {
        Ok(self.rows.get(id).cloned())
    }

    fn ranks(&self, range: Range<Rank>) -> Result<Vec<Rank>, Infallible> {
        // A `BTreeSet` panics at a range that ends before it begins.
        if range.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.ranks.range(range).copied().collect())
    }

    fn count(&self) -> Result<usize, Infallible> {
        Ok(self.rows.len())
    }

    fn seq(&self) -> Result<Option<u64>, Infallible> {
        Ok(self.seq)
    }
}

impl RowsMut for Shelf {
    fn replace(
        &mut self,
        id: &NodeId,
        old: Option<Rank>,
        new: Option<&Row>,
    ) -> Result<(), Infallible> {
        if let Some(old) = old {
            self.ranks.remove(&old);
        }
        match new {
            Some(row) => {
                self.ranks.insert(row.rank(*id));
                self.rows.insert(*id, row.clone());
            }
            None => {
                self.rows.remove(id);
            }
        }
        Ok(())
    }

    fn least(&self) -> Result<Option<Rank>, Infallible> {
        Ok(self.ranks.first().copied())
    }

    fn set_seq(&mut self, seq: u64) -> Result<(), Infallible> {
        self.seq = Some(seq);
        Ok(())
    }
}

/// Memory does not fail.
fn sure<T>(result: Result<T, Infallible>) -> Result<T, StoreError> {
    result.map_err(|never| match never {})
}
