//! Lookups of [`V4`]: those that the driver wants, those that keep the table fresh, and random
//! walks.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use peerage_machine::{Now, deque_memory, list_bound, tree_memory};
use peerage_node::{Node, PublicKey, Record, check_relay};

use super::{
    Output, QueryId, V4,
    asks::{AskId, RecordFor, Request},
    packet::Target,
};
use crate::{CLOSEST, Lookup};

/// Lookups at the same time, besides the walk. Each has at most three requests under way; more of
/// them would only share what our link and the nodes can bear.
pub(super) const MAX_RUNNING: usize = 16;

/// Lookups of random targets in a refresh of the table, after that of ourselves.
const RANDOM_LOOKUPS: u32 = 3;

/// Whose question an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchId {
    /// A lookup, unique for the life of the machine.
    Lookup(u64),
    /// The random walk.
    Walk,
}

/// What a lookup is for.
#[derive(Debug)]
enum Goal {
    /// [`Input::Lookup`](super::Input::Lookup).
    Command(QueryId),
    /// Fresh nodes for the table; so many more lookups follow.
    Refresh { left: u32 },
    /// [`Input::Resolve`](super::Input::Resolve).
    Resolve {
        id: QueryId,
        /// Whom.
        key: PublicKey,
    },
}

#[derive(Debug)]
struct Search {
    goal: Goal,
    target: Target,
    lookup: Lookup,
    packets: usize,
}

/// All lookups but that of the walk.
#[derive(Debug)]
pub(super) struct Searches {
    next: u64,
    running: BTreeMap<u64, Search>,
    /// Those that wait for their turn: as many as the driver wants, and one refresh.
    waiting: VecDeque<(Goal, Target)>,
    walk_target: Target,
}

impl Searches {
    pub(super) const fn new() -> Self {
        Self {
            next: 0,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            walk_target: Target([0; 64]),
        }
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        let running = self.running.values().map(|search| search.lookup.memory());
        tree_memory::<u64, Search>(self.running.len())
            + running.sum::<usize>()
            + deque_memory(&self.waiting)
    }

    /// The most bytes held while at most so many lookups of the driver wait.
    pub(super) const fn memory_bound(commands: usize) -> usize {
        tree_memory::<u64, Search>(MAX_RUNNING)
            + MAX_RUNNING * Lookup::memory_bound()
            + list_bound::<(Goal, Target)>(commands + 1)
    }

    fn is_refreshing(&self) -> bool {
        let running = self.running.values().map(|search| &search.goal);
        let mut goals = running.chain(self.waiting.iter().map(|(goal, _)| goal));
        goals.any(|goal| matches!(goal, Goal::Refresh { .. }))
    }
}

impl V4 {
    /// [`Input::Lookup`](super::Input::Lookup).
    pub(super) fn look_up(&mut self, now: Now, id: QueryId, target: Target) {
        self.search(now, Goal::Command(id), target);
    }

    /// Looks for ourselves, and then for random targets, unless that is going on.
    pub(super) fn start_refresh(&mut self, now: Now) {
        if !self.searches.is_refreshing() {
            let target = Target::from(self.key.public());
            self.search(now, Goal::Refresh { left: RANDOM_LOOKUPS }, target);
        }
    }

    /// [`Input::Resolve`](super::Input::Resolve).
    pub(super) fn resolve(&mut self, now: Now, id: QueryId, node: Node) {
        let known = self.table.get(&node.id()).map(|entry| entry.node().clone());
        let request = Request::Record(RecordFor::Resolve { id, may_search: true });
        if !self.ask(now, known.unwrap_or_else(|| node.clone()), request) {
            self.search_node(now, id, *node.public_key());
        }
    }

    /// A node that is to be resolved gave its record, or not.
    pub(super) fn on_resolve_record(
        &mut self,
        now: Now,
        id: QueryId,
        may_search: bool,
        asked: Node,
        record: Option<Record>,
    ) {
        let node = match record.map(Node::from_record) {
            Some(node) if self.is_candidate(now, &node, asked.udp_endpoints().first()) => {
                Some(node)
            }
            // A record without an address that we could use is no help; where it answered is.
            Some(_) => Some(asked),
            None if may_search => return self.search_node(now, id, *asked.public_key()),
            // Others tell of it; it may be that it answers to TCP only.
            None => Some(asked),
        };
        self.outputs.push_back(Output::Resolved { id, node });
    }

    /// A node was asked for others, and told of some, or did not answer.
    pub(super) fn on_found(
        &mut self,
        now: Now,
        search: SearchId,
        asked: Node,
        nodes: Option<Vec<Node>>,
    ) {
        for node in nodes.iter().flatten() {
            self.add_found(now, node.clone());
        }
        match search {
            SearchId::Lookup(n) => self.on_lookup_answer(now, n, asked, nodes),
            SearchId::Walk => {
                match nodes {
                    Some(nodes) => {
                        self.walk.on_nodes(&asked.id(), nodes);
                    }
                    None => self.walk.on_failure(&asked.id()),
                }
                self.drive_walk(now);
            }
        }
    }

    fn on_lookup_answer(&mut self, now: Now, n: u64, asked: Node, nodes: Option<Vec<Node>>) {
        let Some(search) = self.searches.running.get_mut(&n) else { return };
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
            self.outputs.push_back(Output::LookupStep { id, asked, found });
        }
        match resolved {
            Some(node) => self.end_resolve(now, n, node),
            None => self.drive(now, n),
        }
        self.start_waiting(now);
    }

    /// A lookup has met the node that it is for: what that says itself is worth more.
    fn end_resolve(&mut self, now: Now, n: u64, node: Node) {
        if let Some(Search { goal: Goal::Resolve { id, .. }, .. }) =
            self.searches.running.remove(&n)
        {
            let request = Request::Record(RecordFor::Resolve { id, may_search: false });
            if !self.ask(now, node.clone(), request) {
                self.outputs.push_back(Output::Resolved { id, node: Some(node) });
            }
        }
    }

    /// A packet was sent for a request.
    pub(super) fn count_packet(&mut self, id: AskId) {
        let Some(ask) = self.asks.get_mut(id) else { return };
        if let Request::Find { search: SearchId::Lookup(n), .. } = ask.request
            && let Some(search) = self.searches.running.get_mut(&n)
        {
            search.packets += 1;
        }
    }

    /// Lets the random walk go on, as far as somebody takes what it finds.
    pub(super) fn drive_walk(&mut self, now: Now) {
        loop {
            while let Some(node) = self.walk.poll_candidate() {
                // Whom nobody can connect to is found for the table only. It was not what was
                // wanted.
                if self.is_candidate(now, &node, node.udp_endpoints().first()) {
                    self.outputs.push_back(Output::Candidate(node));
                } else {
                    self.walk.want(self.walk.wanted() + 1);
                }
            }
            if self.walk.next_start().is_some_and(|at| at <= now.mono) {
                let target = Target(self.random.bytes());
                self.searches.walk_target = target;
                let seeds = self.closest(target);
                self.walk.start(now.mono, target.id(), seeds);
                continue;
            }
            let Some(node) = self.walk.poll_query() else { return };
            let id = node.id();
            let target = self.searches.walk_target;
            if !self.ask(now, node, Request::Find { search: SearchId::Walk, target }) {
                self.walk.on_failure(&id);
            }
        }
    }

    /// Whether `node`, which is heard from `udp`, says where to connect to it, and nothing else
    /// than such places.
    ///
    /// # Security
    ///
    /// Nobody elsewhere makes us connect to our own network.
    fn is_candidate(&self, now: Now, node: &Node, udp: Option<&SocketAddr>) -> bool {
        let tcp = node.tcp_endpoints();
        let is_good = |tcp: &SocketAddr| {
            let may_be_told = udp.is_none_or(|udp| check_relay(udp.ip(), tcp.ip()).is_ok());
            may_be_told && self.is_allowed(now, Some(&node.id()), tcp.ip())
        };
        !tcp.is_empty() && tcp.iter().all(is_good)
    }

    fn search_node(&mut self, now: Now, id: QueryId, key: PublicKey) {
        self.search(now, Goal::Resolve { id, key }, Target::from(&key));
    }

    fn search(&mut self, now: Now, goal: Goal, target: Target) {
        self.searches.waiting.push_back((goal, target));
        self.start_waiting(now);
    }

    fn start_waiting(&mut self, now: Now) {
        while self.searches.running.len() < MAX_RUNNING {
            let Some((goal, target)) = self.searches.waiting.pop_front() else { return };
            let lookup = Lookup::new(self.table.own(), target.id(), self.closest(target));
            let n = self.searches.next;
            self.searches.next += 1;
            self.searches.running.insert(n, Search { goal, target, lookup, packets: 0 });
            self.drive(now, n);
        }
    }

    /// Asks whom a lookup wants to ask, and ends it when there is nobody left. Then another may
    /// start.
    fn drive(&mut self, now: Now, n: u64) {
        while let Some(search) = self.searches.running.get_mut(&n) {
            let target = search.target;
            if let Some(node) = search.lookup.poll_query() {
                let id = node.id();
                let request = Request::Find { search: SearchId::Lookup(n), target };
                if !self.ask(now, node, request)
                    && let Some(search) = self.searches.running.get_mut(&n)
                {
                    search.lookup.on_failure(&id);
                }
            } else if search.lookup.is_done() {
                if let Some(search) = self.searches.running.remove(&n) {
                    self.end_search(search);
                }
            } else {
                return;
            }
        }
    }

    fn end_search(&mut self, search: Search) {
        match search.goal {
            Goal::Command(id) => self.outputs.push_back(Output::LookupDone {
                id,
                closest: search.lookup.closest().to_vec(),
                queries: search.lookup.queried(),
                packets: search.packets,
            }),
            Goal::Refresh { left: 0 } => {}
            Goal::Refresh { left } => {
                let target = Target(self.random.bytes());
                self.searches.waiting.push_back((Goal::Refresh { left: left - 1 }, target));
            }
            Goal::Resolve { id, key } => {
                // Not found anew, but the table may have met it meanwhile.
                let known = self.table.get(&key.id()).map(|entry| entry.node().clone());
                self.outputs.push_back(Output::Resolved { id, node: known });
            }
        }
    }

    /// The nodes to start a lookup with.
    fn closest(&self, target: Target) -> Vec<Node> {
        if self.table.is_empty() {
            return self.config.bootnodes.clone();
        }
        let entries = self.table.closest(&target.id(), CLOSEST, false);
        entries.into_iter().map(|entry| entry.node().clone()).collect()
    }
}
