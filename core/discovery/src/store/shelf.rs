//! Rows in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    ops::Range,
    time::Duration,
};

use peerage_machine::Random;
use peerage_node::{List, Node, NodeId};

use super::{
    Bounds, Known, SeedNode, StoreOp,
    row::{Rank, Row},
    rows::{self, Rows, RowsMut},
};

/// A node database in memory: it cannot fail, and is lost with the process.
#[derive(Debug, Default)]
pub struct Shelf {
    bounds: Bounds,
    /// Bounded by [`Bounds::nodes`].
    rows: BTreeMap<NodeId, Row>,
    /// One for each row.
    ranks: BTreeSet<Rank>,
    seq: Option<u64>,
    /// Each list bounded by [`List::MAX`].
    lists: BTreeMap<(List, NodeId), Node>,
}

/// A list has all the nodes that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a list of nodes has at most {} entries", List::MAX)]
pub struct ListFull;

impl Shelf {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Does what `ops` say, and then drops what is too many: see [`rows::apply`].
    pub fn apply(&mut self, now: Duration, ops: &[StoreOp]) {
        let bounds = self.bounds;
        sure(rows::apply(self, &bounds, now, ops));
    }

    /// Drops what is too old, and returns how many nodes that were: see [`rows::prune`].
    pub fn prune(&mut self, now: Duration) -> usize {
        let bounds = self.bounds;
        sure(rows::prune(self, &bounds, now))
    }

    /// Chooses seeds: see [`rows::seeds`].
    pub fn seeds(
        &self,
        now: Duration,
        max_age: Duration,
        count: usize,
        random: &mut Random,
    ) -> Vec<SeedNode> {
        sure(rows::seeds(self, now, max_age, count, random))
    }

    /// Everything that is kept of one node.
    pub fn known(&self, id: &NodeId) -> Option<Known> {
        self.rows.get(id).map(Row::known)
    }

    /// The nodes of a list, by id.
    pub fn listed(&self, list: List) -> impl Iterator<Item = &Node> {
        let range = (list, NodeId([0; 32]))..=(list, NodeId([0xff; 32]));
        self.lists.range(range).map(|(_, node)| node)
    }

    /// Puts a node on a list, or changes what is known of it there. Whether it is new.
    ///
    /// # Errors
    ///
    /// If it is new, and the list has [`List::MAX`] nodes.
    pub fn add_listed(&mut self, list: List, node: Node) -> Result<bool, ListFull> {
        let key = (list, node.id());
        let is_new = !self.lists.contains_key(&key);
        if is_new && self.listed(list).count() >= List::MAX {
            return Err(ListFull);
        }
        self.lists.insert(key, node);
        Ok(is_new)
    }

    /// Takes a node off a list. Whether it was there.
    pub fn remove_listed(&mut self, list: List, id: &NodeId) -> bool {
        self.lists.remove(&(list, *id)).is_some()
    }

    /// The sequence number of our own record that was written last.
    pub const fn local_seq(&self) -> Option<u64> {
        self.seq
    }

    /// How many nodes are kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no node is kept.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
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
        new: Option<Row>,
    ) -> Result<(), Infallible> {
        let rank = new.as_ref().map(|row| row.rank(*id));
        if old != rank {
            if let Some(old) = old {
                self.ranks.remove(&old);
            }
            self.ranks.extend(rank);
        }
        match new {
            Some(row) => self.rows.insert(*id, row),
            None => self.rows.remove(id),
        };
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
fn sure<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(done) => done,
        Err(never) => match never {},
    }
}
