//! A network in virtual time, of machines and of whoever sends what it likes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::{Instant, Machine, Now, TimerTable};
use peerage_node::{Node, NodeId, Record, SecretKey, SelfDescription};

use super::secret;
use crate::{
    Command, Config, Datagram, Endpoint, Input, Output, SeedNode, Version, v4::V4, v5::V5,
};

/// Of every datagram.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

pub(crate) const START: Now =
    Now { mono: Instant::START, unix: Duration::from_secs(1_800_000_000) };

/// Everybody, by address.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) now: Now,
    /// Which versions machines speak.
    versions: &'static [Version],
    machines: BTreeMap<SocketAddr, Endpoint>,
    configs: BTreeMap<SocketAddr, Config>,
    /// When each wants to be woken.
    wakes: TimerTable<SocketAddr>,
    /// What each is given as its seeds.
    pub(crate) seeds: BTreeMap<SocketAddr, Vec<SeedNode>>,
    /// How many more candidates each wants: told anew after each.
    wants: BTreeMap<SocketAddr, usize>,
    /// What names stand for. Others are not answered.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    /// Clocks that differ, in seconds.
    pub(crate) skews: BTreeMap<SocketAddr, i64>,
    /// Addresses from and to which everything is lost.
    pub(crate) down: BTreeSet<SocketAddr>,
    /// Datagrams under way by the time they arrive.
    flying: BTreeMap<(Instant, u64), Parcel>,
    /// How many datagrams were sent.
    pub(crate) count: u64,
    /// What arrived where no machine is.
    pub(crate) mail: Vec<Parcel>,
    /// What the machines put out, besides datagrams.
    pub(crate) events: Vec<(SocketAddr, Output)>,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Net {
    /// One of machines that speak v4.
    pub(crate) fn new() -> Self {
        Self::of(&[Version::V4])
    }

    /// One of machines that speak these versions.
    pub(crate) fn of(versions: &'static [Version]) -> Self {
        Self {
            now: START,
            versions,
            machines: BTreeMap::new(),
            configs: BTreeMap::new(),
            wakes: TimerTable::new(),
            seeds: BTreeMap::new(),
            wants: BTreeMap::new(),
            names: BTreeMap::new(),
            skews: BTreeMap::new(),
            down: BTreeSet::new(),
            flying: BTreeMap::new(),
            count: 0,
            mail: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Starts the machine with the `n`th key at `addr`, which it states.
    pub(crate) fn start(&mut self, n: u32, addr: SocketAddr, bootnodes: Vec<Node>) {
        let config = Config { bootnodes, ..Config::default() };
        self.start_with(addr, about(secret(n), addr), config);
    }

    pub(crate) fn start_with(&mut self, addr: SocketAddr, about: SelfDescription, config: Config) {
        self.start_after(addr, about, config, 0);
    }

    /// Starts a machine whose last record had the number `seq`.
    pub(crate) fn start_after(
        &mut self,
        addr: SocketAddr,
        about: SelfDescription,
        config: Config,
        seq: u64,
    ) {
        let mut versions = config.versions();
        versions.retain(|version| self.versions.contains(version));
        let config = config.with_versions(&versions);
        self.configs.insert(addr, config.clone());
        let seed = about.key.public().id().0;
        self.machines.insert(addr, Endpoint::new(config, about, seq, seed));
        self.drain(addr);
    }

    pub(crate) fn command(&mut self, addr: SocketAddr, command: Command) {
        self.input(addr, command.into());
    }

    /// Has a machine look for so many candidates.
    pub(crate) fn want(&mut self, addr: SocketAddr, count: usize) {
        self.wants.insert(addr, count);
        for version in self.versions {
            self.input(addr, Input::Want { source: version.source(), count });
        }
    }

    pub(crate) fn input(&mut self, addr: SocketAddr, input: Input<'_>) {
        let now = self.now_at(addr);
        self.machines.get_mut(&addr).unwrap().handle_input(now, input);
        self.drain(addr);
    }

    /// Sends, as of now.
    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if self.down.contains(&from) || self.down.contains(&to) {
            return;
        }
        self.count += 1;
        self.flying.insert((self.now.mono + LATENCY, self.count), Parcel { from, to, bytes });
    }

    /// Lets `span` pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        loop {
            let wakes = self.wakes.next();
            let arrives = self.flying.keys().next().map(|(at, _)| *at);
            let next = wakes.into_iter().chain(arrives).min().filter(|at| *at <= end);
            let next = next.unwrap_or(end).max(self.now.mono);
            self.now = self.now.later(next.saturating_since(self.now.mono));
            while let Some(entry) = self.flying.first_entry() {
                if entry.key().0 > self.now.mono {
                    break;
                }
                let parcel = entry.remove();
                let Parcel { from, to, ref bytes } = parcel;
                if self.machines.contains_key(&to) {
                    self.input(to, Input::Datagram { from, datagram: Datagram::Unchecked(bytes) });
                } else {
                    self.mail.push(parcel);
                }
            }
            let due: Vec<_> = std::iter::from_fn(|| self.wakes.pop_due(self.now.mono)).collect();
            for addr in &due {
                let now = self.now_at(*addr);
                self.machines.get_mut(addr).unwrap().handle_timeout(now);
                self.drain(*addr);
            }
            let is_quiet =
                due.is_empty() && self.flying.keys().next().is_none_or(|key| key.0 > end);
            if self.now.mono >= end && is_quiet {
                return;
            }
        }
    }

    pub(crate) fn machine(&self, addr: SocketAddr) -> &Endpoint {
        &self.machines[&addr]
    }

    pub(crate) fn v4(&self, addr: SocketAddr) -> &V4 {
        self.machine(addr).v4().unwrap()
    }

    pub(crate) fn v5(&self, addr: SocketAddr) -> &V5 {
        self.machine(addr).v5().unwrap()
    }

    /// The record of a machine, as it is announced.
    pub(crate) fn record(&self, addr: SocketAddr) -> &Record {
        self.machine(addr).local_record()
    }

    /// What a machine has put out since this was asked last.
    pub(crate) fn events(&mut self, addr: SocketAddr) -> Vec<Output> {
        let (mine, others) =
            std::mem::take(&mut self.events).into_iter().partition(|(at, _)| *at == addr);
        self.events = others;
        let mine: Vec<(SocketAddr, Output)> = mine;
        mine.into_iter().map(|(_, output)| output).collect()
    }

    /// The candidates that a machine has put out since its [`events`](Self::events) were asked for
    /// last, all of which are taken.
    pub(crate) fn candidates(&mut self, addr: SocketAddr) -> Vec<NodeId> {
        let events = self.events(addr).into_iter();
        events
            .filter_map(|it| {
                if let Output::Candidate { node, .. } = it { Some(node.id()) } else { None }
            })
            .collect()
    }

    fn now_at(&self, addr: SocketAddr) -> Now {
        let skew = self.skews.get(&addr).copied().unwrap_or(0);
        let unix = self.now.unix.as_secs().saturating_add_signed(skew);
        Now { unix: Duration::from_secs(unix), ..self.now }
    }

    fn drain(&mut self, addr: SocketAddr) {
        while let Some(output) = self.machines.get_mut(&addr).unwrap().poll_output() {
            if let Some(answer) = self.carry(addr, output) {
                let now = self.now_at(addr);
                self.machines.get_mut(&addr).unwrap().handle_input(now, answer);
            }
        }
        let machine = self.machine(addr);
        let bound = Endpoint::memory_bound(&self.configs[&addr], 1000, 1000);
        assert!(machine.memory() <= bound, "{} bytes of {bound}", machine.memory());
        match machine.poll_timeout() {
            Some(at) => self.wakes.set(addr, at),
            None => drop(self.wakes.cancel(&addr)),
        }
    }

    /// Does what a machine asks for. What it is told at once.
    fn carry(&mut self, addr: SocketAddr, output: Output) -> Option<Input<'static>> {
        match output {
            Output::Send { to, bytes } => {
                assert!(bytes.len() <= crate::v4::packet::MAX_PACKET_SIZE);
                self.send(addr, to, bytes);
                None
            }
            Output::WantSeeds => {
                Some(Input::Seeds(self.seeds.get(&addr).cloned().unwrap_or_default()))
            }
            Output::ResolveName { id, ref host } => {
                let addresses = self.names.get(host).cloned();
                self.events.push((addr, output));
                Some(Input::NameResolved { id, addresses: addresses? })
            }
            Output::Candidate { source, .. } => {
                self.events.push((addr, output));
                let count = self.wants.get_mut(&addr)?;
                *count -= 1;
                Some(Input::Want { source, count: *count })
            }
            output => {
                self.events.push((addr, output));
                None
            }
        }
    }
}

/// A node that takes connections and datagrams at `addr`.
pub(crate) fn about(key: SecretKey, addr: SocketAddr) -> SelfDescription {
    let mut about = SelfDescription::new(key);
    (about.tcp, about.udp) = (vec![addr], vec![addr]);
    about
}

/// A node that does not know where it is.
pub(crate) fn lost(key: SecretKey) -> SelfDescription {
    about(key, "0.0.0.0:30303".parse().unwrap())
}
