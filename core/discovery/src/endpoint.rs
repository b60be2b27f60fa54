//! Discovery as a whole, at one socket: the machine that a driver holds.
//!
//! It owns what all versions share between them (our record, the vote on our address, the limits),
//! gives each datagram to the version that it is of, follows boot nodes by name, and begins anew
//! where a version has panicked. The driver moves datagrams, timers, names and answers.

mod bootnodes;
mod commands;
mod io;
mod joint;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use keccak_asm::Keccak256;
use peerage_machine::{Instant, Machine, Now, Random, Seed};
use peerage_node::{Node, Policy, Record, SelfDescription, Source};

pub use self::io::{Command, Input, NameId, Output, Warning};
use self::{bootnodes::BootNodes, joint::Joint};
use crate::{
    Config, Datagram, LocalChange, SeedNode, StoreOp, base::Base, finder::MAX_SETTLING,
    own_record::OwnRecord, v4::V4, v5::V5,
};

/// How long to wait before discovery begins again after a panic, so that one that happens again and
/// again costs little.
const RESTART: Duration = Duration::from_secs(1);

/// Discovery at one socket.
///
/// The driver keeps the [drain rule](peerage_machine), sends what [`Output::Send`] says, and hands
/// every datagram to [`Input::Datagram`]. A datagram that could not be sent is as good as lost:
/// nothing has to be told.
///
/// It asks for seeds first, and runs once it has them: see [`is_running`](Self::is_running).
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    about: SelfDescription,
    base: Base,
    bootnodes: BootNodes,
    state: State,
    /// How many candidates of each version are wanted.
    wanted: Wanted,
    /// What has changed about us since the start, the last of each kind.
    changes: Vec<LocalChange>,
    /// The sequence number of our record that was published last.
    seq: u64,
    /// For the versions that begin next.
    seed: Seed,
    /// For the seeds after panics.
    restarts: Random,
    /// Questions that both versions were asked.
    joint: Joint,
    /// Protocols of TALKREQ with a handler.
    talk_protocols: BTreeSet<Vec<u8>>,
    stats: Stats,
}

/// How far discovery is.
///
/// ```text
///   new --> Seeding --seeds--> Running
///              ^                  |
///              |                  | a version panicked
///           a second              |
///              +--- Resting <-----+
/// ```
#[derive(Debug)]
enum State {
    /// Until this time nothing is done.
    Resting { until: Instant },
    /// The driver looks for nodes of an earlier run.
    Seeding,
    /// The versions that are on work.
    Running(Box<Versions>),
}

/// The versions that are on.
#[derive(Debug)]
struct Versions {
    v4: Option<V4>,
    v5: Option<V5>,
}

/// How many candidates of each version are wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    v4: usize,
    v5: usize,
}

/// What has been counted of datagrams before a version got them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Those that came in.
    pub received: u64,
    /// Those of no version that is on.
    pub foreign: u64,
    /// Those from an address that the policy forbids, or where no single machine can be.
    pub not_allowed: u64,
}

impl Endpoint {
    /// The node that `about` describes, whose last record had the sequence number `seq`.
    ///
    /// # Panics
    ///
    /// If what `about` says does not fit into a record: see [`SelfDescription::record`].
    pub fn new(mut config: Config, about: SelfDescription, seq: u64, seed: Seed) -> Self {
        config.table.has_ipv4 = about.sends_to_ip4();
        config.table.has_ipv6 = about.sends_to_ip6();
        let mut base = base(&config, &about, &[], seq);
        base.put(Output::WantSeeds);
        Self {
            config,
            about,
            base,
            bootnodes: BootNodes::new(),
            state: State::Seeding,
            wanted: Wanted::default(),
            changes: Vec::new(),
            seq,
            seed,
            restarts: Random::from_seed(seed_for(&seed, b"restarts")),
            joint: Joint::default(),
            talk_protocols: BTreeSet::new(),
            stats: Stats::default(),
        }
    }

    /// Whether it serves and asks others. Until then, datagrams are lost and commands are answered
    /// with nothing: a driver that lets both wait loses none.
    pub const fn is_running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Our record, as it is announced now.
    pub const fn local_record(&self) -> &Record {
        self.base.own.current()
    }

    /// Ourselves with that record, as we are shown to our user.
    pub fn local_node(&self) -> Node {
        self.about.node(self.local_record().clone())
    }

    /// Discovery v4, where it is on and running.
    pub fn v4(&self) -> Option<&V4> {
        match &self.state {
            State::Running(versions) => versions.v4.as_ref(),
            State::Resting { .. } | State::Seeding => None,
        }
    }

    /// Discovery v5, where it is on and running.
    pub fn v5(&self) -> Option<&V5> {
        match &self.state {
            State::Running(versions) => versions.v5.as_ref(),
            State::Resting { .. } | State::Seeding => None,
        }
    }

    /// What was counted since the start.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The bytes held for others, estimated from counts and capacities as if each node had the
    /// largest record; without the size of the value itself, and without what its settings hold.
    ///
    /// Cheap enough to be asked for after each event, once the outputs are drained.
    pub fn memory(&self) -> usize {
        self.base.memory()
            + self.v4().map_or(0, V4::memory)
            + self.v5().map_or(0, V5::memory)
            + self.joint.memory()
    }

    /// The most that [`memory`](Self::memory) is with these settings whatever comes in, once the
    /// outputs are drained, while at most `commands` requests of the driver are under way and at
    /// most `seeds` seeds were there at the start.
    pub fn memory_bound(config: &Config, commands: usize, seeds: usize) -> usize {
        let entries = config.table.max_entries();
        // What one call puts out at most: news of all that settles and all that is checked, the
        // datagrams for all requests, and what begins. The room for it is kept.
        let begin = 2 * config.bootnodes.len() + seeds;
        let outputs = |asks: usize| MAX_SETTLING + 2 * entries + 4 * asks + begin;
        let v4 = config.v4.as_ref().map_or((0, 0), |_| {
            (outputs(V4::asks_bound(config, commands)), V4::memory_bound(config, commands))
        });
        let v5 = config.v5.as_ref().map_or((0, 0), |_| {
            (outputs(V5::calls_bound(config, commands)), V5::memory_bound(config, commands))
        });
        Base::memory_bound(config, v4.0 + v5.0) + v4.1 + v5.1 + Joint::memory_bound(commands)
    }

    fn on_datagram(&mut self, now: Now, from: SocketAddr, datagram: Datagram<'_>) {
        let State::Running(versions) = &mut self.state else { return };
        self.stats.received += 1;
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if from.port() == 0 || !is_unicast(from.ip()) || !self.base.is_allowed(now, None, from.ip())
        {
            self.stats.not_allowed += 1;
            return;
        }
        // Two blocks of AES rule out v5; v4 takes a hash of all of it.
        if let Some(v5) = &mut versions.v5
            && let Some(packet) = datagram.check_v5(v5.mask())
        {
            return v5.on_packet(now, &mut self.base, from, &packet);
        }
        if let Some(v4) = &mut versions.v4
            && let Ok(sealed) = datagram.check_v4()
        {
            return v4.on_packet(now, &mut self.base, from, sealed);
        }
        self.stats.foreign += 1;
    }

    fn on_name(&mut self, now: Now, id: NameId, addresses: &[IpAddr]) {
        let resolved = self.bootnodes.on_resolved(now.mono, &mut self.base, id, addresses);
        if let Some(node) = resolved {
            self.add_node(now, node);
        }
    }

    fn add_node(&mut self, now: Now, node: Node) {
        if let State::Running(versions) = &mut self.state {
            versions.add_node(now, &mut self.base, node);
        }
    }

    fn on_local_change(&mut self, change: LocalChange) {
        // The driver has checked that it fits; if not, the record stays as it is.
        let Ok(record) = self.base.own.change(&change) else { return };
        self.changes.retain(|old| !old.is_of_the_same(&change));
        let about = &self.about.attributes;
        let takes_back = matches!(&change, LocalChange::Attribute { key, rlp: None }
            if !about.iter().any(|(described, _)| described == key));
        if !takes_back {
            self.changes.push(change);
        }
        if let Some(record) = record {
            self.base.on_own_record(record);
        }
    }

    fn on_policy(&mut self, now: Now, policy: Policy) {
        self.config.policy = policy.clone();
        self.base.policy = policy;
        if let State::Running(versions) = &mut self.state {
            versions.on_policy(now, &mut self.base);
        }
    }

    /// The driver has found nodes of an earlier run: everything begins.
    fn begin(&mut self, now: Now, seeds: Vec<SeedNode>) {
        if !matches!(self.state, State::Seeding) {
            return;
        }
        let base = &mut self.base;
        base.store(StoreOp::Seq(base.own.current().seq()));
        let config = &self.config;
        let v4 = config.v4.clone();
        let v4 = v4.map(|v4| V4::new(v4, config, base, seeds.clone(), now, self.seed));
        let seed = seed_for(&self.seed, b"v5");
        let v5 = config.v5.clone();
        let v5 = v5.map(|v5| V5::new(v5, config, base, seeds, now, seed));
        let mut versions = Versions { v4, v5 };
        if let Some(v5) = &mut versions.v5 {
            let protocols = self.talk_protocols.iter().cloned();
            protocols.for_each(|protocol| v5.set_talk_protocol(protocol, true));
        }
        versions.want(now, base, Source::DISCOVERY_V4, self.wanted.v4);
        versions.want(now, base, Source::DISCOVERY_V5, self.wanted.v5);
        self.bootnodes.begin(now.mono, base, &self.config.bootnodes);
        self.state = State::Running(Box::new(versions));
    }

    /// A version has panicked: nothing is used of what it may have left half done.
    fn rest(&mut self, now: Now) {
        self.base = base(&self.config, &self.about, &self.changes, self.seq);
        self.base.put(Output::LocalRecord(self.base.own.current().clone()));
        self.seed = self.restarts.fork();
        self.joint = Joint::default();
        self.state = State::Resting { until: now.mono + RESTART };
    }
}

impl Versions {
    fn add_node(&mut self, now: Now, base: &mut Base, node: Node) {
        if let Some(v4) = &mut self.v4 {
            v4.add_node(now, base, node.clone());
        }
        if let Some(v5) = &mut self.v5 {
            v5.add_node(now, base, node);
        }
    }

    /// One candidate at a time: each is followed by another wish, so that none is offered in vain.
    /// What is wanted of one version is nothing to the other, which may have offered one already.
    fn want(&mut self, now: Now, base: &mut Base, source: Source, count: usize) {
        match (source, &mut self.v4, &mut self.v5) {
            (Source::DISCOVERY_V4, Some(v4), _) => v4.want(now, base, count.min(1)),
            (Source::DISCOVERY_V5, _, Some(v5)) => v5.want(now, base, count.min(1)),
            _ => {}
        }
    }

    fn on_policy(&mut self, now: Now, base: &mut Base) {
        if let Some(v4) = &mut self.v4 {
            v4.on_policy(now, base);
        }
        if let Some(v5) = &mut self.v5 {
            v5.on_policy(now, base);
        }
    }

    fn on_timeout(&mut self, now: Now, base: &mut Base) {
        if let Some(v4) = &mut self.v4 {
            v4.on_timeout(now, base);
        }
        if let Some(v5) = &mut self.v5 {
            v5.on_timeout(now, base);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let v4 = self.v4.as_ref().and_then(V4::poll_timeout);
        v4.into_iter().chain(self.v5.as_ref().and_then(V5::poll_timeout)).min()
    }
}

impl Machine for Endpoint {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Command(command) => self.on_command(now, command),
            Input::Datagram { from, datagram } => self.on_datagram(now, from, datagram),
            Input::Local(change) => self.on_local_change(change),
            Input::NameResolved { id, addresses } => self.on_name(now, id, &addresses),
            Input::Panicked => self.rest(now),
            Input::Seeds(seeds) => self.begin(now, seeds),
            Input::SetPolicy(policy) => self.on_policy(now, policy),
            Input::TalkResponse { id, response } => {
                if let State::Running(versions) = &mut self.state
                    && let Some(v5) = &mut versions.v5
                {
                    v5.on_talk_response(now, &mut self.base, id, &response);
                }
            }
            Input::Want { source, count } => {
                match source {
                    Source::DISCOVERY_V4 => self.wanted.v4 = count,
                    Source::DISCOVERY_V5 => self.wanted.v5 = count,
                    // Of another source, which is none of ours.
                    _ => return,
                }
                if let State::Running(versions) = &mut self.state {
                    versions.want(now, &mut self.base, source, count);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        match &mut self.state {
            State::Resting { until } if *until <= now.mono => {
                self.state = State::Seeding;
                self.base.put(Output::WantSeeds);
            }
            State::Resting { .. } | State::Seeding => {}
            State::Running(versions) => {
                self.bootnodes.ask_names(now.mono, &mut self.base);
                versions.on_timeout(now, &mut self.base);
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = loop {
            let output = self.base.pop()?;
            if self.joint.lets_pass(&output) {
                break Some(output);
            }
        };
        if let Some(Output::Store(StoreOp::Seq(seq))) = &output {
            self.seq = *seq;
        }
        output
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Resting { until } => Some(*until),
            State::Seeding => None,
            State::Running(versions) => {
                versions.poll_timeout().into_iter().chain(self.bootnodes.next_due()).min()
            }
        }
    }
}

/// A seed that says nothing of `seed`, and that `seed` says nothing of without this step: what a
/// version draws is sent to strangers in part.
fn seed_for(seed: &Seed, purpose: &[u8]) -> Seed {
    Keccak256::digest([&seed[..], purpose].concat()).into()
}

/// The ground of the versions, with the record after the one with the number `seq`.
fn base(config: &Config, about: &SelfDescription, changes: &[LocalChange], seq: u64) -> Base {
    let record = about.record(seq).expect("because the driver has checked that it fits");
    let own = OwnRecord::new(record, about.certain_ips(), changes, config.vote_interval);
    Base::new(config, about.key.clone(), own)
}

/// Whether one machine can be at `ip`: a forged source must not make us speak to many.
fn is_unicast(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_multicast() && !ip.is_unspecified() && !is_broadcast
}

#[cfg(test)]
mod tests;
