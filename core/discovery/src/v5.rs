//! Discovery v5: what it does with its packets.
//!
//! It puts together what only v5 has (masked packets, handshakes, sessions, requests by distance
//! and TALKREQ), and stands on what all versions have. The [`Endpoint`](crate::Endpoint) drives it.
//!
//! Not here: topics, which no network uses. They would be a part of this module, beside `talk`,
//! with messages beside those of [`packet::Message`].
//!
//! Spec: [discv5.md](https://github.com/ethereum/devp2p/blob/master/discv5/discv5.md).

mod calls;
mod challenges;
mod config;
pub mod crypto;
mod inbound;
mod outbound;
pub mod packet;
mod records;
mod serve;
mod sessions;
mod talk;

use peerage_machine::{Instant, Now, Random, Seed};
use peerage_node::{Node, NodeId, PublicKey};

use self::{
    calls::{Calls, Purpose},
    challenges::Challenges,
    packet::{Mask, Message},
    records::Records,
    sessions::Sessions,
    talk::Talks,
};
pub use self::{
    config::{Config, DropReason, Stats},
    talk::{MAX_TALK_REQUEST, MAX_TALK_RESPONSE, TalkId},
};
use crate::{
    ALPHA, LookupTarget, Output, QueryId, SeedNode, Table, TableEntry, Version,
    base::Base,
    finder::{self, Finder, MAX_RUNNING},
};

/// The most records of an answer, in all of its parts.
const MAX_RECORDS: usize = 16;

/// The most parts of an answer.
const MAX_PARTS: u64 = 5;

/// Discovery v5: a part of an [`Endpoint`](crate::Endpoint).
///
/// # Security
///
/// A stranger is sent nothing but the WHOAREYOU for its packet, which is never larger than what
/// came; so nobody can make us send more to someone else than it costs. Packets are counted against
/// limits before anything is decrypted, except a few from each node that we ask; a handshake is
/// looked at only where a challenge waits for it. State held for strangers is bounded where it is
/// declared.
#[derive(Debug)]
pub struct V5 {
    config: Config,
    own: NodeId,
    mask: Mask,
    sessions: Sessions,
    challenges: Challenges,
    calls: Calls,
    records: Records,
    talks: Talks,
    finder: Finder<Target>,
    random: Random,
    stats: Stats,
}

/// What a lookup in discovery v5 is for: an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target(NodeId);

impl finder::Target for Target {
    const VERSION: Version = Version::V5;

    fn of(key: &PublicKey) -> Self {
        Self(key.id())
    }

    fn at(id: NodeId) -> Option<Self> {
        Some(Self(id))
    }

    fn random(random: &mut Random) -> Self {
        Self(NodeId(random.bytes()))
    }

    fn id(&self) -> NodeId {
        self.0
    }
}

impl V5 {
    /// Begins with `seeds`, which we knew in an earlier run, and the boot nodes.
    pub(crate) fn new(
        config: Config,
        general: &crate::Config,
        base: &mut Base,
        seeds: Vec<SeedNode>,
        now: Now,
        seed: Seed,
    ) -> Self {
        let own = base.key.public().id();
        let mut random = Random::from_seed(seed);
        let mut v5 = Self {
            own,
            mask: Mask::of(&own),
            sessions: Sessions::new(config.session_lifetime),
            challenges: Challenges::new(config.challenge_timeout),
            calls: Calls::new(config.pace),
            records: Records::new(),
            talks: Talks::new(),
            finder: Finder::new(general, own, now, random.fork()),
            random,
            stats: Stats::default(),
            config,
        };
        for SeedNode { node, .. } in seeds {
            v5.finder.add_found(now, base, node);
        }
        v5.finder.add_bootnodes(now, base);
        v5
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
            Some(to) => self.ping(now, base, node.clone(), to, Purpose::Ping(id)),
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

    /// [`Command::Talk`](crate::Command::Talk).
    pub(crate) fn talk(
        &mut self,
        now: Now,
        base: &mut Base,
        id: QueryId,
        node: &Node,
        (protocol, request): (&[u8], &[u8]),
    ) {
        let fits = protocol.len() + request.len() <= MAX_TALK_REQUEST;
        match self.finder.reach(now, base, node).filter(|_| fits) {
            Some(to) => {
                let message = |id| Message::TalkRequest { id, protocol, request };
                self.call(now, base, node.clone(), to, Purpose::Talk(id), message);
            }
            None => base.put(Output::TalkResponse { id, response: None }),
        }
    }

    /// Whether TALKREQs of a protocol go to the driver.
    pub(crate) fn set_talk_protocol(&mut self, protocol: Vec<u8>, has_handler: bool) {
        self.talks.set_protocol(protocol, has_handler);
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
        while let Some(id) = self.calls.pop_due(now.mono) {
            self.on_call_due(now, base, id);
        }
        self.finder.settle(now, base);
        while let Some((node, to)) = self.finder.poll_check(now, base) {
            self.ping(now, base, node, to, Purpose::Check);
        }
        self.finder.refresh(now, base);
        self.drive(now, base);
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.calls.next_due().into_iter().chain(self.finder.next_due()).min()
    }

    /// What packets for us are masked with.
    pub(crate) const fn mask(&self) -> &Mask {
        &self.mask
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

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// How many requests are under way.
    pub fn pending(&self) -> usize {
        self.calls.len()
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.sessions.memory()
            + self.challenges.memory()
            + self.calls.memory()
            + self.records.memory()
            + self.talks.memory()
            + self.finder.memory()
    }

    /// The most bytes held while at most `commands` requests of the driver are under way.
    pub(crate) fn memory_bound(general: &crate::Config, commands: usize) -> usize {
        Sessions::memory_bound()
            + Challenges::memory_bound()
            + Calls::memory_bound(Self::calls_bound(general, commands))
            + Records::memory_bound()
            + Talks::memory_bound()
            + Finder::<Target>::memory_bound(general, commands)
    }

    /// The most requests under way at a time: those of searches; for the table, a check and a
    /// record per node that it has; and those of the driver.
    pub(crate) const fn calls_bound(general: &crate::Config, commands: usize) -> usize {
        FINDS + 2 * general.table.max_entries() + commands
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
