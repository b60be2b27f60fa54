//! The generic layer: a world of hosts, the network between them, and time.
//!
//! Each host runs a boxed [`Program`] that is told of events and acts by [`Io`]. The world does not
//! know what the programs are: not what they send, not what mail passes between their tasks, not
//! what they keep while they are down. Observers see all of it from outside, and may say that a
//! rule is broken.
//!
//! Nothing here imports what is built on it: not the nodes (`crate::node`), not scenarios or
//! adversaries, no crate of devp2p. `tests/layers.rs` sees to that.

mod alarms;
mod clock;
mod event;
mod faults;
mod happen;
mod host;
mod io;
mod names;
mod net;
mod observer;
mod places;
mod queue;
mod trace;

use std::{any::Any, collections::BTreeMap, net::IpAddr, time::Duration};

use peerage_machine::{Instant, Random, Seed};
use sha2::{Digest as _, Sha256};

use self::{
    alarms::Alarms,
    clock::HostClock,
    event::Event,
    host::{Deferred, Host},
    net::Net,
    observer::Observers,
    places::Addresses,
    queue::Queue,
};
pub use self::{
    event::{ConnectError, HostEvent, Mail},
    faults::{AcceptError, Faults, SendError},
    host::{HostId, Program},
    io::{Io, Way},
    names::{ResolveError, Resolver},
    net::{Crash, LinkProfile, NatKind, NetStats, Read, Socket},
    observer::{Fact, Observer, Verdict, Violation},
    places::Place,
    trace::{Kind, Trace, first_difference},
};

/// What a world is made of, beside its seed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How the ways between hosts behave.
    pub link: LinkProfile,
    /// How long a message between two tasks of a host may take: races between them are found by
    /// that.
    pub task_delay: Duration,
    /// How much the clocks of hosts drift, in parts per million either way.
    pub drift_ppm: u32,
    /// Names that can be resolved.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// How they are.
    pub resolver: Resolver,
    /// What the systems of hosts lack.
    pub faults: Faults,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            link: LinkProfile::default(),
            task_delay: Duration::from_millis(2),
            drift_ppm: 50,
            names: BTreeMap::new(),
            resolver: Resolver::default(),
            faults: Faults::default(),
        }
    }
}

/// A world. It goes on only in [`run_until`](Self::run_until), and does the same each time.
#[derive(Debug)]
pub struct World {
    settings: Settings,
    now: Instant,
    random: Random,
    addresses: Addresses,
    net: Net,
    queue: Queue<Event>,
    alarms: Alarms,
    hosts: Vec<Host>,
    observers: Observers,
    trace: Trace,
    events: u64,
}

impl World {
    /// An empty world with every default.
    pub fn new(seed: u64) -> Self {
        Self::with_settings(seed, Settings::default())
    }

    /// An empty world.
    pub fn with_settings(seed: u64, settings: Settings) -> Self {
        let mut random = Random::from_seed(expand(seed));
        let (link, faults) = (settings.link.clone(), settings.faults);
        let net = Net::new(link, faults, Random::from_seed(random.fork()));
        Self {
            now: Instant::START,
            random,
            addresses: Addresses::default(),
            net,
            queue: Queue::new(),
            alarms: Alarms::default(),
            hosts: Vec::new(),
            observers: Observers::default(),
            trace: Trace::default(),
            events: 0,
            settings,
        }
    }

    /// A seed that follows from the world's.
    pub fn fork(&mut self) -> Seed {
        self.random.fork()
    }

    /// The generator from which everything random follows, for what is made outside of the world
    /// and put into it.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Adds a host that runs `program`. It is down until it is started. Where its place has a
    /// translator that lets a port through, that is `port`.
    pub fn add_host(&mut self, place: Place, port: u16, program: Box<dyn Program>) -> HostId {
        let (host, ip) = self.addresses.place(&mut self.net, place, port);
        let range = u64::from(self.settings.drift_ppm) * 2 + 1;
        let drift = i64::try_from(self.random.below(range)).unwrap_or(0)
            - i64::from(self.settings.drift_ppm);
        self.hosts.push(Host {
            clock: HostClock::new(i32::try_from(drift).unwrap_or(0)),
            random: Random::from_seed(self.random.fork()),
            ip,
            program,
            deferred: None,
            has_exited: false,
        });
        host
    }

    /// Has an observer look at the world from now on.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.observers.add(observer);
    }

    /// Starts a host, or starts it anew after it went down. Does nothing while it runs.
    pub fn start(&mut self, host: HostId) {
        if self.is_up(host) {
            return;
        }
        self.net.start(host);
        let found = &mut self.hosts[host.index()];
        found.clock.start(self.now);
        found.deferred = None;
        self.note(host, 1, "starts");
        self.observers.on_fact(self.now, host, &Fact::Starts);
        let (program, mut io) = self.enter(host);
        program.on_start(&mut io);
        self.leave(host);
    }

    /// Asks a host's program to stop. The host goes down when it has; one that stands still hears
    /// of it when it goes on.
    pub fn stop(&mut self, host: HostId) {
        if !self.is_up(host) {
            return;
        }
        self.note(host, 2, "is told to stop");
        if let Some(deferred) = &mut self.hosts[host.index()].deferred {
            return deferred.push(Deferred::Stop);
        }
        let (program, mut io) = self.enter(host);
        program.on_stop(&mut io);
        self.leave(host);
    }

    /// Takes a host down.
    pub fn crash(&mut self, host: HostId, how: Crash) {
        if self.is_up(host) {
            self.note(host, 3, "crashes");
            self.end(host, how);
        }
    }

    /// Has a host stand still for a while, as by SIGSTOP or in a sleeping laptop: its clocks go on.
    pub fn suspend(&mut self, host: HostId, span: Duration) {
        if !self.is_up(host) || self.hosts[host.index()].deferred.is_some() {
            return;
        }
        self.note(host, 4, "stands still");
        self.hosts[host.index()].deferred = Some(Vec::new());
        self.observers.on_fact(self.now, host, &Fact::StandsStill);
        let epoch = self.net.epoch(host);
        self.queue.plan(self.now + span, Event::Resume { host, epoch });
    }

    /// Has the wall clock of a host jump.
    pub fn jump_clock(&mut self, host: HostId, seconds: i64) {
        self.note(host, 5, "has its wall clock jump");
        self.hosts[host.index()].clock.jump(seconds);
    }

    /// Puts a host into a part of the network; hosts in different parts cannot reach each other.
    /// All begin in 0.
    pub fn set_part(&mut self, host: HostId, part: u32) {
        self.net.set_group(host, part);
    }

    /// Changes how the network behaves, from now on.
    pub fn set_link(&mut self, link: LinkProfile) {
        self.net.link = link;
    }

    /// Changes which names can be resolved, and to what.
    pub fn set_names(&mut self, names: BTreeMap<String, Vec<IpAddr>>) {
        self.settings.names = names;
    }

    /// Has a name resolve to a host, from now on.
    pub fn add_name(&mut self, name: String, host: HostId) {
        self.settings.names.insert(name, vec![self.ip(host)]);
    }

    /// Changes how names are resolved, from now on.
    pub const fn set_resolver(&mut self, resolver: Resolver) {
        self.settings.resolver = resolver;
    }

    /// Changes what the system of a host lacks, from now on. What is open stays open.
    pub fn set_faults(&mut self, host: HostId, faults: Faults) {
        let numbers = [8, faults.descriptors.map_or(0, |most| 1 + most as u64)];
        let rest = [u64::from(faults.no_buffers), u64::from(faults.is_unreachable)];
        let numbers = [numbers, rest].concat();
        self.trace.note(self.now, host.0, Kind::HOST, &numbers, &[], || format!("has {faults:?}"));
        self.net.set_faults(host, faults);
    }

    /// Has a program of this type do something out of its turn, as its user may at any time. `None`
    /// if the host is down, or runs something else.
    pub fn act<P: Program, R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut P, &mut Io<'_>) -> R,
    ) -> Option<R> {
        if !self.is_up(host) {
            return None;
        }
        let (program, mut io) = self.enter(host);
        let program = (program as &mut dyn Any).downcast_mut::<P>()?;
        let done = act(program, &mut io);
        self.leave(host);
        Some(done)
    }

    /// Lets everything happen until `until`. An error is the first rule that was broken; the world
    /// stands still there.
    pub fn run_until(&mut self, until: Instant) -> Result<(), Violation> {
        while let Some((at, event)) = self.queue.pop(until) {
            self.now = at;
            if !self.is_news(&event) {
                continue;
            }
            self.events += 1;
            if let Some(host) = self.happen(event) {
                self.leave(host);
            }
            self.observers.on_time(at);
            if let Some(violation) = self.observers.verdict.take() {
                return Err(violation);
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets everything happen for a while.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        self.run_until(self.now + span)
    }

    /// The time in the world.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How many events have happened.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// How many events are planned.
    pub fn planned(&self) -> usize {
        self.queue.len()
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId)
    }

    /// Whether a host runs.
    pub fn is_up(&self, host: HostId) -> bool {
        self.net.is_running(host)
    }

    /// The program of a host, running or not, if it is of this type.
    pub fn program<P: Program>(&self, host: HostId) -> Option<&P> {
        (self.hosts[host.index()].program.as_ref() as &dyn Any).downcast_ref()
    }

    /// The program of a host to be changed, running or not, if it is of this type.
    pub fn program_mut<P: Program>(&mut self, host: HostId) -> Option<&mut P> {
        (self.hosts[host.index()].program.as_mut() as &mut dyn Any).downcast_mut()
    }

    /// The first observer of this type.
    pub fn observer<T: Observer>(&self) -> Option<&T> {
        self.observers.get()
    }

    /// The first observer of this type, to be told something.
    pub fn observer_mut<T: Observer>(&mut self) -> Option<&mut T> {
        self.observers.get_mut()
    }

    /// The address at which others reach a host, or its translator.
    pub fn ip(&self, host: HostId) -> IpAddr {
        self.hosts[host.index()].ip
    }

    /// What has been sent.
    pub const fn net_stats(&self) -> &NetStats {
        &self.net.stats
    }

    /// Everything that happened.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Everything that happened, to be recorded or taken.
    pub const fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }
}

/// 32 bytes that follow from a number.
fn expand(seed: u64) -> Seed {
    Sha256::digest(seed.to_le_bytes()).into()
}
