//! Discovery v4 as a machine: datagrams and commands in; datagrams, candidates and answers out.
//!
//! It puts together the parts that know nothing of each other: packets, endpoint proofs, the table,
//! lookups, the vote on our address and the limits. Not here: sockets, and what is kept on disk.
//!
//! Spec: [discv4.md](https://github.com/ethereum/devp2p/blob/master/discv4.md).

mod asks;
mod bonds;
mod config;
mod inbound;
mod io;
mod outbound;
pub mod packet;
mod pings;
mod search;

use std::{collections::VecDeque, net::IpAddr, time::Duration};

pub use config::{Config, DropReason, Stats};
pub use io::{Input, Output, QueryId};
use peerage_machine::{ExpiringMap, Instant, Machine, Now, Random, Seed, deque_memory, list_bound};
use peerage_node::{LocalRecord, Node, NodeId, Policy, Record, SecretKey};

use self::{
    asks::{Asks, RecordFor, Request},
    bonds::{Bonds, Claimant},
    pings::{PingPurpose, Pings},
    search::{MAX_RUNNING, Searches},
};
use crate::{
    ALPHA, Added, CLOSEST, Limiter, Removed, SeedNode, StoreOp, Table, Walk, own_record::OwnRecord,
};

/// Nodes that wait until they may be asked something. As many prove themselves in a second at most,
/// at the rate that unproved addresses are listened to.
const MAX_SETTLING: usize = 512;

/// The first time between two refreshes of a table with few nodes; it doubles as long as there are
/// no more. Nodes of a new network that start together find each other by that.
const SPARSE_REFRESH: Duration = Duration::from_secs(5);

/// The longest time between two refreshes of an empty table.
const EMPTY_REFRESH_MAX: Duration = Duration::from_secs(60);

/// Discovery v4.
///
/// The driver keeps the [drain rule](peerage_machine), sends what [`Output::Send`] says, and hands
/// every datagram to [`Input::Datagram`]. A datagram that could not be sent is as good as lost:
/// nothing has to be told.
///
/// # Security
///
/// An address that has not proved itself is sent nothing but the PONG to its PING, and a PING of
/// ours that asks for a proof; so for one packet nobody can make us send more than two to someone
/// else, and not three times the bytes.
/// Packets are counted against limits before a signature is recovered, except the first PONG to
/// each PING of ours, whose hash nobody else knows. State held for strangers is bounded where it is
/// declared.
#[derive(Debug)]
pub struct V4 {
    config: Config,
    key: SecretKey,
    own: OwnRecord,
    table: Table,
    bonds: Bonds,
    limiter: Limiter,
    pings: Pings,
    asks: Asks,
    searches: Searches,
    walk: Walk,
    /// Nodes that have just proved themselves, until they may come into the table.
    settling: ExpiringMap<NodeId, Node>,
    next_refresh: Instant,
    /// How many nodes the table had at the last refresh.
    refreshed_at: usize,
    /// Refreshes in a row that brought no more nodes.
    vain_refreshes: u32,
    random: Random,
    stats: Stats,
    outputs: VecDeque<Output>,
}

impl V4 {
    /// A node with the secret `key`, of which `local` is the record; it starts with `seeds`, which
    /// it knew in an earlier run.
    ///
    /// # Panics
    ///
    /// If `local` is the record of another key.
    pub fn new(
        config: Config,
        key: SecretKey,
        local: LocalRecord,
        seeds: Vec<SeedNode>,
        now: Now,
        seed: Seed,
    ) -> Self {
        assert_eq!(key.public(), local.public_key(), "the record is that of another key");
        let mut random = Random::from_seed(seed);
        let own = key.public().id();
        let mut v4 = Self {
            own: OwnRecord::new(local, config.vote_interval),
            table: Table::new(own, config.table.clone(), random.fork()),
            bonds: Bonds::new(config.bond_lifetime),
            limiter: Limiter::new(config.limiter.clone()),
            pings: Pings::new(),
            asks: Asks::new(),
            searches: Searches::new(),
            walk: Walk::new(own),
            settling: ExpiringMap::new(MAX_SETTLING),
            next_refresh: now.mono,
            refreshed_at: 0,
            vain_refreshes: 0,
            random,
            stats: Stats::default(),
            outputs: VecDeque::new(),
            config,
            key,
        };
        v4.outputs.push_back(Output::Store(StoreOp::Seq(v4.own.current().seq())));
        for SeedNode { node, last_pong } in seeds {
            if let Some(to) = v4.endpoint(now, &node) {
                let claimant = Claimant { ip: to.ip(), id: node.id() };
                v4.bonds.restore(now.mono, claimant, now.unix.saturating_sub(last_pong));
            }
            v4.add_found(now, node);
        }
        for node in v4.config.bootnodes.clone() {
            v4.add_found(now, node);
        }
        v4
    }

    /// The node table.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Our record, as it is announced now.
    pub const fn local_record(&self) -> &Record {
        self.own.current()
    }

    /// What was counted since the start.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many nodes have proved to be at their address in the last day.
    pub fn proved(&self) -> usize {
        self.bonds.len()
    }

    /// How many requests are under way, for lookups and records.
    pub fn pending(&self) -> usize {
        self.asks.len()
    }

    /// The bytes held for others, estimated from counts and capacities as if each node had the
    /// largest record; without the size of the value itself, and without what its settings hold.
    ///
    /// Cheap enough to be asked for after each event, once the outputs are drained.
    pub fn memory(&self) -> usize {
        self.own.memory()
            + self.table.memory()
            + self.bonds.memory()
            + self.limiter.memory()
            + self.pings.memory()
            + self.asks.memory()
            + self.searches.memory()
            + self.walk.memory()
            + self.settling.memory()
            + self.settling.len() * Node::MAX_HEAP
            + deque_memory(&self.outputs)
            + self.outputs.iter().map(Output::memory).sum::<usize>()
    }

    /// The most that [`memory`](Self::memory) is with these settings whatever comes in, once the
    /// outputs are drained, while at most `commands` requests of the driver are under way and at
    /// most `seeds` seeds were there at the start.
    pub fn memory_bound(config: &Config, commands: usize, seeds: usize) -> usize {
        let entries = config.table.max_entries();
        // The walk's and each lookup's; and for the table, one per node that it has.
        let finds = ALPHA * (1 + MAX_RUNNING);
        let asks = finds + entries + commands;
        // What one call puts out at most: news of all that settles and all that is checked, and the
        // datagrams for all requests. The room for it is kept.
        let outputs = MAX_SETTLING + 2 * entries + 4 * asks + config.bootnodes.len() + seeds;
        OwnRecord::memory_bound()
            + Table::memory_bound(&config.table)
            + Bonds::memory_bound()
            + Limiter::memory_bound(&config.limiter)
            + Pings::memory_bound(entries + asks)
            + Asks::memory_bound(finds, entries + commands)
            + Searches::memory_bound(commands)
            + Walk::memory_bound()
            + ExpiringMap::<NodeId, Node>::memory_bound(MAX_SETTLING)
            + MAX_SETTLING * Node::MAX_HEAP
            + list_bound::<Output>(outputs)
    }

    fn on_command(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::AddNode(node) => self.add_found(now, node),
            Input::Datagram { from, bytes } => self.on_datagram(now, from, bytes),
            Input::Local(change) => {
                // The driver has checked that it fits; if not, the record stays as it is.
                if let Ok(Some(record)) = self.own.change(change) {
                    self.on_local_record(record);
                }
            }
            Input::Lookup { id, target } => self.look_up(now, id, target),
            Input::Ping { id, node } => match self.endpoint(now, &node) {
                Some(to) => {
                    let claimant = Claimant { ip: to.ip(), id: node.id() };
                    self.ping(now, claimant, to, PingPurpose::Command(id));
                }
                None => self.outputs.push_back(Output::PingFailed { id }),
            },
            Input::RequestRecord { id, node } => {
                if !self.ask(now, node, Request::Record(RecordFor::Command(id))) {
                    self.outputs.push_back(Output::Record { id, record: None });
                }
            }
            Input::Resolve { id, node } => self.resolve(now, id, node),
            Input::SetPolicy(policy) => self.on_policy(now, policy),
            Input::Want { count } => {
                self.walk.want(count);
                self.drive_walk(now);
            }
        }
    }

    /// Checks of the table that are due.
    fn check_nodes(&mut self, now: Now) {
        while self.table.next_check().is_some_and(|at| at <= now.mono) {
            let Some(node) = self.table.poll_check(now.mono) else { continue };
            let id = node.id();
            match self.endpoint(now, &node) {
                Some(to) => self.ping(now, Claimant { ip: to.ip(), id }, to, PingPurpose::Check),
                None => self.on_check_failed(now, id),
            }
        }
    }

    fn on_check_failed(&mut self, now: Now, id: NodeId) {
        let removed = self.table.on_dead(now.mono, &id);
        self.on_removed(now, removed);
    }

    /// Begins again with those that were told to us, and looks around.
    fn refresh(&mut self, now: Now) {
        for node in self.config.bootnodes.clone() {
            self.add_found(now, node);
        }
        self.start_refresh(now);
        let nodes = self.table.len();
        self.vain_refreshes =
            if nodes > self.refreshed_at { 0 } else { self.vain_refreshes.saturating_add(1) };
        self.refreshed_at = nodes;
        let half = self.config.refresh / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let regular = half + Duration::from_nanos(self.random.below(nanos));
        // At most 2^16 times as long: past every sensible interval.
        let sparse = SPARSE_REFRESH * 2_u32.pow(self.vain_refreshes.min(16));
        self.next_refresh = now.mono
            + match nodes {
                0 => sparse.min(EMPTY_REFRESH_MAX),
                1..CLOSEST => sparse.min(regular),
                _ => regular,
            };
    }

    /// News of a node from somebody else.
    fn add_found(&mut self, now: Now, node: Node) {
        if self.endpoint(now, &node).is_none() {
            return;
        }
        let added = self.table.add_found(now.mono, node.clone());
        self.on_added(added, node);
    }

    /// News of a node from itself, from an address that it proved.
    fn add_inbound(&mut self, now: Now, node: Node) {
        let id = node.id();
        if self.table.get(&id).is_some() {
            let added = self.table.add_inbound(now.mono, node.clone());
            self.on_added(added, node);
        } else if self.settling.get(&id, now.mono).is_none() {
            self.settling.insert(id, node, now.mono + self.config.settle);
        }
    }

    fn on_added(&mut self, added: Added, node: Node) {
        match added {
            Added::New => self.outputs.push_back(Output::NodeAdded(node)),
            Added::Known | Added::Refused(_) | Added::Replacement | Added::Updated => {}
        }
    }

    fn on_removed(&mut self, now: Now, removed: Option<Removed>) {
        let Some(removed) = removed else { return };
        self.outputs.push_back(Output::NodeDropped(removed.entry.id()));
        if let Some(entry) = removed.promoted.and_then(|id| self.table.get(&id)) {
            self.outputs.push_back(Output::NodeAdded(entry.node().clone()));
        }
        if self.table.is_empty() {
            self.refreshed_at = 0;
            self.next_refresh = self.next_refresh.min(now.mono + SPARSE_REFRESH);
        }
    }

    fn on_local_record(&mut self, record: Record) {
        self.outputs.push_back(Output::Store(StoreOp::Seq(record.seq())));
        self.outputs.push_back(Output::LocalRecord(record));
    }

    fn on_policy(&mut self, now: Now, policy: Policy) {
        self.config.policy = policy;
        let buckets = self.table.buckets().map(|(_, bucket)| bucket);
        // Those that wait for a place go first, or they would get one.
        let entries = buckets
            .flat_map(|bucket| bucket.replacements().chain(bucket.entries()))
            .map(|entry| (entry.id(), entry.endpoint().ip()));
        let forbidden: Vec<(NodeId, IpAddr)> =
            entries.filter(|(id, ip)| !self.is_allowed(now, Some(id), *ip)).collect();
        for (id, _) in forbidden {
            let removed = self.table.remove(now.mono, &id);
            self.on_removed(now, removed);
        }
    }

    /// Whether the policy allows the node, where it is known which, at `ip`.
    fn is_allowed(&self, now: Now, id: Option<&NodeId>, ip: IpAddr) -> bool {
        self.config.policy.check(now.mono, id, Some(ip)).is_ok()
    }
}

impl Machine for V4 {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.on_command(now, input);
    }

    fn handle_timeout(&mut self, now: Now) {
        while let Some((claimant, ping)) = self.pings.pop_due(now.mono) {
            self.on_ping_timeout(now, claimant, ping);
        }
        while let Some(id) = self.asks.pop_due(now.mono) {
            self.on_ask_due(now, id);
        }
        while let Some((_, node)) = self.settling.pop_expired(now.mono) {
            if self.endpoint(now, &node).is_none() {
                continue;
            }
            let added = self.table.add_inbound(now.mono, node.clone());
            self.on_added(added, node);
        }
        self.check_nodes(now);
        if self.next_refresh <= now.mono {
            self.refresh(now);
        }
        self.drive_walk(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [
            self.pings.next_due(),
            self.asks.next_due(),
            self.settling.next_expiry(),
            self.table.next_check(),
            Some(self.next_refresh),
            self.walk.next_start(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[cfg(test)]
mod tests;
