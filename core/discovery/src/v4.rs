//! Discovery v4: what it does with its packets.
//!
//! It puts together what only v4 has (packets, endpoint proofs, pings and requests), and stands on
//! what all versions have. The [`Endpoint`](crate::Endpoint) drives it.
//!
//! Spec: [discv4.md](https://github.com/ethereum/devp2p/blob/master/discv4.md).

mod asks;
mod bonds;
mod config;
mod inbound;
mod outbound;
pub mod packet;
mod pings;

use peerage_machine::{Instant, Now, Seed};
use peerage_node::Node;

pub use self::config::{Config, DropReason, Stats};
use self::{
    asks::Asks,
    bonds::{Bonds, Claimant},
    packet::Target,
    pings::{PingPurpose, Pings},
};
use crate::{
    ALPHA, LookupTarget, Output, QueryId, SeedNode, Table, TableEntry,
    base::Base,
    finder::{Finder, MAX_RUNNING},
};

/// Discovery v4: a part of an [`Endpoint`](crate::Endpoint).
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
    bonds: Bonds,
    pings: Pings,
    asks: Asks,
    finder: Finder<Target>,
    stats: Stats,
}

impl V4 {
    /// Begins with `seeds`, which we knew in an earlier run, and the boot nodes.
    pub(crate) fn new(
        config: Config,
        general: &crate::Config,
        base: &mut Base,
        seeds: Vec<SeedNode>,
        now: Now,
        seed: Seed,
    ) -> Self {
        let mut v4 = Self {
            bonds: Bonds::new(config.bond_lifetime),
            pings: Pings::new(),
            asks: Asks::new(),
            finder: Finder::new(general, base.key.public().id(), now, seed),
            stats: Stats::default(),
            config,
        };
        for SeedNode { node, last_pong } in seeds {
            if let Some(to) = v4.finder.reach(now, base, &node) {
                let claimant = Claimant { ip: to.ip(), id: node.id() };
                v4.bonds.restore(now.mono, claimant, now.unix.saturating_sub(last_pong));
            }
            v4.finder.add_found(now, base, node);
        }
        v4.finder.add_bootnodes(now, base);
        v4
    }

    /// A node to be considered for the table.
    pub(crate) fn add_node(&mut self, now: Now, base: &mut Base, node: Node) {
        self.finder.add_found(now, base, node);
    }

    /// [`Command::Lookup`](crate::Command::Lookup).
    pub(crate) fn look_up(&mut self, now: Now, base: &mut Base, id: QueryId, target: LookupTarget) {
        self.finder.look_up(base, id, target);
        self.drive(now, base);
    }

    /// [`Command::Ping`](crate::Command::Ping).
    pub(crate) fn ping_node(&mut self, now: Now, base: &mut Base, id: QueryId, node: &Node) {
        match self.finder.reach(now, base, node) {
            Some(to) => {
                let claimant = Claimant { ip: to.ip(), id: node.id() };
                self.ping(now, base, claimant, to, PingPurpose::Command(id));
            }
            None => base.put(Output::PingFailed { id }),
        }
    }

    /// [`Command::RequestRecord`](crate::Command::RequestRecord).
    pub(crate) fn request_record(&mut self, now: Now, base: &mut Base, id: QueryId, node: Node) {
        self.finder.request_record(now, base, id, node);
        self.drive(now, base);
    }

    /// [`Command::Resolve`](crate::Command::Resolve).
    pub(crate) fn resolve(&mut self, now: Now, base: &mut Base, id: QueryId, node: Node) {
        self.finder.resolve(now, base, id, node);
        self.drive(now, base);
    }

    /// So many more candidates are wanted, whatever was said before.
    pub(crate) fn want(&mut self, now: Now, base: &mut Base, count: usize) {
        self.finder.want(count);
        self.drive(now, base);
    }

    /// The policy has changed.
    pub(crate) fn on_policy(&mut self, now: Now, base: &mut Base) {
        self.finder.on_policy(now, base);
    }

    /// Does everything that is due.
    pub(crate) fn on_timeout(&mut self, now: Now, base: &mut Base) {
        while let Some((claimant, ping)) = self.pings.pop_due(now.mono) {
            self.on_ping_timeout(now, base, claimant, ping);
        }
        while let Some(id) = self.asks.pop_due(now.mono) {
            self.on_ask_due(now, base, id);
        }
        self.finder.settle(now, base);
        while let Some((node, to)) = self.finder.poll_check(now, base) {
            let claimant = Claimant { ip: to.ip(), id: node.id() };
            self.ping(now, base, claimant, to, PingPurpose::Check);
        }
        self.finder.refresh(now, base);
        self.drive(now, base);
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = [self.pings.next_due(), self.asks.next_due(), self.finder.next_due()];
        due.into_iter().flatten().min()
    }

    /// The node table.
    pub const fn table(&self) -> &Table {
        self.finder.table()
    }

    /// The node table as it is shown.
    pub(crate) fn entries(&self, now: Now) -> Vec<TableEntry> {
        self.finder.entries(now)
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

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.bonds.memory() + self.pings.memory() + self.asks.memory() + self.finder.memory()
    }

    /// The most bytes held while at most `commands` requests of the driver are under way.
    pub(crate) fn memory_bound(general: &crate::Config, commands: usize) -> usize {
        let entries = general.table.max_entries();
        Bonds::memory_bound()
            + Pings::memory_bound(entries + Self::asks_bound(general, commands))
            + Asks::memory_bound(FINDS, entries + commands)
            + Finder::<Target>::memory_bound(general, commands)
    }

    /// The most requests under way at a time: those of searches; and for the table, one per node
    /// that it has.
    pub(crate) const fn asks_bound(general: &crate::Config, commands: usize) -> usize {
        FINDS + general.table.max_entries() + commands
    }

    /// Asks all nodes that the finder wants to be asked.
    fn drive(&mut self, now: Now, base: &mut Base) {
        while let Some(query) = self.finder.poll_query(now, base) {
            self.ask(now, base, query);
        }
    }
}

/// The most requests for nodes at a time: those of the walk, and of each lookup.
const FINDS: usize = ALPHA * (1 + MAX_RUNNING);

#[cfg(test)]
mod tests;
