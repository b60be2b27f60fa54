//! The discovery task: one UDP socket, and what carries datagrams, commands and time to the machine
//! of `peerage-discovery`. It is not to be stopped by any of them.
//!
//! Nothing is decided here. Who is in the table, who is asked and what we tell of ourselves is the
//! machine's business; whom to be connected to is that of `peerage-peering`.

mod bootnodes;
mod carry;
mod command;
mod socket;

use std::{collections::BTreeMap, net::SocketAddr, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use peerage_discovery::{
    Input, QueryId, SeedNode,
    v4::{Config, V4, packet::Target},
};
use peerage_machine::{Machine as _, Random};
use peerage_node::{Node, Policy};
use tokio::sync::{broadcast, mpsc, watch};

use super::{clock::Clock, keeper::Keeper, local::Local, notice::Notice};
use crate::{
    discovery::{LookupTarget, TableEntry},
    events::Event,
};

pub(crate) use command::Command;
pub(crate) use socket::{Socket, bind_beside, bind_udp};

use bootnodes::Bootnodes;
use carry::Query;

/// How many datagrams are read before commands and timers have their turn.
const BATCH: usize = 64;

/// How long to wait before discovery begins again after a panic, so that one that happens again and
/// again costs little.
const RESTART: Duration = Duration::from_secs(1);

/// Discovery, as it was described.
pub(crate) struct Plan {
    pub(crate) socket: Socket,
    pub(crate) bootnodes: Vec<Node>,
    pub(crate) local: Local,
    /// The sequence number of our record that was published last.
    pub(crate) seq: u64,
}

/// What the task shares with the rest of the server.
pub(crate) struct Links {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) keeper: Keeper,
    /// How many candidates peering wants.
    pub(crate) wanted: watch::Receiver<usize>,
    /// Who may be talked to.
    pub(crate) policy: watch::Receiver<Policy>,
    pub(crate) tell: mpsc::UnboundedSender<Notice>,
    /// What handles show as ourselves.
    pub(crate) shown: watch::Sender<Node>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// How handles reach the discovery task.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) addr: SocketAddr,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

/// The state that outlives a panic.
pub(crate) struct Task {
    plan: Plan,
    links: Links,
}

/// The state that does not.
struct Driven {
    v4: V4,
    /// Who waits for an answer. As many as users ask.
    queries: BTreeMap<QueryId, Query>,
    next_query: u64,
}

impl Task {
    pub(crate) const fn new(plan: Plan, links: Links) -> Self {
        Self { plan, links }
    }

    /// Discovers until the server stops.
    pub(crate) async fn run(mut self) {
        let mut stopping = self.links.stopping.clone();
        loop {
            // After a panic nothing is used of what it may have left half done: the machine is made
            // anew, and the rest changes only between calls to it.
            match AssertUnwindSafe(self.drive()).catch_unwind().await {
                Ok(()) => break,
                Err(_) => tracing::error!("discovery panicked, and begins again"),
            }
            if tokio::time::timeout(RESTART, until_true(&mut stopping)).await.is_ok() {
                break;
            }
        }
    }

    async fn drive(&mut self) {
        let seeds = self.links.keeper.seeds().await;
        tracing::debug!(seeds = seeds.len(), "discovery begins");
        let Some(mut driven) = self.begin(seeds) else { return };
        let mut bootnodes = Bootnodes::new(&self.plan.bootnodes);
        let mut stopping = self.links.stopping.clone();
        loop {
            self.carry_outputs(&mut driven).await;
            let wake = driven.v4.poll_timeout();
            tokio::select! {
                () = until_true(&mut stopping) => return,
                () = self.plan.socket.readable() => self.receive(&mut driven).await,
                Some(command) = self.links.commands.recv() => self.on_command(&mut driven, command),
                Ok(()) = self.links.wanted.changed() => {
                    // One at a time: each is followed by another wish, so that none is offered in
                    // vain.
                    let count = (*self.links.wanted.borrow_and_update()).min(1);
                    self.input(&mut driven, Input::Want { count });
                }
                Ok(()) = self.links.policy.changed() => {
                    let policy = self.links.policy.borrow_and_update().clone();
                    self.input(&mut driven, Input::SetPolicy(policy));
                }
                Some(node) = bootnodes.next() => self.input(&mut driven, Input::AddNode(node)),
                () = self.links.clock.until(wake) => driven.v4.handle_timeout(self.links.clock.now()),
            }
        }
    }

    /// Makes the machine. `None` if there can be none.
    fn begin(&mut self, seeds: Vec<SeedNode>) -> Option<Driven> {
        let (now, plan) = (self.links.clock.now(), &self.plan);
        // Checked when the server started.
        let local = plan.local.record(plan.seq).ok()?;
        let mut config = Config {
            // The others have names, which `Bootnodes` resolves.
            bootnodes: plan
                .bootnodes
                .iter()
                .filter(|node| node.hostname().is_none())
                .cloned()
                .collect(),
            policy: self.links.policy.borrow_and_update().clone(),
            ..Config::default()
        };
        config.table.has_ipv4 = plan.socket.has_ip4();
        config.table.has_ipv6 = plan.socket.has_ip6();
        let key = plan.local.key.clone();
        let v4 = V4::new(config, key, local, seeds, now, self.links.random.fork());
        let mut driven = Driven { v4, queries: BTreeMap::new(), next_query: 0 };
        if let Some(change) = self.plan.local.stated() {
            self.input(&mut driven, Input::Local(change));
        }
        // Peering may have said what it wants before.
        let count = (*self.links.wanted.borrow_and_update()).min(1);
        self.input(&mut driven, Input::Want { count });
        Some(driven)
    }

    /// Reads what has come, within reason.
    async fn receive(&mut self, driven: &mut Driven) {
        let mut buffer = [0; Socket::BUFFER];
        for _ in 0..BATCH {
            let Some((size, from)) = self.plan.socket.receive(&mut buffer).await else { return };
            let now = self.links.clock.now();
            driven.v4.handle_input(now, Input::Datagram { from, bytes: &buffer[..size] });
            self.carry_outputs(driven).await;
        }
        // There may be more: whoever floods us is not to keep a thread for itself.
        tokio::task::yield_now().await;
    }

    fn on_command(&mut self, driven: &mut Driven, command: Command) {
        match command {
            Command::AddNode(node) => self.input(driven, Input::AddNode(node)),
            #[cfg(test)]
            Command::Crash => panic!("as a test wishes"),
            Command::Lookup { target, steps, done } => {
                let target = match target {
                    LookupTarget::Key(key) => Target::from(&key),
                    LookupTarget::Random => Target(self.links.random.bytes()),
                };
                let id = driven.wait(Query::Lookup { steps, done });
                self.input(driven, Input::Lookup { id, target });
            }
            Command::Ping { node, done } => {
                let id = driven.wait(Query::Ping(done));
                self.input(driven, Input::Ping { id, node });
            }
            Command::Record { node, done } => {
                let id = driven.wait(Query::Record(done));
                self.input(driven, Input::RequestRecord { id, node });
            }
            Command::Resolve { node, done } => {
                let id = driven.wait(Query::Resolve(done));
                self.input(driven, Input::Resolve { id, node });
            }
            Command::Table { done } => {
                // Fails if who asked has gone.
                let _ = done.send(self.entries(driven));
            }
        }
    }

    fn entries(&self, driven: &Driven) -> Vec<TableEntry> {
        let (now, table) = (self.links.clock.now().mono, driven.v4.table());
        let entry = |entry: &peerage_discovery::Entry| TableEntry {
            node: entry.node().clone(),
            endpoint: entry.endpoint(),
            distance: table.own().log_distance(&entry.id()),
            is_live: entry.is_live(),
            checks: entry.checks(),
            failures: entry.failures(),
            known_for: now.saturating_since(entry.added()),
            last_seen: entry.last_seen().map(|at| now.saturating_since(at)),
        };
        let mut entries: Vec<TableEntry> = table.entries().map(entry).collect();
        entries.sort_by_key(|entry| (entry.distance, entry.node.id()));
        entries
    }

    fn input(&self, driven: &mut Driven, input: Input<'_>) {
        driven.v4.handle_input(self.links.clock.now(), input);
    }
}

impl Driven {
    /// Lets somebody wait for an answer.
    fn wait(&mut self, query: Query) -> QueryId {
        let id = QueryId(self.next_query);
        self.next_query += 1;
        self.queries.insert(id, query);
        id
    }
}

/// Waits for the word to stop. That nobody is left to say it stops too.
async fn until_true(stopping: &mut watch::Receiver<bool>) {
    // Dropped here, as it is a lock.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
