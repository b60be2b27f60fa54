//! What a version of discovery does with nodes, whatever its packets are: the table, its checks and
//! refreshes, and the searches.
//!
//! A version asks [`poll_query`](Finder::poll_query) and [`poll_check`](Finder::poll_check) whom to
//! ask for what, and tells what was answered. How one asks and what proves that an answer is one is
//! the version's business.

mod candidates;
mod refresh;
mod resolve;
mod searches;

use std::{net::SocketAddr, time::Duration};

use peerage_machine::{ExpiringMap, Instant, Now, Random, Seed};
use peerage_node::{Node, NodeId, PublicKey, Record};

pub(crate) use self::searches::{MAX_RUNNING, Query, RecordFor, Request, SearchId};
use self::{
    refresh::Refresh,
    searches::{Searches, Walker},
};
use crate::{
    Added, CLOSEST, Config, Entry, Output, Removed, StoreOp, Table, TableEntry, Version, base::Base,
};

/// Nodes that wait until they may be asked something. As many prove themselves in a second at most,
/// at the rate that unproved addresses are listened to.
pub(crate) const MAX_SETTLING: usize = 512;

/// What the nodes of a version can be asked to look for.
pub(crate) trait Target: Copy + std::fmt::Debug {
    /// The version.
    const VERSION: Version;

    /// A target at this node.
    fn of(key: &PublicKey) -> Self;

    /// A target at this id, if nodes can be asked for one.
    fn at(id: NodeId) -> Option<Self>;

    /// A target anywhere.
    fn random(random: &mut Random) -> Self;

    /// The id that the nodes found should be close to.
    fn id(&self) -> NodeId;
}

/// The nodes that a version knows, and what it does to know more.
#[derive(Debug)]
pub(crate) struct Finder<T> {
    table: Table,
    /// Those that are told to us by address: to begin with, and to come back to.
    bootnodes: Vec<Node>,
    /// Nodes that have just proved themselves, until they may come into the table.
    settling: ExpiringMap<NodeId, Node>,
    settle: Duration,
    refresh: Refresh,
    searches: Searches<T>,
    walker: Walker<T>,
    random: Random,
}

impl<T: Target> Finder<T> {
    /// Knows nobody, and does nothing until the first refresh, which is due at once.
    pub(crate) fn new(config: &Config, own: NodeId, now: Now, seed: Seed) -> Self {
        let mut random = Random::from_seed(seed);
        let bootnodes = config.bootnodes.iter().filter(|node| node.hostname().is_none());
        Self {
            table: Table::new(own, config.table.clone(), random.fork()),
            bootnodes: bootnodes.cloned().collect(),
            settling: ExpiringMap::new(MAX_SETTLING),
            settle: config.settle,
            refresh: Refresh::new(now.mono, config.refresh),
            searches: Searches::new(),
            walker: Walker::new(own),
            random,
        }
    }

    /// News of a node from somebody else.
    pub(crate) fn add_found(&mut self, now: Now, base: &mut Base, node: Node) {
        if self.reach(now, base, &node).is_none() {
            return;
        }
        let added = self.table.add_found(now.mono, node.clone());
        Self::on_added(base, added, node);
    }

    /// News of a node from itself, from an address that it proved.
    pub(crate) fn add_inbound(&mut self, now: Now, base: &mut Base, node: Node) {
        let id = node.id();
        if self.table.get(&id).is_some() {
            let added = self.table.add_inbound(now.mono, node.clone());
            Self::on_added(base, added, node);
        } else if let Some(waiting) = self.settling.get_mut(&id, now.mono) {
            // The latest word counts, and does not make it wait for longer.
            *waiting = node;
        } else {
            self.settling.insert(id, node, now.mono + self.settle);
        }
    }

    /// The nodes that were told to us.
    pub(crate) fn add_bootnodes(&mut self, now: Now, base: &mut Base) {
        for node in self.bootnodes.clone() {
            self.add_found(now, base, node);
        }
    }

    /// Takes those into the table that have been left alone for long enough.
    pub(crate) fn settle(&mut self, now: Now, base: &mut Base) {
        while let Some((_, node)) = self.settling.pop_expired(now.mono) {
            if self.reach(now, base, &node).is_none() {
                continue;
            }
            let added = self.table.add_inbound(now.mono, node.clone());
            Self::on_added(base, added, node);
        }
    }

    /// A node of the table to be checked now, and where. To be followed by
    /// [`on_alive`](Self::on_alive) or [`on_check_failed`](Self::on_check_failed).
    pub(crate) fn poll_check(&mut self, now: Now, base: &mut Base) -> Option<(Node, SocketAddr)> {
        while self.table.next_check().is_some_and(|at| at <= now.mono) {
            let Some(node) = self.table.poll_check(now.mono) else { continue };
            match self.reach(now, base, &node) {
                Some(to) => return Some((node, to)),
                None => self.on_check_failed(now, base, node.id()),
            }
        }
        None
    }

    /// A node of the table has answered its check from `from`, and tells the number of its record.
    pub(crate) fn on_alive(
        &mut self,
        now: Now,
        base: &mut Base,
        id: NodeId,
        from: SocketAddr,
        seq: Option<u64>,
    ) {
        let Some(alive) = self.table.on_alive(now.mono, &id, seq) else { return };
        if alive.is_first {
            // It is there now, whether it is new or has moved.
            self.store_node(base, id);
        }
        base.store(StoreOp::Pong { id, ip: from.ip(), unix: now.unix });
        if let Some(node) = alive.outdated {
            self.ask_record(now, base, node, RecordFor::Table);
        }
    }

    /// A node of the table did not answer its check.
    pub(crate) fn on_check_failed(&mut self, now: Now, base: &mut Base, id: NodeId) {
        let removed = self.table.on_dead(now.mono, &id);
        self.on_removed(now, base, removed);
    }

    /// A query of the node at `to` was answered, or not: that counts for its place in the table.
    pub(crate) fn on_query(
        &mut self,
        now: Now,
        base: &mut Base,
        id: NodeId,
        to: SocketAddr,
        is_answered: bool,
    ) {
        let failures = |finder: &Self| finder.table.get(&id).map_or(0, Entry::failures);
        let before = failures(self);
        let removed = self.table.on_query(now.mono, &id, is_answered);
        let count = removed.as_ref().map_or_else(|| failures(self), |it| it.entry.failures());
        if count != before {
            base.store(StoreOp::Failures { id, ip: to.ip(), count });
        }
        self.on_removed(now, base, removed);
    }

    /// Begins again with those that were told to us, and looks around, if it is time to.
    pub(crate) fn refresh(&mut self, now: Now, base: &mut Base) {
        if self.refresh.next() > now.mono {
            return;
        }
        self.add_bootnodes(now, base);
        self.start_refresh(base);
        self.refresh.plan(now.mono, self.table.len(), &mut self.random);
    }

    /// The policy has changed: nodes that it forbids leave the table.
    pub(crate) fn on_policy(&mut self, now: Now, base: &mut Base) {
        let buckets = self.table.buckets().map(|(_, bucket)| bucket);
        // Those that wait for a place go first, or they would get one.
        let entries = buckets.flat_map(|bucket| bucket.replacements().chain(bucket.entries()));
        let is_forbidden =
            |entry: &&Entry| !base.is_allowed(now, Some(&entry.id()), entry.endpoint().ip());
        let forbidden: Vec<NodeId> = entries.filter(is_forbidden).map(Entry::id).collect();
        for id in forbidden {
            let removed = self.table.remove(now.mono, &id);
            self.on_removed(now, base, removed);
        }
    }

    /// When time matters next: to settle a node, to check one, to refresh the table or to walk on.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = [self.settling.next_expiry(), self.table.next_check(), self.walker.next_start()];
        due.into_iter().flatten().chain([self.refresh.next()]).min()
    }

    /// Where to ask `node`, if that is possible and allowed.
    pub(crate) fn reach(&self, now: Now, base: &Base, node: &Node) -> Option<SocketAddr> {
        let endpoint = self.table.endpoint_of(node)?;
        base.is_allowed(now, Some(&node.id()), endpoint.ip()).then_some(endpoint)
    }

    /// The node table.
    pub(crate) const fn table(&self) -> &Table {
        &self.table
    }

    /// The node table as it is shown.
    pub(crate) fn entries(&self, now: Now) -> Vec<TableEntry> {
        TableEntry::all_of(T::VERSION, &self.table, now.mono)
    }

    /// How many nodes wait until they may be asked something.
    #[cfg(test)]
    pub(crate) fn settling(&self) -> usize {
        self.settling.len()
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.table.memory()
            + self.settling.memory()
            + self.settling.len() * Node::MAX_HEAP
            + self.searches.memory()
            + self.walker.memory()
    }

    /// The most bytes held while at most so many lookups of the driver wait.
    pub(crate) const fn memory_bound(config: &Config, commands: usize) -> usize {
        Table::memory_bound(&config.table)
            + ExpiringMap::<NodeId, Node>::memory_bound(MAX_SETTLING)
            + MAX_SETTLING * Node::MAX_HEAP
            + Searches::<T>::memory_bound(commands)
            + Walker::<T>::memory_bound()
    }

    /// Tells the table of a record that came from its node.
    fn update_record(&mut self, now: Now, base: &mut Base, record: Option<&Record>) {
        let Some(record) = record else { return };
        let id = record.id();
        if self.table.on_record(now.mono, record.clone()) == Added::Updated {
            self.store_node(base, id);
        }
    }

    /// Has a node kept for the next run.
    fn store_node(&self, base: &mut Base, id: NodeId) {
        if let Some(entry) = self.table.get(&id) {
            base.store(StoreOp::Record(entry.node().clone().into()));
        }
    }

    fn on_removed(&mut self, now: Now, base: &mut Base, removed: Option<Removed>) {
        let Some(removed) = removed else { return };
        let version = T::VERSION;
        base.put(Output::NodeDropped { id: removed.entry.id(), version });
        if let Some(entry) = removed.promoted.and_then(|id| self.table.get(&id)) {
            base.put(Output::NodeAdded { node: entry.node().clone(), version });
        }
        if self.table.is_empty() {
            self.refresh.on_empty(now.mono);
        }
    }

    /// The nodes to start a lookup with.
    fn closest(&self, target: T) -> Vec<Node> {
        if self.table.is_empty() {
            return self.bootnodes.clone();
        }
        let entries = self.table.closest(&target.id(), CLOSEST, false);
        entries.into_iter().map(|entry| entry.node().clone()).collect()
    }

    fn on_added(base: &mut Base, added: Added, node: Node) {
        match added {
            Added::New => base.put(Output::NodeAdded { node, version: T::VERSION }),
            Added::Known | Added::Refused(_) | Added::Replacement | Added::Updated => {}
        }
    }
}
