//! The searches of a [`Finder`]: lookups that the driver wants, those that keep the table fresh,
//! and the random walk.
//!
//! They yield queries, and hear what was answered.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use peerage_machine::{Instant, Now, deque_memory, list_bound, tree_memory};
use peerage_node::{Node, NodeId, PublicKey};

use super::{Finder, Target};
use crate::{Lookup, LookupResult, LookupStep, LookupTarget, Output, QueryId, Walk, base::Base};

/// Lookups at the same time, besides the walk. Each has at most three requests under way; more of
/// them would only share what our link and the nodes can bear.
pub(crate) const MAX_RUNNING: usize = 16;

/// Lookups of random targets in a refresh of the table, after that of ourselves.
const RANDOM_LOOKUPS: u32 = 3;

/// Requests for records between two calls of [`Finder::poll_query`]: what one event leads to.
const MAX_RECORDS: usize = 2;

/// A node to be asked, where, and for what.
#[derive(Clone, Debug)]
pub(crate) struct Query<T> {
    pub(crate) node: Node,
    pub(crate) to: SocketAddr,
    pub(crate) request: Request<T>,
}

/// What a node is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Request<T> {
    /// Nodes close to a target; the answer goes to [`Finder::on_nodes`].
    Find {
        /// The search that wants to know.
        search: SearchId,
        /// The target.
        target: T,
    },
    /// Its record; the answer goes to [`Finder::on_record`].
    Record(RecordFor),
}

/// Whose question an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchId {
    /// A lookup, unique for the life of the finder.
    Lookup(u64),
    /// The random walk.
    Walk,
}

/// What a record is for.
#[derive(Clone, Debug)]
pub(crate) enum RecordFor {
    /// [`Command::RequestRecord`](crate::Command::RequestRecord).
    Command(QueryId),
    /// [`Command::Resolve`](crate::Command::Resolve).
    Resolve {
        /// The command.
        id: QueryId,
        /// Whether a lookup may still find the node elsewhere.
        may_search: bool,
    },
    /// The table, which has heard of a newer one.
    Table,
}

/// What a lookup is for.
#[derive(Debug)]
pub(super) enum Goal {
    /// [`Command::Lookup`](crate::Command::Lookup).
    Command(QueryId),
    /// Fresh nodes for the table; so many more lookups follow.
    Refresh { left: u32 },
    /// [`Command::Resolve`](crate::Command::Resolve).
    Resolve {
        id: QueryId,
        /// Whom.
        key: PublicKey,
    },
}

#[derive(Debug)]
pub(super) struct Search<T> {
    pub(super) goal: Goal,
    target: T,
    lookup: Lookup,
    packets: usize,
}

/// All searches but the walk, and requests for records.
#[derive(Debug)]
pub(super) struct Searches<T> {
    next: u64,
    pub(super) running: BTreeMap<u64, Search<T>>,
    /// Those that wait for their turn: as many as the driver wants, and one refresh.
    waiting: VecDeque<(Goal, T)>,
    /// At most [`MAX_RECORDS`].
    pub(super) records: VecDeque<Query<T>>,
}

impl<T> Searches<T> {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            records: VecDeque::new(),
        }
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        let running = self.running.values().map(|search| search.lookup.memory());
        tree_memory::<u64, Search<T>>(self.running.len())
            + running.sum::<usize>()
            + deque_memory(&self.waiting)
            + deque_memory(&self.records)
    }

    /// The most bytes held while at most so many lookups of the driver wait.
    pub(super) const fn memory_bound(commands: usize) -> usize {
        tree_memory::<u64, Search<T>>(MAX_RUNNING)
            + MAX_RUNNING * Lookup::memory_bound()
            + list_bound::<(Goal, T)>(commands + 1)
            + list_bound::<Query<T>>(MAX_RECORDS)
    }

    fn is_refreshing(&self) -> bool {
        let running = self.running.values().map(|search| &search.goal);
        let mut goals = running.chain(self.waiting.iter().map(|(goal, _)| goal));
        goals.any(|goal| matches!(goal, Goal::Refresh { .. }))
    }

    /// The next node that a lookup under way wants to ask, the oldest first.
    fn poll_query(&mut self) -> Option<(Node, SearchId, T)>
    where
        T: Copy,
    {
        self.running.iter_mut().find_map(|(n, search)| {
            let node = search.lookup.poll_query()?;
            Some((node, SearchId::Lookup(*n), search.target))
        })
    }

    /// Takes out a lookup that has ended.
    fn pop_done(&mut self) -> Option<Search<T>> {
        let done = self.running.iter().find(|(_, search)| search.lookup.is_done());
        let n = done.map(|(n, _)| *n)?;
        self.running.remove(&n)
    }
}

/// The random walk, with the target that it is on its way to.
#[derive(Debug)]
pub(super) struct Walker<T> {
    pub(super) walk: Walk,
    /// That of the last lookup of the walk; `None` before the first.
    target: Option<T>,
}

impl<T> Walker<T> {
    pub(super) const fn new(own: NodeId) -> Self {
        Self { walk: Walk::new(own), target: None }
    }

    pub(super) fn next_start(&self) -> Option<Instant> {
        self.walk.next_start()
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        self.walk.memory()
    }

    /// The most bytes held.
    pub(super) const fn memory_bound() -> usize {
        Walk::memory_bound()
    }
}

impl<T: Target> Finder<T> {
    /// [`Command::Lookup`](crate::Command::Lookup).
    pub(crate) fn look_up(&mut self, base: &mut Base, id: QueryId, target: LookupTarget) {
        let target = match target {
            LookupTarget::Id(at) => T::at(at),
            LookupTarget::Key(key) => Some(T::of(&key)),
            LookupTarget::Random => Some(T::random(&mut self.random)),
        };
        match target {
            Some(target) => self.search(Goal::Command(id), target),
            None => base.put(Output::LookupDone { id, result: LookupResult::default() }),
        }
    }

    /// The next node to be asked. Each is to be followed by [`on_query`](Self::on_query) and
    /// [`on_nodes`](Self::on_nodes), or by [`on_record`](Self::on_record).
    ///
    /// To be asked until there is none, whenever time has passed or the finder was told something.
    pub(crate) fn poll_query(&mut self, now: Now, base: &mut Base) -> Option<Query<T>> {
        loop {
            if let Some(query) = self.searches.records.pop_front() {
                return Some(query);
            }
            self.advance(base);
            let next = self.searches.poll_query();
            let (node, search, target) = next.or_else(|| self.poll_walk(now, base))?;
            match self.reach(now, base, &node) {
                Some(to) => {
                    return Some(Query { node, to, request: Request::Find { search, target } });
                }
                None => self.on_unreachable(search, &node.id()),
            }
        }
    }

    /// A node was asked for others by so many packets, and told of some, or did not answer.
    pub(crate) fn on_nodes(
        &mut self,
        now: Now,
        base: &mut Base,
        search: SearchId,
        asked: Node,
        nodes: Option<Vec<Node>>,
        packets: usize,
    ) {
        for node in nodes.iter().flatten() {
            self.add_found(now, base, node.clone());
        }
        match search {
            SearchId::Lookup(n) => self.on_lookup_answer(now, base, n, asked, nodes, packets),
            SearchId::Walk => match nodes {
                Some(nodes) => {
                    self.walker.walk.on_nodes(&asked.id(), nodes);
                }
                None => self.walker.walk.on_failure(&asked.id()),
            },
        }
    }

    /// Looks for ourselves, and then for random targets, unless that is going on.
    pub(super) fn start_refresh(&mut self, base: &mut Base) {
        if !self.searches.is_refreshing() {
            self.search(Goal::Refresh { left: RANDOM_LOOKUPS }, T::of(base.key.public()));
            self.advance(base);
        }
    }

    pub(super) fn search(&mut self, goal: Goal, target: T) {
        self.searches.waiting.push_back((goal, target));
    }

    /// Ends the lookups that have nobody left to ask or to wait for, and starts others in their
    /// places.
    fn advance(&mut self, base: &mut Base) {
        loop {
            if let Some(search) = self.searches.pop_done() {
                self.end_search(base, search);
            } else if self.searches.running.len() < MAX_RUNNING
                && let Some((goal, target)) = self.searches.waiting.pop_front()
            {
                let lookup = Lookup::new(self.table.own(), target.id(), self.closest(target));
                let n = self.searches.next;
                self.searches.next += 1;
                self.searches.running.insert(n, Search { goal, target, lookup, packets: 0 });
            } else {
                return;
            }
        }
    }

    fn on_lookup_answer(
        &mut self,
        now: Now,
        base: &mut Base,
        n: u64,
        asked: Node,
        nodes: Option<Vec<Node>>,
        packets: usize,
    ) {
        let Some(search) = self.searches.running.get_mut(&n) else { return };
        search.packets += packets;
        let id = asked.id();
        let found = nodes.as_ref().map(Vec::len);
        let mut resolved = None;
        if let (Goal::Resolve { key, .. }, Some(nodes)) = (&search.goal, &nodes) {
            resolved = nodes.iter().find(|node| node.public_key() == key).cloned();
        }
        match nodes {
            Some(nodes) => {
                search.lookup.on_nodes(&id, nodes);
            }
            None => search.lookup.on_failure(&id),
        }
        if let Goal::Command(id) = search.goal {
            base.put(Output::LookupStep { id, step: LookupStep { asked, found } });
        }
        if let Some(node) = resolved {
            self.end_resolve(now, base, n, node);
        }
    }

    fn on_unreachable(&mut self, search: SearchId, id: &NodeId) {
        match search {
            SearchId::Lookup(n) => {
                if let Some(search) = self.searches.running.get_mut(&n) {
                    search.lookup.on_failure(id);
                }
            }
            SearchId::Walk => self.walker.walk.on_failure(id),
        }
    }

    fn end_search(&mut self, base: &mut Base, search: Search<T>) {
        match search.goal {
            Goal::Command(id) => {
                let result = LookupResult {
                    closest: search.lookup.closest().to_vec(),
                    queries: search.lookup.queried(),
                    packets: search.packets,
                };
                base.put(Output::LookupDone { id, result });
            }
            Goal::Refresh { left: 0 } => {}
            Goal::Refresh { left } => {
                let target = T::random(&mut self.random);
                self.search(Goal::Refresh { left: left - 1 }, target);
            }
            Goal::Resolve { id, key } => {
                // Not found anew, but the table may have met it meanwhile.
                let known = self.table.get(&key.id()).map(|entry| entry.node().clone());
                base.put(Output::Resolved { id, node: known });
            }
        }
    }

    /// Lets the random walk go on, as far as somebody takes what it finds: the next node that it
    /// wants to ask.
    fn poll_walk(&mut self, now: Now, base: &mut Base) -> Option<(Node, SearchId, T)> {
        self.offer_candidates(now, base);
        while self.walker.next_start().is_some_and(|at| at <= now.mono) {
            let target = T::random(&mut self.random);
            self.walker.target = Some(target);
            let seeds = self.closest(target);
            self.walker.walk.start(now.mono, target.id(), seeds);
            self.offer_candidates(now, base);
        }
        let target = self.walker.target?;
        let node = self.walker.walk.poll_query()?;
        Some((node, SearchId::Walk, target))
    }
}
